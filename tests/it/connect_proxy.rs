//! A CONNECT proxy that leads every host to loopback.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What it responds to CONNECT.
#[derive(Clone, Copy, Debug)]
pub enum Respond {
    Tunnel,
    /// 407 without this value of `Proxy-Authorization`, otherwise a tunnel.
    Credentials(&'static str),
    Status(u16),
    Close,
    Silence,
}

/// Runs until the process ends.
pub struct ConnectProxy {
    pub port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    /// `tls`: an `https` proxy.
    pub fn start(respond: Respond, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, heads) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::default()));
        let log = Arc::clone(&heads);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (log, tls) = (Arc::clone(&log), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(socket.try_clone().unwrap(), &socket, respond, &log),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(StreamOwned::new(connection, socket.try_clone().unwrap()), &socket, respond, &log);
                    }
                });
            }
        });
        Self { port, heads }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The header sections that came.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(mut client: impl Read + Write, socket: &TcpStream, respond: Respond, log: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    log.lock().unwrap().push(head.clone());
    let status = match respond {
        Respond::Tunnel => 200,
        Respond::Credentials(value) if head.contains(&format!("Proxy-Authorization: {value}\r\n")) => 200,
        Respond::Credentials(_) => 407,
        Respond::Status(status) => status,
        Respond::Close => return,
        Respond::Silence => return drop(client.read(&mut byte)),
    };
    let _ = client.write_all(format!("HTTP/1.1 {status} So\r\nX-Hint: hush-hush\r\n\r\n").as_bytes());
    let target = head.split(' ').nth(1).and_then(|target| target.rsplit_once(':'));
    if status == 200 {
        let port: u16 = target.unwrap().1.parse().unwrap();
        let target = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tunnel(client, socket, target);
    }
    let _ = socket.shutdown(Shutdown::Both);
}

/// Copies both ways until either side ends.
fn tunnel(mut client: impl Read + Write, socket: &TcpStream, mut target: TcpStream) {
    let wait = Some(Duration::from_millis(2));
    socket.set_read_timeout(wait).unwrap();
    target.set_read_timeout(wait).unwrap();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if !(copy(&mut client, &mut target, &mut buffer) && copy(&mut target, &mut client, &mut buffer)) {
            return;
        }
    }
}

/// Whether there may be more.
fn copy(from: &mut impl Read, to: &mut impl Write, buffer: &mut [u8]) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match from.read(buffer) {
        Ok(0) => false,
        Ok(count) => to.write_all(&buffer[..count]).is_ok() && to.flush().is_ok(),
        Err(error) => matches!(error.kind(), WouldBlock | TimedOut | Interrupted),
    }
}
