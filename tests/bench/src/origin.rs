//! A snapshot host that serves one file as fast as loopback goes, or at a cap for each connection.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{serve, tls_config};

/// Serves `file` under any path; the address. `cap` is in bytes per second.
pub fn start(file: &Path, ca: Option<&Path>, cap: Option<u64>) -> std::net::SocketAddr {
    let file = Arc::new(File::open(file).unwrap());
    match ca {
        None => serve(move |stream| talk(stream, &file, cap)),
        Some(ca) => {
            let config = tls_config(ca);
            serve(move |stream| {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                talk(rustls::StreamOwned::new(connection, stream), &file, cap);
            })
        }
    }
}

fn talk(mut stream: impl Read + Write, file: &File, cap: Option<u64>) {
    let total = file.metadata().unwrap().len();
    let mut head = Vec::new();
    let mut byte = [0; 4096];
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(0) | Err(_) => return,
                Ok(n) => head.extend_from_slice(&byte[..n]),
            }
        }
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let range = text.split("range: bytes=").nth(1).and_then(|r| r.split("\r\n").next()).map(str::to_owned);
        head.clear();
        let (from, to) = match range.as_deref().and_then(|r| r.split_once('-')) {
            None => (0, total),
            Some(("", last)) => (total - last.parse::<u64>().unwrap().min(total), total),
            Some((from, "")) => (from.parse().unwrap(), total),
            Some((from, last)) => (from.parse().unwrap(), total.min(last.parse::<u64>().unwrap() + 1)),
        };
        let status = match range {
            None => "200 OK".to_owned(),
            Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}", to - 1),
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"one\"\r\nAccept-Ranges: bytes\r\n\r\n", to - from);
        if stream.write_all(answer.as_bytes()).is_err() || send(&mut stream, file, from, to, cap).is_err() {
            return;
        }
    }
}

fn send(stream: &mut impl Write, file: &File, mut from: u64, to: u64, cap: Option<u64>) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let (start, first) = (Instant::now(), from);
    while from < to {
        let n = buffer.len().min((to - from) as usize);
        file.read_exact_at(&mut buffer[..n], from)?;
        stream.write_all(&buffer[..n])?;
        from += n as u64;
        if let Some(cap) = cap {
            let due = Duration::from_secs_f64((from - first) as f64 / cap as f64);
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    stream.flush()
}
