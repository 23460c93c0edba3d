//! I/O. The one engine that gets bytes of a snapshot in order: requests, reads, and continues after a failure.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use super::location::Location;
use super::range::{Object, Range, Worth};
use crate::api::http::{Body, SnapshotResponse};
use crate::api::retry::{Attempts, Speed, jitter};
use crate::error::{Error, Result};

/// How often a transfer may start from its first byte again.
const MAX_START_OVERS: u32 = 3;

/// What one step of a [`Stream`] came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A response was accepted; `object` and `at` say what it holds.
    Opened,
    /// This many bytes were read.
    Bytes(usize),
    /// All that was requested has been read.
    End,
    /// An attempt failed; the next step should follow after this pause.
    Retry(Duration),
    /// What was read so far is of no use: the next bytes are the object's first, from a response that is open already
    /// or from the next one.
    StartOver,
}

/// Bytes of a snapshot in order, over as many connections as it takes.
pub(crate) struct Stream {
    pub(crate) location: Location,
    /// What the bytes so far belong to.
    pub(crate) object: Object,
    /// The next byte's offset.
    pub(crate) at: u64,
    /// The highest `at` so far: only bytes beyond it are progress.
    highest: u64,
    /// Where to stop, when that is not the object's end.
    pub(crate) end: Option<u64>,
    /// How many of the last bytes are wanted, as long as it is not known where they begin.
    last: Option<u64>,
    open: Option<Open>,
    /// Which attempt this is, from 1.
    pub(crate) attempt: u32,
    /// The last response's.
    pub(crate) status: Option<u16>,
    /// A response was accepted, by this stream or one before it.
    accepted: bool,
    attempts: Attempts,
    start_overs: u32,
    speed: Speed,
    /// Why the running attempt has failed, before anyone was told.
    pending: Option<Error>,
    /// Why the last attempt failed, when nothing has come since.
    pub(crate) failure: Option<Error>,
}

struct Open {
    body: Body,
    /// What is still to come, when known.
    left: Option<u64>,
    /// There is no `Content-Length`.
    chunked: bool,
}

impl Stream {
    /// The bytes of `range`; of `object`, unless that is its default. Sends nothing yet.
    pub(crate) fn new(location: Location, object: Object, range: Range) -> Self {
        let (at, end, last) = match range {
            Range::Whole => (0, None, None),
            Range::From(start) => (start, None, None),
            Range::Span(start, end) => (start, Some(end), None),
            Range::Last(count) => (0, None, Some(count)),
        };
        let limits = location.agent.limits();
        let speed = Speed::new(limits.stall, limits.min_speed);
        let attempts = Attempts::new(u32::MAX, limits.retry_for, limits.min_speed);
        let accepted = object != Object::default();
        Self {
            location,
            object,
            at,
            highest: at,
            end,
            last,
            open: None,
            attempt: 0,
            status: None,
            accepted,
            attempts,
            start_overs: 0,
            speed,
            pending: None,
            failure: None,
        }
    }

    /// With other limits than the client's: at most `attempts` in a row, and `retry_for` without progress.
    pub(crate) fn limited(mut self, attempts: u32, retry_for: Option<Duration>) -> Self {
        let limits = self.location.agent.limits();
        self.attempts = Attempts::new(attempts, retry_for.unwrap_or(limits.retry_for), limits.min_speed);
        self
    }

    /// Whether a response is being read.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// [`step`](Self::step), for callers that have nothing else to do during a pause.
    pub(crate) fn step_or_sleep(&mut self, buf: &mut [u8]) -> Result<Step> {
        let step = self.step(buf)?;
        if let Step::Retry(pause) = step {
            self.location.agent.sleep(pause);
        }
        Ok(step)
    }

    /// One request, or one read. Without room in `buf` nothing is read.
    pub(crate) fn step(&mut self, buf: &mut [u8]) -> Result<Step> {
        if let Some(error) = self.pending.take() {
            return self.retry(error);
        }
        let Some(open) = &mut self.open else { return self.request() };
        if open.left == Some(0) && open.chunked {
            // ureq would read trailers for as long as the host sends some.
            return self.got(0);
        }
        if buf.is_empty() {
            return Ok(Step::Bytes(0));
        }
        let begun = Instant::now();
        let count = match open.body.read(buf) {
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(Step::Bytes(0)),
            Err(e) => {
                let error = open.body.about.io_error(e);
                self.note(begun.elapsed());
                return self.retry(error);
            }
        };
        let time = begun.elapsed();
        let keeps_up = self.speed.keeps_up(count as u64, time);
        let step = self.got(count)?;
        self.note(time);
        if keeps_up || self.open.as_ref().is_none_or(|open| open.left == Some(0)) {
            return Ok(step);
        }
        // The bytes that came are the caller's first.
        self.pending = Some(self.slow());
        Ok(step)
    }

    /// The host took `time` for what it did last.
    fn note(&mut self, time: Duration) {
        self.attempts.note(time, self.at.saturating_sub(self.highest), self.object.total);
        self.highest = self.highest.max(self.at);
    }

    fn got(&mut self, count: usize) -> Result<Step> {
        let Some(open) = &mut self.open else { return Ok(Step::Bytes(0)) };
        if count == 0 {
            if let Some(left) = open.left.filter(|left| *left > 0) {
                let error = open.body.about.network(format!("{left} bytes are missing"));
                return self.retry(error);
            }
            self.open = None;
            self.object.total = self.object.total.or(Some(self.at));
            self.end = self.end.or(Some(self.at));
            return Ok(Step::End);
        }
        self.location.traffic.received(count);
        let count64 = count as u64;
        if let Some(left) = &mut open.left {
            let Some(rest) = left.checked_sub(count64) else {
                return Err(self.error("the snapshot host sent more bytes than it had announced"));
            };
            *left = rest;
        }
        self.at = self.at.saturating_add(count64);
        Ok(Step::Bytes(count))
    }

    fn request(&mut self) -> Result<Step> {
        if self.end.is_some_and(|end| self.at >= end) {
            return Ok(Step::End);
        }
        if self.at > 0 && !self.object.is_provable() {
            // Only more than what came before is progress.
            let highest = self.highest;
            self.forget();
            self.highest = highest;
            return Ok(Step::StartOver);
        }
        let range = match (self.last, self.at, self.end) {
            (Some(count), ..) => Range::Last(count),
            (None, start, Some(end)) => Range::Span(start, end),
            (None, 0, None) => Range::Whole,
            (None, start, None) => Range::From(start),
        };
        let limits = self.location.agent.limits();
        // ureq counts the wait for the header section as one read.
        let idle = if self.accepted { limits.stall } else { limits.stall.max(limits.first_byte) };
        self.attempt += 1;
        let begun = Instant::now();
        let response = self.location.get(range, &self.object, idle);
        self.note(begun.elapsed());
        let (worth, response) = match response {
            Ok(response) => response,
            Err(error) => return self.retry(error),
        };
        self.status = Some(response.status);
        match worth {
            Worth::Whole(object) => self.open_whole(response, object),
            // Nothing could show later that the rest belongs to it.
            Worth::Part { start, end, object } if !object.is_provable() && object.total != Some(end - start) => {
                self.start_over("the snapshot host does not say which version it sends")
            }
            Worth::Part { start, end, object } => {
                if self.last.take().is_some() {
                    (self.at, self.highest, self.end) = (start, start, Some(end));
                }
                self.accept(response, object, Some(end - start));
                Ok(Step::Opened)
            }
            Worth::StartOver(why) => self.start_over(why),
            Worth::Busy => {
                let (problem, begun) = ("the snapshot host is busy or broken; try again later", Instant::now());
                let error = self.location.unusable(response, problem.into());
                self.note(begun.elapsed());
                self.retry(error)
            }
            Worth::Unusable(problem) => Err(self.location.unusable(response, problem)),
        }
    }

    /// The whole object came, whether or not that was requested.
    fn open_whole(&mut self, response: SnapshotResponse, object: Object) -> Result<Step> {
        let nothing_known = self.object == Object::default();
        let same = self.at == 0 && self.end.is_none() && self.object == object;
        if nothing_known || same {
            (self.at, self.end, self.last) = (0, None, None);
            let left = object.total;
            self.accept(response, object, left);
            return Ok(Step::Opened);
        }
        let problem = "the snapshot host neither resumes a broken download nor sends it whole";
        let step = self.start_over(problem)?;
        let left = object.total;
        self.accept(response, object, left);
        Ok(step)
    }

    fn accept(&mut self, response: SnapshotResponse, object: Object, left: Option<u64>) {
        self.accepted = true;
        self.failure = None;
        self.object = object;
        let chunked = response.headers.get("content-length").is_none();
        self.open = Some(Open { body: response.body, left, chunked });
    }

    fn start_over(&mut self, why: &str) -> Result<Step> {
        self.start_overs += 1;
        if self.start_overs > MAX_START_OVERS {
            return Err(self.error(format!("{why}, even after {MAX_START_OVERS} fresh starts; try again later")));
        }
        self.forget();
        Ok(Step::StartOver)
    }

    fn forget(&mut self) {
        self.open = None;
        self.object = Object::default();
        (self.at, self.highest, self.end, self.last) = (0, 0, None, None);
    }

    /// Requests what is missing again, unless it is of no use.
    fn retry(&mut self, error: Error) -> Result<Step> {
        self.open = None;
        let Some(pause) = self.attempts.pause(&error, jitter()) else {
            return Err(match self.failure.take() {
                // A timeout says less than the error before it.
                Some(before) if matches!(error, Error::Timeout { status: None, .. }) => before,
                _ => error,
            });
        };
        self.failure = Some(error);
        Ok(Step::Retry(pause))
    }

    fn slow(&self) -> Error {
        Error::Timeout {
            method: "GET",
            path: self.location.url.path().to_owned(),
            phase: "a stall (less than the minimum speed)".into(),
            limit: self.location.agent.limits().stall,
            status: self.status,
        }
    }

    pub(crate) fn error(&self, problem: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        self.location.error(problem, self.status)
    }
}
