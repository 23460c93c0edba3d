//! I/O. Host names become addresses, no more often than needed.
//!
//! ureq asks its resolver before every request, for a kept-alive connection too, and its own resolver starts a
//! thread each time there is a time limit. An address needs neither, and a name need not be looked up anew for
//! every call of a loop.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long the answer for a name is used again: shorter than what DNS gives out.
const KEPT: Duration = Duration::from_secs(20);

/// One remembered name is enough: each agent talks to one host.
#[derive(Debug, Default)]
pub(super) struct Remembering {
    inner: DefaultResolver,
    last: Mutex<Option<(String, Instant, Vec<SocketAddr>)>>,
}

impl Remembering {
    fn recall(&self, name: &str) -> Option<Vec<SocketAddr>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, at, addresses) = last.as_ref()?;
        (known == name && at.elapsed() < KEPT).then(|| addresses.clone())
    }
}

impl Resolver for Remembering {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let Some((host, port)) = host_and_port(uri) else {
            return self.inner.resolve(uri, config, timeout);
        };
        let mut found = self.empty();
        if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            found.push(SocketAddr::new(ip, port));
            return Ok(found);
        }
        let name = format!("{host}:{port}");
        if let Some(addresses) = self.recall(&name) {
            addresses.into_iter().for_each(|address| found.push(address));
            return Ok(found);
        }
        let found = self.inner.resolve(uri, config, timeout)?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((name, Instant::now(), found.to_vec()));
        Ok(found)
    }
}

fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let port = uri.port_u16().or_else(|| match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    })?;
    Some((uri.host()?, port))
}
