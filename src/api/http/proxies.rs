//! I/O. The proxies that a client uses: its own, or the environment's.

use ureq::{Proxy, ProxyProtocol};

use super::endpoint;
use crate::api::proxy::{Environment, is_exception, with_defaults};
use crate::api::settings::{ProxyChoice, Settings};
use crate::error::{Error, Result};
use crate::secret::is_loopback;

/// The proxies of a client. ureq's own reading of the environment is off: it differs from everybody else's.
#[derive(Clone)]
pub(super) struct Proxies {
    /// What named the proxy, and `None` when it is not one that can be used.
    proxy: Option<(String, Option<Proxy>)>,
    /// The hosts that are reached directly all the same: the value of `NO_PROXY`.
    exceptions: String,
}

impl Proxies {
    /// Reads the environment unless the settings say which proxy to use.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let (proxy, exceptions) = match &settings.proxy {
            Some(ProxyChoice::Direct) => (None, String::new()),
            Some(ProxyChoice::Url(url)) => match parse_proxy(url) {
                None => return Err(Error::invalid("the proxy", PROXY)),
                proxy => (Some((String::new(), proxy)), String::new()),
            },
            None => {
                let value = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
                let Environment { proxy, exceptions } = Environment::read(value);
                let named = |name| format!("the proxy in the environment variable {name}");
                (proxy.map(|(name, url)| (named(name), parse_proxy(&url))), exceptions)
            }
        };
        Ok(Self { proxy, exceptions })
    }

    /// The proxy for a request of `url`; `None` when it is sent directly, as to loopback always.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the environment names a proxy that cannot be used, and `url` would need it.
    pub(super) fn of(&self, url: &str) -> Result<Option<Proxy>> {
        let (host, _) = endpoint(url);
        match &self.proxy {
            Some((what, proxy)) if !is_loopback(&host) && !is_exception(&self.exceptions, &host) => {
                proxy.clone().map(Some).ok_or_else(|| Error::invalid(what.clone(), PROXY))
            }
            _ => Ok(None),
        }
    }
}

const PROXY: &str = "is not an address like http://user:password@host:port or https://host:port, which are supported; \
                     SOCKS proxies are not";

fn parse_proxy(url: &str) -> Option<Proxy> {
    let proxy = Proxy::new(&with_defaults(url)).ok()?;
    // ureq panics on a SOCKS proxy without its feature, and takes the default for a port that is not one.
    let authority = proxy.uri().authority()?;
    let port = authority.as_str().rsplit('@').next()?.strip_prefix(proxy.host())?;
    let is_port = port.is_empty() || authority.port_u16().is_some_and(|port| port != 0);
    let is_supported = matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
    (is_port && is_supported && !proxy.host().is_empty()).then_some(proxy)
}
