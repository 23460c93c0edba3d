//! I/O. The agent of the API: the only one that is ever given the key.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ureq::http::{self, HeaderValue, Uri};
use ureq::{Agent, AsSendBody, Proxy, SendBody};

use super::{About, Headers, MAX_HEADER_BYTES, Proxies, common, lookup};
use crate::api::envelope::RawResponse;
use crate::api::settings::{Limits, Settings};
use crate::error::Result;
use crate::secret::ApiKey;

/// How long a connection may have been idle to be used again.
const MAX_IDLE_AGE: Duration = Duration::from_secs(15);

/// The largest JSON response body that is read, in bytes.
const MAX_JSON_BYTES: u64 = 32 * 1024 * 1024;

type Sent = Result<http::Response<ureq::Body>, ureq::Error>;

/// What an API call sends.
pub(crate) enum Payload<'a> {
    Nothing,
    Json(&'a str),
    /// A body of known length that is read while it is sent.
    Stream {
        content_type: &'a str,
        length: u64,
        reader: &'a mut dyn Read,
    },
}

/// One API call, ready to send.
pub(crate) struct Request<'a, 'p> {
    pub(crate) method: &'static str,
    /// Below the base URL, with the query.
    pub(crate) path: &'a str,
    pub(crate) payload: Payload<'p>,
    /// How long this attempt may take; for a [`Payload::Stream`], only the wait for the response.
    pub(crate) timeout: Duration,
}

/// The agent of the API.
pub(crate) struct ApiAgent {
    agent: Agent,
    /// What the agent goes through.
    proxy: Option<Proxy>,
    key: ApiKey,
    base_url: String,
    limits: Limits,
    /// Whether the last call got a response, so that the next may be sent over its connection.
    pooled: AtomicBool,
}

impl ApiAgent {
    pub(crate) fn new(key: ApiKey, settings: &Settings) -> Result<Self> {
        let base_url = settings.base_url.clone();
        let proxy = Proxies::new(settings)?.of(&base_url)?;
        let config =
            common(settings, proxy.clone())?.accept("application/json").input_buffer_size(MAX_HEADER_BYTES).build();
        let (limits, pooled) = (settings.limits.clone(), AtomicBool::new(false));
        Ok(Self { agent: config.into(), proxy, key, base_url, limits, pooled })
    }

    /// The key, which no text may show.
    pub(crate) fn secret(&self) -> &str {
        self.key.expose()
    }

    /// Sends `request` once. The error of a response whose body could not be read keeps its status.
    pub(crate) fn send(&self, request: Request<'_, '_>) -> Result<RawResponse> {
        let method = request.method;
        let url = format!("{}{}", self.base_url, request.path);
        // Errors show the path alone: a query has no place in their messages.
        let path = url.parse::<Uri>().map_or_else(|_| String::new(), |uri| uri.path().to_owned());
        // The timeout an error names is that of the whole call, of which this attempt may have only the rest.
        let total = if method == "GET" { self.limits.total } else { self.limits.held_open };
        let limits = Limits { total, first_byte: total, ..self.limits.clone() };
        let mut about = About::new(method, path.clone(), limits);
        about.goes_to(&url, self.proxy.as_ref());
        let response = self.send_pooled(&url, request).map_err(|e| about.error(e))?;
        self.pooled.store(true, Ordering::Relaxed);
        let (parts, body) = response.into_parts();
        let (status, headers) = (parts.status.as_u16(), Headers(parts.headers));
        about.status = Some(status);
        headers.refuse_coding(&about)?;
        let body = body.into_with_config().limit(MAX_JSON_BYTES).read_to_vec().map_err(|e| about.error(e))?;
        let (date, retry_after) = (headers.date(), headers.retry_after());
        Ok(RawResponse { method, path, status, body, date, retry_after, secret: self.key.clone() })
    }

    /// A GET that finds its pooled connection closed by the service is sent again over a new one; the caller never
    /// sees that. Anything else always gets a new connection: on a pooled one, a close by the service at the same
    /// moment could not be distinguished from a failure after the work had begun.
    fn send_pooled(&self, url: &str, request: Request<'_, '_>) -> Sent {
        let (is_get, started) = (request.method == "GET", Instant::now());
        let may_be_stale = is_get && self.pooled.swap(false, Ordering::Relaxed);
        let again = Request { payload: Payload::Nothing, ..request };
        match self.send_over(url, request, !is_get) {
            Err(ureq::Error::Io(_)) if may_be_stale => {
                let timeout = again.timeout.saturating_sub(started.elapsed());
                self.send_over(url, Request { timeout, ..again }, true)
            }
            result => result,
        }
    }

    /// `fresh`: over a new connection, whatever the pool has.
    fn send_over(&self, url: &str, request: Request<'_, '_>, fresh: bool) -> Sent {
        let Request { method, mut payload, timeout, .. } = request;
        let mut authorization = HeaderValue::from_str(self.secret()).map_err(http::Error::from)?;
        authorization.set_sensitive(true);
        let builder = http::Request::builder().method(method).uri(url).header("authorization", authorization);
        // The request borrows its body.
        let mut nothing = ();
        let is_upload = matches!(payload, Payload::Stream { .. });
        let request = match &mut payload {
            Payload::Nothing if method == "GET" => builder.body(nothing.as_body())?,
            Payload::Nothing => builder.header("content-length", "0").body(nothing.as_body())?,
            Payload::Json(json) => builder.header("content-type", "application/json").body(json.as_body())?,
            Payload::Stream { content_type, length, reader } => {
                let builder = builder.header("content-type", *content_type).header("content-length", *length);
                builder.body(SendBody::from_reader(*reader))?
            }
        };
        let config = self.agent.configure_request(request);
        let (lookup, connect) = lookup(&self.limits, self.proxy.as_ref());
        let config = config.max_idle_age(if fresh { Duration::ZERO } else { MAX_IDLE_AGE });
        let config = config.timeout_resolve(lookup).timeout_connect(connect).timeout_recv_response(Some(timeout));
        if !is_upload {
            let config = config.timeout_global(lookup.map(|_| timeout)).timeout_recv_body(Some(timeout));
            return self.agent.run(config.build());
        }
        // No total timeout: the call ends when sending stalls.
        let stall = Some(self.limits.stall);
        self.agent.run(config.timeout_per_write(stall).timeout_recv_body(stall).build()).map_err(unsent)
    }
}

/// A server that refuses an upload early closes the connection, and its response is lost with it.
fn unsent(error: ureq::Error) -> ureq::Error {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error {
        ureq::Error::Io(e) if matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset) => {
            let problem = "the service closed the connection before the file was sent; it probably refused it";
            ureq::Error::Io(std::io::Error::new(e.kind(), problem))
        }
        error => error,
    }
}
