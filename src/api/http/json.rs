//! I/O. The agent of JSON calls: the only one that is ever given the key.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ureq::config::ConfigBuilder;
use ureq::{Agent, SendBody};

use super::{Body, Head, MAX_HEAD_BYTES, agent, common, failure, watch};
use crate::api::failure::{Failure, Lost};
use crate::api::settings::{Limits, MAX_JSON_BYTES, Settings};
use crate::error::Result;
use crate::secret::{ApiKey, is_loopback, split_url};

/// The most room that is made for an answer before it comes, in bytes.
const ROOM: usize = 64 * 1024;

/// What a JSON call sends.
pub(crate) enum Payload<'a> {
    Nothing,
    Json(&'a [u8]),
    /// A body of known length that is read while it is sent.
    Stream {
        content_type: &'a str,
        length: u64,
        reader: &'a mut dyn Read,
    },
}

/// One JSON call, ready to send.
pub(crate) struct Request<'a, 'p> {
    pub(crate) method: &'static str,
    pub(crate) url: &'a str,
    pub(crate) payload: Payload<'p>,
    /// The total this attempt may take; for a [`Payload::Stream`], only the wait for the answer's head.
    pub(crate) limit: Duration,
    /// What an error says the limit was, when this attempt had only the rest of it.
    pub(crate) total: Duration,
    /// Over a new connection, whatever the pool has. Everything but a GET is sent so.
    pub(crate) fresh: bool,
}

/// A JSON call's answer; the body may have broken off.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// Why the body is not whole.
    pub(crate) broken: Option<Failure>,
}

/// The agent of JSON calls.
pub(crate) struct ApiAgent {
    agent: Agent,
    limits: Limits,
    /// Whether a call was answered before, so that the pool may have a connection.
    answered: AtomicBool,
}

impl ApiAgent {
    /// `base_url` decides whether a proxy is used: loopback is reached directly.
    pub(crate) fn new(settings: &Settings, base_url: &str) -> Result<Self> {
        let direct = split_url(base_url).is_ok_and(|parts| is_loopback(parts.host));
        let config = common(settings, direct)?
            .accept("application/json")
            .timeout_global(Some(settings.limits.total))
            .input_buffer_size(MAX_HEAD_BYTES)
            .output_buffer_size(16 * 1024)
            .build();
        Ok(Self { agent: agent(config), limits: settings.limits.clone(), answered: AtomicBool::new(false) })
    }

    /// Whether a call may go over a connection the service has closed in the meantime.
    pub(crate) fn may_be_stale(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Sends `request` once. An answer with a broken body is an answer: its status counts.
    pub(crate) fn send(&self, request: Request<'_, '_>, key: &ApiKey) -> std::result::Result<Answer, Lost> {
        let Request { method, url, payload, limit, total, fresh } = request;
        let mut authorization = ureq::http::HeaderValue::from_str(key.expose())
            .map_err(|_| Failure::Protocol("the API key cannot stand in a header".into()))?;
        watch::begin();
        authorization.set_sensitive(true);
        let builder =
            ureq::http::Request::builder().method(method).uri(url).header("authorization", authorization);
        let limits = Limits { total, first_byte: total, ..self.limits.clone() };
        let fail = |e| failure(e, &limits);
        let sent = match payload {
            Payload::Nothing if method == "GET" => {
                let request = builder.body(()).map_err(|e| fail(e.into()))?;
                if fresh {
                    self.agent.run(once(&self.agent, request).timeout_global(Some(limit)).build())
                } else {
                    self.agent.run(request)
                }
            }
            Payload::Nothing => {
                let request = builder.header("content-length", "0").body(()).map_err(|e| fail(e.into()))?;
                self.agent.run(once(&self.agent, request).timeout_global(Some(limit)).build())
            }
            Payload::Json(json) => {
                let request = builder
                    .header("content-type", "application/json")
                    .body(json)
                    .map_err(|e| fail(e.into()))?;
                self.agent.run(once(&self.agent, request).timeout_global(Some(limit)).build())
            }
            Payload::Stream { content_type, length, reader } => {
                let request = builder
                    .header("content-type", content_type)
                    .header("content-length", length)
                    .body(SendBody::from_reader(reader))
                    .map_err(|e| fail(e.into()))?;
                let stall = Some(self.limits.stall);
                let request = once(&self.agent, request)
                    .timeout_global(None)
                    .timeout_per_write(stall)
                    .timeout_recv_response(Some(limit))
                    .timeout_recv_body(stall)
                    .build();
                self.agent.run(request)
            }
        };
        let sent = sent.map_err(|e| Lost { failure: fail(e), status: watch::status() })?;
        let (parts, body) = sent.into_parts();
        self.answered.store(true, Ordering::Relaxed);
        let head = Head { status: parts.status.as_u16(), headers: parts.headers };
        if let Some(coding) = head.coding() {
            let problem = format!("the answer came in the coding {coding:?}, which was not asked for");
            return Ok(Answer { head, body: Vec::new(), broken: Some(Failure::Protocol(problem.into())) });
        }
        let mut body = Body { reader: body.into_reader(), limits, silence: None };
        let announced = head.get("content-length").and_then(|length| length.parse().ok());
        let (body, broken) = read_capped(&mut body, announced);
        Ok(Answer { head, body, broken })
    }
}

/// A call that must not be sent twice goes over a new connection: on an old one, a close by the server in
/// the same moment could not be told from a failure after the work was begun.
fn once<S: ureq::AsSendBody>(
    agent: &Agent,
    request: ureq::http::Request<S>,
) -> ConfigBuilder<ureq::typestate::HttpCrateScope<S>> {
    agent.configure_request(request).max_idle_age(Duration::ZERO)
}

/// Reads to the end or to [`MAX_JSON_BYTES`], whichever comes first; counts decoded bytes.
fn read_capped(body: &mut Body, announced: Option<usize>) -> (Vec<u8>, Option<Failure>) {
    // Room for what was announced, and for a read that meets the end; a lie reserves little.
    let mut bytes = Vec::with_capacity(announced.unwrap_or_default().min(ROOM) + 64);
    match body.take(MAX_JSON_BYTES as u64 + 1).read_to_end(&mut bytes) {
        Ok(n) if n > MAX_JSON_BYTES => {
            bytes.truncate(MAX_JSON_BYTES);
            let problem =
                format!("the answer is longer than the {MAX_JSON_BYTES} bytes that are read of one");
            (bytes, Some(Failure::Protocol(problem.into())))
        }
        Ok(_) => (bytes, None),
        Err(e) => (bytes, Some(Failure::from_io(e))),
    }
}
