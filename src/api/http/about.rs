//! What a request's errors say: where it went, and what of it failed.

use std::io;
use std::time::Duration;

use ureq::Proxy;

use super::endpoint;
use crate::api::settings::Limits;
use crate::error::{Cause, Error, NetworkFailure};

/// What the errors of a request name, and the limits it has.
#[derive(Clone)]
pub(crate) struct About {
    pub(super) method: &'static str,
    pub(super) path: String,
    /// Where the request goes, as `host:port`.
    host: String,
    /// The proxy it goes through, as `host:port`.
    proxy: Option<String>,
    /// The response's, once it is known.
    pub(super) status: Option<u16>,
    pub(super) limits: Limits,
}

impl About {
    pub(super) fn new(method: &'static str, path: String, limits: Limits) -> Self {
        Self { method, path, host: String::new(), proxy: None, status: None, limits }
    }

    /// Notes where the request goes, through which proxy.
    pub(super) fn goes_to(&mut self, url: &str, proxy: Option<&Proxy>) {
        let (host, port) = endpoint(url);
        self.host = format!("{host}:{port}");
        self.proxy = proxy.map(|proxy| format!("{}:{}", proxy.host(), proxy.port()));
    }

    /// The other side of the connection.
    fn peer(&self) -> String {
        match &self.proxy {
            Some(proxy) => format!("{} via the proxy {proxy}", self.host),
            None => self.host.clone(),
        }
    }

    /// What this machine itself connects to.
    fn next_hop(&self) -> String {
        self.proxy.as_ref().map_or_else(|| self.host.clone(), |proxy| format!("the proxy {proxy}"))
    }

    /// The error that reading or sending a body gave.
    pub(crate) fn io_error(&self, error: io::Error) -> Error {
        error.downcast().unwrap_or_else(|error| self.io(error))
    }

    pub(super) fn timeout(&self, phase: &str, limit: Duration) -> Error {
        let phase = format!("{phase} {}", self.peer()).into();
        Error::Timeout { method: self.method, path: self.path.clone(), phase, limit, status: self.status }
    }

    pub(crate) fn network(&self, source: impl Into<Cause>) -> Error {
        self.failed(NetworkFailure::Broken, self.peer(), source)
    }

    fn failed(&self, failure: NetworkFailure, peer: String, source: impl Into<Cause>) -> Error {
        let Self { method, path, status, .. } = self.clone();
        Error::Network { method, path, failure, peer, status, source: source.into() }
    }

    /// What came is not valid HTTP, or more than is read.
    pub(super) fn protocol(&self, problem: impl Into<String>) -> Error {
        let Self { method, path, status, .. } = self.clone();
        match status {
            Some(status) => {
                let problem = problem.into().into();
                Error::UnexpectedResponse { method, path, status, problem, excerpt: String::new(), retry_after: None }
            }
            None => self.network(problem.into()),
        }
    }

    /// The error of a transfer: what is not valid HTTP is a broken connection, since another one may fare better.
    pub(super) fn broken(&self, error: ureq::Error) -> Error {
        match error {
            ureq::Error::Protocol(e) => self.network(format!("the response is not valid HTTP: {e}")),
            error => self.error(error),
        }
    }

    pub(super) fn error(&self, error: ureq::Error) -> Error {
        use ureq::Error as E;
        use ureq::Timeout as T;
        let limits = &self.limits;
        match error {
            E::Timeout(T::Resolve | T::Connect) => self.timeout("connecting to", limits.connect),
            E::Timeout(T::PerWrite | T::SendRequest | T::SendBody) => {
                self.timeout("sending the request to", limits.stall)
            }
            E::Timeout(T::RecvResponse) => self.timeout("waiting for the response from", limits.first_byte),
            E::Timeout(T::PerRead | T::RecvBody) => self.timeout("waiting for more of the response from", limits.stall),
            E::Timeout(_) => self.timeout("the call to", limits.total),
            E::Io(e) => self.io_error(e),
            E::HostNotFound => self.failed(NetworkFailure::Lookup, self.next_hop(), "the name has no address"),
            E::ConnectProxyFailed(reason) => self.refused_by_proxy(reason),
            E::BodyExceedsLimit(limit) => {
                self.protocol(format!("the response is longer than the {limit} bytes that are read"))
            }
            E::Protocol(e) => self.protocol(format!("the response is not valid HTTP: {e}")),
            E::LargeResponseHeader(..) => self.protocol("the response's header section is too long"),
            // These print the whole URL, which may be signed.
            E::BadUri(_) | E::RequireHttpsOnly(_) => self.network("the URL cannot be requested"),
            e => self.tls(e.to_string()),
        }
    }

    fn io(&self, error: io::Error) -> Error {
        use io::ErrorKind as K;
        match error.kind() {
            K::ConnectionRefused
            | K::HostUnreachable
            | K::NetworkUnreachable
            | K::NetworkDown
            | K::AddrNotAvailable => self.failed(NetworkFailure::Connect, self.next_hop(), error),
            _ if is_lookup(&error) => self.failed(NetworkFailure::Lookup, self.next_hop(), error),
            // rustls reports what is wrong with TLS as invalid data.
            K::InvalidData => self.tls(error.to_string()),
            _ => self.network(error),
        }
    }

    /// An error that may be one of the TLS library, of whose types nothing else is known here.
    fn tls(&self, problem: String) -> Error {
        let is_certificate = problem.contains("invalid peer certificate")
            || (problem.starts_with("native-tls") && problem.to_ascii_lowercase().contains("certificate"));
        let failure = if is_certificate { NetworkFailure::Certificate } else { NetworkFailure::Broken };
        self.failed(failure, self.peer(), problem)
    }

    /// The proxy's response to CONNECT was not 200, or did not come. Of that response, ureq keeps the status in a text.
    fn refused_by_proxy(&self, reason: String) -> Error {
        let status = reason.split(|c: char| !c.is_ascii_digit()).find_map(|digits| digits.parse().ok());
        if status.is_none() {
            return self.failed(NetworkFailure::Broken, self.next_hop(), reason);
        }
        let Self { method, path, host, proxy, .. } = self.clone();
        Error::Proxy { method, path, host, proxy: proxy.unwrap_or_default(), status }
    }
}

/// Whether looking up a name failed. The standard library has no kind for that.
fn is_lookup(error: &io::Error) -> bool {
    let winsock = cfg!(windows) && matches!(error.raw_os_error(), Some(11001..=11004));
    winsock || error.to_string().starts_with("failed to lookup address")
}
