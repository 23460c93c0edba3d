//! The plain words for routes, faults and times, as the command line and the control route take them. Pure.

use std::time::Duration;

use super::fault::{End, Fault};
use super::faults::On;
use super::host::Etag;

/// Where a fault can be. `any` is both ports, `api` all of the API's.
pub const ROUTES: [&str; 19] = [
    "any",
    "api",
    "download",
    "account",
    "account-list",
    "list",
    "create",
    "restore",
    "restore-status",
    "upload",
    "commit",
    "info",
    "status",
    "statuses",
    "start",
    "stop",
    "restart",
    "delete",
    "service",
];

type Kind = (&'static str, &'static str, fn() -> Fault);

/// What can go wrong anywhere.
pub const KINDS: [Kind; 15] = [
    ("keep-calm", "429 KEEP_CALM", Fault::keep_calm),
    ("rate-limited", "429 RATE_LIMITED", Fault::rate_limited),
    ("daily-limit", "429 DAILY_SNAPSHOTS_LIMIT_REACHED", Fault::daily_limit),
    ("in-progress", "409 SNAPSHOT_IN_PROGRESS", || Fault::Code(409, "SNAPSHOT_IN_PROGRESS", "")),
    ("failed", "404 SNAPSHOT_FAILED", || Fault::Code(404, "SNAPSHOT_FAILED", "")),
    ("login-page", "200 and a page of HTML, as from a captive portal", || Fault::html(200)),
    ("retry-after", "adds `Retry-After: 2` to the response", || Fault::Header("Retry-After", "2".into())),
    ("reset", "connection reset instead of the response", || Fault::BeforeAnswer(End::Reset)),
    ("close", "connection closed instead of the response", || Fault::BeforeAnswer(End::Close)),
    ("stall", "silence instead of the response", || Fault::BeforeAnswer(End::Stall)),
    ("cut", "connection closed in the middle of the body", || Fault::HalfBody(End::Close)),
    ("hang", "silence from the middle of the body on", || Fault::HalfBody(End::Stall)),
    ("garbage", "bytes that are not HTTP", || Fault::Garbage(b"this is not HTTP\r\n\r\n".to_vec())),
    ("late", "the response comes 5 s late", || Fault::Delay(Duration::from_secs(5))),
    ("slow", "the body comes at 64 KiB/s", || Fault::Bandwidth(64 << 10)),
];

/// What can go wrong with a download.
pub const DOWNLOAD_KINDS: [Kind; 5] = [
    ("expired", "403, the link has expired", || Fault::Expired),
    ("no-range", "200 and the whole file, whatever range was asked for", || Fault::IgnoreRange),
    ("changed", "another ETag in every response", || Fault::Etag(Etag::Changing)),
    ("no-etag", "no ETag", || Fault::Etag(Etag::Missing)),
    ("wrong-bytes", "other bytes of the same length", || Fault::WrongBytes),
];

/// A fault as it was asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub on: On,
    pub fault: Fault,
    /// `None` is always.
    pub times: Option<u64>,
}

/// Reads `ROUTE=KIND[:n]`.
pub fn fault(text: &str) -> Result<Wanted, String> {
    let (on, rest) = text.split_once('=').ok_or_else(|| format!("a fault is ROUTE=KIND[:n], not `{text}`"))?;
    match rest.split_once(':') {
        Some((kind, times)) => wanted(on, kind, Some(times)),
        None => wanted(on, rest, None),
    }
}

/// The fault these three words mean.
pub fn wanted(on: &str, kind: &str, times: Option<&str>) -> Result<Wanted, String> {
    let word = ROUTES.into_iter().find(|r| *r == on);
    let word = word.ok_or_else(|| format!("there is no route `{on}`; there are {}", ROUTES.join(", ")))?;
    let on = match word {
        "any" => On::Any,
        "api" => On::Api,
        word => On::Word(word),
    };
    let named = |all: &[Kind]| all.iter().find(|k| k.0 == kind).map(|k| k.2());
    let fault = match named(&DOWNLOAD_KINDS) {
        Some(_) if !["any", "download"].contains(&word) => {
            return Err(format!("`{kind}` is for the route `download`, not `{word}`"));
        }
        Some(fault) => Some(fault),
        None => named(&KINDS).or_else(|| page(kind)),
    };
    let fault = fault.ok_or_else(|| format!("there is no fault `{kind}`; there are {}", kinds()))?;
    let times = times.map(|n| n.parse().ok().filter(|n| *n > 0).ok_or(format!("`{n}` is not a number from 1")));
    Ok(Wanted { on, fault, times: times.transpose()? })
}

/// `503`, `503-xml`
fn page(kind: &str) -> Option<Fault> {
    let (status, xml) = kind.strip_suffix("-xml").map_or((kind, false), |status| (status, true));
    let status = status.parse().ok().filter(|s| (400..600).contains(s))?;
    let code = match status {
        _ if !xml => return Some(Fault::html(status)),
        403 => "AccessDenied",
        404 => "NoSuchKey",
        429 => "TooManyRequests",
        503 => "SlowDown",
        _ => "InternalError",
    };
    Some(Fault::xml(status, code))
}

fn kinds() -> String {
    let words: Vec<&str> = KINDS.iter().chain(&DOWNLOAD_KINDS).map(|k| k.0).collect();
    format!("{}, and the statuses 400 to 599 as a page of HTML (503) or XML (503-xml)", words.join(", "))
}

/// `90`, `90s`, `31m`, `25h`, `31d`: at most ten years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h', 'd']);
    let unit = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = digits.parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
    let seconds = seconds.filter(|s| *s <= 3650 * 86_400);
    let wrong = || format!("`{text}` is not a time: write 90s, 31m, 25h or 31d, at most 3650d");
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}
