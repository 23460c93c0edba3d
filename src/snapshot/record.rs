//! PURE. What the record beside a part file says.
//!
//! One line of JSON ([`Record`]), then a line of fixed width for each piece of the snapshot: how many of its
//! bytes are written, and how many of them are known to be on the disk. Both are changed in place.

use serde::{Deserialize, Serialize};

use super::range::Object;

/// The form described here.
pub(crate) const FORMAT: u32 = 1;
/// A piece's line: two numbers of 16 hexadecimal digits.
const LINE: usize = 34;
/// Where in a line the second number stands.
pub(crate) const DURABLE: u64 = 17;
/// The most pieces of a record that is read.
const MAX_PIECES: u64 = 4096;
/// The most pieces of a new download; those of a large snapshot are longer than [`LONGEST`].
const PIECES: u64 = 64;
/// The shortest and longest piece, in bytes.
const SHORTEST: u64 = 1024 * 1024;
const LONGEST: u64 = 8 * SHORTEST;

/// What the bytes of a part file belong to. Holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) format: u32,
    /// The link's path and version.
    pub(crate) path: String,
    pub(crate) version: Option<String>,
    /// The object, as the responses say.
    pub(crate) object: Object,
    /// The length of a piece; 0: all is one piece.
    pub(crate) piece: u64,
    /// When the link expires, in seconds since 1970.
    #[serde(default)]
    pub(crate) expires: Option<i64>,
    /// The machine's boot id when it was written, if the system has one.
    pub(crate) boot: Option<String>,
}

/// One contiguous stretch of the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    /// How many of its bytes are written, and how many of them are known to be on the disk.
    pub(crate) done: u64,
    pub(crate) durable: u64,
    /// Its length, when known.
    pub(crate) len: Option<u64>,
}

impl Record {
    /// Reads the record of a part file for the link of `wanted`. `None` when it is damaged or another download's, or when
    /// nothing shows that a response belongs to the same object.
    ///
    /// `boot`: the machine's run; the numbers of bytes written count in the same run only. `length`: the part
    /// file's.
    pub(crate) fn parse(text: &[u8], wanted: &Self, boot: Option<&str>, length: u64) -> Option<(Self, Vec<Piece>)> {
        let (record, lines) = Self::split(text)?;
        let said = &record.object;
        // The tag goes into a header: only one that could have come from a header is taken.
        let checked = Object::new(said.etag.as_deref(), said.version_id.as_deref());
        let sound = checked.etag == said.etag && checked.version_id == said.version_id && said.is_provable();
        // A link need not name the version: then the responses tell whether the object is the same.
        let other_version = matches!((&record.version, &wanted.version), (Some(a), Some(b)) if a != b);
        let ours = record.path == wanted.path && !other_version;
        if !sound || !ours || (record.piece > 0 && said.total?.div_ceil(record.piece) > MAX_PIECES) {
            return None;
        }
        let same_run = boot.is_some() && record.boot.as_deref() == boot;
        let mut pieces = cut(record.piece, said.total, 0, 0);
        if lines.len() != pieces.len() * LINE {
            return None;
        }
        for (piece, line) in pieces.iter_mut().zip(lines.chunks(LINE)) {
            let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
            let (written, durable) = line.split_once(' ')?;
            piece.durable = u64::from_str_radix(durable, 16).ok()?;
            piece.done = if same_run { u64::from_str_radix(written, 16).ok()? } else { piece.durable };
            let outside = piece.done > 0 && piece.start.checked_add(piece.done)? > length;
            if outside || piece.durable > piece.done || piece.len.is_some_and(|len| piece.done > len) {
                return None;
            }
        }
        let version = wanted.version.clone().or(record.version);
        Some((Self { expires: wanted.expires, version, ..record }, pieces))
    }

    /// A record of ours, and its lines.
    fn split(text: &[u8]) -> Option<(Self, &[u8])> {
        let json = text.iter().position(|&b| b == b'\n')?;
        let record: Self = serde_json::from_slice(text.get(..json)?).ok()?;
        (record.format == FORMAT).then_some((record, text.get(json + 1..)?))
    }

    /// Whether nobody needs the part file of this record once `finished` is there: its bytes are of the same snapshot,
    /// or its link expired before `now`. `finished` is known by its link's path and version and by its `object`.
    pub(crate) fn is_useless(text: &[u8], finished: &Self, now: i64) -> bool {
        Self::split(text).is_some_and(|(record, _)| {
            let same = match (&record.version, &finished.version) {
                (Some(version), Some(other)) => version == other,
                _ => record.object.is_same(&finished.object),
            };
            (record.path == finished.path && same) || record.expires.is_some_and(|at| at < now)
        })
    }

    /// Whether the bytes of this record are shown to be of the snapshot that is `wanted`: by its link's path and the version,
    /// which a response may have told.
    pub(crate) fn is_of_same(text: &[u8], wanted: &Self) -> bool {
        Self::split(text).is_some_and(|(record, _)| {
            let same = record.version == wanted.version
                || (wanted.version.is_some() && record.object.version_id == wanted.version);
            record.path == wanted.path && same
        })
    }

    /// The record's text, and where the lines begin.
    pub(crate) fn text(&self, pieces: &[Piece]) -> serde_json::Result<(Vec<u8>, u64)> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        let lines = text.len() as u64;
        for piece in pieces {
            text.extend_from_slice(format!("{:016x} {:016x}\n", piece.done, piece.durable).as_bytes());
        }
        Ok((text, lines))
    }
}

/// How long the pieces of a snapshot of `total` bytes are, for so many connections.
pub(crate) fn piece_len(total: u64, connections: usize) -> u64 {
    let several_each = total / (4 * connections as u64).max(1);
    several_each.clamp(SHORTEST, LONGEST).max(total.div_ceil(PIECES))
}

/// Pieces of `piece` bytes each, or one for all when it is 0. Of the whole, the first `done` bytes are written and the
/// first `durable` on the disk.
pub(crate) fn cut(piece: u64, total: Option<u64>, done: u64, durable: u64) -> Vec<Piece> {
    let count = if piece == 0 { 1 } else { total.unwrap_or(0).div_ceil(piece).max(1) };
    let pieces = (0..count).map(|number| {
        let start = number * piece;
        let rest = total.map(|total| total.saturating_sub(start));
        let len = rest.map(|rest| if piece == 0 { rest } else { rest.min(piece) });
        let of = |bytes: u64| bytes.saturating_sub(start).min(len.unwrap_or(u64::MAX));
        Piece { start, len, done: of(done), durable: of(durable) }
    });
    pieces.collect()
}

/// Where the line of a piece begins, counted from the first line.
pub(crate) fn line_at(piece: usize) -> u64 {
    (piece * LINE) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(piece: u64, total: u64) -> Record {
        let object = Object { total: Some(total), ..Object::new(Some("\"t\""), None) };
        let (path, version) = ("/a/app.zip".into(), Some("v1".into()));
        Record { format: FORMAT, path, version, object, piece, expires: Some(100), boot: Some("run".into()) }
    }

    fn parse(text: &[u8], boot: &str, length: u64) -> Option<(Record, Vec<Piece>)> {
        Record::parse(text, &record(0, 0), Some(boot), length)
    }

    proptest! {
        #[test]
        fn a_record_reads_back(piece in 0u64..50, total in 0u64..400, there in 0u64..500) {
            let record = record(piece, total);
            let there = there.min(total);
            let pieces = cut(piece, Some(total), there, there / 2);
            prop_assert_eq!(pieces.iter().map(|p| p.done).sum::<u64>(), there);
            prop_assert_eq!(pieces.iter().map(|p| p.len.unwrap()).sum::<u64>(), total);
            let (text, _) = record.text(&pieces).unwrap();
            let read = parse(&text, "run", there);
            prop_assert_eq!(read, Some((record, pieces)));
            let (_, later) = parse(&text, "another run", there).unwrap();
            prop_assert_eq!(later.iter().map(|p| p.done).sum::<u64>(), there / 2);
            if there > 0 {
                prop_assert_eq!(parse(&text, "run", there - 1), None);
            }
        }

        #[test]
        fn a_damaged_record_never_promises_more_than_there_is(at in 0usize..300, byte: u8, cut_at in 0usize..400) {
            let record = record(10, 95);
            let pieces = cut(10, Some(95), 42, 0);
            let (mut text, _) = record.text(&pieces).unwrap();
            if let Some(slot) = text.get_mut(at) { *slot = byte; }
            text.truncate(cut_at);
            if let Some((_, pieces)) = parse(&text, "run", 42) {
                prop_assert!(pieces.iter().all(|p| p.done == 0 || p.start + p.done <= 42));
            }
        }
    }

    #[test]
    fn a_download_takes_tens_of_requests_and_every_connection_has_work() {
        for (total, connections, pieces) in [
            (900_u64, 4, 1),
            (6 << 20, 4, 6),
            (64 << 20, 4, 16),
            (400 << 20, 4, 50),
            (1 << 30, 4, 64),
            (1 << 40, 32, 64),
        ] {
            assert_eq!(total.div_ceil(piece_len(total, connections)), pieces, "{total} bytes");
        }
    }

    #[test]
    fn another_download_s_record_is_none() {
        let (text, _) = record(0, 95).text(&cut(0, Some(95), 42, 0)).unwrap();
        assert!(parse(&text, "run", 95).is_some());
        let with = |version: Option<&str>| Record { version: version.map(str::to_owned), ..record(0, 95) };
        let others = [with(Some("v2")), Record { path: "/b/app.zip".into(), ..record(0, 95) }];
        for other in others {
            assert_eq!(Record::parse(&text, &other, Some("run"), 95), None);
        }
        // A fresh link without the version: the entity tag decides, once there is a response.
        let (found, _) = Record::parse(&text, &with(None), Some("run"), 95).unwrap();
        assert_eq!(found.version, record(0, 95).version);
    }
}
