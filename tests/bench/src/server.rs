//! A server that answers every request with the same bytes and keeps connections open, plain or over TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves `answer` on loopback until the process ends.
pub fn plain(answer: Arc<Vec<u8>>) -> SocketAddr {
    serve(move |stream| answer_all(stream, &answer))
}

/// The same over TLS; the authority to trust is written to `ca`.
pub fn tls(answer: Arc<Vec<u8>>, ca: &Path) -> SocketAddr {
    let config = tls_config(ca);
    serve(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        answer_all(StreamOwned::new(connection, stream), &answer);
    })
}

/// A certificate of its own for localhost; the authority to trust is written to `ca`.
pub fn tls_config(ca: &Path) -> Arc<ServerConfig> {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(ca, signed.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

pub fn serve(each: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let each = Arc::new(each);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = Arc::clone(&each);
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || each(stream));
        }
    });
    address
}

fn answer_all(mut stream: impl Read + Write, answer: &[u8]) {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => return,
            Ok(n) => filled += n,
        }
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            if stream.write_all(answer).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    }
}

/// An answer of the service's status route of an app.
pub fn status() -> Vec<u8> {
    let body = r#"{"status":"success","response":{"cpu":"0.42%","ram":"118.6MB","status":"running","running":true,"storage":"41.2MB","network":{"total":"2.1MB","now":"0B"},"uptime":1795196400000}}"#;
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}
