//! A client on a bare socket, so that nothing stands between the sandbox and its tests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::{Port, Sandbox};

/// An answer, as far as it came.
#[derive(Debug, Default)]
pub struct Reply {
    pub status: u16,
    /// Head bytes, with the empty line.
    pub head: Vec<u8>,
    pub headers: Vec<(String, String)>,
    /// Unframed.
    pub body: Vec<u8>,
    /// The body came whole, by its framing.
    pub whole: bool,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// The envelope's code.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_string()
    }
}

/// One connection.
pub struct Raw {
    socket: TcpStream,
    pending: Vec<u8>,
    /// The answer to come is one to HEAD.
    bodyless: bool,
}

impl Raw {
    pub fn open(sandbox: &Sandbox, port: Port) -> Self {
        let socket = TcpStream::connect(sandbox.address(port)).expect("the sandbox listens");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
        Self { socket, pending: Vec::new(), bodyless: false }
    }

    pub fn timeout(&self, time: Duration) {
        self.socket.set_read_timeout(Some(time)).expect("a time limit");
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.bodyless = bytes.starts_with(b"HEAD ");
        self.socket.write_all(bytes).expect("the sandbox reads");
    }

    /// Whatever comes until the end or an error; and how it ended.
    pub fn rest(&mut self) -> (Vec<u8>, std::io::Result<()>) {
        let mut out = std::mem::take(&mut self.pending);
        let end = self.socket.read_to_end(&mut out).map(drop);
        (out, end)
    }

    /// Whether so many bytes come.
    pub fn at_least(&mut self, bytes: usize) -> bool {
        let mut seen = 0;
        while seen < bytes && self.more() {
            seen += std::mem::take(&mut self.pending).len();
        }
        seen >= bytes
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        match self.socket.read(&mut buffer) {
            Ok(n) if n > 0 => {
                self.pending.extend_from_slice(&buffer[..n]);
                true
            }
            _ => false,
        }
    }

    /// The next answer; its status is 0 when no head came.
    pub fn reply(&mut self) -> Reply {
        let end = loop {
            if let Some(at) = self.pending.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more() {
                return Reply { head: std::mem::take(&mut self.pending), ..Reply::default() };
            }
        };
        let head: Vec<u8> = self.pending.drain(..end).collect();
        let text = String::from_utf8_lossy(&head).into_owned();
        let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let headers = text.lines().skip(1).filter_map(|l| l.split_once(": "));
        let headers = headers.map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let mut reply = Reply { status, head, headers, ..Reply::default() };
        if self.bodyless {
            reply.whole = true;
        } else if reply.header("Transfer-Encoding") == Some("chunked") {
            (reply.body, reply.whole) = self.chunks();
        } else if let Some(length) = reply.header("Content-Length").and_then(|l| l.parse::<usize>().ok()) {
            while self.pending.len() < length && self.more() {}
            reply.whole = self.pending.len() >= length;
            reply.body = self.pending.drain(..length.min(self.pending.len())).collect();
        } else if !matches!(status, 100..=199 | 204 | 304) {
            while self.more() {}
            (reply.body, reply.whole) = (std::mem::take(&mut self.pending), true);
        }
        reply
    }

    fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let at = loop {
                match self.pending.windows(2).position(|w| w == b"\r\n") {
                    Some(at) => break at,
                    None if !self.more() => return (body, false),
                    None => {}
                }
            };
            let line = String::from_utf8_lossy(&self.pending[..at]).into_owned();
            let Ok(size) = usize::from_str_radix(&line, 16) else { return (body, false) };
            while self.pending.len() < at + 2 + size + 2 {
                if !self.more() {
                    return (body, false);
                }
            }
            let chunk: Vec<u8> = self.pending.drain(..at + 2 + size + 2).collect();
            body.extend_from_slice(&chunk[at + 2..at + 2 + size]);
            if !chunk.ends_with(b"\r\n") {
                return (body, false);
            }
            if size == 0 {
                return (body, true);
            }
        }
    }

    /// An API request with the sandbox's key.
    pub fn call(&mut self, sandbox: &Sandbox, method: &str, path: &str, json: &str) -> Reply {
        self.send(&request(sandbox.api_key(), method, path, json));
        self.reply()
    }

    /// A GET of a signed URL with more header lines (each ending in CRLF).
    pub fn fetch(&mut self, url: &str, lines: &str) -> Reply {
        self.send(get(url, lines).as_bytes());
        self.reply()
    }
}

/// The bytes of an API request.
pub fn request(key: &str, method: &str, path: &str, json: &str) -> Vec<u8> {
    let kind = if json.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let length = if method == "POST" { format!("Content-Length: {}\r\n", json.len()) } else { String::new() };
    format!(
        "{method} /v2{path} HTTP/1.1\r\nHost: api\r\nAuthorization: {key}\r\nUser-Agent: raw\r\n\
         Accept: application/json\r\n{kind}{length}\r\n{json}"
    )
    .into_bytes()
}

/// The text of a GET of a signed URL.
pub fn get(url: &str, lines: &str) -> String {
    let target = url.splitn(4, '/').nth(3).unwrap_or_default();
    format!("GET /{target} HTTP/1.1\r\nHost: snapshots\r\nUser-Agent: raw\r\nAccept-Encoding: identity\r\n{lines}\r\n")
}

/// One API request on a connection of its own.
pub fn call(sandbox: &Sandbox, method: &str, path: &str, json: &str) -> Reply {
    Raw::open(sandbox, Port::Api).call(sandbox, method, path, json)
}

/// One signed GET on a connection of its own.
pub fn fetch(sandbox: &Sandbox, url: &str, lines: &str) -> Reply {
    Raw::open(sandbox, Port::Snapshots).fetch(url, lines)
}
