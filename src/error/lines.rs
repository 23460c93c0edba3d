//! PURE. The parts of the errors' messages.

use std::time::Duration;

use super::{ErrorCode, Limit};

/// `text` behind `before`, or nothing.
pub(super) fn suffix(before: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{before}{text}") }
}

/// What to do about a refusal: how long to wait, or what to change.
pub(super) fn advice(code: &ErrorCode, wait: Option<Duration>) -> String {
    match (Limit::of(code), wait) {
        (Some(Limit::Quota), None) => {
            "; the next one is free when the oldest of the last 24 h is a day old".into()
        }
        (Some(Limit::Budget), Some(wait)) => format!("; all calls are blocked, wait {}", span(wait)),
        (_, Some(wait)) => format!("; wait {} and try again", span(wait)),
        (Some(_), None) => "; wait and try again".into(),
        (None, None) => suffix(
            "; ",
            match code.as_str() {
                "ACCESS_DENIED" => {
                    "check the API key before the next call, since bad keys get an address blocked"
                }
                "MISSING_SCOPE" => "give the key the scope of this call",
                "UPGRADE_REQUIRED" => "the account's plan does not include this call",
                "SNAPSHOT_IN_PROGRESS" => "another one is being made already, so look at the listing",
                "RESTORE_IN_PROGRESS" => "try again in about 2 min",
                _ => "",
            },
        ),
    }
}

/// Whether the call may be made again.
pub(super) fn next(method: &str) -> &'static str {
    match method {
        "GET" => "check the network and try again",
        _ => "it may have been carried out all the same, so look before repeating it",
    }
}

pub(super) fn begun(status: Option<u16>) -> String {
    status.map(|status| format!(" after the response began (HTTP {status})")).unwrap_or_default()
}

/// A duration for people.
pub(super) fn span(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms < 1000 => format!("{ms} ms"),
        ms if ms >= 600_000 && ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1000 == 0 || ms >= 60_000 => format!("{} s", duration.as_secs()),
        ms => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}

pub(super) fn entry_name(entry: &Option<String>) -> String {
    entry.as_ref().map_or_else(|| "the archive".into(), |entry| format!("entry {entry}"))
}
