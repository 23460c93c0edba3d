//! I/O. One request for a snapshot's bytes, judged.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ends::READ;
use super::range::{Ask, Reply, Verdict, Version, judge, number};
use crate::api::failure::{Failure, Lost};
use crate::api::http::{SnapshotAgent, SnapshotResponse};
use crate::error::Error;
use crate::secret::{SignedUrl, excerpt};

const GET: &str = "GET";
/// How long the first bytes of an answer that is an error are collected: they explain it, nothing more.
const EXCERPT_WAIT: Duration = Duration::from_millis(250);

/// Where a snapshot's bytes are.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) agent: SnapshotAgent,
    pub(crate) url: Arc<SignedUrl>,
    /// The snapshot's file name, for errors.
    pub(crate) what: Arc<str>,
    /// The version the link or the listing names.
    pub(crate) version: Option<Arc<str>>,
}

/// An answer that passed the judge.
pub(crate) struct Opened {
    pub(crate) verdict: Verdict,
    pub(crate) answer: SnapshotResponse,
}

impl Wire {
    /// One request. `known`: what its answer must belong to.
    pub(crate) fn ask(
        &self,
        ask: Ask,
        known: &Version,
        silence: Duration,
    ) -> std::result::Result<Opened, Lost> {
        let mut headers = Vec::new();
        if let Some(range) = ask.header() {
            headers.push(("range", range));
            if let Some(etag) = &known.etag {
                headers.push(("if-match", etag.clone()));
            }
        }
        let answer = self.agent.get(&self.url, &headers, silence, ask.length(known.total))?;
        let head = &answer.headers;
        let reply = Reply {
            status: answer.status,
            content_range: head.get("content-range"),
            content_length: head.get("content-length").and_then(number),
            version: Version::new(head.get("etag"), head.get("x-amz-version-id"), head.get("last-modified")),
        };
        let other = match (&self.version, &reply.version.version_id) {
            (Some(wanted), Some(sent)) => **wanted != **sent,
            _ => false,
        };
        let page = known.etag.is_some()
            && reply.version.etag.is_none()
            && head.get("content-type").is_some_and(|kind| kind.trim_start().starts_with("text/html"));
        let verdict = match judge(ask, known, reply) {
            // What came before is not thrown away for a maintenance page or a portal's login.
            Verdict::Whole(_) if page => Verdict::Wrong("a web page came in the snapshot's place".into()),
            Verdict::Whole(_) | Verdict::Part { .. } if other => {
                Verdict::Wrong("another version was sent than was asked for; list the snapshots again".into())
            }
            verdict => verdict,
        };
        Ok(Opened { verdict, answer })
    }

    /// The error of an answer that is none; reads its first bytes, as far as they come without much waiting.
    pub(crate) fn wrong(&self, mut answer: SnapshotResponse, problem: Cow<'static, str>) -> Error {
        let (begun, mut bytes, mut count) = (Instant::now(), vec![0; READ], 0);
        while begun.elapsed() < EXCERPT_WAIT {
            match answer.body.read(bytes.get_mut(count..).unwrap_or_default()) {
                Ok(more) if more > 0 => count += more,
                _ => break,
            }
        }
        self.answer_error(answer.status, problem, bytes.get(..count).unwrap_or_default())
    }

    /// The error about an answer whose bytes are no whole archive; `first` are the first of them.
    pub(crate) fn unfit(&self, first: &[u8], why: &'static str, status: u16) -> Error {
        if first.starts_with(b"PK") {
            return self.download_error(format!("the archive is damaged: {why}; try again"), Some(status));
        }
        let problem =
            if first.is_empty() { "the response body is empty" } else { "the response is not a zip archive" };
        self.answer_error(status, problem.into(), first)
    }

    pub(crate) fn answer_error(&self, status: u16, problem: Cow<'static, str>, first: &[u8]) -> Error {
        let path = self.url.path().to_owned();
        Error::UnexpectedResponse {
            method: GET,
            path,
            status,
            problem,
            excerpt: excerpt(first, self.url.query()),
        }
    }

    /// `status`: that of the answer, when it came.
    pub(crate) fn failed(&self, failure: Failure, status: Option<u16>) -> Error {
        failure.into_error(GET, self.url.path(), status)
    }

    pub(crate) fn timeout(&self, phase: &'static str, limit: Duration, status: Option<u16>) -> Error {
        Error::Timeout { method: GET, path: self.url.path().to_owned(), phase: phase.into(), limit, status }
    }

    pub(crate) fn download_error(&self, problem: impl Into<Cow<'static, str>>, status: Option<u16>) -> Error {
        Error::Download { what: self.what.to_string(), status, problem: problem.into(), source: None }
    }
}
