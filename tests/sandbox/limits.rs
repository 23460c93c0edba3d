//! What the service allows how often. Pure: the time is given.

use std::collections::HashMap;

use super::clock::{DAY, MINUTE, SECOND};

/// At most `count` times in `window_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub count: usize,
    pub window_ms: i64,
}

impl Limit {
    pub const fn new(count: usize, window_ms: i64) -> Self {
        Self { count, window_ms }
    }

    /// As the service's messages end: `1r/5s`, `8r/24h`.
    pub fn rate(&self) -> String {
        if self.window_ms % DAY == 0 {
            format!("{}r/{}h", self.count, self.window_ms / (60 * MINUTE))
        } else {
            format!("{}r/{}s", self.count, self.window_ms / SECOND)
        }
    }
}

pub const SNAPSHOT_USER: Limit = Limit::new(1, 5 * SECOND);
pub const SNAPSHOT_RESOURCE: Limit = Limit::new(1, 180 * SECOND);
pub const RESTORE_USER: Limit = Limit::new(1, 60 * SECOND);
pub const RESTORE_RESOURCE: Limit = Limit::new(1, 120 * SECOND);
pub const ACCOUNT_LISTING: Limit = Limit::new(3, 60 * SECOND);
pub const STATUSES: Limit = Limit::new(15, 60 * SECOND);
pub const ACTION_RESOURCE: Limit = Limit::new(1, 3 * SECOND);
pub const ACTION_USER: Limit = Limit::new(20, 15 * SECOND);
pub const UPLOAD_USER: Limit = Limit::new(1, 3 * SECOND);
pub const COMMIT_USER: Limit = Limit::new(1, 2 * SECOND);
pub const COMMIT_RESOURCE: Limit = Limit::new(1, 5 * SECOND);
/// How long `RATE_LIMITED` blocks.
pub const BLOCK_MS: i64 = 30 * MINUTE;
/// How long after a restore the resource is held.
pub const RESTORE_HOLD_MS: i64 = 120 * SECOND;

/// Snapshots an owner may make in 24 hours.
pub fn daily_quota(ram_mb: u64) -> Limit {
    Limit::new((ram_mb / 256 * 2) as usize, DAY)
}

/// When what was done, by a name such as `snapshot user 84...`.
#[derive(Debug, Default)]
pub struct Ledger {
    times: HashMap<String, Vec<i64>>,
}

impl Ledger {
    /// How often within the window before `now`.
    pub fn used(&self, name: &str, window_ms: i64, now: i64) -> usize {
        self.times.get(name).map_or(0, |t| t.iter().filter(|t| now - **t < window_ms).count())
    }

    /// Whether once more is allowed.
    pub fn allows(&self, name: &str, limit: Limit, now: i64) -> bool {
        self.used(name, limit.window_ms, now) < limit.count
    }

    /// Writes down that it was done.
    pub fn note(&mut self, name: &str, now: i64) {
        let times = self.times.entry(name.to_string()).or_default();
        times.retain(|t| now - *t < DAY);
        times.push(now);
    }
}
