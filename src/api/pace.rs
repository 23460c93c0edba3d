//! PURE. How long to wait so that a loop over many apps stays under the service's budgets (contract,
//! sections 4 and 10). The clock is a duration since the client was made.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The budgets a paced client keeps to. Opt-in: `ClientBuilder::pace`.
///
/// A call that would exceed a budget waits its turn in the calling thread; there is no thread behind it.
/// The defaults are the contract's: one creation in 5 s, one in 180 s for each app or database, and 30
/// requests in any 60 s, the smallest paid plan's budget.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Pace {
    between_creations: Duration,
    between_creations_of_one: Duration,
    requests_per_minute: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            between_creations: Duration::from_secs(5),
            between_creations_of_one: Duration::from_secs(180),
            requests_per_minute: 30,
        }
    }
}

impl Pace {
    /// The contract's budgets.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests may be sent in any 60 s; 0 for no such budget.
    pub fn requests_per_minute(mut self, n: u32) -> Self {
        self.requests_per_minute = n;
        self
    }

    /// How far two creations lie apart, of whatever app or database.
    pub fn between_creations(mut self, pause: Duration) -> Self {
        self.between_creations = pause;
        self
    }

    /// How far two creations of one app or database lie apart.
    pub fn between_creations_of_one(mut self, pause: Duration) -> Self {
        self.between_creations_of_one = pause;
        self
    }
}

/// What was sent, or is about to be, and when.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    sent: VecDeque<Duration>,
    last_creation: Option<Duration>,
    last_of: HashMap<String, Duration>,
}

impl Pacer {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, sent: VecDeque::new(), last_creation: None, last_of: HashMap::new() }
    }

    /// Books the next free moment for a request and says how long to wait for it. `creates` names the
    /// resource a creation is of.
    pub(crate) fn book(&mut self, now: Duration, creates: Option<&str>) -> Duration {
        let mut at = now;
        if let Some(resource) = creates {
            let after = |last: Option<&Duration>, pause| last.map_or(now, |last| *last + pause);
            at = at.max(after(self.last_creation.as_ref(), self.pace.between_creations));
            at = at.max(after(self.last_of.get(resource), self.pace.between_creations_of_one));
        }
        let most = self.pace.requests_per_minute as usize;
        if most > 0 {
            if let Some(oldest) = self.sent.len().checked_sub(most).and_then(|i| self.sent.get(i)) {
                at = at.max(*oldest + MINUTE);
            }
            // A creation booked far ahead must not push the others' turns back: keep the moments sorted.
            let place = self.sent.partition_point(|sent| *sent <= at);
            self.sent.insert(place, at);
            while self.sent.len() > most * 2 {
                self.sent.pop_front();
            }
        }
        if let Some(resource) = creates {
            self.last_creation = Some(at);
            let since = self.pace.between_creations_of_one;
            self.last_of.retain(|_, last| *last + since > now);
            self.last_of.insert(resource.to_owned(), at);
        }
        at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn creations_keep_their_distance() {
        let mut pacer = Pacer::new(Pace::new());
        assert_eq!(pacer.book(seconds(0), Some("a")), seconds(0));
        assert_eq!(pacer.book(seconds(1), Some("b")), seconds(4));
        assert_eq!(pacer.book(seconds(6), Some("a")), seconds(174));
        assert_eq!(pacer.book(seconds(7), None), seconds(0), "a listing does not wait for creations");
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_budget(gaps in proptest::collection::vec(0u64..20_000, 1..200), most in 1u32..20) {
            let mut pacer = Pacer::new(Pace::new().requests_per_minute(most));
            let (mut now, mut sent) = (Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                now += pacer.book(now, None); // the thread sleeps
                sent.push(now);
            }
            for window in sent.windows(most as usize + 1) {
                prop_assert!(window[most as usize] - window[0] >= MINUTE);
            }
        }
    }
}
