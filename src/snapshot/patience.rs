//! PURE. When a slow or silent transfer is given up.
//!
//! Times are durations since the transfer began; whoever calls has the clock.

use std::time::Duration;

/// How finely the sliding window is cut.
const SLICES: u32 = 8;
/// How many new bytes make up for silences; of a small snapshot a 64th does.
const WORTH: u64 = 64 * 1024;

/// Judges silence and speed over a whole transfer: a new connection starts nothing anew.
///
/// Silence is measured from the last byte, and silences that bytes of no account interrupt are added up. A
/// connection is given up when it was silent for `stall`, or for the limit of the wait for a head before that came;
/// one more is tried as long as the sum of both and half of `stall` allows. Speed is measured over the last
/// `stall`, at the beginning over at least half of it.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    stall: Duration,
    /// How long one connection may be silent.
    longest: Duration,
    /// How long all of them together may be.
    allowed: Duration,
    /// How long they were since there was progress, the present silence left out.
    spent: Duration,
    /// New bytes since the last long silence.
    gained: u64,
    min_speed: u64,
    /// The last byte, or the beginning.
    last: Duration,
    /// Where the judged time begins.
    since: Duration,
    /// The slice being filled, counted from `since`.
    slice: u128,
    bytes: [u64; SLICES as usize],
    /// Whether a silence may still be forgiven when speed is judged.
    forgiving: bool,
}

/// The transfer is slower than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSlow;

impl Patience {
    /// `head`: the limit of the wait for a head.
    pub(crate) fn new(stall: Duration, head: Duration, min_speed: u64, now: Duration) -> Self {
        let stall = stall.max(Duration::from_millis(1));
        let longest = stall.max(head);
        Self {
            stall,
            longest,
            allowed: longest + stall / 2,
            spent: Duration::ZERO,
            gained: 0,
            min_speed,
            last: now,
            since: now,
            slice: 0,
            bytes: [0; SLICES as usize],
            forgiving: true,
        }
    }

    /// `count` bytes came at `now`.
    pub(crate) fn bytes(&mut self, count: u64, now: Duration) -> Result<(), TooSlow> {
        let silent = now.saturating_sub(self.last);
        if silent > self.stall / 2 && self.forgiving {
            self.forgiving = false;
            self.restart(now);
        }
        if count > 0 {
            self.last = now;
            if silent > self.stall / 2 {
                self.spent += silent;
                self.gained = 0;
            }
        }
        self.advance(now);
        let at = (self.slice % u128::from(SLICES)) as usize;
        if let Some(slot) = self.bytes.get_mut(at) {
            *slot = slot.saturating_add(count);
        }
        self.judge(now)
    }

    /// How long the next connection may be silent; `None` when the silence has been long enough.
    pub(crate) fn silence(&self, now: Duration) -> Option<Duration> {
        let left = self.allowed.saturating_sub(self.spent).saturating_sub(now.saturating_sub(self.last));
        (left > self.stall / 16).then(|| left.min(self.longest))
    }

    /// The first head came. A long wait for it leaves less time for silence later, so that the sum stays bounded.
    pub(crate) fn begin(&mut self, now: Duration) {
        let waited = now.saturating_sub(self.last);
        let rest = (self.longest + self.stall).saturating_sub(waited);
        self.allowed = self.allowed.min(rest).max(self.stall);
        self.last = now;
        self.restart(now);
    }

    /// `new` bytes came that had not come before, of `total`. Enough of them make up for earlier silences.
    pub(crate) fn progress(&mut self, new: u64, total: Option<u64>) {
        self.gained = self.gained.saturating_add(new);
        if self.gained >= total.map_or(WORTH, |total| (total / 64).clamp(1, WORTH)) {
            self.spent = Duration::ZERO;
        }
    }

    /// For a transfer beside the one that waited so far, whose clock begins now.
    pub(crate) fn beside(&self) -> Self {
        let mut other = self.clone();
        other.last = Duration::ZERO;
        other.restart(Duration::ZERO);
        other
    }

    fn restart(&mut self, now: Duration) {
        self.since = now;
        self.slice = 0;
        self.bytes = [0; SLICES as usize];
    }

    fn advance(&mut self, now: Duration) {
        let width = (self.stall / SLICES).as_nanos().max(1);
        let slice = now.saturating_sub(self.since).as_nanos() / width;
        let passed = slice.saturating_sub(self.slice).min(u128::from(SLICES));
        for step in 1..=passed {
            let at = ((self.slice + step) % u128::from(SLICES)) as usize;
            if let Some(slot) = self.bytes.get_mut(at) {
                *slot = 0;
            }
        }
        self.slice = self.slice.max(slice);
    }

    fn judge(&mut self, now: Duration) -> Result<(), TooSlow> {
        let span = now.saturating_sub(self.since).min(self.stall);
        let sum: u64 = self.bytes.iter().fold(0, |a, b| a.saturating_add(*b));
        // What the running slice has not had time for is not held against the transfer.
        let due = |span: Duration| (span.as_millis() * u128::from(self.min_speed) / 1000) as u64;
        if sum >= due(self.stall) {
            self.forgiving = true;
            return Ok(());
        }
        if span >= self.stall / 2 && sum < due(span - self.stall / SLICES) { Err(TooSlow) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STALL: Duration = Duration::from_secs(4);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// When a server that sends `size` bytes every `gap` is given up.
    fn drip(size: u64, gap: u64, head: u64) -> Option<u64> {
        let mut patience = Patience::new(STALL, STALL, 1024, ms(head));
        (1..20_000).map(|n| head + n * gap).find(|&at| patience.bytes(size, ms(at)).is_err())
    }

    #[test]
    fn a_drip_ends_and_an_even_slow_flow_does_not() {
        for gap in [1, 10, 100, 500, 1000, 1900, 2100, 3000, 3900] {
            let ended = drip(1, gap, 0);
            assert!(ended.is_none_or(|at| at < 8000), "gap {gap}: {ended:?}");
            assert!(gap == 1 || ended.is_some(), "gap {gap}");
        }
        for gap in [1, 10, 100, 500, 1000] {
            assert_eq!(drip(gap * 2, gap, 0), None, "2000 bytes a second, gap {gap}");
        }
        assert_eq!(drip(1_000_000, 3900, 0), None, "bursts");
    }

    #[test]
    fn silence_is_bounded_across_connections() {
        let mut patience = Patience::new(STALL, STALL, 1024, ms(0));
        assert_eq!(patience.silence(ms(0)), Some(STALL));
        assert_eq!(patience.silence(ms(4000)), Some(ms(2000)));
        assert_eq!(patience.silence(ms(5900)), None);
        assert_eq!(patience.silence(ms(6000)), None);
        assert_eq!(patience.bytes(100_000, ms(4000)), Ok(()));
        patience.progress(100_000, None);
        assert_eq!(patience.silence(ms(4001)), Some(ms(4000)));
    }

    #[test]
    fn silences_add_up_until_there_is_progress() {
        let mut patience = Patience::new(STALL, STALL, 0, ms(0));
        assert_eq!(patience.bytes(1, ms(4000)), Ok(()));
        assert_eq!(patience.silence(ms(4000)), Some(ms(2000)));
        assert_eq!(patience.silence(ms(6000)), None);
        let mut other = patience.beside();
        assert_eq!(other.silence(ms(0)), Some(ms(2000)), "one beside it inherits what is left");
        other.progress(9, Some(640));
        assert_eq!(other.silence(ms(0)), Some(ms(2000)));
        other.progress(1, Some(640));
        assert_eq!(other.silence(ms(0)), Some(STALL));
    }

    #[test]
    fn the_wait_for_a_head_has_its_own_limit_and_the_sum_is_bounded() {
        let (stall, head) = (ms(2000), ms(4000));
        for waited in [0, 1000, 2000, 3000, 3900] {
            let mut patience = Patience::new(stall, head, 1024, ms(0));
            assert_eq!(patience.silence(ms(0)), Some(head));
            patience.begin(ms(waited));
            // Silent from here: each connection is given up when its time is over.
            let mut now = waited;
            while let Some(silence) = patience.silence(ms(now)) {
                now += silence.as_millis() as u64;
            }
            assert!(now < 8000, "head after {waited} ms: given up after {now} ms");
        }
    }

    #[test]
    fn one_long_silence_is_forgiven_once_between_two_good_windows() {
        let mut patience = Patience::new(STALL, STALL, 1024, ms(0));
        assert_eq!(patience.bytes(1 << 20, ms(10)), Ok(()));
        assert_eq!(patience.bytes(1, ms(3900)), Ok(()));
        assert_eq!(patience.bytes(1 << 20, ms(3910)), Ok(()));
        assert_eq!(patience.bytes(1, ms(7800)), Ok(()));
        assert_eq!(patience.bytes(1, ms(10_500)), Err(TooSlow));
    }

    proptest! {
        /// However a server spends its time, fewer bytes than the floor over two windows end the transfer.
        #[test]
        fn the_floor_holds(steps in proptest::collection::vec((1u64..3900, 0u64..3), 1..200)) {
            let mut patience = Patience::new(STALL, STALL, 1024, ms(0));
            let mut now = 0;
            for (gap, bytes) in steps {
                now += gap;
                if patience.bytes(bytes, ms(now)).is_err() { break; }
                prop_assert!(now < 8000, "still patient after {} ms", now);
            }
        }

        #[test]
        fn a_flow_above_the_floor_passes(steps in proptest::collection::vec(1u64..1500, 1..200)) {
            let mut patience = Patience::new(STALL, STALL, 1024, ms(0));
            let mut now = 0;
            for gap in steps {
                now += gap;
                prop_assert_eq!(patience.bytes(gap * 3, ms(now)), Ok(()));
            }
        }
    }
}
