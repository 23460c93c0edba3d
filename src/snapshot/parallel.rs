//! I/O. Ranges of a snapshot side by side into a part file.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::download::resume_at;
use super::meter::Meter;
use super::options::DownloadOptions;
use super::part::{Part, Writer};
use super::patience::Patience;
use super::range::{Ask, Verdict, Version};
use super::record::Piece;
use super::single::{self, SYNC_EVERY, Syncing};
use super::stream::{Step, Stream};
use super::wire::{Opened, Wire};
use crate::error::{Error, Result};

const MIB: u64 = 1024 * 1024;
/// What the first request asks for: enough to be of use, little enough to lose nothing by waiting for it.
const PROBE: u64 = MIB;
/// The shortest and longest piece, in bytes; of a very large snapshot they are longer.
const PIECES: (u64, u64) = (MIB, 8 * MIB);
const MAX_PIECES: u64 = 4096;
/// How much one connection writes at once.
const BUFFER: usize = 256 * 1024;
/// How long the calling thread sleeps between two looks at the progress.
const LOOK: Duration = Duration::from_millis(5);

/// Gets all bytes into the part file; gives their number and the last answer's status.
pub(crate) fn run(
    wire: &Wire,
    part: &mut Part,
    meter: &mut Meter<'_>,
    options: &DownloadOptions<'_>,
) -> Result<(u64, u16)> {
    let mut first = None;
    if !part.is_cut() {
        match prepare(wire, part, options)? {
            Begin::Cut(opened) => first = opened,
            Begin::Single(mut stream) => {
                let bytes = single::run(part, &mut stream, meter)?;
                return Ok((bytes, stream.status));
            }
        }
    }
    meter.progress.resumed_from = part.done();
    if let Some(total) = side_by_side(wire, part, meter, options, first)? {
        return Ok((total, 206));
    }
    // Another object, or no ranges any more: all over again, in one piece.
    part.clear()?;
    meter.progress.resumed_from = 0;
    let mut stream = Stream::new(wire.clone(), Version::default(), 0, None, options.attempts);
    let bytes = single::run(part, &mut stream, meter)?;
    Ok((bytes, stream.status))
}

enum Begin {
    /// The part file is cut into pieces; the answer holds the first bytes of the first.
    Cut(Option<Box<Stream>>),
    /// One connection has to do.
    Single(Box<Stream>),
}

/// Finds out whether ranges work, and cuts the part file.
fn prepare(wire: &Wire, part: &mut Part, options: &DownloadOptions<'_>) -> Result<Begin> {
    if part.done() > 0 {
        let (known, there) = (part.object().clone(), part.done());
        let Some(total) = known.total else {
            let stream = Stream::new(wire.clone(), known, resume_at(part), None, options.attempts);
            return Ok(Begin::Single(Box::new(stream)));
        };
        part.begin(&known, piece_len(total, options.connections), there.min(total.saturating_sub(1)))?;
        return Ok(Begin::Cut(None));
    }
    let mut stream = Box::new(Stream::new(wire.clone(), Version::default(), 0, None, options.attempts));
    let Opened { verdict, answer } = stream.ask_first(Ask::Span(0, PROBE))?;
    match verdict {
        // Ranges are ignored: this very answer is used.
        Verdict::Whole(version) => {
            let left = version.total;
            stream.adopt(answer, version, left);
        }
        Verdict::Part { end, version, .. }
            if version.is_provable() && version.total.is_some_and(|t| t > PROBE) =>
        {
            part.begin(&version, piece_len(version.total.unwrap_or(0), options.connections), 0)?;
            stream.begin_span(0, end);
            stream.adopt(answer, version, Some(end));
            return Ok(Begin::Cut(Some(stream)));
        }
        Verdict::Part { end, version, .. } if version.total == Some(end) => {
            stream.adopt(answer, version, Some(end));
        }
        Verdict::Wrong(problem) => return Err(wire.wrong(answer, problem)),
        // The next step asks for everything.
        _ => {}
    }
    Ok(Begin::Single(stream))
}

fn piece_len(total: u64, connections: usize) -> u64 {
    (total / (4 * connections as u64).max(1)).clamp(PIECES.0, PIECES.1).max(total.div_ceil(MAX_PIECES))
}

/// What the connections share.
struct Shared<'a> {
    wire: &'a Wire,
    writer: Writer<'a>,
    known: &'a Version,
    pieces: Vec<Piece>,
    done: Vec<AtomicU64>,
    /// Pieces nobody has begun, the last one first.
    waiting: Mutex<Vec<usize>>,
    stop: AtomicBool,
    /// Another object came.
    changed: AtomicBool,
    attempts: AtomicU32,
    tries: u32,
    /// What the first answer left of it.
    patience: Option<Patience>,
}

/// `None`: the object changed or ranges are not served any more.
fn side_by_side(
    wire: &Wire,
    part: &mut Part,
    meter: &mut Meter<'_>,
    options: &DownloadOptions<'_>,
    first: Option<Box<Stream>>,
) -> Result<Option<u64>> {
    let known = part.object().clone();
    let Some(total) = known.total else { return Ok(None) };
    let pieces = part.pieces.clone();
    let open = |p: &Piece| p.len.is_none_or(|len| p.done < len);
    let mut waiting: Vec<usize> =
        pieces.iter().enumerate().filter(|(_, p)| open(p)).map(|(n, _)| n).rev().collect();
    if waiting.is_empty() {
        // All is there; one byte is asked for again, to be shown that it still is the same snapshot.
        let Some(last) = pieces.len().checked_sub(1) else { return Ok(None) };
        waiting.push(last);
    }
    let shared = Shared {
        wire,
        writer: part.writer(),
        known: &known,
        done: pieces.iter().map(|p| AtomicU64::new(p.done)).collect(),
        pieces,
        stop: AtomicBool::new(false),
        changed: AtomicBool::new(false),
        attempts: AtomicU32::new(0),
        tries: options.attempts,
        patience: first.as_ref().map(|first| first.patience()),
        waiting: Mutex::new(waiting),
    };
    // The answer that came already is the beginning of piece 0.
    if first.is_some() {
        waiting_without_first(&shared);
    }
    let workers = options.connections.max(1);
    let mut syncing = Syncing::start(part.syncer()?);
    let outcome = std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        let mut first = first;
        for _ in 0..workers {
            let (sender, shared, first) = (sender.clone(), &shared, first.take());
            scope.spawn(move || {
                let result = work(shared, first);
                if result.is_err() {
                    shared.stop.store(true, Ordering::Relaxed);
                }
                let _ = sender.send(result);
            });
        }
        drop(sender);
        watch(&shared, &results, meter, total, &mut syncing)
    });
    let settled = syncing.end().map_err(|e| Error::io("syncing", part.path(), e));
    let done: Vec<u64> = shared.done.iter().map(|d| d.load(Ordering::Relaxed)).collect();
    let changed = shared.changed.load(Ordering::Relaxed);
    for (piece, done) in part.pieces.iter_mut().zip(done) {
        piece.done = done;
    }
    if changed {
        settled?;
        return Ok(None);
    }
    outcome.and(settled)?;
    Ok(Some(total))
}

/// Tells the observer until all connections have ended; the first error wins.
fn watch(
    shared: &Shared<'_>,
    results: &mpsc::Receiver<Result<()>>,
    meter: &mut Meter<'_>,
    total: u64,
    syncing: &mut Syncing,
) -> Result<()> {
    let mut outcome = Ok(());
    let mut synced = 0;
    loop {
        let done: Vec<(usize, u64)> =
            shared.done.iter().map(|d| d.load(Ordering::Acquire)).enumerate().collect();
        let bytes: u64 = done.iter().map(|(_, d)| d).sum();
        if outcome.is_ok() {
            outcome = meter.tick(bytes, Some(total), shared.attempts.load(Ordering::Relaxed).max(1));
            if outcome.is_err() {
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
        if bytes.saturating_sub(synced) >= SYNC_EVERY {
            synced = bytes;
            syncing.wish(done);
        }
        match results.recv_timeout(LOOK) {
            Ok(result) => outcome = outcome.and(result),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return outcome,
        }
    }
}

fn waiting_without_first(shared: &Shared<'_>) {
    if let Ok(mut waiting) = shared.waiting.lock() {
        waiting.retain(|number| *number != 0);
    }
}

/// One connection: piece after piece until none is waiting. `first` has begun piece 0.
fn work(shared: &Shared<'_>, first: Option<Box<Stream>>) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut begun = first.as_ref().map(|_| 0);
    let mut stream = first;
    while !shared.stop.load(Ordering::Relaxed) {
        let adopted = begun.take();
        let next = adopted.or_else(|| shared.waiting.lock().map_or(None, |mut waiting| waiting.pop()));
        let Some(number) = next else { break };
        let Some(piece) = shared.pieces.get(number) else { break };
        let end = piece.start + piece.len.unwrap_or(0);
        let at = (piece.start + piece.done).min(end.saturating_sub(1));
        let stream = stream.get_or_insert_with(|| {
            let stream = Stream::new(shared.wire.clone(), shared.known.clone(), at, Some(end), shared.tries);
            Box::new(match &shared.patience {
                Some(patience) => stream.beside(patience.clone()),
                None => stream,
            })
        });
        if adopted.is_none() {
            stream.go_on(at, end);
        }
        fill(shared, stream, number, at, end, &mut buffer)?;
    }
    Ok(())
}

fn fill(
    shared: &Shared<'_>,
    stream: &mut Stream,
    number: usize,
    at: u64,
    end: u64,
    buffer: &mut [u8],
) -> Result<()> {
    let start = shared.pieces.get(number).map_or(0, |p| p.start);
    let (mut written, mut filled) = (at, 0);
    loop {
        let step = stream.step(buffer.get_mut(filled..).unwrap_or_default());
        let over = match &step {
            Ok(Step::Bytes(count)) => {
                filled += count;
                filled == buffer.len()
            }
            Ok(Step::Opened | Step::Broke) => false,
            Ok(Step::End) | Err(_) => true,
            Ok(Step::StartOver) => {
                shared.changed.store(true, Ordering::Relaxed);
                shared.stop.store(true, Ordering::Relaxed);
                return Ok(());
            }
        };
        shared.attempts.fetch_max(stream.attempt, Ordering::Relaxed);
        let stopped = shared.stop.load(Ordering::Relaxed);
        if over || stopped {
            shared.writer.write(buffer.get(..filled).unwrap_or_default(), written)?;
            written += filled as u64;
            filled = 0;
            shared.writer.note(number, written - start)?;
            if let Some(done) = shared.done.get(number) {
                done.store(written - start, Ordering::Release);
            }
        }
        match step? {
            _ if stopped => return Ok(()),
            Step::End if stream.at < end => stream.go_on(stream.at, end),
            Step::End => return Ok(()),
            _ => {}
        }
    }
}
