//! I/O. The agent of the snapshot host: it knows no key and keeps no cookies.

use std::time::{Duration, Instant};

use ureq::Agent;

use super::{Body, Head, agent, clip, common, failure, watch};
use crate::api::failure::{Failure, Lost};
use crate::api::settings::{Limits, Settings};
use crate::error::Result;
use crate::secret::{SignedUrl, is_loopback, split_url};

/// The input buffer of transfers: large reads are what makes them fast.
const FILE_BUFFER: usize = 1024 * 1024;
/// How many redirects of the snapshot host are followed.
const MAX_REDIRECTS: usize = 3;

/// The agent of the snapshot host. It knows no key and keeps no cookies.
#[derive(Clone)]
pub(crate) struct FileAgent {
    agent: Agent,
    limits: Limits,
}

/// An answer of the snapshot host whose body is still to be read.
pub(crate) struct FileAnswer {
    pub(crate) head: Head,
    pub(crate) body: Body,
}

impl FileAgent {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let config = common(settings, false)?
            .accept("*/*")
            .timeout_recv_response(Some(settings.limits.first_byte))
            .timeout_per_read(Some(settings.limits.stall))
            .input_buffer_size(FILE_BUFFER)
            .output_buffer_size(16 * 1024)
            .max_idle_connections_per_host(16)
            .max_idle_connections(32)
            .max_response_header_size(FILE_BUFFER)
            .build();
        Ok(Self { agent: agent(config), limits: settings.limits.clone() })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// `GET url` with `headers`; follows at most [`MAX_REDIRECTS`] redirects, each to the scheme it came
    /// from. Any status is an answer; a body in a coding that was not asked for is a failure.
    ///
    /// `silence` is how long one read may wait, and all redirects together.
    pub(crate) fn get(
        &self,
        url: &SignedUrl,
        headers: &[(&'static str, String)],
        silence: Duration,
    ) -> std::result::Result<FileAnswer, Lost> {
        let mut url = url.clone();
        let mut status = None;
        let (mut left, begun) = (silence, Instant::now());
        for _ in 0..=MAX_REDIRECTS {
            let known = |lost: Lost| Lost { status: lost.status.or(status), ..lost };
            let mut answer = self.get_once(&url, headers, left).map_err(known)?;
            status = Some(answer.head.status);
            if !matches!(answer.head.status, 301 | 302 | 303 | 307 | 308) {
                answer.body.be_patient_for(silence.min(self.limits.stall));
                let Some(coding) = answer.head.coding().map(clip) else {
                    return Ok(answer);
                };
                let problem = format!("the answer came in the coding {coding:?}, which was not asked for");
                return Err(Lost { failure: Failure::Protocol(problem.into()), status });
            }
            url = redirect(&url, answer.head.get("location")).map_err(|failure| Lost { failure, status })?;
            // A redirect is no new beginning: all heads together may take as long as one.
            left = silence.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let failure = Failure::Timeout { phase: "waiting for the answer", limit: silence };
                return Err(Lost { failure, status });
            }
        }
        let problem = format!("the snapshot host redirected more than {MAX_REDIRECTS} times");
        Err(Lost { failure: Failure::Protocol(problem.into()), status })
    }

    fn get_once(
        &self,
        url: &SignedUrl,
        headers: &[(&'static str, String)],
        silence: Duration,
    ) -> std::result::Result<FileAnswer, Lost> {
        watch::begin();
        let limits = Limits { stall: silence, ..self.limits.clone() };
        let fail = |e| failure(e, &limits);
        let mut builder = ureq::http::Request::builder().method("GET").uri(url.expose());
        for (name, value) in headers {
            builder = builder.header(*name, value);
        }
        let request = builder.body(()).map_err(|e| fail(e.into()))?;
        let mut config = self
            .agent
            .configure_request(request)
            .timeout_per_read(Some(silence))
            .timeout_recv_response(Some(limits.first_byte.min(silence)));
        if split_url(url.expose()).is_ok_and(|parts| is_loopback(parts.host)) {
            config = config.proxy(None);
        }
        let sent = self.agent.run(config.build()).map_err(|e| {
            let failure = match e {
                // Silence before the head: ureq applies the limit of one read to it, too.
                ureq::Error::Timeout(ureq::Timeout::PerRead) => Failure::Timeout {
                    phase: "waiting for the answer",
                    limit: limits.first_byte.min(silence),
                },
                e => fail(e),
            };
            Lost { failure, status: watch::status() }
        });
        let (parts, body) = sent?.into_parts();
        let head = Head { status: parts.status.as_u16(), headers: parts.headers };
        Ok(FileAnswer { head, body: Body { reader: body.into_reader(), limits, silence: Some(silence) } })
    }
}

/// Where a redirect of the snapshot host leads, when it may be followed.
fn redirect(from: &SignedUrl, location: Option<&str>) -> std::result::Result<SignedUrl, Failure> {
    let stop = |problem: &'static str| Err(Failure::Protocol(problem.into()));
    let Some(location) = location else {
        return stop("the snapshot host redirected without saying where to");
    };
    let origin = &from.expose()[..from.expose().len() - from.path().len() - query_len(from)];
    let target = match location {
        l if l.starts_with("//") => {
            return stop("the snapshot host redirected to an address without a scheme");
        }
        l if l.starts_with('/') => format!("{origin}{l}"),
        l => l.to_owned(),
    };
    let target = target.split('#').next().unwrap_or_default();
    let Ok(to) = SignedUrl::parse(target) else {
        return stop("the snapshot host redirected to an address that may not be followed");
    };
    let scheme = |url: &SignedUrl| url.expose().split(':').next().map(str::to_ascii_lowercase);
    if scheme(&to) != scheme(from) {
        return stop("the snapshot host redirected to another scheme");
    }
    Ok(to)
}

fn query_len(url: &SignedUrl) -> usize {
    if url.expose().contains('?') { url.query().len() + 1 } else { 0 }
}
