//! The client's sense of time: a clock that goes on while a test's sleep only counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What pauses a thread.
pub(super) type Sleep = Arc<dyn Fn(Duration) + Send + Sync>;

pub(super) struct Time {
    start: Instant,
    sleep: Sleep,
    /// Milliseconds that injected sleeps only counted.
    skipped: AtomicU64,
}

impl Time {
    pub(super) fn new(sleep: Sleep) -> Self {
        Self { start: Instant::now(), sleep, skipped: AtomicU64::new(0) }
    }

    /// The time since the client was made, sleeps at their full length.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed() + Duration::from_millis(self.skipped.load(Ordering::Relaxed))
    }

    pub(super) fn sleep(&self, pause: Duration) {
        if pause.is_zero() {
            return;
        }
        let before = Instant::now();
        (self.sleep)(pause);
        let skipped = pause.saturating_sub(before.elapsed());
        self.skipped.fetch_add(u64::try_from(skipped.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A random number in 0..=1: jitter needs no more than the standard library's seed.
    pub(super) fn jitter() -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let random = random() as f64 / u64::MAX as f64;
        random
    }
}

/// A random number from the seed every hash map gets.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
