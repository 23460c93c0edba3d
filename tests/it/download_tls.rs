//! What only TLS can do: a record that never gets whole.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};
use squarecloud_blocking::{Client, DownloadOptions};

use crate::sandbox::tls::Tls;

/// Lets everything through at once up to the first large record, and that one byte by byte.
struct Drip(TcpStream);

impl Read for Drip {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Drip {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.len() < 4096 {
            return self.0.write(buf);
        }
        for byte in buf {
            self.0.write_all(&[*byte])?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn bytes_that_drip_into_one_record_run_out_of_time() {
    let tls = Tls::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/applications/1/app.zip?Signature=x", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = tls.config.clone();
            thread::spawn(move || {
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), Drip(stream));
                let mut head = [0; 1024];
                if !matches!(stream.read(&mut head), Ok(n) if n > 0) {
                    return;
                }
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 16000\r\nETag: \"a\"\r\n\r\n";
                let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.flush());
                let _ = sent.and_then(|()| stream.write_all(&[b'x'; 16_000]));
            });
        }
    });
    let client = Client::builder("key-0")
        .stall_timeout(Duration::from_millis(200))
        .first_byte_timeout(Duration::from_millis(200))
        .min_speed(2000)
        .root_certificates(tls.ca_pem)
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let error =
        client.open_url(&url).unwrap().download_with(dir.path(), &DownloadOptions::new()).unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}: {error:?}", begun.elapsed());
}
