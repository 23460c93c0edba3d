//! HTTP/1.1 by hand: reading requests, and the bytes of an answer before anything distorts them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ServerConnection, StreamOwned};

/// The longest request head that is read.
const MAX_HEAD: usize = 64 << 10;
/// The longest request body that is kept: an upload of 100 MiB and its wrapping.
pub const MAX_BODY: usize = (100 << 20) + (64 << 10);

/// A connection, plain or TLS.
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(s) => s,
            Self::Tls(s) => &s.sock,
        }
    }

    /// Ends the writing side properly: over TLS with a close_notify.
    pub fn finish(&mut self) {
        if let Self::Tls(s) = self {
            s.conn.send_close_notify();
            let _ = s.flush();
        }
        let _ = self.socket().shutdown(std::net::Shutdown::Write);
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(s) => s.read(buf),
            Self::Tls(s) => s.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(s) => s.write(buf),
            Self::Tls(s) => s.write(buf),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(s) => s.flush(),
            Self::Tls(s) => s.flush(),
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// Before the `?`, still encoded.
    pub path: String,
    /// After the `?`, still encoded.
    pub query: String,
    pub http10: bool,
    /// In their order, names as sent.
    pub headers: Vec<(String, String)>,
    pub body: Arc<Vec<u8>>,
    /// The body was announced as longer than [`MAX_BODY`] and left unread.
    pub too_large: bool,
    /// The body was left unread for another reason.
    pub unread: bool,
    /// The body came in chunks.
    pub chunked: bool,
}

impl Request {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub fn keep_alive(&self) -> bool {
        let connection = self.header("Connection").unwrap_or("").to_ascii_lowercase();
        !self.too_large
            && !self.unread
            && !connection.contains("close")
            && (!self.http10 || connection.contains("keep-alive"))
    }
}

/// The first header of this name, whatever its case.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// Reads requests off one connection and keeps what was read too far.
#[derive(Default)]
pub struct Reader {
    pending: Vec<u8>,
}

impl Reader {
    /// The next request's head; `None` at the end of the connection.
    pub fn head(&mut self, stream: &mut Stream) -> io::Result<Option<Request>> {
        loop {
            if let Some(end) = find(&self.pending, b"\r\n\r\n") {
                let head: Vec<u8> = self.pending.drain(..end + 4).collect();
                return parse_head(&head).map(Some).ok_or_else(|| bad("unreadable request head"));
            }
            if self.pending.len() > MAX_HEAD {
                return Err(bad("request head too long"));
            }
            if self.fill(stream)? == 0 {
                return Ok(None);
            }
        }
    }

    /// The body of `request`.
    pub fn body(&mut self, stream: &mut Stream, request: &mut Request) -> io::Result<()> {
        let coding = request.header("Transfer-Encoding").unwrap_or("").to_ascii_lowercase();
        request.chunked = coding.contains("chunked");
        let length: u64 = request.header("Content-Length").and_then(|v| v.trim().parse().ok()).unwrap_or(0);
        request.too_large = !request.chunked && length > MAX_BODY as u64;
        if request.too_large {
            return Ok(());
        }
        let expects = request.header("Expect").is_some_and(|v| v.eq_ignore_ascii_case("100-continue"));
        if expects && (length > 0 || request.chunked) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            stream.flush()?;
        }
        let body = if request.chunked { self.chunks(stream)? } else { self.exactly(stream, length as usize)? };
        request.body = Arc::new(body);
        Ok(())
    }

    /// So many bytes of a body.
    pub fn exactly(&mut self, stream: &mut Stream, length: usize) -> io::Result<Vec<u8>> {
        while self.pending.len() < length {
            if self.fill(stream)? == 0 {
                return Err(bad("request body cut"));
            }
        }
        Ok(self.pending.drain(..length).collect())
    }

    fn chunks(&mut self, stream: &mut Stream) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line(stream)?;
            let digits = line.split(';').next().unwrap_or("").trim();
            let size = usize::from_str_radix(digits, 16).map_err(|_| bad("bad chunk size"))?;
            if size == 0 {
                while !self.line(stream)?.is_empty() {}
                return Ok(body);
            }
            if body.len() + size > MAX_BODY {
                return Err(bad("chunked body too long"));
            }
            body.extend(self.exactly(stream, size)?);
            self.line(stream)?;
        }
    }

    fn line(&mut self, stream: &mut Stream) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.pending, b"\r\n") {
                let line: Vec<u8> = self.pending.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.fill(stream)? == 0 {
                return Err(bad("chunk cut"));
            }
        }
    }

    fn fill(&mut self, stream: &mut Stream) -> io::Result<usize> {
        let start = self.pending.len();
        self.pending.resize(start + (16 << 10).max(start.min(1 << 20)), 0);
        let read = loop {
            match stream.read(&mut self.pending[start..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.pending.truncate(start);
                    return Err(e);
                }
                Ok(n) => break n,
            }
        };
        self.pending.truncate(start + read);
        Ok(read)
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Where `needle` begins.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn parse_head(head: &[u8]) -> Option<Request> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    // An absolute target is what a client sends to a proxy: its authority is no part of the path.
    let target = target.strip_prefix("http://").map_or(target, |t| t.find('/').map_or("/", |i| &t[i..]));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::new();
    for line in lines.filter(|l| !l.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_string(), value.trim().to_string()));
    }
    Some(Request {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        http10: version == "HTTP/1.0",
        headers,
        ..Request::default()
    })
}

/// A body to send: part of some shared bytes.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub data: Arc<Vec<u8>>,
    pub start: usize,
    pub end: usize,
}

impl Body {
    pub fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }
    pub fn len(&self) -> usize {
        self.end - self.start
    }
}

impl From<Vec<u8>> for Body {
    fn from(data: Vec<u8>) -> Self {
        Self { start: 0, end: data.len(), data: Arc::new(data) }
    }
}

/// What the service wants to say, before the wire is made to misbehave.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// Without framing headers: those follow from how the body is sent.
    pub headers: Vec<(String, String)>,
    pub body: Body,
    /// Where in the whole object the body begins, for an answer of the snapshot host.
    pub object_offset: u64,
}

impl Answer {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_string(), content_type.to_string())];
        Self { status, headers, body: Body::from(body.into()), object_offset: 0 }
    }

    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", value.to_string())
    }

    /// An envelope's error.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let mut value = serde_json::json!({"status": "error", "code": code});
        if !message.is_empty() {
            value["message"] = message.into();
        }
        Self::json(status, &value)
    }

    /// Sets a header, in place of one of the same name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.headers.push((name.to_string(), value.to_string()));
    }

    pub fn unset(&mut self, name: &str) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }
}

/// The reason phrase of a status.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        520..=530 => "Edge Error",
        _ => "Other",
    }
}
