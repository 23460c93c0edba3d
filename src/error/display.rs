//! PURE. The texts of errors: what was being done, what went wrong, what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::{Error, ErrorCode, Limit, NetworkFailure};

impl Error {
    /// Returns the error and all its causes in one line, as `{:#}` prints them: `what was being done: cause: cause`.
    pub fn report(&self) -> String {
        format!("{self:#}")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { f.write_str(&chain(self)) } else { self.layer(f) }
    }
}

/// As [`report`](Error::report) returns it.
impl serde::Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.report())
    }
}

impl Error {
    fn api(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Api { method, path, status, code, message, .. } = self else { return Ok(()) };
        let advice = advice(code, path, self.retry_after());
        let message = if advice.is_empty() { message } else { message.trim_end_matches('.') };
        let message = suffix(": ", message);
        write!(f, "{method} {path}: the service responded {code} (HTTP {status}){message}{advice}")
    }

    /// Writes this layer, without the causes.
    fn layer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { what, reason } => write!(f, "{what} {reason}"),
            Self::Api { .. } => self.api(f),
            Self::UnexpectedResponse { method, path, status, problem, excerpt, retry_after } => {
                let unclear = *method != "GET" && !(400..500).contains(status);
                let next = if unclear { suffix("; ", next(method)) } else { waiting(*retry_after) };
                let excerpt = suffix("; the response begins: ", excerpt);
                write!(f, "{method} {path}: HTTP {status}, {problem}{next}{excerpt}")
            }
            Self::Network { method, path, failure, peer, status, .. } => {
                let (failed, http, next) = (failure.of(peer), http(*status), failure.advice(method));
                write!(f, "{method} {path}: {failed}{http}; {next}")
            }
            Self::Proxy { method, path, host, proxy, status } => {
                let (http, next) = (http(*status), proxy_advice(*status));
                write!(f, "{method} {path}: the proxy {proxy} refused to connect to {host}{http}; {next}")
            }
            Self::Timeout { method, path, phase, limit, status } => {
                let (limit, http, next) = (span(*limit), http(*status), next(method));
                write!(f, "{method} {path}: {phase} took longer than {limit}{http}; {next}")
            }
            Self::Pending { what, waited, next } => write!(f, "{what} is not finished {}; {next}", after(*waited)),
            Self::RestoreFailed { what, code, step } => {
                let step = suffix(" in step ", step.as_deref().unwrap_or_default());
                write!(f, "restoring {what} failed at the service: {code}{step}")
            }
            Self::StatusUnavailable { what, reason, .. } => {
                write!(f, "the restore status of {what} is unavailable: {reason}")
            }
            Self::Cancelled { action, path } => write!(f, "{action} {} was cancelled by the callback", path.display()),
            Self::WaitCancelled { what, next } => write!(f, "waiting for {what} was cancelled by the callback; {next}"),
            Self::Io { action, path, .. } => write!(f, "{action} {} failed", path.display()),
            Self::Exists { path } => f.write_str(&exists(&path.display())),
            Self::Busy { path } => f.write_str(&busy(&path.display())),
            Self::TooSoon { what, limit } => write!(f, "{what} was not requested: {}", limit.reason()),
            Self::Download { what, problem, .. } => write!(f, "downloading {what}: {problem}"),
            Self::Refused { archive, entry, refusal, detail } => {
                write!(f, "{} was refused because {refusal}{}", entry_in(archive, entry), suffix(": ", detail))
            }
            Self::Archive { archive, entry, .. } => write!(f, "reading {} failed", entry_in(archive, entry)),
            Self::NoSuchEntry { archive, name } => no_such_entry(f, archive, name),
        }
    }
}

fn busy(path: &dyn fmt::Display) -> String {
    format!("another run is at work in this mirror and holds {path}; try again when it has ended")
}

fn exists(path: &dyn fmt::Display) -> String {
    format!("{path} already exists and was not changed; choose another path, or set another `Overwrite`")
}

/// An error and its causes in one line. A layer that only repeats the end of an earlier one is left out.
fn chain(error: &Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.iter().any(|earlier| earlier.ends_with(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ").replace(['\n', '\r'], " ")
}

fn no_such_entry(f: &mut fmt::Formatter<'_>, archive: &Option<String>, name: &str) -> fmt::Result {
    write!(f, "{} has no entry", entry_in(archive, &None))?;
    match name {
        "" => f.write_str(" that the options select")?,
        name => write!(f, " {name:?}")?,
    }
    f.write_str("; `entries()` lists what it has")
}

impl Limit {
    /// Why a request was not sent, and when it can be.
    fn reason(self) -> &'static str {
        match self {
            Self::Cooldown => "the last one is younger than the service allows; wait 3 min and try again",
            Self::Quota => "the quota of a day is used up; it frees up when one of the last 24 h is a day old",
            Self::Budget => "the service blocks all calls of the account; wait 30 min and try again",
        }
    }
}

impl NetworkFailure {
    fn of(self, peer: &str) -> String {
        match self {
            Self::Lookup => format!("the name of {peer} could not be resolved"),
            Self::Connect => format!("could not connect to {peer}"),
            Self::Certificate => format!("the certificate of {peer} is not valid"),
            Self::Broken => format!("received no complete response from {peer}"),
        }
    }

    /// What to do next.
    fn advice(self, method: &str) -> &'static str {
        match self {
            Self::Lookup | Self::Connect if method != "GET" => "nothing was sent; check the network",
            Self::Lookup | Self::Connect => next(method),
            Self::Certificate => {
                "check this machine's clock, and if the certificate is from an authority of your own, set it with \
                 `root_certificates`"
            }
            Self::Broken => next(method),
        }
    }
}

/// What to do about a proxy's refusal.
fn proxy_advice(status: Option<u16>) -> &'static str {
    match status {
        Some(407) => "set the user name and password in the proxy's URL: http://user:password@host:port",
        _ => "check the proxy and whether it allows this host",
    }
}

/// `before` and `text`, or nothing when `text` is empty.
pub(crate) fn suffix(before: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{before}{text}") }
}

/// What is probably wrong with a base URL when the service does not know the route of a path under it.
pub(crate) fn base_url_advice(path: &str) -> &'static str {
    if path.contains("/v2/") { "" } else { "the base URL should probably end in `/v2`" }
}

/// What to do about an error of the service: how long to wait, or what to change.
fn advice(code: &ErrorCode, path: &str, wait: Option<Duration>) -> String {
    let advice = match (Limit::of(code), wait, code.as_str()) {
        (Some(Limit::Budget), Some(wait), _) => {
            return format!("; all calls are blocked, wait {}", span(wait));
        }
        (_, Some(wait), _) => return format!("; wait {} and try again", span(wait)),
        (Some(Limit::Quota), None, _) => "the quota frees up when the oldest snapshot of the last 24 h is a day old",
        (Some(_), None, _) => "wait and try again",
        (_, _, "ACCESS_DENIED") => "check the API key before the next call, since bad keys get an address blocked",
        (_, _, "APIKEY_EXPIRED") => "create a new key in the dashboard",
        (_, _, "RESOURCE_NOT_ALLOWED") => "allow the key to use this app or database",
        (_, _, "SNAPSHOT_NOT_FOUND") => "list the snapshots again",
        (_, _, "MISSING_SCOPE") => "give the key the scope of this call",
        (_, _, "UPGRADE_REQUIRED") => "the account's plan does not include this call",
        (_, _, "SNAPSHOT_IN_PROGRESS") => "look at the listing before requesting another one",
        (_, _, "RESTORE_IN_PROGRESS") => "try again in about 2 min",
        (_, _, "APP_NOT_FOUND") => {
            "`Client::account` lists the apps that the key sees; a database needs `Client::database`"
        }
        (_, _, "DATABASE_NOT_FOUND") => {
            "`Client::account` lists the databases that the key sees; an app needs `Client::app`"
        }
        (_, _, "ROUTE_NOT_FOUND") => base_url_advice(path),
        (_, _, "INVALID_ID") => "`Client::account` lists the apps and databases that the key sees",
        _ => "",
    };
    suffix("; ", advice)
}

/// What to do after a request without a usable response.
fn next(method: &str) -> &'static str {
    match method {
        "GET" => "check the network and try again",
        _ => "it may have been carried out anyway, so look before repeating it",
    }
}

fn waiting(retry_after: Option<Duration>) -> String {
    retry_after.map(|wait| format!("; wait {} and try again", span(wait))).unwrap_or_default()
}

fn http(status: Option<u16>) -> String {
    status.map(|status| format!(" (HTTP {status})")).unwrap_or_default()
}

fn after(waited: Duration) -> String {
    if waited.as_secs() > 0 { format!("after {}", span(waited)) } else { "yet".into() }
}

/// A duration for people.
fn span(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms < 1000 => format!("{ms} ms"),
        ms if ms >= 600_000 && ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1000 == 0 || ms >= 60_000 => format!("{} s", duration.as_secs()),
        ms => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}

/// An entry of an archive, or the archive as a whole.
fn entry_in(archive: &Option<String>, entry: &Option<String>) -> String {
    match (archive, entry) {
        (Some(archive), Some(entry)) => format!("entry {entry} of {archive}"),
        (None, Some(entry)) => format!("entry {entry}"),
        (Some(archive), None) => archive.clone(),
        (None, None) => "the archive".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn network() -> Error {
        let source = "the connection was reset\r\nby the peer".into();
        Error::Network {
            method: "GET",
            path: "/a.zip".into(),
            failure: NetworkFailure::Broken,
            peer: "host.test:443".into(),
            status: None,
            source,
        }
    }

    #[test]
    fn the_alternate_form_is_the_whole_chain_in_one_line() {
        let text = "GET /a.zip: received no complete response from host.test:443; check the network and try again";
        let report = network().report();
        assert_eq!(network().to_string(), text);
        assert_eq!(report, format!("{text}: the connection was reset  by the peer"));
        // The way through a reader and an archive adds the layers that say something, each once.
        let archive =
            || Error::Archive { archive: None, entry: Some("b.txt".into()), source: io::Error::from(network()).into() };
        assert_eq!(archive().report(), format!("reading entry b.txt failed: {report}"));
        let wrapped = io::Error::other(io::Error::from(archive()));
        assert_eq!(
            Error::io("writing", "b", wrapped).report(),
            format!("writing b failed: reading entry b.txt failed: {report}")
        );
        let twice = Error::Archive { archive: None, entry: Some("b.txt".into()), source: archive().into() };
        assert_eq!(twice.report(), archive().report());
        assert_eq!(format!("{:#}", Error::invalid("the app id", "is empty")), "the app id is empty");
    }
}
