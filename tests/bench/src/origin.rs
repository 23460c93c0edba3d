//! A snapshot host that serves one file as fast as loopback goes, or at a cap for each connection, and counts what it
//! served.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{serve, tls_config};

const ETAG: &str = "\"one\"";

/// The access log, added up: requests, and bytes of bodies that were sent. A client that drops a connection is charged
/// for what lay in the system's buffers by then, as any server's log would.
#[derive(Default)]
pub struct Log {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Log {
    /// Requests and bytes since the last call.
    pub fn take(&self) -> (u64, u64) {
        (self.requests.swap(0, Relaxed), self.bytes.swap(0, Relaxed))
    }
}

/// Serves `file` under any path; the address. `cap` is in bytes per second.
pub fn start(file: &Path, ca: Option<&Path>, cap: Option<u64>) -> SocketAddr {
    logged(file, ca, cap).0
}

/// Serves `file` as [`start`] does, and tells what it served.
pub fn logged(file: &Path, ca: Option<&Path>, cap: Option<u64>) -> (SocketAddr, Arc<Log>) {
    let object = Object { file: Arc::new(File::open(file).unwrap()), log: Arc::default(), cap };
    let log = Arc::clone(&object.log);
    let address = match ca {
        None => serve(move |stream| object.talk(stream)),
        Some(ca) => {
            let config = tls_config(ca);
            serve(move |stream| {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                object.talk(rustls::StreamOwned::new(connection, stream));
            })
        }
    };
    (address, log)
}

struct Object {
    file: Arc<File>,
    log: Arc<Log>,
    cap: Option<u64>,
}

impl Object {
    /// Answers requests until the client has no more.
    fn talk(&self, mut stream: impl Read + Write) {
        let total = self.file.metadata().unwrap().len();
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(n) => head.extend_from_slice(&buffer[..n]),
                }
            }
            let (status, body) = judge(&String::from_utf8_lossy(&head), total);
            let no_body = head.starts_with(b"HEAD");
            head.clear();
            self.log.requests.fetch_add(1, Relaxed);
            let (from, to) = body;
            let response = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: {ETAG}\r\nAccept-Ranges: bytes\r\n\r\n",
                to - from
            );
            let sent = stream.write_all(response.as_bytes());
            if sent.is_err() || !no_body && self.send(&mut stream, from, to).is_err() {
                return;
            }
        }
    }

    fn send(&self, stream: &mut impl Write, mut from: u64, to: u64) -> std::io::Result<()> {
        let mut buffer = vec![0; (256 * 1024).min((to - from) as usize)];
        let (start, first) = (Instant::now(), from);
        while from < to {
            let n = buffer.len().min((to - from) as usize);
            self.file.read_exact_at(&mut buffer[..n], from)?;
            // Counted before the client can have it, or the client might be done before the count is.
            self.log.bytes.fetch_add(n as u64, Relaxed);
            stream.write_all(&buffer[..n])?;
            from += n as u64;
            if let Some(cap) = self.cap {
                let due = Duration::from_secs_f64((from - first) as f64 / cap as f64);
                thread::sleep(due.saturating_sub(start.elapsed()));
            }
        }
        stream.flush()
    }
}

/// The status line's end with a `Content-Range`, and which bytes to send.
fn judge(head: &str, total: u64) -> (String, (u64, u64)) {
    let field = |name: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if field("if-match").is_some_and(|tag| tag != ETAG && tag != "*") {
        return ("412 Precondition Failed".to_owned(), (0, 0));
    }
    let range = field("range").filter(|_| field("if-range").is_none_or(|tag| tag == ETAG));
    let Some((from, to)) = range.and_then(|range| range.strip_prefix("bytes=")).and_then(|r| r.split_once('-')) else {
        return ("200 OK".to_owned(), (0, total));
    };
    let (from, to) = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(last)) => (from, total.min(last + 1)),
        (Ok(from), Err(_)) => (from, total),
        (Err(_), Ok(last)) => (total - last.min(total), total),
        (Err(_), Err(_)) => return ("200 OK".to_owned(), (0, total)),
    };
    if from >= to {
        return (format!("416 Range Not Satisfiable\r\nContent-Range: bytes */{total}"), (0, 0));
    }
    (format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}", to - 1), (from, to))
}
