//! A refusal before it knows the entry it belongs to, and names made fit for a line of text.

use std::borrow::Cow;

use crate::error::{Error, Refusal};

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

    /// The error of the archive as a whole.
    pub(super) fn of_archive(self) -> Error {
        Error::Refused { entry: None, refusal: self.refusal, detail: self.sentence() }
    }

    /// The error of one entry.
    pub(super) fn of(self, name: &str) -> Error {
        Error::Refused { entry: Some(shown(name)), refusal: self.refusal, detail: self.sentence() }
    }

    /// What is wrong and, behind a semicolon, what to do.
    pub(super) fn sentence(self) -> String {
        if self.detail.contains("; ") {
            return self.detail.into_owned();
        }
        let advice = match self.refusal {
            Refusal::Link => "leave links out with `Links::Skip`, or do not trust this archive",
            Refusal::TooLarge | Refusal::TooMany | Refusal::Ratio => "do not trust this archive",
            Refusal::Corrupt => "get the file again, and if it is the same do not trust it",
            Refusal::Encrypted | Refusal::Unsupported => "extract it with another tool",
            _ => "do not trust this archive, or leave the entry out with `ExtractOptions::filter`",
        };
        format!("{}; {advice}", self.detail)
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
        // Quotes are harmless here and escaping them would only confuse.
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
