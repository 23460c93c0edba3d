//! PURE. How long to wait so that a loop over many apps stays under the service's budgets (contract,
//! sections 4 and 10). The clock is a duration since the client was made.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// The window of the request budget, and a second: two requests take different times to arrive.
const MINUTE: Duration = Duration::from_secs(61);

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
            let after = |last: Option<&Duration>, pause| last.map_or(now, |last| last.saturating_add(pause));
            at = at.max(after(self.last_creation.as_ref(), self.pace.between_creations));
            at = at.max(after(self.last_of.get(resource), self.pace.between_creations_of_one));
        }
        let most = self.pace.requests_per_minute as usize;
        if most > 0 {
            while self.sent.front().is_some_and(|sent| sent.saturating_add(MINUTE) <= now) {
                self.sent.pop_front();
            }
            // Turns may be booked far ahead by other threads' creations: the first gap that fits is taken.
            while let Some(later) = self.crowded(at, most) {
                at = later;
            }
            let place = self.sent.partition_point(|sent| *sent <= at);
            self.sent.insert(place, at);
        }
        if let Some(resource) = creates {
            self.last_creation = Some(at);
            let since = self.pace.between_creations_of_one;
            self.last_of.retain(|_, last| last.saturating_add(since) > now);
            self.last_of.insert(resource.to_owned(), at);
        }
        at.saturating_sub(now)
    }

    /// A creation was answered at `now`: it is not known when in between the service began to count.
    pub(crate) fn created(&mut self, now: Duration, resource: &str) {
        self.last_creation = self.last_creation.max(Some(now));
        let last = self.last_of.entry(resource.to_owned()).or_insert(now);
        *last = now.max(*last);
    }

    /// Whether one more request at `at` would make more than `most` in some minute; if so, the next moment worth
    /// trying.
    fn crowded(&self, at: Duration, most: usize) -> Option<Duration> {
        let place = self.sent.partition_point(|sent| *sent <= at);
        // As if it were in already.
        let moment = |i: usize| match i.cmp(&place) {
            Ordering::Less => self.sent.get(i).copied(),
            Ordering::Equal => Some(at),
            Ordering::Greater => self.sent.get(i - 1).copied(),
        };
        let full = (place.saturating_sub(most)..=place)
            .filter_map(|first| Some((moment(first)?, moment(first.checked_add(most)?)?)))
            .any(|(first, last)| last.saturating_sub(first) < MINUTE);
        let ends = self.sent.iter().map(|sent| sent.saturating_add(MINUTE));
        if full { ends.filter(|end| *end > at).min() } else { None }
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
        let mut slow = Pacer::new(Pace::new());
        slow.book(seconds(0), Some("a"));
        slow.created(seconds(90), "a");
        assert_eq!(slow.book(seconds(90), Some("b")), seconds(5), "counted from the answer");
        assert_eq!(pacer.book(seconds(7), None), seconds(0), "a listing does not wait for creations");
    }

    #[test]
    fn creations_booked_far_ahead_leave_the_next_minutes_free() {
        let mut pacer = Pacer::new(Pace::new().requests_per_minute(2));
        for _ in 0..5 {
            pacer.book(seconds(0), Some("a"));
        }
        assert_eq!(pacer.book(seconds(1), None), seconds(0));
        assert_eq!(pacer.book(seconds(2), None), seconds(59), "the minute's two are used");
        let mut endless = Pacer::new(Pace::new().between_creations(Duration::MAX));
        endless.book(seconds(1), Some("a"));
        assert!(endless.book(seconds(2), Some("b")) > seconds(1 << 40));
        assert_eq!(endless.book(seconds(3), None), seconds(0));
    }

    proptest! {
        #[test]
        fn threads_that_book_ahead_never_exceed_the_budget(
            calls in proptest::collection::vec((0u64..9_000, proptest::option::of(0u8..4)), 1..120), most in 1u32..8
        ) {
            let mut pacer = Pacer::new(Pace::new().requests_per_minute(most));
            let (mut now, mut sent) = (Duration::ZERO, Vec::new());
            for (gap, creates) in calls {
                now += Duration::from_millis(gap); // other threads do the sleeping
                sent.push(now + pacer.book(now, creates.map(|id| id.to_string()).as_deref()));
            }
            sent.sort();
            for window in sent.windows(most as usize + 1) {
                prop_assert!(window[most as usize] - window[0] >= MINUTE);
            }
        }

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
