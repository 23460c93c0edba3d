//! The parts of an error's line.

use std::fmt;
use std::time::Duration;

use super::ErrorCode;

pub(super) struct ApiLine<'a> {
    pub(super) status: u16,
    pub(super) code: &'a ErrorCode,
    pub(super) message: &'a str,
}

impl fmt::Display for ApiLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answered {} (HTTP {})", self.code, self.status)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

pub(super) struct Excerpt<'a>(pub(super) &'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; the answer begins: {}", self.0) }
    }
}

/// A duration as a person says it.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms if ms < 1000 => write!(f, "{ms} ms"),
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
