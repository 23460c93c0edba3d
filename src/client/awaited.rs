//! PURE. Which listed snapshot is the one that was just requested: never one that was made before, whoever made it.
//!
//! The request's time is known by the service's clock: the `Date` of its response less the time it was held open. Without a
//! `Date`, the local clock has to do, which may be up to 120 s ahead: that is less than the 180 s that the service keeps
//! between two snapshots of one app or database.
//!
//! | `Date` | what the listing shows | taken |
//! |---|---|---|
//! | known | one made before the request, even if it was not listed before | no |
//! | known | one made at the request or later | yes |
//! | known | several of them | the earliest: later ones are somebody else's |
//! | missing | one that may be it in the first listing: it may be older as well | nothing, from then on |
//! | missing | one newer than everything listed before, made up to 120 s before the request or later | yes |
//! | missing | one newer than everything listed before, made earlier | no |
//! | either | one that the service made on its own schedule | no |
//! | either | anything more than 5 s ahead of a listing's `Date`: the clocks disagree | nothing, from then on |
//!
//! What is never taken is waited for until the wait ends as [`Error::Pending`](crate::Error::Pending).
//!
//! A `Date` has whole seconds, rounded down, so the request lies up to a second later than it says. Times in the listing are
//! rounded down, too, and compared with the request's time rounded alike: to the millisecond, or to the second when
//! they have no digits after it.

use time::{Duration, OffsetDateTime};

use crate::percent::query_value;
use crate::secret::SignedUrl;
use crate::snapshot::snapshot_name;
use crate::types::SnapshotInfo;

/// How far the clocks of the API and of the snapshot host may differ before the API's is no longer relied on.
const SKEW: Duration = Duration::seconds(5);
/// How far the local clock may be ahead of the service's when that is not known.
const LOCAL_SKEW: Duration = Duration::seconds(120);
/// How much later than the `Date` of its creation's response a snapshot may be dated: a `Date` is rounded down by up to
/// a second, and the clocks may differ by another one.
const AFTER_ITS_RESPONSE: Duration = Duration::seconds(2);

/// When something was requested, at the earliest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requested(OffsetDateTime);

impl Requested {
    /// `responded` is the `Date` of the response, `held` how long after the request it came, and `local` the time of the
    /// request by the local clock.
    pub(super) fn new(responded: Option<OffsetDateTime>, held: std::time::Duration, local: OffsetDateTime) -> Self {
        let held = Duration::try_from(held).unwrap_or(Duration::MAX);
        let requested = match responded {
            Some(date) => date.saturating_sub(held),
            None => local.saturating_sub(LOCAL_SKEW),
        };
        Self(requested.replace_millisecond(requested.millisecond()).unwrap_or(requested))
    }

    /// Whether what the service dates `at` was begun at the request or later.
    pub(super) fn is_before(self, at: OffsetDateTime) -> bool {
        let rounded = if at.nanosecond() == 0 { self.0.replace_nanosecond(0).unwrap_or(self.0) } else { self.0 };
        rounded <= at
    }
}

/// A snapshot that was requested and is not listed yet.
pub(super) struct Awaited {
    requested: Requested,
    /// When the response came, by the service's clock.
    responded: Option<OffsetDateTime>,
    /// The newest time in the listings so far; `None` before the first one.
    newest: Option<OffsetDateTime>,
    /// A listing showed something from the future, or without a `Date` one that may be it and may be older.
    unclear: bool,
}

impl Awaited {
    /// See [`Requested::new`].
    pub(super) fn new(responded: Option<OffsetDateTime>, held: std::time::Duration, local: OffsetDateTime) -> Self {
        let requested = Requested::new(responded, held, local);
        Self { requested, responded, newest: None, unclear: false }
    }

    /// Returns the one item of a listing that can be the snapshot behind `url`, the link in the response to a creation: by
    /// the version if the link names one, otherwise by the time, which must lie between request and response. `None` when
    /// there are several, or without a `Date`.
    pub(super) fn behind<'a>(&self, url: &SignedUrl, listing: &'a [SnapshotInfo]) -> Option<&'a SnapshotInfo> {
        let (name, version) = (snapshot_name(url.path()), query_value(url.query(), "versionId"));
        let latest = self.responded.map(|responded| responded.saturating_add(AFTER_ITS_RESPONSE));
        // A snapshot from the future shows that the two clocks disagree.
        let clocks_agree = listing.iter().all(|info| latest.is_some_and(|latest| info.created_at < latest));
        let mut fitting = listing.iter().filter(|info| {
            let is_there = info.url().is_none_or(|listed| listed.path() == url.path());
            let is_it = if version.is_some() { version == info.version_id } else { clocks_agree && self.can_be(info) };
            info.id == name && is_there && is_it
        });
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// Looks for the new snapshot in a listing that was sent at `now` by the service's clock.
    pub(super) fn find<'a>(
        &mut self,
        listing: &'a [SnapshotInfo],
        now: Option<OffsetDateTime>,
    ) -> Option<&'a SnapshotInfo> {
        let newest = listing.iter().map(|info| info.created_at).max();
        let latest = now.map(|now| now.saturating_add(SKEW));
        self.unclear |= newest.zip(latest).is_some_and(|(newest, latest)| newest > latest);
        let before = self.newest;
        self.newest = before.max(newest).or(Some(OffsetDateTime::UNIX_EPOCH));
        let found = listing.iter().filter(|info| self.can_be(info)).min_by_key(|info| info.created_at);
        if let Some(info) = found
            && self.responded.is_none()
        {
            self.unclear |= before.is_none_or(|before| info.created_at <= before);
        }
        found.filter(|_| !self.unclear)
    }

    /// Whether it was made at the request or later, and not by the service on its own schedule.
    fn can_be(&self, info: &SnapshotInfo) -> bool {
        !info.is_automatic() && self.requested.is_before(info.created_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Thousandths of a second.
    const S: i64 = 1000;

    /// A snapshot that the service made `ms` after the request; `!` in front of the origin: listed in whole seconds.
    fn made(ms: i64, origin: &str) -> SnapshotInfo {
        let exact = at(ms);
        let listed = match origin.strip_prefix('!') {
            Some(_) => exact.replace_nanosecond(0).unwrap(),
            None => exact,
        };
        let listed = listed.format(&time::format_description::well_known::Rfc3339).unwrap();
        let origin = origin.trim_start_matches('!');
        let item = format!(r#"{{"name":"a","size":1,"modified":"{listed}","version_id":"v{ms}","origin":"{origin}"}}"#);
        SnapshotInfo::decode(crate::Kind::App, &item).unwrap()
    }

    fn manual(ms: i64) -> SnapshotInfo {
        made(ms, "manual")
    }

    /// The service's clock `ms` after the request, which came at 400 ms of a second.
    fn at(ms: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(1_795_000_000_400 + ms) * 1_000_000).unwrap()
    }

    /// As it is written in a header.
    fn date(ms: i64) -> Option<OffsetDateTime> {
        at(ms).replace_nanosecond(0).ok()
    }

    fn held(ms: i64) -> std::time::Duration {
        std::time::Duration::from_millis(ms.unsigned_abs())
    }

    /// Held open for 90 s, with or without a `Date`; the local clock is right.
    fn awaited(has_date: bool) -> Awaited {
        Awaited::new(date(90 * S).filter(|_| has_date), held(90 * S), at(0))
    }

    /// The version that is taken from the last of several listings, each sent at a time with the snapshots in it.
    fn taken(mut wait: Awaited, has_date: bool, listings: &[(i64, &[i64])]) -> Option<i64> {
        let mut found = None;
        for (now, listing) in listings {
            assert_eq!(found, None, "before the last listing");
            let listing: Vec<_> = listing.iter().map(|ms| manual(*ms)).collect();
            let info = wait.find(&listing, date(*now).filter(|_| has_date));
            found = info.map(|info| info.version_id.as_ref().unwrap()[1..].parse().unwrap());
        }
        found
    }

    /// The table at the top of this file.
    #[test]
    fn what_is_taken() {
        type Listings = &'static [(i64, &'static [i64])];
        let with_date: [(&str, Listings, Option<i64>); 8] = [
            ("at the first look", &[(91 * S, &[-500 * S, 80 * S])], Some(80 * S)),
            ("made before, listed late", &[(91 * S, &[-500 * S]), (101 * S, &[-500 * S, -181 * S])], None),
            ("a second before", &[(91 * S, &[-S])], None),
            ("at the request", &[(91 * S, &[0])], Some(0)),
            ("after the response", &[(91 * S, &[-S]), (131 * S, &[-S, 130 * S])], Some(130 * S)),
            ("the earliest", &[(300 * S, &[290 * S, 10 * S, -200 * S, 200 * S])], Some(10 * S)),
            ("empty before", &[(91 * S, &[]), (101 * S, &[99 * S])], Some(99 * S)),
            ("from the future", &[(91 * S, &[98 * S]), (99 * S, &[98 * S]), (300 * S, &[98 * S, 250 * S])], None),
        ];
        for (what, listings, expected) in with_date {
            assert_eq!(taken(awaited(true), true, listings), expected, "{what}");
        }
        let without: [(&str, Listings, Option<i64>); 8] = [
            ("in the first listing", &[(91 * S, &[80 * S]), (101 * S, &[80 * S])], None),
            ("new", &[(91 * S, &[-500 * S]), (101 * S, &[-500 * S, 80 * S])], Some(80 * S)),
            ("new, after nothing", &[(91 * S, &[]), (101 * S, &[80 * S])], Some(80 * S)),
            ("a later one", &[(91 * S, &[80 * S]), (301 * S, &[80 * S, 290 * S])], None),
            ("not the newest", &[(91 * S, &[99 * S]), (101 * S, &[80 * S, 99 * S])], None),
            ("within the tolerance", &[(91 * S, &[-500 * S]), (101 * S, &[-119 * S])], Some(-119 * S)),
            ("made before, listed late", &[(91 * S, &[-500 * S]), (101 * S, &[-121 * S])], None),
            ("gone and back", &[(91 * S, &[-500 * S, -10 * S]), (101 * S, &[]), (111 * S, &[-10 * S])], None),
        ];
        for (what, listings, expected) in without {
            assert_eq!(taken(awaited(false), false, listings), expected, "{what}");
        }
    }

    #[test]
    fn the_services_own_schedule_does_not_count() {
        let listing = [made(85 * S, "automatic"), made(95 * S, "automatic"), manual(97 * S)];
        for has_date in [true, false] {
            let mut wait = awaited(has_date);
            wait.find(&[], date(92 * S));
            assert_eq!(wait.find(&listing[..2], date(96 * S)), None);
            assert_eq!(wait.find(&listing, date(98 * S)), Some(&listing[2]));
        }
    }

    #[test]
    fn times_are_rounded_alike() {
        let since = |ms: i64| Requested::new(date(ms), held(ms), at(0));
        // The `Date` says that the request came 400 ms earlier than it did.
        let exact = since(90 * S);
        assert!(exact.is_before(manual(-400).created_at) && !exact.is_before(manual(-401).created_at));
        // In whole seconds, all of the second of that time counts.
        let whole = |ms| made(ms, "!manual").created_at;
        assert!(since(700).is_before(whole(0)) && since(700).is_before(whole(-400)));
        assert!(!since(700).is_before(whole(-401)));
    }

    #[test]
    fn what_a_finished_creation_made_was_dated_between_request_and_response() {
        let url = SignedUrl::parse("https://h.example/applications/1/a.zip?Signature=x").unwrap();
        let wait = awaited(true);
        for (ms, found) in [(-S, false), (0, true), (91 * S, true), (92 * S, false), (-600 * S, false)] {
            assert_eq!(wait.behind(&url, &[manual(-500 * S), manual(ms)]).is_some(), found, "{ms}");
        }
        assert_eq!(wait.behind(&url, &[manual(50 * S), manual(60 * S)]), None, "either could be it");
        assert_eq!(wait.behind(&url, &[manual(50 * S), manual(700 * S)]), None, "the clocks disagree");
        let automatic = made(50 * S, "automatic");
        assert_eq!(wait.behind(&url, &[automatic, manual(60 * S)]), Some(&manual(60 * S)));
        assert_eq!(awaited(false).behind(&url, &[manual(50 * S)]), None);
    }

    #[test]
    fn a_link_that_names_a_version_needs_no_clock() {
        let link = |query| SignedUrl::parse(&format!("https://x.test/applications/1/a.zip?{query}")).unwrap();
        let listing = [manual(-500), manual(-1)];
        for has_date in [true, false] {
            let wait = awaited(has_date);
            assert_eq!(wait.behind(&link("versionId=v-500"), &listing), Some(&listing[0]));
            assert_eq!(wait.behind(&link("versionId=v1"), &listing), None);
            assert_eq!(awaited(false).behind(&link("Expires=1"), &listing), None);
        }
    }

    /// A snapshot that exists at the service: when it was made and how it is listed.
    fn snapshots() -> impl Strategy<Value = Vec<(i64, &'static str)>> {
        let old = -900 * S..-S;
        let origin = prop_oneof![Just("manual"), Just("automatic"), Just("!manual"), Just("!automatic")];
        proptest::collection::vec((prop_oneof![old, 0..400 * S], origin), 0..12)
    }

    proptest! {
        /// Listings may be late, out of order, cached, repeated or incomplete, and show what is still to come.
        #[test]
        fn what_was_made_before_is_never_taken(
            all in snapshots(),
            listings in proptest::collection::vec((0..400 * S, proptest::collection::vec(any::<bool>(), 12), any::<bool>()), 0..8),
            held_for in 0..100 * S,
            has_date in any::<bool>(),
            local in -60 * S..60 * S,
        ) {
            let mut wait = Awaited::new(date(held_for).filter(|_| has_date), held(held_for), at(local));
            for (now, shown, dated) in listings {
                let shown = all.iter().zip(shown).filter(|(_, shown)| *shown).map(|((ms, origin), _)| made(*ms, origin));
                let listing: Vec<_> = shown.collect();
                if let Some(info) = wait.find(&listing, date(now).filter(|_| dated)) {
                    let ms: i64 = info.version_id.as_ref().unwrap()[1..].parse().unwrap();
                    // A `Date` and a listing in whole seconds take up to a second each; the local clock may be off.
                    let earliest = if has_date { -2 * S } else { local - 121 * S };
                    prop_assert!(ms > earliest && !info.is_automatic(), "{ms}");
                    prop_assert!(!has_date || ms >= 0 || info.created_at >= at(0).replace_nanosecond(0).unwrap() - Duration::SECOND);
                    break;
                }
            }
        }
    }

    /// A service with a cache, colleagues and a schedule: what is taken is the one requested, or nothing.
    #[test]
    fn two_hundred_services() {
        let mut found = [0, 0];
        for seed in 0..200u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut random = |from: i64, to: i64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                from + ((state >> 33) as i64) % (to - from)
            };
            let has_date = seed % 4 != 0;
            // Ours, two colleagues' 180 s before it at least and one 180 s behind it, and the schedule's; when each is listed.
            let ours = random(0, 90 * S);
            let late = ours + random(0, 150 * S);
            let first = random(-600 * S, -180 * S);
            let mut all = vec![(manual(ours), late)];
            for ms in [first, first - 200 * S, ours + random(180 * S, 400 * S)] {
                all.push((manual(ms), ms + random(0, 600 * S)));
            }
            for _ in 0..2 {
                let ms = random(-300 * S, 300 * S);
                all.push((made(ms, "automatic"), ms.max(0)));
            }
            let cached_for = [1, 30 * S][(seed % 2) as usize];
            let mut wait = Awaited::new(date(90 * S).filter(|_| has_date), held(90 * S), at(random(-50 * S, 50 * S)));
            let taken = (91..391).step_by(10).find_map(|second| {
                let now = second * S / cached_for * cached_for;
                let seen = all.iter().filter(|(_, listed)| *listed <= now).map(|(info, _)| info.clone());
                wait.find(&seen.collect::<Vec<_>>(), date(now).filter(|_| has_date)).cloned()
            });
            match taken {
                Some(info) => {
                    assert_eq!(info, manual(ours), "seed {seed}");
                    found[usize::from(has_date)] += 1;
                }
                None => assert!(!has_date, "seed {seed}: it was listed after {late} ms"),
            }
        }
        assert!(found[1] == 150 && found[0] >= 10, "{found:?}");
    }
}
