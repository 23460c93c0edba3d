//! Why something is refused, before it is known which entry it belongs to, and names made fit for a line of text.

use std::borrow::Cow;
use std::io;

use crate::error::{Error, Refusal, Result};

/// Why something is refused: the kind to match and the sentence to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) refusal: Refusal,
    pub(super) detail: Cow<'static, str>,
}

/// What a rule says about an archive or an entry.
pub(super) type Judged<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn new(refusal: Refusal, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { refusal, detail: detail.into() }
    }

    pub(super) fn corrupt(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Refusal::Corrupt, detail)
    }

    /// The error of one entry, or of the archive as a whole.
    pub(super) fn error(self, entry: Option<&str>) -> Error {
        BadEntry::new(entry, self).into()
    }

    /// What is wrong and, behind a semicolon, what to do.
    fn sentence(self) -> String {
        if self.detail.contains("; ") {
            return self.detail.into_owned();
        }
        let advice = match self.refusal {
            Refusal::Link => "leave links out with `Links::Skip`, or do not trust this archive",
            Refusal::TooLarge | Refusal::TooMany | Refusal::Ratio | Refusal::Overlap => "do not trust this archive",
            Refusal::Corrupt => "get the file again, and if it is the same do not trust it",
            Refusal::Encrypted | Refusal::Unsupported => "extract it with another tool",
            _ => "do not trust this archive, or leave the entry out with `ExtractOptions::filter`",
        };
        format!("{}; {advice}", self.detail)
    }
}

/// What is wrong with an entry, or with the archive as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadEntry {
    /// The entry's name, escaped for print; `None` when it is about the archive as a whole.
    pub name: Option<String>,
    /// Why: to be matched.
    pub refusal: Refusal,
    /// What exactly, and what to do next.
    pub detail: String,
}

impl From<BadEntry> for Error {
    fn from(bad: BadEntry) -> Self {
        Self::Refused { archive: None, entry: bad.name, refusal: bad.refusal, detail: bad.detail }
    }
}

impl BadEntry {
    pub(super) fn new(name: Option<&str>, fault: Fault) -> Self {
        Self { name: name.map(shown), refusal: fault.refusal, detail: fault.sentence() }
    }

    /// The refusal that an error is.
    ///
    /// # Errors
    /// The error itself, if it is another.
    pub(super) fn of(error: Error) -> Result<Self> {
        match error {
            Error::Refused { entry, refusal, detail, .. } => Ok(Self { name: entry, refusal, detail }),
            other => Err(other),
        }
    }
}

/// What ends the reading of an archive.
#[derive(Debug)]
pub(super) enum Failure {
    /// The source failed.
    Source(io::Error),
    /// The archive is not what it should be.
    Refused(Fault),
    /// Whatever the content was written to failed, or the work was cancelled.
    Output(Error),
}

impl Failure {
    /// The error of one entry, or of the archive as a whole.
    pub(super) fn error(self, entry: Option<&str>) -> Error {
        match self {
            Self::Source(e) => Error::Archive { archive: None, entry: entry.map(shown), source: Box::new(e) },
            Self::Refused(fault) => fault.error(entry),
            Self::Output(e) => e,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Self::Source(e)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

/// The longest name put into a message; hostile names have up to 65,535 bytes.
const SHOWN: usize = 200;

/// A name as it may be printed: control and invisible characters escaped, and cut when very long.
pub(super) fn shown(name: &str) -> String {
    let mut out = String::with_capacity(name.len().min(SHOWN) + 8);
    for c in name.chars() {
        if out.len() >= SHOWN {
            out.push('…');
            break;
        }
        // Quotes are harmless here, and escaping them would only confuse.
        if c == '"' || c == '\'' { out.push(c) } else { out.extend(c.escape_debug()) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_name_moves_no_cursor_and_is_short() {
        assert_eq!(shown("a\u{1b}[2Jb\r\n\u{202e}'c'"), "a\\u{1b}[2Jb\\r\\n\\u{202e}'c'");
        assert!(shown(&"\0".repeat(65_535)).len() < SHOWN + 16);
        assert!(shown(&"é".repeat(65_535)).ends_with('…'));
    }
}
