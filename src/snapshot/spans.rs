//! PURE. Which requests fetch a set of ranges: small gaps between them are fetched, too, large ones left out.

use std::ops::Range;

/// The most one request fetches, in bytes.
const PIECE: u64 = 8 << 20;

/// How much of a response a connection hands over at once, in bytes. TLS returns at most 16 KiB per read.
pub(super) const BUFFER: usize = 256 << 10;

/// The largest gap that is fetched, in bytes: it costs less than the round trip of another request.
const GAP: u64 = 256 << 10;

/// What all gaps may have together: so much for each, and a hundredth of the wanted bytes.
const EACH: u64 = 64 << 10;

/// The bytes of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) end: u64,
    /// How many bytes the pieces in front of it have.
    pub(super) before: u64,
}

/// The pieces that together have all bytes of `ranges` in front of `limit`, in order.
pub(super) fn pieces(ranges: &[Range<u64>], limit: u64) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for span in spans(merged(ranges, limit)) {
        let length = span.end - span.start;
        let count = length.div_ceil(PIECE).max(1);
        // Of the same length, so that the connections end together.
        for start in (span.start..span.end).step_by(length.div_ceil(count) as usize) {
            let end = (start + length.div_ceil(count)).min(span.end);
            let before = pieces.last().map_or(0, |last| last.before + (last.end - last.start));
            pieces.push(Piece { start, end, before });
        }
    }
    pieces
}

/// How many bytes of the pieces come before `offset`.
pub(super) fn position(pieces: &[Piece], offset: u64) -> u64 {
    match pieces.get(pieces.partition_point(|piece| piece.end <= offset)) {
        Some(piece) => piece.before + offset.saturating_sub(piece.start),
        None => pieces.last().map_or(0, |last| last.before + (last.end - last.start)),
    }
}

/// The ranges in order, without what they share and what is behind `limit`.
fn merged(ranges: &[Range<u64>], limit: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<_> = ranges.iter().map(|range| range.start..range.end.min(limit)).collect();
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    join(ranges, |gap| gap == 0)
}

/// The ranges, joined over the smallest gaps first, and over all of one length or none.
fn spans(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut gaps: Vec<u64> =
        ranges.windows(2).filter_map(|pair| Some(pair.get(1)?.start - pair.first()?.end)).collect();
    let wanted: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let most = wanted / 100 + EACH * gaps.len() as u64;
    gaps.sort_unstable();
    let (mut largest, mut together) = (0, 0);
    for same in gaps.chunk_by(|a, b| a == b) {
        let gap = same.first().copied().unwrap_or_default();
        together += gap * same.len() as u64;
        if gap > GAP || together > most {
            break;
        }
        largest = gap;
    }
    join(ranges, |gap| gap <= largest)
}

fn join(ranges: Vec<Range<u64>>, over: impl Fn(u64) -> bool) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if over(range.start.saturating_sub(last.end)) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Where the requests for ranges, each given by start and end, start and end.
    fn requests(ranges: &[(u64, u64)], limit: u64) -> Vec<(u64, u64)> {
        let ranges: Vec<_> = ranges.iter().map(|(start, end)| *start..*end).collect();
        pieces(&ranges, limit).iter().map(|piece| (piece.start, piece.end)).collect()
    }

    #[test]
    fn what_is_large_is_cut_and_what_is_near_is_joined() {
        let of = |ranges: &[(u64, u64)]| requests(ranges, u64::MAX);
        assert_eq!(of(&[(0, 20 * MIB)]).len(), 3);
        assert_eq!(of(&[(0, 8 * MIB)]), [(0, 8 * MIB)]);
        // Gaps of a mebibyte and of 200 KiB.
        let near = [(0, 10 * MIB), (11 * MIB, 30 * MIB), (30 * MIB + (200 << 10), 32 * MIB)];
        assert_eq!(
            of(&near),
            [(0, 5 * MIB), (5 * MIB, 10 * MIB), (11 * MIB, 18 * MIB), (18 * MIB, 25 * MIB), (25 * MIB, 32 * MIB)]
        );
        // Two small files: the gap between them is more than they are.
        assert_eq!(of(&[(0, 1000), (100_000, 101_000)]).len(), 2);
        assert_eq!(of(&[(0, 1000), (60_000, 61_000)]).len(), 1);
        assert!(of(&[(5, 5), (7, 3)]).is_empty());
    }

    #[test]
    fn what_is_behind_the_limit_is_there_already() {
        assert_eq!(requests(&[(0, 10), (20, 30)], 5), [(0, 5)]);
        assert!(requests(&[(20, 30)], 20).is_empty());
    }

    proptest! {
        #[test]
        fn everything_is_fetched_once_and_little_else(
            parts in proptest::collection::vec((0_u64..2 * MIB, 1_u64..20 * MIB), 1..40),
            limit in 1_u64..400 * MIB,
        ) {
            let mut at = 0;
            let ranges: Vec<_> = parts.iter().map(|(gap, length)| {
                at += gap + length;
                at - length..at
            }).collect();
            let found = pieces(&ranges, limit);
            let clipped: Vec<_> = ranges.iter().map(|range| range.start.min(limit)..range.end.min(limit)).collect();
            let wanted: u64 = clipped.iter().map(|range| range.end - range.start).sum();
            let large = ranges.windows(2).filter(|pair| pair[1].start - pair[0].end > GAP).count() as u64;
            let fetched: u64 = found.iter().map(|piece| piece.end - piece.start).sum();
            for range in clipped.iter().filter(|range| !range.is_empty()) {
                // Each byte is in exactly one piece.
                let of = |piece: &Piece| piece.end.min(range.end).saturating_sub(piece.start.max(range.start));
                prop_assert_eq!(found.iter().map(of).sum::<u64>(), range.end - range.start);
                prop_assert_eq!(position(&found, range.end) - position(&found, range.start), range.end - range.start);
            }
            let gaps = parts.len() as u64 - 1;
            prop_assert!(fetched <= wanted + wanted / 100 + gaps * EACH);
            prop_assert!(found.iter().all(|piece| piece.end - piece.start <= PIECE));
            prop_assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
            prop_assert!(large > 0 || gaps * GAP > wanted / 100 || found.len() as u64 <= fetched.div_ceil(PIECE) + 1);
        }
    }
}
