//! What may go wrong.

use std::time::Duration;

use serde_json::Value;

use super::host::Etag;

/// How a connection ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN; over TLS without close_notify.
    Close,
    /// RST.
    Reset,
    /// Silence until the client gives up or the sandbox stops.
    Stall,
}

/// How chunked framing is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadChunk {
    /// A size that is no number.
    Size,
    /// The last chunk is missing, then the connection closes.
    NoEnd,
    /// The connection closes inside a chunk.
    Cut,
    /// No CRLF after a chunk's data.
    NoCrlf,
    /// A size of 2^64 and more.
    Huge,
}

/// A wrong `Content-Range`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrongRange {
    Missing,
    /// First and last byte moved, the bytes sent are those asked for.
    Shifted(i64),
    /// The total moved.
    Total(i64),
    /// `*` for the total.
    UnknownTotal,
    /// This value instead.
    Text(String),
}

/// What goes wrong. Those marked *instead* answer without asking the world; the others let the request have
/// its effect and then distort the answer. `FaultHandle::unserved` makes any of them an *instead*.
#[derive(Clone, Debug)]
pub enum Fault {
    // --- the answer as a whole
    /// *Instead*: status, content type and body.
    Answer(u16, &'static str, Vec<u8>),
    /// *Instead*: an envelope's error: status, code, message.
    Code(u16, &'static str, &'static str),
    /// *Instead*: a redirect to this URL; an empty one is the request's own.
    Redirect(u16, String),
    /// *Instead*: 403 with S3's "Request has expired".
    Expired,
    /// The right answer under another status; 204 and 304 lose their body.
    Status(u16),
    /// Another body of the right length.
    Body(Vec<u8>),
    /// Adds a header or replaces it.
    Header(&'static str, String),
    RemoveHeader(&'static str),
    // --- JSON
    /// The envelope loses its `response`.
    NoResponse,
    /// The envelope's `response` is this.
    Response(Value),
    /// The envelope is changed so.
    Edit(fn(&mut Value)),
    /// The envelope's `status` is this.
    Word(&'static str),
    /// The body ends after so many bytes, with a fitting length.
    Truncate(usize),
    /// *Instead*: 200 and arrays so many levels deep.
    Deep(usize),
    /// *Instead*: 200, valid JSON of so many MiB.
    Huge(usize),
    /// *Instead*: 200, JSON that never ends.
    Endless,
    // --- content encoding
    /// Compressed, and says so.
    Gzip,
    /// Says it is encoded so, and is not.
    Encoding(&'static str),
    /// *Instead*: JSON of so many MiB, compressed to almost nothing.
    GzipBomb(usize),
    // --- framing
    /// `Content-Length` promises so many bytes more than come before the close.
    Missing(u64),
    /// So many bytes more come than `Content-Length` says.
    Extra(usize),
    /// Valid chunks of so many bytes.
    Chunked(usize),
    BadChunks(BadChunk),
    /// No length: the close is the end.
    NoLength,
    /// A second, different `Content-Length`.
    TwoLengths,
    /// `Content-Length` with this text.
    LengthText(&'static str),
    // --- head
    /// So many additional headers.
    HeaderFlood(usize),
    /// One header of so many bytes.
    HugeHeader(usize),
    /// A header continued on a second line.
    FoldedHeader,
    /// A header with bytes that have no place there.
    BadHeader,
    /// So many heads with this 1xx status before the answer.
    Informational(u16, usize),
    /// HTTP/1.0, closing.
    Http10,
    /// These bytes instead of HTTP, then close.
    Garbage(Vec<u8>),
    // --- time
    /// Later, by so much.
    Delay(Duration),
    /// The head byte by byte, with this pause.
    SlowHead(Duration),
    /// The body in pieces of so many bytes with this pause between them.
    Trickle(usize, Duration),
    /// At most so many bytes a second on each connection.
    Bandwidth(u64),
    // --- the request's body
    /// The connection ends when so many bytes of the request's body were read; the world is not asked.
    InRequest(usize, End),
    /// The body stays unread and the connection closes after the answer; goes with an *instead*.
    Unread,
    // --- the connection's end
    /// Before the first byte of the answer.
    BeforeAnswer(End),
    /// After so many bytes of the head.
    InHead(usize, End),
    /// After so many bytes of this answer's body.
    InBody(u64, End),
    /// In the middle of this answer's body.
    HalfBody(End),
    /// When the body reaches this byte of the whole object; counts only when it does.
    AtObjectByte(u64, End),
    /// `Connection: close`, and closes.
    ConnectionClose,
    /// Closes after the answer without saying so: the pooled connection is stale.
    StaleConnection,
    // --- the snapshot host
    /// 200 with the whole object, whatever was asked.
    IgnoreRange,
    ContentRange(WrongRange),
    /// A 206 of at most so many bytes, saying so.
    ShortRange(usize),
    /// A 206 of the right shape with other bytes.
    WrongBytes,
    Etag(Etag),
    /// 416.
    Unsatisfiable,
    /// Before the answer the object gets these bytes and, if `true`, a new tag.
    ObjectChanges(Vec<u8>, bool),
}

impl Fault {
    /// 200 and nothing.
    pub fn empty() -> Self {
        Self::Answer(200, "application/json", Vec::new())
    }
    /// 200 and `null`.
    pub fn null() -> Self {
        Self::Answer(200, "application/json", b"null".to_vec())
    }
    /// An edge's HTML page.
    pub fn html(status: u16) -> Self {
        let text = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1>edge</body></html>");
        Self::Answer(status, "text/html; charset=UTF-8", text.into_bytes())
    }
    /// S3's XML.
    pub fn xml(status: u16, code: &str) -> Self {
        Self::Answer(status, "application/xml", super::host::xml(status, code, "").body.bytes().to_vec())
    }
    /// 200 and JSON with bytes that are no UTF-8.
    pub fn not_utf8() -> Self {
        let body = b"{\"status\":\"success\",\"response\":\"\xff\xfe\xc0\"}".to_vec();
        Self::Answer(200, "application/json", body)
    }
    pub fn keep_calm() -> Self {
        Self::Code(429, "KEEP_CALM", "You already requested a snapshot recently. Keep calm! 1r/5s")
    }
    pub fn rate_limited() -> Self {
        Self::Code(429, "RATE_LIMITED", "Too many requests. Try again later.")
    }
    pub fn daily_limit() -> Self {
        Self::Code(429, "DAILY_SNAPSHOTS_LIMIT_REACHED", "You reached your daily snapshots limit. 8r/24h")
    }

    pub fn is_early(&self) -> bool {
        matches!(self, Self::InRequest(..) | Self::Unread)
    }

    /// It answers without asking the world.
    pub fn is_instead(&self) -> bool {
        use Fault::{Answer, Code, Deep, Endless, Expired, Garbage, GzipBomb, Huge, Redirect};
        matches!(self, Answer(..) | Code(..) | Redirect(..) | Expired | Deep(_) | Huge(_) | Endless)
            || matches!(self, GzipBomb(_) | Garbage(_))
    }
}
