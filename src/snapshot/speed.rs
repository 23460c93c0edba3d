//! PURE. Whether a transfer keeps to the minimum speed.

use std::time::Duration;

/// Counts bytes over windows of time spent waiting for the host: a slow disk is not held against the network.
#[derive(Clone, Debug)]
pub(crate) struct Speed {
    window: Duration,
    /// How many bytes a window must bring.
    least: u64,
    elapsed: Duration,
    bytes: u64,
    /// Whether the last window brought less.
    slow: bool,
}

impl Speed {
    pub(crate) fn new(window: Duration, bytes_per_second: u64) -> Self {
        let least = u128::from(bytes_per_second) * window.as_millis() / 1000;
        let least = u64::try_from(least).unwrap_or(u64::MAX);
        Self { window, least, elapsed: Duration::ZERO, bytes: 0, slow: false }
    }

    /// Notes `time` without a byte, as one window at most: a single stall is forgiven.
    pub(crate) fn survives(&mut self, time: Duration) -> bool {
        self.keeps_up(0, time.min(self.window))
    }

    /// Notes a read that brought `bytes` in `time`. `false`: two windows in a row brought less than they must.
    pub(crate) fn keeps_up(&mut self, bytes: u64, time: Duration) -> bool {
        self.elapsed += time;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.elapsed < self.window {
            return true;
        }
        // One read may have taken several windows.
        let windows = (self.elapsed.as_nanos() / self.window.as_nanos().max(1)) as u64;
        let slow = self.bytes < self.least.saturating_mul(windows);
        let keeps_up = !slow || (windows == 1 && !self.slow);
        (self.elapsed, self.bytes, self.slow) = (Duration::ZERO, 0, slow);
        keeps_up
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(4);

    proptest! {
        /// However a server spends its time: fewer bytes than the minimum end the transfer within four windows.
        #[test]
        fn a_drip_ends(reads in proptest::collection::vec((1u64..3900, 0u64..3), 1..200)) {
            let (mut speed, mut now) = (Speed::new(WINDOW, 1024), 0);
            for (gap, bytes) in reads {
                now += gap;
                if !speed.keeps_up(bytes, Duration::from_millis(gap)) { break; }
                prop_assert!(now < 16_000, "still going after {} ms", now);
            }
        }

        #[test]
        fn a_flow_above_the_minimum_passes(reads in proptest::collection::vec(1u64..20_000, 1..200)) {
            let mut speed = Speed::new(WINDOW, 1024);
            for gap in reads {
                prop_assert!(speed.keeps_up(gap * 2, Duration::from_millis(gap)));
            }
        }
    }

    #[test]
    fn one_slow_window_is_forgiven_and_a_second_one_is_not() {
        let mut speed = Speed::new(WINDOW, 1024);
        for _ in 0..3 {
            assert!(speed.keeps_up(1 << 20, WINDOW));
            assert!(speed.keeps_up(1, WINDOW));
        }
        assert!(!speed.keeps_up(1, WINDOW));
        assert!(!Speed::new(WINDOW, 1024).keeps_up(1, WINDOW * 2), "in one read");
        assert!(Speed::new(WINDOW, 0).keeps_up(0, WINDOW * 9), "without a minimum");
    }
}
