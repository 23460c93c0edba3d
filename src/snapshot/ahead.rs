//! PURE. Bytes that are fetched ahead of the reads, and how far ahead that may go.
//!
//! Readers claim the ranges in order. The one that is furthest behind decides: blocks more than [`BACK`] behind it are
//! dropped, and nothing is fetched more than [`DISTANCE`] ahead of it. So there is always room for the byte it waits for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::spans::{BUFFER, Piece, position};

/// How far the fetching may be ahead of the last reader, in bytes: three pieces, so that three connections can each finish
/// one while the fourth is slow.
pub(super) const DISTANCE: u64 = 24 << 20;

/// How far a reader may go back without another request.
const BACK: u64 = 64 << 10;

/// What is there, and who reads where.
pub(super) struct Ahead {
    /// What an earlier range has is not in a later one: a byte moves one reader.
    ranges: Vec<Range<u64>>,
    pieces: Vec<Piece>,
    /// The offset of the next byte of each piece.
    next: Vec<u64>,
    /// By their offsets.
    blocks: BTreeMap<u64, Arc<Vec<u8>>>,
    /// Full blocks that are used again: given back to the system and taken anew, they would leave holes in its memory.
    spare: Vec<Vec<u8>>,
    claimed: usize,
    /// The ranges that are being read, and how far.
    reading: Vec<(usize, u64)>,
}

/// What is known of a byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// It is in the block, after so many others.
    Here(Arc<Vec<u8>>, usize),
    /// It will come.
    Pending,
    /// It will not, or not again.
    NotPrefetched,
}

impl Ahead {
    pub(super) fn new(ranges: &[Range<u64>], pieces: Vec<Piece>) -> Self {
        let next = pieces.iter().map(|piece| piece.start).collect();
        let (blocks, spare, reading) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut before = 0;
        let disjoint = ranges.iter().map(|range| {
            let start = range.start.max(before);
            before = before.max(range.end);
            start..range.end
        });
        Self { ranges: disjoint.collect(), pieces, next, blocks, spare, claimed: 0, reading }
    }

    /// How many ranges are being read.
    pub(super) fn readers(&self) -> usize {
        self.reading.len()
    }

    /// Whether the byte at `offset` may not be there before some reader has gone on: its block may end a little behind it.
    pub(super) fn is_far(&self, offset: u64) -> bool {
        position(&self.pieces, offset) + BUFFER as u64 > self.needed().saturating_add(DISTANCE)
    }

    /// Lets all bytes go.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.spare.clear();
    }

    /// The next range, for one reader.
    pub(super) fn claim(&mut self) -> Option<usize> {
        let range = self.ranges.get(self.claimed)?;
        self.reading.push((self.claimed, range.start));
        self.claimed += 1;
        Some(self.claimed - 1)
    }

    /// No more of a range is needed.
    pub(super) fn finish(&mut self, range: usize) {
        self.reading.retain(|(other, _)| *other != range);
        self.drop_read();
    }

    /// Moves the reader of the byte at `offset` there, and looks for it; what its range has in front is no longer needed.
    pub(super) fn advance(&mut self, offset: u64) -> Lookup {
        let is_in = |number: usize| self.ranges.get(number).is_some_and(|range| range.contains(&offset));
        let Some(reader) = self.reading.iter_mut().find(|(number, _)| is_in(*number)) else {
            return Lookup::NotPrefetched;
        };
        reader.1 = offset;
        self.drop_read();
        if let Some((start, block)) = self.blocks.range(..=offset).next_back()
            && let Ok(skip) = usize::try_from(offset - start)
            && skip < block.len()
        {
            return Lookup::Here(Arc::clone(block), skip);
        }
        let piece = self.pieces.partition_point(|piece| piece.end <= offset);
        let is_to_come = self.pieces.get(piece).is_some_and(|piece| piece.start <= offset)
            && self.next.get(piece).is_some_and(|next| *next <= offset);
        if is_to_come { Lookup::Pending } else { Lookup::NotPrefetched }
    }

    /// Whether the next `count` bytes of a piece may be there already.
    pub(super) fn has_room(&self, piece: usize, count: usize) -> bool {
        let next = self.next.get(piece).map_or(0, |next| position(&self.pieces, *next));
        next + count as u64 <= self.needed().saturating_add(DISTANCE)
    }

    /// An empty block with room for so many bytes.
    pub(super) fn block(&mut self, count: usize) -> Vec<u8> {
        let used = if count == BUFFER { self.spare.pop() } else { None };
        used.unwrap_or_else(|| Vec::with_capacity(count))
    }

    /// Takes the next bytes of a piece.
    pub(super) fn put(&mut self, piece: usize, block: Vec<u8>) {
        let Some(next) = self.next.get_mut(piece) else { return };
        let start = *next;
        *next += block.len() as u64;
        self.blocks.insert(start, Arc::new(block));
        self.drop_read();
    }

    /// The position of the first byte that may still be needed.
    fn needed(&self) -> u64 {
        let first = self.reading.iter().map(|(_, offset)| *offset).min();
        let first = first.or_else(|| self.ranges.get(self.claimed).map(|range| range.start));
        first.map_or(u64::MAX, |offset| position(&self.pieces, offset))
    }

    /// Drops what no reader needs any more.
    fn drop_read(&mut self) {
        let needed = self.needed().saturating_sub(BACK);
        while let Some(first) = self.blocks.first_entry()
            && position(&self.pieces, first.key() + first.get().len() as u64 - 1) < needed
        {
            if let Some(mut block) = Arc::into_inner(first.remove())
                && block.len() == BUFFER
            {
                block.clear();
                self.spare.push(block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::spans::pieces;

    /// Readers in their order, connections in any: nobody is stuck, every byte arrives once, and memory is bounded.
    fn run(ranges: &[Range<u64>], choices: &[(u8, u8)]) {
        let all = pieces(ranges, u64::MAX);
        let ends: Vec<u64> = all.iter().map(|piece| piece.end).collect();
        let mut ahead = Ahead::new(ranges, all.clone());
        let mut readers: [Option<(usize, u64)>; 2] = [None, None];
        let mut connections: [Option<usize>; 4] = [None; 4];
        let (mut taken, mut read, mut idle, mut choice) = (0, 0, 0, choices.iter().cycle());
        while idle < 1000 {
            idle += 1;
            let (who, how) = choice.next().unwrap();
            if who % 2 == 0 {
                let reader = &mut readers[usize::from(how % 2)];
                let Some((number, at)) = reader else {
                    *reader = ahead.claim().map(|number| (number, ranges[number].start));
                    continue;
                };
                if *at >= ranges[*number].end {
                    ahead.finish(*number);
                    *reader = None;
                    continue;
                }
                match ahead.advance(*at) {
                    Lookup::Here(block, skip) => {
                        let count = (block.len() - skip).min((ranges[*number].end - *at) as usize);
                        (*at, read, idle) = (*at + count as u64, read + count as u64, 0);
                    }
                    Lookup::Pending => {}
                    Lookup::NotPrefetched => panic!("a byte was thrown away before it was read"),
                }
            } else {
                let connection = &mut connections[usize::from(how % 4)];
                let Some(piece) = *connection else {
                    *connection = (taken < ends.len()).then_some(taken);
                    taken += usize::from(connection.is_some());
                    continue;
                };
                let next = ahead.next[piece];
                let count = (256 << 10).min(ends[piece] - next) as usize;
                if count == 0 {
                    *connection = None;
                } else if ahead.has_room(piece, count) {
                    let mut block = ahead.block(count);
                    block.resize(count, 0);
                    ahead.put(piece, block);
                    idle = 0;
                }
            }
            let held: usize = ahead.blocks.values().map(|block| block.len()).sum();
            let spare = ahead.spare.len() * BUFFER;
            assert!((held + spare) as u64 <= DISTANCE + BACK + 4 * BUFFER as u64, "{held} and {spare} bytes");
        }
        assert_eq!(read, ranges.iter().map(|range| range.end - range.start).sum::<u64>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn nobody_is_stuck_and_memory_is_bounded(
            parts in proptest::collection::vec((0_u64..1 << 20, 1_u64..20 << 20), 1..6),
            choices in proptest::collection::vec(any::<(u8, u8)>(), 50..200),
        ) {
            let mut at = 0;
            let ranges: Vec<_> = parts.iter().map(|(gap, length)| {
                at += gap + length;
                at - length..at
            }).collect();
            // Everybody gets a turn.
            let turns = (0..4).flat_map(|how| [(0, how), (1, how)]);
            let choices: Vec<_> = choices.into_iter().chain(turns).collect();
            run(&ranges, &choices);
        }
    }

    #[test]
    fn what_is_read_again_or_out_of_turn_is_elsewhere() {
        let ranges = [0..10, 20..30];
        let mut ahead = Ahead::new(&ranges, pieces(&ranges, u64::MAX));
        assert_eq!(ahead.advance(0), Lookup::NotPrefetched, "nobody claimed it");
        assert_eq!(
            (ahead.claim(), ahead.advance(0), ahead.advance(20)),
            (Some(0), Lookup::Pending, Lookup::NotPrefetched)
        );
        ahead.put(0, vec![7; 30]);
        assert!(matches!(ahead.advance(3), Lookup::Here(_, 3)));
        ahead.finish(0);
        assert_eq!((ahead.claim(), ahead.claim()), (Some(1), None));
        assert!(matches!(ahead.advance(29), Lookup::Here(_, 29)));
        ahead.finish(1);
        assert!(ahead.blocks.is_empty() && ahead.advance(29) == Lookup::NotPrefetched);
    }
}
