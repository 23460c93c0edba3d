//! A snapshot host in a few lines whose every answer a test decides: the sandbox follows the rules of a real
//! store, this one breaks them byte by byte.

use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::support::Gate;

pub const SIGNATURE: &str = "sIgNaTuReSeCrEt";
pub const KEY_ID: &str = "AKIDSECRETSECRET";

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub number: usize,
    pub line: String,
    pub headers: Vec<(String, String)>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The range asked for of an object with `total` bytes.
    pub fn range(&self, total: usize) -> Option<Range<usize>> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        match (first, last) {
            ("", n) => Some(total.saturating_sub(n.parse().unwrap())..total),
            (a, "") => Some(a.parse().unwrap()..total),
            (a, b) => Some(a.parse().unwrap()..(b.parse::<usize>().unwrap() + 1).min(total)),
        }
    }
}

/// An answer, to be bent before it is sent.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// 0: the connection closes without a response.
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body breaks off after so many bytes.
    pub cut: Option<usize>,
    /// After so many bytes nothing more comes, for this long; then the connection closes.
    pub silent: Option<(usize, Duration)>,
    /// After so many bytes nothing comes until the gate opens.
    pub hold: Option<(usize, Arc<Gate>)>,
    /// How many bytes are sent at once, and the pause after each.
    pub pace: Option<(usize, Duration)>,
    /// Wait before the head.
    pub late: Duration,
    /// The length announced, when it is not the body's; `Some(None)`: none.
    pub length: Option<Option<usize>>,
}

impl Reply {
    /// What a well-behaved store answers.
    pub fn right(object: &[u8], etag: Option<&str>, asked: &Asked) -> Self {
        let mut reply = Self { status: 200, ..Self::default() };
        if let Some(etag) = etag {
            reply.headers.push(("ETag".into(), etag.into()));
            if asked.header("if-match").is_some_and(|m| m != etag) {
                return Self { status: 412, ..Self::default() };
            }
        }
        if let Some(range) = asked.range(object.len()) {
            if range.is_empty() {
                let headers = vec![("Content-Range".into(), format!("bytes */{}", object.len()))];
                return Self { status: 416, headers, ..Self::default() };
            }
            let said = format!("bytes {}-{}/{}", range.start, range.end - 1, object.len());
            reply.headers.push(("Content-Range".into(), said));
            reply.status = 206;
            reply.body = object[range].to_vec();
        } else {
            reply.body = object.to_vec();
        }
        reply
    }

    pub fn plain(status: u16, body: &str) -> Self {
        Self { status, body: body.as_bytes().to_vec(), ..Self::default() }
    }

    fn send(&self, stream: &mut TcpStream, bytewise: bool, sent: &AtomicU64) -> std::io::Result<()> {
        std::thread::sleep(self.late);
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", self.status);
        match self.length {
            None => head.push_str(&format!("Content-Length: {}\r\n", self.body.len())),
            Some(Some(length)) => head.push_str(&format!("Content-Length: {length}\r\n")),
            Some(None) => head.push_str("Connection: close\r\n"),
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        let (stop, silence) = self.silent.unwrap_or((usize::MAX, Duration::ZERO));
        let stop = stop.min(self.cut.unwrap_or(usize::MAX)).min(self.body.len());
        let (size, pause) = self.pace.unwrap_or((PIECE, Duration::ZERO));
        let mut held = self.hold.as_ref();
        let mut at = 0;
        while at < stop {
            let wait = held.take_if(|(from, _)| *from <= at);
            wait.into_iter().for_each(|(_, gate)| gate.wait());
            let end = held.map_or(stop, |(from, _)| stop.min(*from)).min(at + size);
            if bytewise {
                trickle(stream, &self.body[at..end], at, stop)?;
            } else {
                stream.write_all(&self.body[at..end])?;
            }
            sent.fetch_add((end - at) as u64, Ordering::SeqCst);
            at = end;
            std::thread::sleep(pause);
        }
        std::thread::sleep(silence);
        Ok(())
    }
}

/// How much is sent at once, as far as a test sets no pace.
const PIECE: usize = 64 * 1024;

/// One byte at a time; of a long body so at its beginning and its end, or megabytes would take minutes.
fn trickle(stream: &mut TcpStream, piece: &[u8], at: usize, stop: usize) -> std::io::Result<()> {
    let edge = if stop <= 16 * 1024 { stop } else { 1024 };
    let mut sent = 0;
    while sent < piece.len() {
        let from = at + sent;
        let middle = if from < edge { 0 } else { (stop - edge).saturating_sub(from) };
        let count = middle.clamp(1, piece.len() - sent);
        stream.write_all(&piece[sent..sent + count])?;
        sent += count;
    }
    Ok(())
}

type Decide = dyn Fn(&Asked) -> Reply + Send + Sync;

/// What the host counts: bytes of response bodies, requests that are not answered yet and open connections.
#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    under_way: AtomicU64,
    connections: AtomicU64,
}

/// The running host; stops when dropped. With `BYTEWISE` it sends one byte at a time.
pub struct Origin<const BYTEWISE: bool> {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
}

impl<const BYTEWISE: bool> Origin<BYTEWISE> {
    pub fn start(decide: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::listening_for(usize::MAX, decide)
    }

    /// A host that takes so many connections and refuses all later ones.
    pub fn listening_for(connections: usize, decide: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let decide: Arc<Decide> = Arc::new(decide);
        let (log, stopped, count) = (asked.clone(), stop.clone(), counts.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take(connections) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                count.connections.fetch_add(1, Ordering::SeqCst);
                let (log, decide, count) = (log.clone(), decide.clone(), count.clone());
                std::thread::spawn(move || {
                    serve(stream, &log, &*decide, &count, BYTEWISE);
                    count.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
            refuse_until(&stopped, listener);
        });
        Self { port, asked, counts, stop }
    }

    /// A host that does everything right.
    pub fn good(object: Vec<u8>) -> Self {
        Self::start(move |asked| Reply::right(&object, Some("\"one\""), asked))
    }

    /// A host whose first answer breaks off after `cut` bytes, and whose continuing answers come a moment
    /// later: so the progress at the break is always told.
    pub fn breaking(object: Vec<u8>, cut: usize) -> Self {
        Self::start(move |asked| {
            let right = Reply::right(&object, Some("\"one\""), asked);
            match asked.header("range") {
                None => Reply { cut: Some(cut), ..right },
                Some(_) => Reply { late: Duration::from_millis(20), ..right },
            }
        })
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How many bytes of response bodies were sent.
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::SeqCst)
    }

    /// How many requests are not answered to the end yet.
    pub fn under_way(&self) -> u64 {
        self.counts.under_way.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("{}&versionId=v1", self.url_without_version())
    }

    pub fn url_without_version(&self) -> String {
        format!(
            "http://127.0.0.1:{}/applications/1/app.zip?AWSAccessKeyId={KEY_ID}&Expires=1797790051&Signature={SIGNATURE}",
            self.port
        )
    }
}

impl<const BYTEWISE: bool> Drop for Origin<BYTEWISE> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Refuses connections at the address of `listener`, and keeps others from getting it, until `stopped`.
fn refuse_until(stopped: &AtomicBool, listener: TcpListener) {
    let address = listener.local_addr().unwrap();
    drop(listener);
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let _ = bound.set_reuse_address(cfg!(not(windows)));
    let _ = bound.bind(&address.into());
    while !stopped.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, decide: &Decide, counts: &Counts, bytewise: bool) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let _ = stream.set_nodelay(true);
    loop {
        let mut asked = Asked::default();
        let mut line = String::new();
        while matches!(lines.read_line(&mut line), Ok(1..)) {
            let text = line.trim_end().to_owned();
            line.clear();
            match text.split_once(": ") {
                _ if text.is_empty() => break,
                Some((name, value)) if !asked.line.is_empty() => asked.headers.push((name.into(), value.into())),
                _ => asked.line = text,
            }
        }
        if asked.line.is_empty() {
            return;
        }
        {
            let mut log = log.lock().unwrap();
            asked.number = log.len();
            log.push(asked.clone());
        }
        counts.under_way.fetch_add(1, Ordering::SeqCst);
        let reply = decide(&asked);
        let whole = reply.cut.is_none() && reply.silent.is_none() && reply.length.is_none();
        let closes = reply.status == 0 || reply.send(&mut stream, bytewise, &counts.sent).is_err() || !whole;
        counts.under_way.fetch_sub(1, Ordering::SeqCst);
        if closes {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// A zip archive of about `size` bytes that does not compress.
pub fn archive(size: usize, seed: u32) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut state = seed | 1;
    let mut left = size;
    let mut n = 0;
    while left > 0 {
        let length = left.min(64 * 1024);
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .take(length)
        .collect();
        zip.start_file(format!("file-{n}"), options).unwrap();
        zip.write_all(&noise).unwrap();
        left -= length;
        n += 1;
    }
    zip.finish().unwrap().into_inner()
}

/// A directory in memory where the system has one: thousands of small downloads wait for no disk there.
pub fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The names in a directory, sorted.
pub fn names(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// An error and all its causes, as a log would show them.
pub fn chain(error: &squarecloud_blocking::Error) -> String {
    let mut text = format!("{error:?} {error}");
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(e) = cause {
        text.push_str(&format!(" | {e:?} {e}"));
        cause = e.source();
    }
    text
}

/// Fails when anything of the link's query is in `text`.
pub fn assert_no_secret(text: &str) {
    assert!(!text.contains(SIGNATURE) && !text.contains(KEY_ID), "{text}");
}
