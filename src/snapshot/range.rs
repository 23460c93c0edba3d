//! PURE. Range requests, what identifies a stored object, and what a response to a range request is worth.
//!
//! Two responses may only be put together when both are shown to come from the same object (RFC 9110,
//! sections 8.8.1 and 15.3.7.3). Everything here errs on the side of starting over.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::api::retry::is_busy;

/// The bytes that are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// Everything, without a `Range` header.
    Whole,
    /// From this byte to the end.
    From(u64),
    /// From the first byte up to, not including, the second.
    Span(u64, u64),
    /// This many of the last bytes.
    Last(u64),
}

impl Range {
    /// The `Range` header's value (RFC 9110, section 14.1.2).
    pub(crate) fn header(self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::From(start) => Some(format!("bytes={start}-")),
            Self::Span(start, end) => Some(format!("bytes={start}-{}", end.saturating_sub(1))),
            Self::Last(count) => Some(format!("bytes=-{count}")),
        }
    }

    /// The bytes a server with `total` bytes must send, as start and end.
    fn expected(self, total: u64) -> (u64, u64) {
        match self {
            Self::Whole => (0, total),
            Self::From(start) => (start, total),
            Self::Span(start, end) => (start, end.min(total)),
            Self::Last(count) => (total.saturating_sub(count), total),
        }
    }
}

/// What a response says about the stored object: its validators (RFC 9110, section 8.8) and its length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    /// A strong entity tag, with its quotes.
    pub(crate) etag: Option<String>,
    /// The store's version id.
    pub(crate) version_id: Option<String>,
    /// The length of the whole object.
    pub(crate) total: Option<u64>,
}

impl Object {
    /// From the header fields as sent; `total` is added by [`judge`]. A weak entity tag and `Last-Modified` could only
    /// tell objects apart, not show that they are the same.
    pub(crate) fn new(etag: Option<&str>, version_id: Option<&str>) -> Self {
        let sane = |text: Option<&str>| {
            text.map(str::trim)
                .filter(|t| !t.is_empty() && t.len() <= 512 && t.bytes().all(|b| (b' '..0x7f).contains(&b)))
                .map(str::to_owned)
        };
        // S3 says `null` for objects of buckets without versions: all of them share it.
        let version_id = sane(version_id).filter(|v| v != "null");
        Self { etag: sane(etag).filter(|etag| is_strong(etag)), version_id, total: None }
    }

    /// Whether a later response could be shown to come from the same object.
    pub(crate) fn is_provable(&self) -> bool {
        self.etag.is_some() || (self.version_id.is_some() && self.total.is_some())
    }

    /// Whether both are shown to be the same object: by the entity tag, or by version and length.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        let total = self.total.is_none() || other.total.is_none() || self.total == other.total;
        let by_tag = self.etag.is_some() && self.etag == other.etag;
        let by_version = self.version_id.is_some() && self.version_id == other.version_id;
        total
            && agree(&self.etag, &other.etag)
            && agree(&self.version_id, &other.version_id)
            && (by_tag || (by_version && self.total.is_some() && self.total == other.total))
    }
}

fn is_strong(etag: &str) -> bool {
    etag.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .is_some_and(|inner| !inner.is_empty() && !inner.contains(['"', ' ']))
}

/// The part of a response's status line and header section that [`judge`] looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    pub(crate) content_range: Option<&'a str>,
    pub(crate) content_length: Option<u64>,
    pub(crate) object: Object,
}

/// What a response is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// 200: the whole object, whatever was requested.
    Whole(Object),
    /// 206: exactly the bytes requested, of the same object.
    Part { start: u64, end: u64, object: Object },
    /// Another object than before, or not shown to be the same: what came before is of no use.
    StartOver(&'static str),
    /// The host is busy; a later request may succeed.
    Busy,
    /// A response that is not what was requested.
    Unusable(Cow<'static, str>),
}

/// Judges the response to a request for `range`; `known` is what earlier responses said.
pub(crate) fn judge(range: Range, known: &Object, head: Head<'_>) -> Worth {
    match (range, head.status) {
        (_, 200) => judge_whole(range, known, head),
        (Range::Whole, 206) => Worth::Unusable("a part was sent although the whole was requested".into()),
        (_, 206) => judge_part(range, known, head),
        (Range::Whole, 416 | 412) => Worth::Unusable("a response to a condition that was not sent".into()),
        (_, 412) => Worth::StartOver("the snapshot changed"),
        (_, 416) => Worth::StartOver("the snapshot became shorter"),
        (_, status) if is_busy(status) => Worth::Busy,
        (_, 401 | 403) => {
            Worth::Unusable("the link has expired or was refused; list the snapshots again for a new one".into())
        }
        (_, 404 | 410) => Worth::Unusable("the snapshot is gone; list the snapshots to see which are there".into()),
        _ => Worth::Unusable("a status that a download never has".into()),
    }
}

/// A part under the status of the whole is not taken for the whole.
fn judge_whole(range: Range, known: &Object, head: Head<'_>) -> Worth {
    let object = Object { total: head.content_length, ..head.object };
    let said = head.content_range.and_then(content_range);
    if said.is_some_and(|(start, end, total)| (start, end) != (0, total)) {
        return match range {
            Range::Whole => Worth::Unusable("a part was sent although the whole was requested".into()),
            _ => Worth::StartOver("a part of the snapshot was sent with status 200"),
        };
    }
    let other_length = matches!((known.total, object.total), (Some(a), Some(b)) if a != b);
    if other_length && known.etag.is_some() && known.etag == object.etag {
        return Worth::StartOver("the same snapshot was sent with another length");
    }
    Worth::Whole(object)
}

fn judge_part(range: Range, known: &Object, head: Head<'_>) -> Worth {
    let Some((start, end, total)) = head.content_range.and_then(content_range) else {
        return Worth::StartOver("the response does not say which bytes it holds");
    };
    if (start, end) != range.expected(total) {
        return Worth::StartOver("the bytes sent are not the ones requested");
    }
    if head.content_length.is_some_and(|length| length != end - start) {
        return Worth::StartOver("the response's two lengths contradict each other");
    }
    let object = Object { total: Some(total), ..head.object };
    if *known != Object::default() && !known.is_same(&object) {
        return Worth::StartOver("the snapshot changed, or nothing shows that the response belongs to the same one");
    }
    Worth::Part { start, end, object }
}

/// `bytes 0-9/100` as start, end (not included) and total (RFC 9110, section 14.4).
fn content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (unit, rest) = value.trim().split_once(' ')?;
    let (span, total) = rest.trim().split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    (unit.eq_ignore_ascii_case("bytes") && first <= last && last < total).then_some((first, last + 1, total))
}

/// Digits only: `parse` would take a sign.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tagged(etag: &str, total: u64) -> Object {
        Object { total: Some(total), ..Object::new(Some(etag), None) }
    }

    fn part<'a>(range: &'a str, object: Object) -> Head<'a> {
        Head { status: 206, content_range: Some(range), content_length: None, object }
    }

    #[test]
    fn the_same_object_is_shown_by_tag_or_by_version_and_length() {
        let object = |etag, id, total| Object { total, ..Object::new(etag, id) };
        let tag = object(Some("\"a\""), None, Some(5));
        assert!(tag.is_same(&tag) && tag.is_provable());
        assert!(tag.is_same(&object(Some("\"a\""), Some("k"), None)));
        for other in [
            object(Some("\"a\""), None, Some(6)),
            object(Some("\"b\""), None, Some(5)),
            object(Some("W/\"a\""), None, Some(5)),
            object(None, None, Some(5)),
        ] {
            assert!(!tag.is_same(&other), "{other:?}");
        }
        let id = object(None, Some("k1"), Some(5));
        assert!(id.is_same(&id) && id.is_provable());
        assert!(!id.is_same(&object(None, Some("k1"), None)) && !id.is_same(&object(None, Some("k2"), Some(5))));
        assert!(!object(Some("\"a\""), Some("k1"), Some(5)).is_same(&object(Some("\"a\""), Some("k2"), Some(5))));
        for unprovable in [object(Some("W/\"a\""), None, Some(5)), object(None, Some("null"), Some(5))] {
            assert!(!unprovable.is_same(&unprovable) && !unprovable.is_provable());
        }
    }

    #[test]
    fn statuses() {
        let known = Object::default();
        let head = |status| Head { status, ..Head::default() };
        assert!(matches!(judge(Range::Whole, &known, head(200)), Worth::Whole(_)));
        assert!(matches!(judge(Range::From(3), &known, head(200)), Worth::Whole(_)));
        for status in [201, 202, 203, 204, 206, 304, 400, 403, 404, 410, 412, 416, 501, 525, 999] {
            assert!(matches!(judge(Range::Whole, &known, head(status)), Worth::Unusable(_)), "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504, 520, 524, 527, 530] {
            assert_eq!(judge(Range::Whole, &known, head(status)), Worth::Busy);
        }
        assert!(matches!(judge(Range::From(3), &known, head(412)), Worth::StartOver(_)));
        assert!(matches!(judge(Range::Last(10), &known, head(416)), Worth::StartOver(_)));
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
            let worth = judge(Range::From(4), &known, part(range, Object::new(Some("\"a\""), None)));
            assert!(matches!(worth, Worth::StartOver(_)), "{range}: {worth:?}");
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
            let object = Object::new(match tag { 0 => None, 1 => Some("\"t1\""), _ => Some("\"t2\"") }, None);
            let range = format!("bytes {first}-{last}/{said}");
            let head = Head { content_length: length, ..part(&range, object) };
            let right = said == total && first == asked && last + 1 == total && tag == 1
                && length.is_none_or(|l| l == total - asked);
            match judge(Range::From(asked), &known, head) {
                Worth::Part { start, end, .. } => prop_assert!(right && start == asked && end == total),
                worth => prop_assert!(!right, "{:?}", worth),
            }
        }

        #[test]
        fn headers_round_trip(start in 0u64..1000, more in 1u64..1000, total in 1u64..3000) {
            let (start, end) = (start % total, (start % total + more).min(total));
            let header = Range::Span(start, end).header().unwrap();
            prop_assert_eq!(header, format!("bytes={}-{}", start, end - 1));
            let echoed = format!("bytes {}-{}/{total}", start, end - 1);
            prop_assert_eq!(content_range(&echoed), Some((start, end, total)));
        }

        #[test]
        fn any_text_is_judged_without_a_panic(text in ".{0,40}") {
            let _ = (content_range(&text), is_strong(&text));
        }
    }
}
