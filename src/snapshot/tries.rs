//! PURE. How often a broken transfer is tried again.

use std::time::Duration;

/// How many attempts in a row may get nowhere when nobody says.
pub(crate) const ATTEMPTS: u32 = 5;

/// Counts attempts that got nowhere.
#[derive(Clone, Debug)]
pub(crate) struct Tries {
    limit: u32,
    failed: u32,
    /// Bytes since the counter was last at zero.
    progress: u64,
    /// How many bytes are progress enough to begin anew.
    enough: u64,
    starts: u32,
}

/// How often a transfer may begin from its first byte again.
const MAX_STARTS: u32 = 3;
/// How many attempts in a row a busy host gets.
const BUSY: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// The progress that is always enough, in bytes.
const ENOUGH: u64 = 4 * 1024;

impl Tries {
    /// At most `limit` attempts in a row without progress.
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit: limit.max(1), failed: 0, progress: 0, enough: ENOUGH, starts: 0 }
    }

    /// The object's length: for a small one less is progress, so that attempts stay bounded and useful.
    pub(crate) fn total(&mut self, total: u64) {
        self.enough = (total / 64).clamp(1, ENOUGH);
    }

    /// `count` bytes came.
    pub(crate) fn bytes(&mut self, count: u64) {
        self.progress = self.progress.saturating_add(count);
        if self.progress >= self.enough {
            self.failed = 0;
        }
    }

    /// An attempt failed. How long to wait before the next one, `None` when there have been enough.
    /// `noise` in 0..=1000 spreads the pauses of many clients.
    pub(crate) fn failed(&mut self, noise: u32) -> Option<Duration> {
        let after_progress = self.progress >= self.enough;
        if after_progress {
            self.progress = 0;
        }
        self.failed += 1;
        if self.failed >= self.limit {
            return None;
        }
        if after_progress {
            return Some(Duration::ZERO);
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.failed - 1).min(16)).min(LONGEST_PAUSE);
        Some(doubled / 2 + doubled * noise.min(1000) / 2000)
    }

    /// The host said that it is busy: it is asked less often than a broken connection is made again.
    pub(crate) fn busy(&mut self) {
        self.limit = self.limit.min(BUSY);
    }

    /// The transfer begins from its first byte again, if it may.
    pub(crate) fn start_over(&mut self) -> bool {
        self.progress = 0;
        self.starts += 1;
        self.starts <= MAX_STARTS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attempts_are_bounded_and_renewed_by_progress() {
        let mut tries = Tries::new(5);
        assert_eq!((1..10).take_while(|_| tries.failed(500).is_some()).count(), 4);
        let mut tries = Tries::new(5);
        for _ in 0..100 {
            tries.bytes(ENOUGH);
            assert_eq!(tries.failed(0), Some(Duration::ZERO));
        }
        // Less than enough, but again and again.
        let mut tries = Tries::new(5);
        for _ in 0..100 {
            tries.bytes(ENOUGH / 4);
            assert!(tries.failed(0).is_some());
        }
        tries.total(640);
        for _ in 0..64 {
            tries.bytes(10);
            assert!(tries.failed(0).is_some());
        }
        assert!(tries.start_over() && tries.start_over() && tries.start_over() && !tries.start_over());
    }

    proptest! {
        #[test]
        fn pauses_stay_in_their_bounds(limit in 1u32..40, noise in 0u32..2000) {
            let mut tries = Tries::new(limit);
            let mut count = 1;
            while let Some(pause) = tries.failed(noise) {
                prop_assert!(pause <= LONGEST_PAUSE);
                count += 1;
            }
            prop_assert_eq!(count, limit);
        }
    }
}
