//! PURE. Whether bytes that go by begin and end like a snapshot's.

use super::zipcheck::{LAST, check_end};

/// How many of the first bytes are kept for an error.
pub(crate) const READ: usize = 4096;

const MAGIC: &[u8] = b"PK";
/// How a snapshot may begin: like an archive, or like the program or the script before one that unpacks itself.
const BEGINNINGS: [&[u8]; 4] = [MAGIC, b"MZ", b"\x7fE", b"#!"];

/// The first and the last bytes of what went by.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    first: Vec<u8>,
    /// The last [`LAST`], and at times some more.
    last: Vec<u8>,
    size: u64,
}

impl Ends {
    /// Those of a part that begins at `start`.
    pub(crate) fn of(bytes: &[u8], start: u64) -> Self {
        let mut ends = Self { size: start, ..Self::default() };
        ends.add(bytes);
        if start > 0 {
            ends.first = MAGIC.to_vec();
        }
        ends
    }

    /// The next bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        let room = READ.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(bytes.get(..room).unwrap_or_default());
        let bytes = bytes.get(bytes.len().saturating_sub(LAST)..).unwrap_or_default();
        let both = self.last.len() + bytes.len();
        if both > 2 * LAST {
            self.last.drain(..(both - LAST).min(self.last.len()));
        }
        self.last.extend_from_slice(bytes);
    }

    /// The first bytes, for an error.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }

    /// Whether what came so far can be the beginning.
    pub(crate) fn begin(&self) -> Result<(), &'static str> {
        let there = self.first.get(..MAGIC.len()).unwrap_or(&self.first);
        if BEGINNINGS.iter().any(|beginning| beginning.starts_with(there)) {
            Ok(())
        } else {
            Err("it does not begin like a zip archive")
        }
    }

    /// Whether what came is all of it, as far as its end tells.
    pub(crate) fn end(&self) -> Result<(), &'static str> {
        self.begin()?;
        check_end(&self.last, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An archive without entries.
    fn empty(comment: usize) -> Vec<u8> {
        let mut bytes = b"PK\x05\x06".to_vec();
        bytes.extend([0; 16]);
        bytes.extend(u16::try_from(comment).unwrap().to_le_bytes());
        bytes.resize(22 + comment, b'c');
        bytes
    }

    #[test]
    fn pages_and_cut_archives_are_told_apart_from_whole_ones() {
        for comment in [0, 1, 65_535] {
            let whole = empty(comment);
            assert_eq!(Ends::of(&whole, 0).end(), Ok(()));
            for n in [0, 1, 10, 21, whole.len() - 1] {
                let cut = whole.get(..n).filter(|cut| cut.len() < whole.len());
                assert!(cut.is_none_or(|cut| Ends::of(cut, 0).end().is_err()), "{n} of {comment}");
            }
            assert!(Ends::of(&[&whole[..], b"x"].concat(), 0).end().is_err());
        }
        assert!(Ends::of(b"<", 0).begin().is_err() && Ends::of(b"P", 0).begin().is_ok());
        assert!(Ends::of(b"", 0).begin().is_ok() && Ends::of(b"", 0).end().is_err());
        assert_eq!(Ends::of(&empty(0), 1 << 20).end(), Ok(()));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_in_which_pieces_bytes_come(
            comment in 0usize..65_536, before in 0usize..300_000, cuts in proptest::collection::vec(1usize..200_000, 1..40)
        ) {
            let mut bytes = b"PK".to_vec();
            bytes.resize(2 + before, 7);
            bytes.extend(empty(comment));
            let (mut ends, mut rest) = (Ends::default(), &bytes[..]);
            for cut in cuts {
                let (piece, more) = rest.split_at(cut.min(rest.len()));
                ends.add(piece);
                rest = more;
            }
            ends.add(rest);
            prop_assert_eq!(ends.end(), Ok(()));
            prop_assert!(ends.last.len() <= 2 * LAST && ends.first.len() <= READ);
        }
    }
}
