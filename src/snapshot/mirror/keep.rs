//! PURE. Which snapshots a policy keeps, and why: the words and the rules of
//! [restic's `forget`](https://restic.readthedocs.io/en/stable/060_forget.html#removing-snapshots-according-to-a-policy).

use std::time::Duration;

use serde::Serialize;
use time::{OffsetDateTime, UtcOffset};

/// Which snapshots of each app and database a [`Mirror`](crate::Mirror) keeps. By default all of them.
///
/// The rules are those of [restic's `forget`][forget]. A rule that counts hours, days, weeks, months or years keeps the
/// newest snapshot of each of the last `n` that have one; those without a snapshot do not count. If there are fewer than
/// `n`, it keeps the oldest snapshot, too. Weeks begin on Monday. [`and`](Self::and) combines rules: what one of them
/// names is kept. A rule with 0 names nothing, and a policy that names nothing at all keeps everything. The newest
/// snapshot is named by every other policy.
///
/// ```
/// use squarecloud_blocking::Keep;
/// let keep = Keep::last(3).and(Keep::daily(7)).and(Keep::weekly(5)).and(Keep::monthly(12));
/// # assert_ne!(keep, Keep::everything());
/// ```
///
/// [forget]: https://restic.readthedocs.io/en/stable/060_forget.html#removing-snapshots-according-to-a-policy
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Keep {
    /// How many of each of [`RULES`].
    counts: [usize; RULES.len()],
    within: Duration,
}

/// Why a snapshot is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Reason {
    /// The policy keeps everything.
    Everything,
    /// It is one of the last ones.
    Last,
    /// It is the newest of its hour.
    Hourly,
    /// It is the newest of its day.
    Daily,
    /// It is the newest of its week.
    Weekly,
    /// It is the newest of its month.
    Monthly,
    /// It is the newest of its year.
    Yearly,
    /// It was created within the time before the newest one.
    Within,
    /// It is the oldest one, and there are fewer hours, days, ... than a rule keeps.
    Oldest,
    /// No rule names it, but the listing is not complete, so nothing is pruned.
    Incomplete,
}

const RULES: [Reason; 6] =
    [Reason::Last, Reason::Hourly, Reason::Daily, Reason::Weekly, Reason::Monthly, Reason::Yearly];

macro_rules! rules {
    ($($(#[$attribute:meta])* $name:ident: $rule:literal)*) => {$(
        $(#[$attribute])*
        pub fn $name(n: usize) -> Self {
            let mut keep = Self::default();
            keep.counts[$rule] = n;
            keep
        }
    )*};
}

impl Keep {
    rules! {
        /// Keeps the `n` newest snapshots.
        last: 0
        /// Keeps the newest snapshot of each of the last `n` hours that have one.
        hourly: 1
        /// Keeps the newest snapshot of each of the last `n` days that have one.
        daily: 2
        /// Keeps the newest snapshot of each of the last `n` weeks that have one.
        weekly: 3
        /// Keeps the newest snapshot of each of the last `n` months that have one.
        monthly: 4
        /// Keeps the newest snapshot of each of the last `n` years that have one.
        yearly: 5
    }

    /// Keeps everything: the default, and whatever it is combined with.
    pub fn everything() -> Self {
        Self::last(usize::MAX)
    }

    /// Keeps every snapshot that was created less than `duration` before the newest one, and those dated in the future.
    pub fn within(duration: Duration) -> Self {
        Self { within: duration, ..Self::default() }
    }

    /// Keeps what either policy keeps. Of two rules of the same kind, the larger one counts.
    pub fn and(mut self, other: Self) -> Self {
        self.within = self.within.max(other.within);
        for (count, other) in self.counts.iter_mut().zip(other.counts) {
            *count = other.max(*count);
        }
        self
    }

    /// Why each of the snapshots of one resource is kept, which are given by their times, newest first; no reason: it is
    /// not. `offset` says where days begin.
    pub(super) fn reasons(&self, times: &[OffsetDateTime], offset: UtcOffset, now: OffsetDateTime) -> Vec<Vec<Reason>> {
        if *self == Self::default() {
            return vec![vec![Reason::Everything]; times.len()];
        }
        let within = time::Duration::try_from(self.within).unwrap_or(time::Duration::MAX);
        let newest = times.iter().find(|at| **at <= now);
        let (mut left, mut before) = (self.counts, [None; RULES.len()]);
        let reasons = times.iter().enumerate().map(|(number, at)| {
            let is_oldest = number + 1 == times.len();
            let is_within = within.is_positive() && newest.is_none_or(|newest| *newest - *at < within);
            let mut reasons: Vec<Reason> = is_within.then_some(Reason::Within).into_iter().collect();
            for (rule, (left, before)) in RULES.into_iter().zip(left.iter_mut().zip(&mut before)) {
                let period = Some(period(rule, *at, offset, number));
                let is_new = *before != period;
                if *left == 0 || !(is_new || is_oldest) {
                    continue;
                }
                (*left, *before) = (*left - 1, period);
                reasons.push(if is_new { rule } else { Reason::Oldest });
            }
            reasons.dedup();
            reasons
        });
        reasons.collect()
    }
}

/// The hour, day, ... of a rule in which `at` lies: equal for equal ones. Each of the last ones is one of its own.
fn period(rule: Reason, at: OffsetDateTime, offset: UtcOffset, number: usize) -> (i32, usize) {
    let at = at.checked_to_offset(offset).unwrap_or(at);
    let (week_year, week, _) = at.to_iso_week_date();
    match rule {
        Reason::Hourly => (at.year(), usize::from(at.ordinal()) * 24 + usize::from(at.hour())),
        Reason::Daily => (at.year(), at.ordinal().into()),
        Reason::Weekly => (week_year, week.into()),
        Reason::Monthly => (at.year(), u8::from(at.month()).into()),
        Reason::Yearly => (at.year(), 0),
        _ => (0, number),
    }
}
