//! I/O. The only folder that names ureq: two agents, one for the API and one for the snapshot host.
//!
//! The two never share a request type: [`ApiAgent`] is the only one that is ever given the key, and
//! [`SnapshotAgent`] has no way to send one.

mod api_agent;
mod snapshot_agent;

use std::io::{self, Read};

use ureq::config::{Config, ConfigBuilder};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::typestate::AgentScope;
use ureq::{Proxy, ProxyProtocol};

use super::failure::Failure;
use super::settings::{Limits, ProxyChoice, Settings};
use crate::error::{Error, Result};

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

    /// Refuses a body in a content coding: none is requested, and none is decoded.
    fn refuse_coding(&self) -> std::result::Result<(), Failure> {
        let mut codings = self.0.get_all("content-encoding").iter().map(|value| value.as_bytes());
        if codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")) {
            return Ok(());
        }
        Err(Failure::Protocol("the response has a content coding, which was not requested".into()))
    }
}

/// A response body that reports its failures as a [`Failure`] inside an [`io::Error`].
pub(crate) struct Body {
    reader: ureq::BodyReader<'static>,
    limits: Limits,
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => io::Error::other(failure(ureq::Error::from(e), &self.limits)),
        })
    }
}

/// What both agents share. `direct`: no proxy, whatever the environment says.
fn common(settings: &Settings, direct: bool) -> Result<ConfigBuilder<AgentScope>> {
    let config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(settings.user_agent.as_str())
        .accept_encoding("identity")
        .timeout_connect(Some(settings.limits.connect))
        .timeout_resolve(Some(settings.limits.connect))
        .max_response_header_size(MAX_HEADER_BYTES)
        .tls_config(tls(settings)?);
    Ok(match &settings.proxy {
        _ if direct => config.proxy(None),
        Some(ProxyChoice::Direct) => config.proxy(None),
        Some(ProxyChoice::Url(url)) => {
            let proxy = Proxy::new(url).ok();
            // ureq panics on a SOCKS proxy without its feature.
            let proxy = proxy.filter(|p| matches!(p.protocol(), ProxyProtocol::Http | ProxyProtocol::Https));
            let reason = "is not an address like http://host:port; SOCKS proxies are not supported";
            config.proxy(Some(proxy.ok_or_else(|| Error::invalid("the proxy", reason))?))
        }
        None => config,
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

/// What an error of ureq means for a request.
fn failure(error: ureq::Error, limits: &Limits) -> Failure {
    use ureq::Error as E;
    use ureq::Timeout as T;
    let timeout = |phase, limit| Failure::Timeout { phase, limit };
    match error {
        E::Timeout(T::Resolve | T::Connect) => timeout("connecting", limits.connect),
        E::Timeout(T::PerWrite | T::SendRequest | T::SendBody) => {
            timeout("sending the request", limits.stall)
        }
        E::Timeout(T::RecvResponse) => timeout("waiting for the response", limits.first_byte),
        E::Timeout(T::PerRead | T::RecvBody) => timeout("waiting for more of the response", limits.stall),
        E::Timeout(_) => timeout("the call", limits.total),
        E::Io(e) => Failure::Broken(e.into()),
        E::Protocol(e) => Failure::Protocol(format!("the response is not valid HTTP: {e}").into()),
        E::LargeResponseHeader(..) => Failure::Protocol("the response's header section is too long".into()),
        // These print the whole URL, which may be signed.
        E::BadUri(_) | E::RequireHttpsOnly(_) => Failure::Broken("the URL cannot be requested".into()),
        e => Failure::Broken(e.to_string().into()),
    }
}
