//! I/O. The only folder that names ureq: two agents, one for the API and one for the snapshot host.
//!
//! The two never share a request type: [`ApiAgent`] is the only one that is ever given the key, and
//! [`SnapshotAgent`] has no way to send one.

mod api_agent;
mod snapshot_agent;

use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use time::OffsetDateTime;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::typestate::AgentScope;
use ureq::{Proxy, ProxyProtocol};

use super::http_date::{http_date, retry_after};
use super::retry::CONNECTING;
use super::settings::{Limits, ProxyChoice, Settings};
use crate::error::{Cause, Error, Result};
use crate::secret::is_loopback;

pub(crate) use api_agent::{ApiAgent, Payload, Request};
pub(crate) use snapshot_agent::{SnapshotAgent, SnapshotResponse};

/// The longest header section that is read, in bytes. Not below the size of the input buffer, or ureq takes a long
/// header section for a closed connection.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// A response's header fields.
#[derive(Debug)]
pub(crate) struct Headers(ureq::http::HeaderMap);

impl Headers {
    /// The value of a field that may occur once; `None` when it is missing, is not text, or occurs with different
    /// values.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let first = values.next()?;
        if values.any(|other| other != first) {
            return None;
        }
        first.to_str().ok()
    }

    /// The server's clock.
    fn date(&self) -> Option<OffsetDateTime> {
        self.get("date").and_then(|date| http_date(date, OffsetDateTime::now_utc()))
    }

    /// How long the server says to wait.
    fn retry_after(&self) -> Option<Duration> {
        let now = self.date().unwrap_or_else(OffsetDateTime::now_utc);
        self.get("retry-after").and_then(|value| retry_after(value, now))
    }

    /// Refuses a body in a content coding: none is requested, and none is decoded.
    fn refuse_coding(&self, about: &About) -> Result<()> {
        let mut codings = self.0.get_all("content-encoding").iter().map(|value| value.as_bytes());
        if codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")) {
            return Ok(());
        }
        Err(about.protocol("the response has a content coding, which was not requested"))
    }
}

/// A response body whose errors are an [`Error`] inside an [`io::Error`].
pub(crate) struct Body {
    reader: ureq::BodyReader<'static>,
    pub(crate) about: About,
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => self.about.error(ureq::Error::from(e)).into(),
        })
    }
}

/// What the errors of a request name, and the limits it has.
#[derive(Clone)]
pub(crate) struct About {
    method: &'static str,
    path: String,
    /// The response's, once it is known.
    status: Option<u16>,
    limits: Limits,
}

impl About {
    /// The error that reading or sending a body gave.
    pub(crate) fn io_error(&self, error: io::Error) -> Error {
        error.downcast().unwrap_or_else(|error| self.network(error))
    }

    pub(crate) fn timeout(&self, phase: &'static str, limit: Duration) -> Error {
        let Self { method, path, status, .. } = self.clone();
        Error::Timeout { method, path, phase: phase.into(), limit, status }
    }

    pub(crate) fn network(&self, source: impl Into<Cause>) -> Error {
        let Self { method, path, status, .. } = self.clone();
        Error::Network { method, path, status, source: source.into() }
    }

    /// What came is not valid HTTP, or more than is read.
    fn protocol(&self, problem: impl Into<String>) -> Error {
        let Self { method, path, status, .. } = self.clone();
        match status {
            Some(status) => {
                let problem = problem.into().into();
                Error::UnexpectedResponse { method, path, status, problem, excerpt: String::new(), retry_after: None }
            }
            None => self.network(problem.into()),
        }
    }

    fn error(&self, error: ureq::Error) -> Error {
        use ureq::Error as E;
        use ureq::Timeout as T;
        let limits = &self.limits;
        match error {
            E::Timeout(T::Resolve | T::Connect) => self.timeout(CONNECTING, limits.connect),
            E::Timeout(T::PerWrite | T::SendRequest | T::SendBody) => self.timeout("sending the request", limits.stall),
            E::Timeout(T::RecvResponse) => self.timeout("waiting for the response", limits.first_byte),
            E::Timeout(T::PerRead | T::RecvBody) => self.timeout("waiting for more of the response", limits.stall),
            E::Timeout(_) => self.timeout("the call", limits.total),
            E::Io(e) => self.io_error(e),
            E::BodyExceedsLimit(limit) => {
                self.protocol(format!("the response is longer than the {limit} bytes that are read"))
            }
            E::Protocol(e) => self.protocol(format!("the response is not valid HTTP: {e}")),
            E::LargeResponseHeader(..) => self.protocol("the response's header section is too long"),
            // These print the whole URL, which may be signed.
            E::BadUri(_) | E::RequireHttpsOnly(_) => self.network("the URL cannot be requested"),
            e => self.network(e.to_string()),
        }
    }
}

/// The limit for looking up a name, when the system has a thread left for that: with a limit for this, for a call or
/// for all, ureq looks it up in a new thread, and panics when there is none.
fn lookup(limits: &Limits) -> Option<Duration> {
    let thread = thread::Builder::new().spawn(|| {}).ok()?;
    thread.join().ok().map(|()| limits.connect)
}

/// Whether a URL leads to this machine, which is always reached directly.
fn is_local(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(is_loopback))
}

/// What both agents share. `direct`: no proxy, whatever the environment says.
fn common(settings: &Settings, direct: bool) -> Result<ConfigBuilder<AgentScope>> {
    let config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(settings.user_agent.as_str())
        .accept_encoding("identity")
        .timeout_connect(Some(settings.limits.connect))
        .output_buffer_size(16 * 1024)
        .max_response_header_size(MAX_HEADER_BYTES)
        .tls_config(tls(settings)?);
    Ok(match &settings.proxy {
        None if !direct => config,
        Some(ProxyChoice::Url(url)) if !direct => {
            let proxy = Proxy::new(url).ok();
            // ureq panics on a SOCKS proxy without its feature.
            let proxy = proxy.filter(|p| matches!(p.protocol(), ProxyProtocol::Http | ProxyProtocol::Https));
            let reason = "is not an address like http://host:port; SOCKS proxies are not supported";
            config.proxy(Some(proxy.ok_or_else(|| Error::invalid("the proxy", reason))?))
        }
        _ => config.proxy(None),
    })
}

fn tls(settings: &Settings) -> Result<TlsConfig> {
    let native = cfg!(feature = "native-tls");
    let roots = match &settings.root_certificates {
        Some(pem) => {
            let certificates: Vec<Certificate<'static>> = parse_pem(pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(Error::invalid("the root certificates", "contain no certificate in PEM form"));
            }
            RootCerts::from(certificates)
        }
        None if native || cfg!(feature = "platform-verifier") => RootCerts::PlatformVerifier,
        None => RootCerts::WebPki,
    };
    let provider = if native { TlsProvider::NativeTls } else { TlsProvider::Rustls };
    Ok(TlsConfig::builder().provider(provider).root_certs(roots).build())
}
