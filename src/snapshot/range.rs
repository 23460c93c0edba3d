//! PURE. Byte ranges, what identifies an object, and the judge of a ranged answer.
//!
//! Two answers may only be put together when both are shown to come from the same object (RFC 9110,
//! sections 8.8.1 and 15.3.7.3). Everything here errs on the side of starting over.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Everything, without a `Range`.
    All,
    /// From this byte to the end.
    From(u64),
    /// From the first byte up to, not including, the second.
    Span(u64, u64),
    /// This many of the last bytes.
    Tail(u64),
}

impl Ask {
    /// The `Range` header's value (RFC 9110, section 14.1.2).
    pub(crate) fn header(self) -> Option<String> {
        match self {
            Self::All => None,
            Self::From(start) => Some(format!("bytes={start}-")),
            Self::Span(start, end) => Some(format!("bytes={start}-{}", end.saturating_sub(1))),
            Self::Tail(count) => Some(format!("bytes=-{count}")),
        }
    }

    /// How many bytes are asked for, when `total` or the request itself says so.
    pub(crate) fn length(self, total: Option<u64>) -> Option<u64> {
        match (self, total) {
            (Self::Span(start, end), None) => Some(end - start),
            (Self::Tail(count), None) => Some(count),
            (_, None) => None,
            // The whole object may come whatever is asked for.
            (_, Some(total)) => Some(total),
        }
    }

    /// The bytes a server with `total` bytes must send, as start and end.
    fn expected(self, total: u64) -> (u64, u64) {
        match self {
            Self::All => (0, total),
            Self::From(start) => (start, total),
            Self::Span(start, end) => (start, end.min(total)),
            Self::Tail(count) => (total.saturating_sub(count), total),
        }
    }
}

/// What an answer says about the object it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// A strong entity tag, with its quotes.
    pub(crate) etag: Option<String>,
    /// A weak or malformed entity tag: it can tell objects apart, but not show that they are the same.
    pub(crate) weak: Option<String>,
    /// The store's version id.
    pub(crate) version_id: Option<String>,
    /// `Last-Modified`, as sent.
    pub(crate) modified: Option<String>,
    /// The length of the whole object.
    pub(crate) total: Option<u64>,
}

/// Whether two answers come from the same object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sameness {
    Same,
    Different,
    Unproven,
}

impl Version {
    /// From the headers as sent; `total` is added by [`judge`].
    pub(crate) fn new(etag: Option<&str>, version_id: Option<&str>, modified: Option<&str>) -> Self {
        let sane = |text: Option<&str>| {
            text.map(str::trim)
                .filter(|t| !t.is_empty() && t.len() <= 512 && t.bytes().all(|b| (b' '..0x7f).contains(&b)))
                .map(str::to_owned)
        };
        let etag = sane(etag);
        let strong = etag.as_deref().is_some_and(is_strong);
        let (etag, weak) = if strong { (etag, None) } else { (None, etag) };
        // S3 says `null` for objects of buckets without versions: all of them share it.
        let version_id = sane(version_id).filter(|v| v != "null");
        Self { etag, weak, version_id, modified: sane(modified), total: None }
    }

    /// Whether a later answer could be shown to come from the same object.
    pub(crate) fn is_provable(&self) -> bool {
        self.etag.is_some() || (self.version_id.is_some() && self.total.is_some())
    }

    pub(crate) fn compare(&self, other: &Self) -> Sameness {
        let differ = |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
        let equal = |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a == b);
        if matches!((self.total, other.total), (Some(a), Some(b)) if a != b)
            || differ(&self.etag, &other.etag)
            || differ(&self.version_id, &other.version_id)
        {
            return Sameness::Different;
        }
        if equal(&self.etag, &other.etag) {
            return Sameness::Same;
        }
        if differ(&self.weak, &other.weak) || differ(&self.modified, &other.modified) {
            return Sameness::Different;
        }
        if equal(&self.version_id, &other.version_id) && self.total.is_some() && self.total == other.total {
            return Sameness::Same;
        }
        Sameness::Unproven
    }
}

fn is_strong(etag: &str) -> bool {
    etag.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .is_some_and(|inner| !inner.is_empty() && !inner.contains(['"', ' ']))
}

/// An answer's head, as far as the judge looks at it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) content_range: Option<&'a str>,
    pub(crate) content_length: Option<u64>,
    pub(crate) version: Version,
}

/// What an answer is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 200: the whole object, whatever was asked.
    Whole(Version),
    /// 206: exactly the bytes asked for, of the same object.
    Part { start: u64, end: u64, version: Version },
    /// Another object than before, or not shown to be the same.
    StartOver(&'static str),
    /// 416: the object has no such bytes; its length, when said.
    Empty(Option<u64>),
    /// A status worth another try.
    Busy,
    /// Not an answer to what was asked.
    Wrong(Cow<'static, str>),
}

/// Judges the answer to `ask`, of which `known` was learnt before.
pub(crate) fn judge(ask: Ask, known: &Version, reply: Reply<'_>) -> Verdict {
    match (ask, reply.status) {
        (_, 200) => judge_whole(ask, known, reply),
        (Ask::All, 206) => Verdict::Wrong("a part was sent although the whole was asked for".into()),
        (_, 206) => judge_part(ask, known, reply),
        (Ask::All, 416 | 412) => Verdict::Wrong("the request carried no condition that could fail".into()),
        (_, 412) => Verdict::StartOver("the snapshot changed"),
        (_, 416) => Verdict::Empty(reply.content_range.and_then(unsatisfied_total)),
        (_, 500 | 502 | 503 | 504) => Verdict::Busy,
        (_, 401 | 403) => Verdict::Wrong(
            "the link has expired or was refused; list the snapshots again for a new one".into(),
        ),
        (_, 404 | 410) => {
            Verdict::Wrong("the snapshot is gone; list the snapshots to see which are there".into())
        }
        (_, 429) => Verdict::Wrong("too many downloads; wait before the next one".into()),
        _ => Verdict::Wrong("expected 200".into()),
    }
}

/// A part under the status of the whole is not taken for the whole.
fn judge_whole(ask: Ask, known: &Version, reply: Reply<'_>) -> Verdict {
    let version = Version { total: reply.content_length, ..reply.version };
    let said = reply.content_range.and_then(content_range);
    if said.is_some_and(|(start, end, total)| (start, end) != (0, total)) {
        return match ask {
            Ask::All => Verdict::Wrong("a part was sent although the whole was asked for".into()),
            _ => Verdict::StartOver("the answer is a part and says that it is the whole"),
        };
    }
    let shorter = matches!((known.total, version.total), (Some(a), Some(b)) if a != b);
    if shorter && known.etag.is_some() && known.etag == version.etag {
        return Verdict::StartOver("the same snapshot came with another length");
    }
    Verdict::Whole(version)
}

fn judge_part(ask: Ask, known: &Version, reply: Reply<'_>) -> Verdict {
    let Some((start, end, total)) = reply.content_range.and_then(content_range) else {
        return Verdict::StartOver("the answer does not say which bytes it holds");
    };
    if (start, end) != ask.expected(total) {
        return Verdict::StartOver("other bytes came than were asked for");
    }
    if reply.content_length.is_some_and(|length| length != end - start) {
        return Verdict::StartOver("the answer's two lengths contradict each other");
    }
    let version = Version { total: Some(total), ..reply.version };
    match known.compare(&version) {
        Sameness::Different => Verdict::StartOver("the snapshot changed"),
        Sameness::Unproven if *known != Version::default() => {
            Verdict::StartOver("nothing shows that the answer belongs to the same snapshot")
        }
        _ => Verdict::Part { start, end, version },
    }
}

/// `bytes 0-9/100` as start, end (not included) and total (RFC 9110, section 14.4).
fn content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (unit, rest) = value.trim().split_once(' ')?;
    let (span, total) = rest.trim().split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    (unit.eq_ignore_ascii_case("bytes") && first <= last && last < total).then_some((first, last + 1, total))
}

fn unsatisfied_total(value: &str) -> Option<u64> {
    number(value.trim().strip_prefix("bytes")?.trim_start().strip_prefix("*/")?)
}

/// Digits only: `parse` would take a sign.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tagged(etag: &str, total: u64) -> Version {
        Version { total: Some(total), ..Version::new(Some(etag), None, None) }
    }

    fn part<'a>(range: &'a str, version: Version) -> Reply<'a> {
        Reply { status: 206, content_range: Some(range), content_length: None, version }
    }

    #[test]
    fn the_same_object_is_shown_by_tag_or_by_version_and_length() {
        let v = |etag, id, modified, total| Version { total, ..Version::new(etag, id, modified) };
        let same = |a: &Version, b: &Version| a.compare(b);
        let tag = v(Some("\"a\""), None, None, Some(5));
        assert_eq!(same(&tag, &v(Some("\"a\""), None, None, Some(5))), Sameness::Same);
        assert_eq!(same(&tag, &v(Some("\"a\""), None, None, Some(6))), Sameness::Different);
        assert_eq!(same(&tag, &v(Some("\"b\""), None, None, Some(5))), Sameness::Different);
        assert_eq!(same(&tag, &v(None, None, None, Some(5))), Sameness::Unproven);
        let weak = v(Some("W/\"a\""), None, None, Some(5));
        assert_eq!(same(&weak, &weak), Sameness::Unproven);
        assert_eq!(same(&weak, &v(Some("W/\"b\""), None, None, Some(5))), Sameness::Different);
        let id = v(None, Some("k1"), None, Some(5));
        assert_eq!(same(&id, &id), Sameness::Same);
        assert_eq!(same(&id, &v(None, Some("k1"), None, None)), Sameness::Unproven);
        assert_eq!(same(&id, &v(None, Some("k2"), None, Some(5))), Sameness::Different);
        let null = v(None, Some("null"), None, Some(5));
        assert_eq!(same(&null, &null), Sameness::Unproven);
        let day = v(None, None, Some("Mon, 23 Nov 2026 10:00:00 GMT"), Some(5));
        assert_eq!(same(&day, &day), Sameness::Unproven);
        assert!(tag.is_provable() && id.is_provable() && !weak.is_provable() && !day.is_provable());
    }

    #[test]
    fn statuses() {
        let known = Version::default();
        let reply = |status| Reply { status, ..Reply::default() };
        assert!(matches!(judge(Ask::All, &known, reply(200)), Verdict::Whole(_)));
        assert!(matches!(judge(Ask::From(3), &known, reply(200)), Verdict::Whole(_)));
        for status in [201, 202, 203, 204, 206, 304, 400, 403, 404, 412, 416, 429, 501, 999] {
            assert!(matches!(judge(Ask::All, &known, reply(status)), Verdict::Wrong(_)), "{status}");
        }
        for status in [500, 502, 503, 504] {
            assert_eq!(judge(Ask::All, &known, reply(status)), Verdict::Busy);
        }
        assert!(matches!(judge(Ask::From(3), &known, reply(412)), Verdict::StartOver(_)));
        let empty = Reply { status: 416, content_range: Some("bytes */0"), ..Reply::default() };
        assert_eq!(judge(Ask::Tail(10), &known, empty), Verdict::Empty(Some(0)));
    }

    #[test]
    fn malformed_ranges_are_refused() {
        let known = tagged("\"a\"", 10);
        for range in [
            "",
            "bytes",
            "bytes 4-9",
            "bytes 4-9/*",
            "bytes 4-10/10",
            "bytes 9-4/10",
            "bytes +4-9/10",
            "items 4-9/10",
            "bytes 4-9/11",
            "bytes 3-9/10",
            "bytes 4-8/10",
            "bytes 0-9/10",
            "bytes 4-9/99999999999999999999999",
        ] {
            let verdict = judge(Ask::From(4), &known, part(range, Version::new(Some("\"a\""), None, None)));
            assert!(matches!(verdict, Verdict::StartOver(_)), "{range}: {verdict:?}");
        }
    }

    proptest! {
        /// Only the exact bytes of the same object pass.
        #[test]
        fn only_the_exact_answer_passes(
            total in 1u64..60, asked in 0u64..60, first in 0u64..60, last in 0u64..60, said in 1u64..60,
            tag in 0u8..3, length in proptest::option::of(0u64..60),
        ) {
            let asked = asked % total;
            let known = tagged("\"t1\"", total);
            let version = Version::new(match tag { 0 => None, 1 => Some("\"t1\""), _ => Some("\"t2\"") }, None, None);
            let range = format!("bytes {first}-{last}/{said}");
            let reply = Reply { content_length: length, ..part(&range, version) };
            let right = said == total && first == asked && last + 1 == total && tag == 1
                && length.is_none_or(|l| l == total - asked);
            match judge(Ask::From(asked), &known, reply) {
                Verdict::Part { start, end, .. } => prop_assert!(right && start == asked && end == total),
                verdict => prop_assert!(!right, "{:?}", verdict),
            }
        }

        #[test]
        fn headers_round_trip(start in 0u64..1000, more in 1u64..1000, total in 1u64..3000) {
            let (start, end) = (start % total, (start % total + more).min(total));
            let header = Ask::Span(start, end).header().unwrap();
            prop_assert_eq!(header, format!("bytes={}-{}", start, end - 1));
            let echoed = format!("bytes {}-{}/{total}", start, end - 1);
            prop_assert_eq!(content_range(&echoed), Some((start, end, total)));
        }

        #[test]
        fn any_text_is_judged_without_a_panic(text in ".{0,40}") {
            let _ = (content_range(&text), unsatisfied_total(&text), is_strong(&text));
        }
    }
}
