//! PURE. Which snapshots a policy keeps, and why: the words and the rules of
//! [restic's `forget`](https://restic.readthedocs.io/en/stable/060_forget.html#removing-snapshots-according-to-a-policy).

use std::time::Duration;

use serde::Serialize;
use time::{OffsetDateTime, UtcOffset};

use self::KeepReason::{Daily, Everything, Hourly, Last, Monthly, Oldest, Weekly, Within, Yearly};

/// Which snapshots of each app and database a [`Mirror`](crate::Mirror) keeps. By default all of them.
///
/// The rules are those of [restic's `forget`][forget]. `hourly`, `daily`, `weekly`, `monthly` and `yearly` keep the newest
/// snapshot of each of the `n` most recent hours, days, ... that have one; while there are fewer than `n`, the oldest snapshot
/// is kept, too. Weeks begin on Monday. [`and`](Self::and) combines rules: what one of them names is kept. A rule with 0 names
/// nothing, and a policy that names nothing keeps everything. Every other policy names the newest snapshot.
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
pub enum KeepReason {
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

const RULES: [KeepReason; 6] = [Last, Hourly, Daily, Weekly, Monthly, Yearly];

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

    /// Keeps every snapshot that was created less than `duration` before the newest snapshot (not before now), and those dated
    /// in the future. `time::Duration::days(30).unsigned_abs()` is such a duration.
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
    pub(super) fn why(&self, times: &[OffsetDateTime], offset: UtcOffset, now: OffsetDateTime) -> Vec<Vec<KeepReason>> {
        if *self == Self::everything() || *self == Self::default() {
            return vec![vec![Everything]; times.len()];
        }
        let within = time::Duration::try_from(self.within).unwrap_or(time::Duration::MAX);
        // These are whole seconds: a snapshot of this second is not of the future.
        let newest = times.iter().find(|at| **at <= now);
        let (mut left, mut before) = (self.counts, [None; RULES.len()]);
        let reasons = times.iter().enumerate().map(|(number, at)| {
            let is_oldest = number + 1 == times.len();
            let is_within = within.is_positive() && newest.is_none_or(|newest| *newest - *at < within);
            let mut reasons: Vec<KeepReason> = is_within.then_some(Within).into_iter().collect();
            for (rule, (left, before)) in RULES.into_iter().zip(left.iter_mut().zip(&mut before)) {
                let period = Some(period(rule, *at, offset, number));
                let is_new = *before != period;
                if *left == 0 || !(is_new || is_oldest) {
                    continue;
                }
                (*left, *before) = (*left - 1, period);
                let reason = if is_new { rule } else { Oldest };
                reasons.extend((!reasons.contains(&reason)).then_some(reason));
            }
            reasons
        });
        reasons.collect()
    }
}

/// The hour, day, ... of a rule in which `at` lies: equal for equal ones. Each of the last ones is one of its own.
fn period(rule: KeepReason, at: OffsetDateTime, offset: UtcOffset, number: usize) -> (i32, usize) {
    let at = at.checked_to_offset(offset).unwrap_or(at);
    let (week_year, week, _) = at.to_iso_week_date();
    match rule {
        Hourly => (at.year(), usize::from(at.ordinal()) * 24 + usize::from(at.hour())),
        Daily => (at.year(), at.ordinal().into()),
        Weekly => (week_year, week.into()),
        Monthly => (at.year(), u8::from(at.month()).into()),
        Yearly => (at.year(), 0),
        _ => (0, number),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    const ALL: usize = usize::MAX;
    const H: Duration = Duration::from_secs(3600);
    /// Each working day of two weeks, but for Wednesday the 11th, and twice on Fridays.
    const WORKDAYS: &str = "13T23 13T11 12T11 10T11 09T11 06T23 06T11 05T11 04T11 03T11 02T11";

    /// Times in March 2026, of which the 1st is a Sunday, or any others.
    fn at(text: &str) -> OffsetDateTime {
        let text = if text.contains('-') { text.into() } else { format!("2026-03-{text}") };
        OffsetDateTime::parse(&format!("{text}{}", &"0000-00-00T00:00:00Z"[text.len()..]), &Rfc3339).unwrap()
    }

    /// Why each snapshot of `history` is kept, as the first letters of the reasons: `-` for none.
    fn table(keep: &Keep, history: &str, offset: i8, now: &str) -> String {
        let times: Vec<_> = history.split_whitespace().map(at).collect();
        let offset = UtcOffset::from_hms(offset, 0, 0).unwrap();
        let letters = |reasons: Vec<KeepReason>| -> String {
            let words = reasons.iter().map(|reason| match reason {
                Within => 'i',
                reason => format!("{reason:?}").chars().next().unwrap(),
            });
            if reasons.is_empty() { "-".into() } else { words.collect() }
        };
        keep.why(&times, offset, at(now)).into_iter().map(letters).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check(history: &str, rows: &[(Keep, &str)]) {
        for (keep, expected) in rows {
            assert_eq!(table(keep, history, 0, "2027-06-01"), *expected, "{keep:?} of {history}");
        }
    }

    #[test]
    fn the_newest_of_each_of_the_last_days_that_have_one_is_kept() {
        let rows = [
            // Five days that have one: the Wednesday without is not counted, so the Friday before is.
            (Keep::daily(5), "D - D D D D - - - - -"),
            (Keep::daily(6), "D - D D D D - D - - -"),
            (Keep::hourly(3), "H H H - - - - - - - -"),
            (Keep::weekly(1), "W - - - - - - - - - -"),
        ];
        check(WORKDAYS, &rows);
    }

    #[test]
    fn with_fewer_periods_than_the_rule_counts_the_oldest_is_kept_too() {
        let rows = [
            (Keep::weekly(2), "W - - - - W - - - - -"),
            (Keep::weekly(3), "W - - - - W - - - - O"),
            (Keep::monthly(2), "M - - - - - - - - - O"),
            (Keep::yearly(ALL), "Y - - - - - - - - - O"),
            // The oldest is the newest of its day, or one of the last: that is the reason.
            (Keep::daily(20), "D - D D D D - D D D D"),
            (Keep::last(20), "L L L L L L L L L L L"),
        ];
        check(WORKDAYS, &rows);
        check("13T11", &[(Keep::yearly(1), "Y"), (Keep::yearly(5), "Y")]);
        check("13T11 13T11 13T11", &[(Keep::hourly(1), "H - -"), (Keep::hourly(2), "H - O")]);
        check("", &[(Keep::last(3), ""), (Keep::default(), "")]);
    }

    #[test]
    fn policies_combine_and_the_larger_count_wins() {
        let rows = [
            (Keep::last(2).and(Keep::daily(3)).and(Keep::weekly(3)), "LDW L D D - W - - - - O"),
            (Keep::daily(2).and(Keep::daily(5)).and(Keep::daily(3)), "D - D D D D - - - - -"),
            (Keep::within(H).and(Keep::within(H * 24)).and(Keep::within(H * 20)), "i i - - - - - - - - -"),
            (Keep::everything().and(Keep::weekly(1)), "LW L L L L L L L L L L"),
        ];
        check(WORKDAYS, &rows);
        // Said once, even when two rules say so and another one stands between them.
        let keep = Keep::weekly(2).and(Keep::monthly(2)).and(Keep::yearly(2));
        check("2026-04-01 31T10", &[(keep, "WMY OM")]);
    }

    #[test]
    fn a_rule_with_0_names_nothing_and_a_policy_that_names_nothing_keeps_everything() {
        let rows = [
            (Keep::default(), "E E E"),
            (Keep::last(0).and(Keep::yearly(0)).and(Keep::within(Duration::ZERO)), "E E E"),
            (Keep::last(0).and(Keep::daily(1)), "D - -"),
            (Keep::daily(0).and(Keep::within(H)), "i - -"),
            (Keep::everything(), "E E E"),
        ];
        check("13T23 13T11 12T11", &rows);
    }

    #[test]
    fn periods_are_those_of_the_calendar() {
        // The 8th is a Sunday.
        let weeks = "09T00:00:00Z 08T23:59:59Z 02T00:00:00Z 01T23:59:59Z 01T10";
        check(weeks, &[(Keep::weekly(2), "W W - - -"), (Keep::weekly(3), "W W - W -"), (Keep::daily(2), "D D - - -")]);
        let hours = "10T11:00:00Z 10T10:59:59Z 10T10:00:00Z 10T09:59:59Z 09T09:30:00Z";
        check(hours, &[(Keep::hourly(3), "H H - H -"), (Keep::hourly(4), "H H - H H")]);
        // The first days of 2027 are of week 53 of 2026, and those of 2028 of week 52 of 2027.
        let years = "2028-01-02 2027-12-31 2027-01-04 2027-01-03 2026-12-31 2026-12-28 2026-12-27";
        check(years, &[(Keep::weekly(3), "W - W W - - -"), (Keep::yearly(2), "Y Y - - - - -")]);
        check(years, &[(Keep::monthly(4), "M M M - M - -"), (Keep::weekly(9), "W - W W - - W")]);
        // The same day of the year, week or month, but in different years.
        let alike = "2028-02-29 2027-03-01 2027-02-28 2026-02-28";
        check(alike, &[(Keep::hourly(9), "H H H H"), (Keep::daily(9), "D D D D")]);
        check(alike, &[(Keep::weekly(9), "W W W W"), (Keep::monthly(9), "M M M M")]);
    }

    #[test]
    fn the_offset_says_where_days_begin() {
        let days = |offset| table(&Keep::daily(2), "10T01:00:00Z 09T23:30:00Z 09T20:00:00Z", offset, "20");
        assert_eq!([days(0), days(2), days(-3), days(4)], ["D D -", "D - D", "D - O", "D - O"]);
    }

    #[test]
    fn within_counts_from_the_newest_that_is_not_in_the_future_and_drops_none_of_the_future() {
        let within = |hours, now| table(&Keep::within(H * hours), WORKDAYS, 0, now);
        assert_eq!(within(12, "20"), "i - - - - - - - - - -", "12 hours before are not within 12 hours");
        assert_eq!(within(13, "20"), "i i - - - - - - - - -");
        assert_eq!(within(13, "2032-01-01"), "i i - - - - - - - - -", "now does not count");
        assert_eq!(within(25, "10T12:00:00Z"), "i i i i i - - - - - -");
        assert_eq!(within(1, "10T11:00:00Z"), "i i i i - - - - - - -");
        assert_eq!(within(1, "10T10:59:59Z"), "i i i i i - - - - - -");
        assert_eq!(within(1, "01"), "i i i i i i i i i i i");
        assert_eq!(table(&Keep::within(Duration::MAX), WORKDAYS, 0, "20"), "i i i i i i i i i i i");
        assert_eq!(table(&Keep::daily(1), WORKDAYS, 0, "10"), "D - - - - - - - - - -", "other rules know no future");
    }

    /// The rules once more, each by itself and from the other end: first the periods, then what is kept of them.
    fn naive(counts: [usize; 6], within: i64, times: &[i64], offset: i64, now: i64) -> Vec<HashSet<KeepReason>> {
        let mut reasons = vec![HashSet::new(); times.len()];
        let newest = times.iter().filter(|at| **at <= now).max();
        for (number, at) in times.iter().enumerate() {
            if within > 0 && newest.is_none_or(|newest| *at > newest - within) {
                reasons[number].insert(Within);
            }
        }
        for (rule, n) in RULES.into_iter().zip(counts) {
            let period = |number: usize| {
                let local = times[number] + offset;
                let date = OffsetDateTime::from_unix_timestamp(local).unwrap().date();
                match rule {
                    Last => number as i64,
                    Hourly => local.div_euclid(3600),
                    Daily => local.div_euclid(86400),
                    // 1 January 1970 was a Thursday.
                    Weekly => (local.div_euclid(86400) + 3).div_euclid(7),
                    Monthly => i64::from(date.year()) * 12 + i64::from(u8::from(date.month())),
                    _ => date.year().into(),
                }
            };
            let mut firsts: Vec<usize> = (0..times.len()).collect();
            firsts.dedup_by_key(|number| period(*number));
            firsts.iter().take(n).for_each(|number| _ = reasons[*number].insert(rule));
            // If it was the first of its period, it is kept for that, since there are counts left.
            if let Some(oldest) = times.len().checked_sub(1).filter(|last| firsts.len() < n && !firsts.contains(last)) {
                reasons[oldest].insert(Oldest);
            }
        }
        reasons
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_the_rules_say_one_by_one(
            counts in [(); 6].map(|()| prop_oneof![9 => Just(0), 6 => 1_usize..5, 2 => 0_usize..40, 1 => Just(ALL)]),
            within in prop_oneof![5 => Just(0_i64), 2 => (0_i64..99).prop_map(|hours| hours * 3600), 1 => 0_i64..1 << 27],
            start in (0_i64..1 << 31).prop_map(|at| at - at % 86400),
            gaps in proptest::collection::vec(
                (prop_oneof![Just(0_i64), Just(90), Just(3600), Just(86400)], 0_i64..99).prop_map(|(unit, n)| unit * n),
                0..40,
            ),
            offset in prop_oneof![Just(0_i32), -93599..93600_i32],
            now in (any::<proptest::sample::Index>(), -1_i64..2),
        ) {
            let mut times = vec![start];
            times.extend(gaps.iter().scan(start, |at, gap| { *at -= gap; Some(*at) }));
            let now = times[now.0.index(times.len())] + now.1;
            let at = |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let dates: Vec<_> = times.iter().map(|seconds| at(*seconds)).collect();
            let rules = [Keep::last, Keep::hourly, Keep::daily, Keep::weekly, Keep::monthly, Keep::yearly];
            let keep = Keep::within(Duration::from_secs(within.unsigned_abs()));
            let keep = rules.iter().zip(counts).fold(keep, |keep, (rule, n)| keep.and(rule(n)));
            prop_assume!(![Keep::default(), Keep::everything()].contains(&keep));
            let reasons = keep.why(&dates, UtcOffset::from_whole_seconds(offset).unwrap(), at(now));
            for (reasons, expected) in reasons.iter().zip(naive(counts, within, &times, offset.into(), now)) {
                let set: HashSet<_> = reasons.iter().copied().collect();
                prop_assert_eq!(set.len(), reasons.len());
                prop_assert_eq!(set, expected);
            }
        }
    }
}
