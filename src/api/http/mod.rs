//! I/O. The only folder that names ureq: two agents, one for the API and one for the snapshot host.
//!
//! The two never share a request type: [`ApiAgent`] is the only one that is ever given the key, and
//! [`SnapshotAgent`] has no way to send one.

mod about;
mod api_agent;
mod proxies;
mod snapshot_agent;
// Without TLS, `compile_error!` in lib.rs shall be the only message.
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls;

use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use time::OffsetDateTime;
use ureq::Proxy;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::Uri;
use ureq::typestate::AgentScope;

use super::http_date::{http_date, retry_after};
use super::settings::{Limits, Settings};
use crate::error::Result;

use about::About;
pub(crate) use api_agent::{ApiAgent, Payload, Request};
use proxies::Proxies;
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
        // S3-compatible stores keep the `aws-chunked` of an upload, which says nothing of the stored bytes.
        let known: [&[u8]; 3] = [b"", b"identity", b"aws-chunked"];
        let is_none = |coding: &[u8]| known.iter().any(|known| coding.trim_ascii().eq_ignore_ascii_case(known));
        if codings.all(|list| list.split(|b| *b == b',').all(is_none)) {
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
            _ => self.about.broken(e.into()).into(),
        })
    }
}

/// The limits for looking up a name and for connecting, when the system has a thread left for a lookup: with a limit
/// for this, for a call or for all, ureq looks a name up in a new thread, and panics when there is none. The name of a
/// proxy is looked up as a part of connecting.
fn lookup(limits: &Limits, proxy: Option<&Proxy>) -> (Option<Duration>, Option<Duration>) {
    let thread = thread::Builder::new().spawn(|| {});
    let lookup = thread.ok().and_then(|thread| thread.join().ok()).map(|()| limits.connect);
    (lookup, lookup.or(proxy.is_none().then_some(limits.connect)))
}

/// Host and port of a URL that was checked.
fn endpoint(url: &str) -> (String, u16) {
    let uri: Uri = url.parse().unwrap_or_default();
    let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    (uri.host().unwrap_or_default().to_owned(), uri.port_u16().unwrap_or(default))
}

/// What both agents share.
fn common(settings: &Settings, proxy: Option<Proxy>) -> Result<ConfigBuilder<AgentScope>> {
    let config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .user_agent(settings.user_agent.as_str())
        .accept_encoding("identity")
        .output_buffer_size(16 * 1024)
        .max_response_header_size(MAX_HEADER_BYTES);
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    let config = config.tls_config(tls::config(settings)?);
    Ok(config)
}
