//! I/O. The one engine that gets bytes of a snapshot: asks, judges, reads, and goes on after a break.

mod recovery;

use std::io::Read;
use std::time::{Duration, Instant};

use super::patience::Patience;
use super::range::{Ask, Verdict, Version};
use super::tries::Tries;
use super::wire::{Opened, Wire};
use crate::api::failure::Failure;
use crate::api::http::{Body, SnapshotResponse};
use crate::error::{Error, Result};

/// What one step of a [`Stream`] gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// An answer was accepted; `known` and `at` say which.
    Opened,
    /// This many bytes at the old `at`.
    Bytes(usize),
    /// All that was asked for is there.
    End,
    /// The connection broke; the next step goes on.
    Broke,
    /// What came before is of no use: the next bytes are those at 0.
    StartOver,
}

/// Bytes of a snapshot in order, over as many connections as it takes.
pub(crate) struct Stream {
    wire: Wire,
    /// What the bytes so far belong to.
    pub(crate) known: Version,
    /// The next byte's offset.
    pub(crate) at: u64,
    /// The highest `at` there was: only bytes beyond it make up for silences.
    high: u64,
    /// Where to stop, when that is not the object's end.
    end: Option<u64>,
    open: Option<Open>,
    pub(crate) attempt: u32,
    /// The last answer's status; 0 before there was one.
    pub(crate) status: u16,
    patience: Patience,
    tries: Tries,
    clock: Instant,
    begun: bool,
    /// An answer was accepted and not yet announced.
    fresh: bool,
    /// How long to wait before the next request.
    pause: Duration,
    /// How often silence made it begin from the first byte.
    silences: u32,
    /// Why the last attempt failed, when nothing has come since.
    pub(crate) why: Option<Error>,
}

struct Open {
    body: Body,
    /// What is still to come, when known.
    left: Option<u64>,
    /// There is no `Content-Length`.
    chunked: bool,
}

impl Stream {
    /// From `at` to the end, or to `end`. `known`: what the bytes before `at` belong to.
    pub(crate) fn new(wire: Wire, known: Version, at: u64, end: Option<u64>, attempts: u32) -> Self {
        let limits = wire.agent.limits();
        let patience = Patience::new(limits.stall, limits.first_byte, limits.min_speed, Duration::ZERO);
        let mut tries = Tries::new(attempts);
        if let Some(total) = known.total {
            tries.total(total);
        }
        Self {
            wire,
            known,
            at,
            high: at,
            end,
            open: None,
            attempt: 0,
            status: 0,
            patience,
            tries,
            clock: Instant::now(),
            begun: false,
            fresh: false,
            pause: Duration::ZERO,
            silences: 0,
            why: None,
        }
    }

    /// With the patience that is left of another transfer, see [`patience`](Self::patience).
    pub(crate) fn beside(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self.begun = true;
        self
    }

    /// What a transfer beside this one may still wait.
    pub(crate) fn patience(&self) -> Patience {
        self.patience.beside()
    }

    /// The object's length, when an answer said it.
    pub(crate) fn total(&self) -> Option<u64> {
        self.known.total
    }

    /// Goes on to another span of the same object, over the same connection if it can.
    pub(crate) fn go_on(&mut self, at: u64, end: u64) {
        self.begin_span(at, end);
        self.open = None;
    }

    /// The error about bytes that are not a snapshot's.
    pub(crate) fn unfit(&self, first: &[u8], why: &'static str) -> Error {
        self.wire.unfit(first, why, self.status)
    }

    /// Sets the span of an answer that is about to be adopted.
    pub(crate) fn begin_span(&mut self, at: u64, end: u64) {
        (self.at, self.high, self.end) = (at, at, Some(end));
    }

    /// A first request of any kind, tried again while the host is busy or the connection fails.
    pub(crate) fn ask_first(&mut self, ask: Ask) -> Result<Opened> {
        loop {
            std::thread::sleep(std::mem::take(&mut self.pause));
            let Some(silence) = self.patience.silence(self.clock.elapsed()) else {
                return Err(self.stalled());
            };
            self.attempt += 1;
            match self.wire.ask(ask, &Version::default(), silence) {
                Ok(Opened { verdict: Verdict::Busy, answer }) => {
                    let error = self.busy(answer);
                    self.again_or(error)?;
                }
                Ok(opened) => {
                    self.begin();
                    return Ok(opened);
                }
                Err(lost) => {
                    self.unanswered(lost)?;
                }
            }
        }
    }

    /// Uses an answer that came already.
    pub(crate) fn adopt(&mut self, answer: SnapshotResponse, version: Version, left: Option<u64>) {
        self.attempt = self.attempt.max(1);
        self.accept(answer, version, left);
    }

    /// One step: a request, or one read.
    pub(crate) fn step(&mut self, buf: &mut [u8]) -> Result<Step> {
        if std::mem::take(&mut self.fresh) {
            return Ok(Step::Opened);
        }
        match &mut self.open {
            None if self.end.is_some_and(|end| self.at >= end) => Ok(Step::End),
            None => self.connect(),
            // No room: a read of nothing would look like the end.
            Some(_) if buf.is_empty() => Ok(Step::Bytes(0)),
            // Chunked and complete: a further read would go on for as long as the host sends trailers.
            Some(open) if open.left == Some(0) && open.chunked => self.got(0),
            Some(open) => match open.body.read(buf) {
                Ok(count) => self.got(count),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => Ok(Step::Bytes(0)),
                Err(e) => self.lost(Failure::from_io(e)),
            },
        }
    }

    fn got(&mut self, count: usize) -> Result<Step> {
        let count64 = count as u64;
        let Some(open) = &mut self.open else { return Ok(Step::Broke) };
        if count == 0 {
            return match open.left {
                None | Some(0) => {
                    self.open = None;
                    self.known.total = self.known.total.or(Some(self.at));
                    self.end = self.end.or(Some(self.at));
                    Ok(Step::End)
                }
                Some(left) => self.lost(Failure::Broken(format!("{left} bytes are missing").into())),
            };
        }
        if let Some(left) = &mut open.left {
            let Some(rest) = left.checked_sub(count64) else {
                return Err(self.download_error("the snapshot host sent more bytes than it had announced"));
            };
            *left = rest;
        }
        self.at = self.at.saturating_add(count64);
        let new = self.at.saturating_sub(self.high);
        self.high = self.high.max(self.at);
        let now = self.clock.elapsed();
        if self.patience.bytes(count64, now).is_err() && open.left != Some(0) {
            return Err(self.too_slow());
        }
        self.tries.bytes(count64);
        self.patience.progress(new, self.known.total);
        Ok(Step::Bytes(count))
    }

    fn connect(&mut self) -> Result<Step> {
        std::thread::sleep(std::mem::take(&mut self.pause));
        let Some(silence) = self.patience.silence(self.clock.elapsed()) else {
            return Err(self.stalled());
        };
        self.attempt += 1;
        let ask = match (self.at, self.end) {
            (start, Some(end)) => Ask::Span(start, end),
            (0, None) => Ask::All,
            (start, None) => Ask::From(start),
        };
        let Opened { verdict, answer } = match self.wire.ask(ask, &self.known, silence) {
            Ok(opened) => opened,
            Err(lost) => return self.unanswered(lost),
        };
        self.status = answer.status;
        match verdict {
            Verdict::Whole(version) if ask == Ask::All => {
                let left = version.total;
                self.accept(answer, version, left);
                self.step(&mut [])
            }
            Verdict::Whole(version) => {
                if !self.tries.start_over() {
                    return Err(self.download_error(
                        "the snapshot host neither continues a broken download nor sends it whole; try again later",
                    ));
                }
                self.at = 0;
                self.end = None;
                let left = version.total;
                self.accept(answer, version, left);
                Ok(Step::StartOver)
            }
            Verdict::Part { start, end, version } => {
                self.accept(answer, version, Some(end - start));
                self.step(&mut [])
            }
            Verdict::StartOver(why) => self.start_over(why),
            Verdict::Empty(_) => self.start_over("the snapshot became shorter"),
            Verdict::Busy => {
                let error = self.busy(answer);
                self.again_or(error)
            }
            Verdict::Wrong(problem) => Err(self.wire.wrong(answer, problem)),
        }
    }

    fn accept(&mut self, answer: SnapshotResponse, version: Version, left: Option<u64>) {
        self.status = answer.status;
        if let Some(total) = version.total {
            self.tries.total(total);
        }
        self.begin();
        self.why = None;
        self.known = version;
        let chunked = answer.headers.get("content-length").is_none();
        self.open = Some(Open { body: answer.body, left, chunked });
        self.fresh = true;
    }

    /// The first head came.
    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.patience.begin(self.clock.elapsed());
        }
    }

    fn start_over(&mut self, why: &'static str) -> Result<Step> {
        if !self.tries.start_over() {
            return Err(self.download_error(format!("{why} again and again; try again later")));
        }
        self.open = None;
        self.at = 0;
        self.end = None;
        self.known = Version::default();
        Ok(Step::StartOver)
    }
}
