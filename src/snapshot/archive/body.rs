//! One entry's data: inflated and checked by the `zip` crate, counted and bounded here.
//!
//! The `zip` crate is handed a local header made here from the judged directory, so nothing in the archive's
//! own headers reaches it: it inflates, computes the CRC-32 and compares, and nothing else.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};

use super::directory::Record;
use super::fault::Fault;
use super::format::{Central, DEFLATE, LOCAL, LOCAL_LEN, ZIP64};
use super::window::{SPAN, Window};
use crate::error::Refusal;
use crate::snapshot::source::Source;

/// Where an entry's data is and what it should become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    pub(super) at: u64,
    pub(super) packed: u64,
    pub(super) size: u64,
    pub(super) crc: u32,
    pub(super) method: u16,
}

impl Body {
    pub(super) fn of(record: &Record, central: &Central<'_>, at: u64) -> Self {
        Self { at, packed: record.packed, size: record.size, crc: record.crc, method: central.method }
    }
}

/// What can end the reading of a body.
#[derive(Debug)]
pub(super) enum Broken<E> {
    /// The source failed.
    Source(io::Error),
    /// The data is not what the directory says.
    Bad(Fault),
    /// Whoever takes the data wants no more.
    Taker(E),
}

/// What the feed and its owner tell each other while the `zip` crate holds the feed.
#[derive(Default)]
struct Gauge {
    /// No more bytes: what zip drains when it is dropped must not be read.
    stop: Cell<bool>,
    /// The decoder asked for bytes after the last one.
    asked_past_end: Cell<bool>,
    error: RefCell<Option<io::Error>>,
}

/// The made header and then the entry's bytes.
struct Feed<'f, 's, S: Source + ?Sized> {
    head: &'f [u8],
    window: &'f mut Window<'s, S>,
    at: u64,
    left: u64,
    gauge: &'f Gauge,
}

impl<S: Source + ?Sized> Read for Feed<'_, '_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.head.is_empty() {
            return self.head.read(out);
        }
        if self.gauge.stop.get() {
            return Ok(0);
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let Some(room) = out.get_mut(..room).filter(|room| !room.is_empty()) else {
            self.gauge.asked_past_end.set(self.left == 0);
            return Ok(0);
        };
        let n = self.window.read(self.at, room).and_then(|n| match n {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => Ok(n),
        });
        let n = n.map_err(|e| {
            self.gauge.stop.set(true);
            *self.gauge.error.borrow_mut() = Some(e);
            io::Error::other("the source failed")
        })?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// The local header (APPNOTE 4.3.7) that says exactly what the body says.
fn head(body: &Body) -> ([u8; LOCAL_LEN + 20], usize) {
    let mut head = [0; LOCAL_LEN + 20];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        if let Some(to) = head.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
        at += bytes.len();
    };
    // Inflate is promised one byte more than there is: asking for it shows that it used all the others.
    let (packed, size) = (body.packed.saturating_add(u64::from(body.method == DEFLATE)), body.size);
    let wide = packed.max(size) >= u64::from(u32::MAX);
    let narrow = |n: u64| if wide { u32::MAX } else { u32::try_from(n).unwrap_or(u32::MAX) }.to_le_bytes();
    put(&LOCAL);
    put(&45u16.to_le_bytes());
    put(&[0; 2]);
    put(&body.method.to_le_bytes());
    put(&[0, 0, 0x21, 0]);
    put(&body.crc.to_le_bytes());
    put(&narrow(packed));
    put(&narrow(size));
    put(&[0; 2]);
    put(&if wide { 20u16 } else { 0 }.to_le_bytes());
    if wide {
        put(&ZIP64.to_le_bytes());
        put(&16u16.to_le_bytes());
        put(&size.to_le_bytes());
        put(&packed.to_le_bytes());
    }
    (head, at)
}

/// Gives an entry's content to `taker`, in pieces of `buf`'s length and a last shorter one. The last piece, so
/// the only one of a small entry, is given after everything has been checked.
pub(super) fn unpack<S, E>(
    window: &mut Window<'_, S>,
    body: &Body,
    buf: &mut Vec<u8>,
    mut taker: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, Broken<E>>
where
    S: Source + ?Sized,
{
    unpack_owned(window, body, buf, |buf, len| taker(buf.get(..len).unwrap_or_default()))
}

/// [`unpack`] with a taker that is given the buffer and the piece's length, and may keep the buffer if it puts
/// another of the same length in its place.
pub(super) fn unpack_owned<S, E>(
    window: &mut Window<'_, S>,
    body: &Body,
    buf: &mut Vec<u8>,
    mut taker: impl FnMut(&mut Vec<u8>, usize) -> Result<(), E>,
) -> Result<u64, Broken<E>>
where
    S: Source + ?Sized,
{
    if body.packed == 0 && body.size == 0 {
        return if body.crc == 0 {
            Ok(0)
        } else {
            Err(bad("it is empty and its checksum is not that of nothing"))
        };
    }
    let (head, head_len) = head(body);
    let gauge = Gauge::default();
    let mut feed = Feed {
        head: head.get(..head_len).unwrap_or_default(),
        window,
        at: body.at,
        left: body.packed,
        gauge: &gauge,
    };
    let blame = |e: &dyn std::error::Error| match gauge.error.borrow_mut().take() {
        Some(e) => Broken::Source(e),
        None => bad(format!("its data is damaged ({e}); get the file again")),
    };
    let mut file = match zip::read::read_zipfile_from_stream(&mut feed) {
        Ok(Some(file)) => file,
        Ok(None) => return Err(bad("its data cannot be read")),
        Err(e) => return Err(blame(&e)),
    };
    let result = drain(&mut file, body, buf, &mut taker, blame);
    // The end of the stream may have come with the last byte: only one more question shows that none are left.
    if result.is_ok() && body.method == DEFLATE && !gauge.asked_past_end.get() {
        let _ = file.read(&mut [0; 16]);
    }
    // Dropping the file would read on to the end of the data.
    gauge.stop.set(true);
    drop(file);
    let total = result?;
    if body.method == DEFLATE && !gauge.asked_past_end.get() {
        return Err(bad("bytes are left over after its data"));
    }
    Ok(total)
}

fn drain<E>(
    file: &mut impl Read,
    body: &Body,
    buf: &mut Vec<u8>,
    taker: &mut impl FnMut(&mut Vec<u8>, usize) -> Result<(), E>,
    blame: impl Fn(&dyn std::error::Error) -> Broken<E>,
) -> Result<u64, Broken<E>> {
    let mut total = 0u64;
    let mut held = 0;
    let mut probe = [0; 16];
    loop {
        let done = total == body.size;
        let room = if done { &mut probe[..] } else { buf.get_mut(held..).unwrap_or_default() };
        let n = match file.read(room) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(blame(&e)),
        };
        if n == 0 {
            break;
        }
        total = total.saturating_add(n as u64);
        if total > body.size {
            return Err(bad("it inflates to more than its size; do not trust this archive"));
        }
        held += n;
        if held == buf.len() && total < body.size {
            taker(buf, held).map_err(Broken::Taker)?;
            held = 0;
        }
    }
    if total < body.size {
        return Err(bad(format!("it has {total} bytes and should have {}; get the file again", body.size)));
    }
    taker(buf, held).map_err(Broken::Taker)?;
    Ok(total)
}

fn bad<E>(detail: impl Into<std::borrow::Cow<'static, str>>) -> Broken<E> {
    Broken::Bad(Fault::new(Refusal::Corrupt, detail))
}

/// A buffer for [`unpack`] of any entry.
pub(super) fn buffer() -> Vec<u8> {
    vec![0; SPAN]
}

/// A buffer for [`unpack`] of this entry.
pub(super) fn buffer_for(body: &Body) -> Vec<u8> {
    vec![0; usize::try_from(body.size).unwrap_or(SPAN).clamp(1, SPAN)]
}
