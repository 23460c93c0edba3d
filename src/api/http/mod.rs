//! I/O. The only folder that names ureq: two agents, one for JSON calls and one for the snapshot host.
//!
//! The two never share a request type: [`ApiAgent`] is the only one that is ever given the key, and
//! [`FileAgent`] has no way to send one.

mod files;
mod json;
mod resolve;
mod transport;
mod watch;

use std::io::{self, Read};
use std::time::Duration;

use ureq::config::{Config, ConfigBuilder};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::typestate::AgentScope;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector};
use ureq::{Agent, Proxy, ProxyProtocol};

use super::failure::Failure;
use super::settings::{Limits, ProxyChoice, Settings};
use crate::error::{Error, Result};

pub(crate) use files::{FileAgent, FileAnswer};
pub(crate) use json::{Answer, ApiAgent, Payload, Request};

use resolve::Remembering;
use transport::Tcp;
use watch::Watching;

/// The longest answer head that is read, in bytes. At least the input buffer, or a 1xx head before a large
/// body would be taken for a head that is too long.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// An answer's head, as far as anyone here looks at it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    headers: ureq::http::HeaderMap,
}

impl Head {
    /// The value of a header that may come once; `None` when it is missing, no text, or there twice with
    /// different values.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        if values.any(|other| other != first) {
            return None;
        }
        first.to_str().ok()
    }

    /// The coding of the body when it is anything but the bytes themselves, however often the header comes.
    fn coding(&self) -> Option<&str> {
        let all = self.headers.get_all("content-encoding").iter();
        all.map(|value| value.to_str().unwrap_or("no text"))
            .find(|c| !c.trim().is_empty() && !c.trim().eq_ignore_ascii_case("identity"))
    }
}

/// A body that reports its failures as [`Failure`] inside [`io::Error`].
pub(crate) struct Body {
    reader: ureq::BodyReader<'static>,
    limits: Limits,
    /// How long one read may take, where the call as a whole has no limit.
    silence: Option<Duration>,
}

impl Body {
    /// Sets how long one read may take.
    fn be_patient_for(&mut self, silence: Duration) {
        (self.silence, self.limits.stall) = (Some(silence), silence);
    }
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match self.silence {
            Some(silence) => watch::within(silence, || self.reader.read(buf)),
            None => self.reader.read(buf),
        };
        read.map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => io::Error::other(failure(ureq::Error::from(e), &self.limits)),
        })
    }
}

fn agent(config: Config) -> Agent {
    let connector = ().chain(ConnectProxyConnector::default()).chain(Tcp);
    #[cfg(feature = "rustls")]
    let connector = connector.chain(ureq::unversioned::transport::RustlsConnector::default());
    #[cfg(feature = "native-tls")]
    let connector = connector.chain(ureq::unversioned::transport::NativeTlsConnector::default());
    Agent::with_parts(config, Watching(connector), Remembering::default())
}

/// What both agents share. `direct`: no proxy, whatever the environment says.
fn common(settings: &Settings, direct: bool) -> Result<ConfigBuilder<AgentScope>> {
    let mut config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(settings.user_agent.as_str())
        .accept_encoding("identity")
        .timeout_connect(Some(settings.limits.connect))
        .timeout_resolve(Some(settings.limits.connect))
        .max_response_header_size(MAX_HEAD_BYTES)
        .tls_config(tls(settings)?);
    match &settings.proxy {
        _ if direct => config = config.proxy(None),
        None => {}
        Some(ProxyChoice::Direct) => config = config.proxy(None),
        Some(ProxyChoice::Url(url)) => {
            let proxy = Proxy::new(url)
                .ok()
                .filter(|proxy| matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https));
            let proxy = proxy.ok_or_else(|| {
                let reason = "is not an address like http://host:port; SOCKS proxies are not supported";
                Error::invalid("the proxy", reason)
            })?;
            config = config.proxy(Some(proxy));
        }
    }
    Ok(config)
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

/// Says what ureq met in our own words: some of its errors print the whole URL.
fn failure(error: ureq::Error, limits: &Limits) -> Failure {
    use ureq::Error as E;
    use ureq::Timeout as T;
    let timeout = |phase, limit| Failure::Timeout { phase, limit };
    match error {
        E::Timeout(T::Resolve | T::Connect) => timeout("connecting", limits.connect),
        E::Timeout(T::PerWrite | T::SendRequest | T::SendBody) => {
            timeout("sending the request", limits.stall)
        }
        E::Timeout(T::RecvResponse) => timeout("waiting for the answer", limits.first_byte),
        E::Timeout(T::PerRead) => timeout("waiting for more of the answer", limits.stall),
        E::Timeout(_) => timeout("the call", limits.total),
        E::Io(e) => Failure::Broken(e.into()),
        E::HostNotFound => Failure::Broken("the host name was not found".into()),
        E::ConnectionFailed => Failure::Broken("no address of the host could be connected to".into()),
        E::Tls(e) => Failure::Broken(e.into()),
        #[cfg(feature = "rustls")]
        E::Rustls(e) => Failure::Broken(e.to_string().into()),
        #[cfg(feature = "native-tls")]
        E::NativeTls(e) => Failure::Broken(e.to_string().into()),
        E::Protocol(e) => Failure::Protocol(format!("the answer is not valid HTTP: {e}").into()),
        E::LargeResponseHeader(..) => {
            Failure::Protocol("the answer's head is longer than is read of one".into())
        }
        E::InvalidProxyUrl | E::ConnectProxyFailed(_) => {
            Failure::Broken("the proxy refused the connection".into())
        }
        _ => Failure::Broken("the request could not be carried out".into()),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}
