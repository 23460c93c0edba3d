//! PURE. Which listed snapshot is the one that was just requested.
//!
//! The local clock plays no part. Two things identify the new snapshot: it was created after the request by the
//! service's own clock (the `Date` of its responses), or it was not there when waiting began and is newer than
//! everything that was. Both rely on the service creating at most one in 180 s for each app or database.

use time::{Duration, OffsetDateTime};

use crate::percent::query_value;
use crate::secret::SignedUrl;
use crate::snapshot::snapshot_name;
use crate::types::SnapshotInfo;

/// How far the clocks of the API and of the snapshot host may differ before the API's is no longer relied on.
const SKEW: Duration = Duration::seconds(5);
/// How much later than the `Date` of its creation's response a snapshot may be dated: a `Date` is rounded down by up to
/// a second, and the clocks may differ by another one.
const AFTER_ITS_RESPONSE: Duration = Duration::seconds(2);

/// A snapshot that was requested and is not listed yet.
pub(crate) struct Awaited {
    /// When the response came, and when it was requested, by the service's clock. Both are rounded down to the second,
    /// as the listing's times may be.
    responded: Option<OffsetDateTime>,
    requested: Option<OffsetDateTime>,
    /// What the first listing showed.
    before: Option<Vec<SnapshotInfo>>,
}

impl Awaited {
    /// `responded` is the `Date` of the response; `held` is how long the service held the request open before it.
    pub(crate) fn new(responded: Option<OffsetDateTime>, held: std::time::Duration) -> Self {
        let held = Duration::try_from(held).unwrap_or(Duration::ZERO);
        let requested = responded.and_then(|date| date.checked_sub(held)?.replace_nanosecond(0).ok());
        Self { responded, requested, before: None }
    }

    /// Returns the one item of a listing that can be the snapshot behind `url`, the link in the response to a creation: by
    /// the version if the link names one, otherwise by the time. `None` when there are several.
    pub(crate) fn behind<'a>(&self, url: &SignedUrl, listing: &'a [SnapshotInfo]) -> Option<&'a SnapshotInfo> {
        let (name, version) = (snapshot_name(url.path()), query_value(url.query(), "versionId"));
        let latest = self.responded.map(|responded| responded.saturating_add(AFTER_ITS_RESPONSE));
        // A snapshot from the future shows that the two clocks disagree.
        let clocks_agree = listing.iter().all(|info| latest.is_some_and(|latest| info.created_at < latest));
        let is_new = |info: &SnapshotInfo| {
            clocks_agree && self.requested.is_some_and(|requested| info.created_at >= requested) && !info.is_automatic()
        };
        let mut fitting = listing.iter().filter(|info| {
            let is_there = info.url().is_none_or(|listed| listed.path() == url.path());
            let is_it = if version.is_some() { version == info.version_id } else { is_new(info) };
            info.id == name && is_there && is_it
        });
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// Looks for the new snapshot in a listing that was sent at `now` by the service's clock.
    pub(crate) fn find<'a>(
        &mut self,
        listing: &'a [SnapshotInfo],
        now: Option<OffsetDateTime>,
    ) -> Option<&'a SnapshotInfo> {
        // A snapshot that the service made on its own schedule is never the requested one.
        let newest = listing.iter().filter(|info| !info.is_automatic()).max_by_key(|info| info.created_at);
        let found = newest.filter(|info| self.appeared(info) || self.is_after_the_request(info, listing, now));
        self.before.get_or_insert_with(|| listing.to_vec());
        found
    }

    fn appeared(&self, info: &SnapshotInfo) -> bool {
        let is_newer = |old: &SnapshotInfo| {
            old.created_at < info.created_at && (old.version_id.is_none() || old.version_id != info.version_id)
        };
        self.before.as_ref().is_some_and(|before| before.iter().all(is_newer))
    }

    fn is_after_the_request(&self, info: &SnapshotInfo, listing: &[SnapshotInfo], now: Option<OffsetDateTime>) -> bool {
        let (Some(requested), Some(now)) = (self.requested, now) else {
            return false;
        };
        // A snapshot from the future shows that the two clocks disagree.
        let latest = now.saturating_add(SKEW);
        info.created_at >= requested && listing.iter().all(|listed| listed.created_at <= latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot made `second` seconds into the day.
    fn made(second: i64) -> SnapshotInfo {
        labelled(second, "manual")
    }

    fn labelled(second: i64, origin: &str) -> SnapshotInfo {
        let at = at(second).format(&time::format_description::well_known::Rfc3339).unwrap();
        let item = format!(r#"{{"name":"a","size":1,"modified":"{at}","version_id":"v{second}","origin":"{origin}"}}"#);
        SnapshotInfo::decode(crate::Kind::App, &item).unwrap()
    }

    fn at(second: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_795_000_000 + second).unwrap()
    }

    fn held(seconds: u64) -> std::time::Duration {
        std::time::Duration::from_secs(seconds)
    }

    /// Requested at second 1000; the response came at 1090.
    fn awaited() -> Awaited {
        Awaited::new(Some(at(1090)), held(90))
    }

    #[test]
    fn what_a_finished_creation_made_was_dated_between_request_and_response() {
        let url = SignedUrl::parse("https://h.example/applications/1/a.zip?Signature=x").unwrap();
        // The times in between are rounded down, the request's as well.
        let wait = Awaited::new(Some(at(1090)), held(90) - std::time::Duration::from_millis(300));
        for (second, found) in [(999, false), (1000, true), (1091, true), (1092, false), (400, false)] {
            assert_eq!(wait.behind(&url, &[made(500), made(second)]).is_some(), found, "{second}");
        }
        assert_eq!(wait.behind(&url, &[made(1050), made(1060)]), None, "either could be it");
        assert_eq!(wait.behind(&url, &[made(1050), made(1700)]), None, "the clocks disagree");
        assert_eq!(wait.behind(&url, &[labelled(1050, "automatic"), made(1060)]), Some(&made(1060)));
        assert_eq!(Awaited::new(None, held(90)).behind(&url, &[made(1050)]), None);
    }

    #[test]
    fn the_new_one_is_found_at_the_first_look() {
        let listing = [made(500), made(1080)];
        assert_eq!(awaited().find(&listing, Some(at(1091))), Some(&listing[1]));
    }

    #[test]
    fn an_older_one_is_never_taken() {
        let mut wait = awaited();
        for now in [1091, 1101, 1111] {
            assert_eq!(wait.find(&[made(999), made(500)], Some(at(now))), None);
        }
        let listing = [made(999), made(1110), made(500)];
        assert_eq!(wait.find(&listing, Some(at(1121))), Some(&listing[1]));
    }

    #[test]
    fn a_link_that_names_a_version_needs_no_clock() {
        let link = |query| SignedUrl::parse(&format!("https://x.test/applications/1/a.zip?{query}")).unwrap();
        let listing = [made(500), made(999)];
        for awaited in [Awaited::new(None, held(1)), Awaited::new(Some(at(5000)), held(1))] {
            assert_eq!(awaited.behind(&link("versionId=v500"), &listing), Some(&listing[0]));
            assert_eq!(awaited.behind(&link("versionId=v1"), &listing), None);
            assert_eq!(awaited.behind(&link("Expires=1"), &listing), None);
        }
    }

    #[test]
    fn a_store_whose_clock_is_off_either_way_gives_no_wrong_answer() {
        for off in [-600, 600] {
            let mut wait = awaited();
            let old = [made(500 + off), made(700 + off)];
            assert_eq!(wait.find(&old, Some(at(1091))), None, "{off}");
            let listing = [made(500 + off), made(700 + off), made(1100 + off)];
            assert_eq!(wait.find(&listing, Some(at(1101))), Some(&listing[2]), "{off}");
        }
    }

    #[test]
    fn without_any_date_only_what_appears_counts() {
        let mut wait = Awaited::new(None, held(90));
        assert_eq!(wait.find(&[made(999)], None), None);
        assert_eq!(wait.find(&[made(999)], None), None);
        assert_eq!(wait.find(&[made(999), made(5)], None), None, "older than what was there");
        let listing = [made(999), made(1100)];
        assert_eq!(wait.find(&listing, None), Some(&listing[1]));
    }

    #[test]
    fn the_services_own_schedule_does_not_count() {
        let mut wait = awaited();
        assert_eq!(wait.find(&[labelled(1085, "automatic")], Some(at(1091))), None);
        assert_eq!(wait.find(&[labelled(1085, "automatic"), labelled(1095, "automatic")], Some(at(1101))), None);
    }

    #[test]
    fn an_empty_listing_waits_on() {
        let mut wait = awaited();
        assert_eq!(wait.find(&[], Some(at(1091))), None);
        let listing = [made(1100)];
        assert_eq!(wait.find(&listing, Some(at(1101))), Some(&listing[0]));
    }
}
