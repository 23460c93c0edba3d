//! I/O. The agent of the snapshot host: it knows no key and keeps no cookies.

use std::time::{Duration, Instant};

use ureq::http::{Request, Response};
use ureq::{Agent, Proxy};

use super::{About, Body, Headers, Proxies, common, lookup};
use crate::api::redirect::resolve;
use crate::api::settings::{Limits, Settings, Sleep};
use crate::error::Result;
use crate::secret::SignedUrl;

/// The input buffer of a transfer, in bytes: large reads are what makes it fast. TLS needs two.
const INPUT_BUFFER: usize = 512 * 1024;
/// The same for each of several connections, so that all of them stay small.
const SMALL_BUFFER: usize = 256 * 1024;
/// How many redirects of the snapshot host are followed.
const MAX_REDIRECTS: usize = 3;

/// The agent of the snapshot host. It knows no key and keeps no cookies.
#[derive(Clone)]
pub(crate) struct SnapshotAgent {
    agent: Agent,
    /// The one with the buffers of several connections.
    small: Agent,
    proxies: Proxies,
    limits: Limits,
    sleep: Sleep,
}

/// A response of the snapshot host whose body is still to be read.
pub(crate) struct SnapshotResponse {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Body,
    /// How long the host says to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The queries of the request and of the redirects it took: secret, and perhaps repeated in the body.
    pub(crate) queries: String,
}

impl SnapshotAgent {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let agent = |buffer| -> Result<Agent> {
            let config = common(settings, None)?
                .accept("*/*")
                .timeout_per_write(Some(settings.limits.stall))
                .input_buffer_size(buffer)
                .max_idle_connections_per_host(16)
                .max_idle_connections(32)
                .max_response_header_size(INPUT_BUFFER);
            Ok(config.build().into())
        };
        let (proxies, limits) = (Proxies::new(settings)?, settings.limits.clone());
        let (agent, small) = (agent(INPUT_BUFFER)?, agent(SMALL_BUFFER)?);
        Ok(Self { agent, small, proxies, limits, sleep: settings.sleep.clone() })
    }

    /// The agent for a transfer over so many connections.
    pub(crate) fn over(&self, connections: usize) -> Self {
        let agent = if connections > 1 { &self.small } else { &self.agent };
        Self { agent: agent.clone(), ..self.clone() }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Pauses the calling thread between two attempts.
    pub(crate) fn sleep(&self, pause: Duration) {
        (self.sleep)(pause);
    }

    /// `GET url` with `headers`; follows at most [`MAX_REDIRECTS`] redirects, each to the scheme it came
    /// from. Any status is a response; a snapshot in a content coding is an error.
    ///
    /// `idle`: how long one read may wait, and all redirects together. `length`: the most the body can have, when known.
    pub(crate) fn get(
        &self,
        url: &SignedUrl,
        headers: &[(&'static str, String)],
        idle: Duration,
        length: Option<u64>,
    ) -> Result<SnapshotResponse> {
        let (mut url, mut queries) = (url.clone(), url.query().to_owned());
        let path = url.path().to_owned();
        let limits = Limits { stall: idle, first_byte: self.limits.first_byte.min(idle), ..self.limits.clone() };
        let mut about = About::new("GET", path, limits);
        let begun = Instant::now();
        for _ in 0..=MAX_REDIRECTS {
            // All redirects together may take as long as one response.
            let left = idle.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(about.timeout("waiting for the response from", idle));
            }
            let proxy = self.proxies.of(url.expose())?;
            about.goes_to(url.expose(), proxy.as_ref());
            let (parts, body) = self.get_once(&url, proxy, headers, (left, length), &about)?.into_parts();
            let (status, headers) = (parts.status.as_u16(), Headers(parts.headers));
            about.status = Some(status);
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                // An error page may have one.
                if matches!(status, 200 | 206) {
                    headers.refuse_coding(&about)?;
                }
                let body = Body { reader: body.into_reader(), about };
                let retry_after = headers.retry_after();
                return Ok(SnapshotResponse { status, headers, body, retry_after, queries });
            }
            url = redirect(&url, headers.get("location")).map_err(|problem| about.protocol(problem))?;
            queries.push_str(if queries.is_empty() { "" } else { "&" });
            queries.push_str(url.query());
        }
        Err(about.protocol(format!("the snapshot host redirected more than {MAX_REDIRECTS} times")))
    }

    fn get_once(
        &self,
        url: &SignedUrl,
        proxy: Option<Proxy>,
        headers: &[(&'static str, String)],
        (idle, length): (Duration, Option<u64>),
        about: &About,
    ) -> Result<Response<ureq::Body>> {
        let first_byte = about.limits.first_byte;
        let mut builder = Request::builder().method("GET").uri(url.expose());
        for (name, value) in headers {
            builder = builder.header(*name, value);
        }
        let request = builder.body(()).map_err(|e| about.error(e.into()))?;
        let (lookup, connect) = lookup(&self.limits, proxy.as_ref());
        let config = self
            .agent
            .configure_request(request)
            .proxy(proxy)
            .timeout_resolve(lookup)
            .timeout_connect(connect)
            .timeout_per_read(Some(idle))
            .timeout_recv_response(Some(first_byte.min(idle)))
            .timeout_recv_body(Some(self.limits.body(length)));
        self.agent.run(config.build()).map_err(|e| match e {
            // ureq applies the limit of one read to the wait for the header section, too.
            ureq::Error::Timeout(ureq::Timeout::PerRead) => about.timeout("waiting for the response from", first_byte),
            e => about.broken(e),
        })
    }
}

/// Where a redirect of the snapshot host leads, when it may be followed.
fn redirect(from: &SignedUrl, location: Option<&str>) -> std::result::Result<SignedUrl, &'static str> {
    let location = location.ok_or("the snapshot host redirected without saying where to")?;
    let target = resolve(from, location);
    let to =
        SignedUrl::parse(&target).map_err(|_| "the snapshot host redirected to an address that may not be followed")?;
    let scheme = |url: &SignedUrl| url.expose().split(':').next().map(str::to_ascii_lowercase);
    if scheme(&to) != scheme(from) {
        return Err("the snapshot host redirected to another scheme");
    }
    Ok(to)
}
