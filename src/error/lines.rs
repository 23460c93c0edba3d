//! The parts of the errors' messages.

use std::fmt;
use std::time::Duration;

use super::{ErrorCode, Limit};

pub(super) struct ApiLine<'a> {
    pub(super) status: u16,
    pub(super) code: &'a ErrorCode,
    pub(super) message: &'a str,
}

impl fmt::Display for ApiLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service responded {} (HTTP {})", self.code, self.status)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

/// What to do next after a refusal: how long to wait, or what to change.
pub(super) struct WaitLine<'a> {
    pub(super) code: &'a ErrorCode,
    pub(super) wait: Option<Duration>,
}

impl fmt::Display for WaitLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Limit::of(self.code), self.wait) {
            (Some(Limit::Quota), None) => {
                f.write_str("; the next one is free when the oldest of the last 24 h is a day old")
            }
            (Some(Limit::Budget), Some(wait)) => write!(f, "; all calls are blocked, wait {}", Span(wait)),
            (_, Some(wait)) => write!(f, "; wait {} and try again", Span(wait)),
            (Some(_), None) => f.write_str("; wait and try again"),
            (None, None) => f.write_str(match self.code.as_str() {
                "ACCESS_DENIED" => {
                    "; check the API key before the next call, since bad keys get an address blocked"
                }
                "MISSING_SCOPE" => "; give the key the scope of this call",
                "UPGRADE_REQUIRED" => "; the account's plan does not include this call",
                "SNAPSHOT_IN_PROGRESS" => "; another one is being made already, so look at the listing",
                "RESTORE_IN_PROGRESS" => "; try again in about 2 min",
                _ => "",
            }),
        }
    }
}

/// Whether the call may be made again.
pub(super) struct NextLine<'a> {
    pub(super) method: &'a str,
}

impl fmt::Display for NextLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.method {
            "GET" => "check the network and try again",
            _ => "it may have been carried out all the same, so look before repeating it",
        })
    }
}

pub(super) struct BegunLine(pub(super) Option<u16>);

impl fmt::Display for BegunLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |status| write!(f, " after the response began (HTTP {status})"))
    }
}

pub(super) struct Excerpt<'a>(pub(super) &'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; the response begins: {}", self.0) }
    }
}

/// A duration for people.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms if ms < 1000 => write!(f, "{ms} ms"),
            ms if ms >= 600_000 && ms % 60_000 == 0 => write!(f, "{} min", ms / 60_000),
            ms if ms % 1000 == 0 || ms >= 60_000 => write!(f, "{} s", self.0.as_secs()),
            ms => write!(f, "{}.{} s", ms / 1000, ms % 1000 / 100),
        }
    }
}

pub(super) struct StepLine<'a>(pub(super) &'a Option<String>);

impl fmt::Display for StepLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |step| write!(f, " in the step {step:?}"))
    }
}

pub(super) struct EntryLine<'a>(pub(super) &'a Option<String>);

impl fmt::Display for EntryLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(entry) => write!(f, "entry {entry}: "),
            None => f.write_str("the archive: "),
        }
    }
}

pub(super) struct EntryIn<'a>(pub(super) &'a Option<String>);

impl fmt::Display for EntryIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(entry) => write!(f, "'s entry {entry} "),
            None => f.write_str(" "),
        }
    }
}
