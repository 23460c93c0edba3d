//! PURE. From the status and body of a response to a value or an error: only the expected status with the expected
//! body is a success.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::error::{Error, ErrorCode};
use crate::secret::{ApiKey, clean, excerpt};
use crate::types::{Response, ServiceStatus, text};

/// How many characters of the service's code and message an error keeps.
const CODE_CHARS: usize = 80;
const MESSAGE_CHARS: usize = 1000;

/// A response of the API, and what it is a response to.
pub(crate) struct RawResponse {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The service's clock.
    pub(crate) date: Option<OffsetDateTime>,
    /// How long the service says to wait.
    pub(crate) retry_after: Option<Duration>,
    /// What must not be shown even if the response repeats it.
    pub(crate) secret: ApiKey,
}

/// What every response but the service's status is wrapped in.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, deserialize_with = "text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "text")]
    code: Option<String>,
    #[serde(default, deserialize_with = "text")]
    message: Option<String>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

impl Envelope<'_> {
    fn says(&self, status: &str) -> bool {
        self.status.as_deref() == Some(status)
    }
}

impl RawResponse {
    /// The `response` of a call that must have one, decoded.
    pub(crate) fn data<'a, T>(&'a self, decode: impl FnOnce(&'a str) -> serde_json::Result<T>) -> Result<T, Error> {
        let Some(response) = self.success()?.response else {
            return Err(self.unexpected("a success without a `response`"));
        };
        decode(response.get())
            .map_err(|problem| self.unexpected(format!("a `response` that cannot be decoded: {problem}")))
    }

    /// The success of an action, which may have any `response` or none.
    pub(crate) fn action(&self) -> Result<Response, Error> {
        let Envelope { code, message, response, .. } = self.success()?;
        if response.is_some_and(|response| serde_json::from_str::<Value>(response.get()).is_err()) {
            return Err(self.unexpected("a `response` that is not valid JSON"));
        }
        Ok(Response { status: "success".into(), code: code.map(ErrorCode::from), message })
    }

    /// The body of the one route without an envelope.
    pub(crate) fn service_status(&self) -> Result<ServiceStatus, Error> {
        match self.envelope() {
            // The `status` of an envelope says nothing about the service.
            Ok(Envelope { status: Some(word), .. }) if word.eq_ignore_ascii_case("success") => {
                Err(self.unexpected("an envelope in place of the service's own status"))
            }
            Ok(envelope) if self.status == 200 && envelope.status.is_some() && !envelope.says("error") => {
                serde_json::from_slice(&self.body).map_err(|problem| self.unexpected(problem.to_string()))
            }
            other => Err(self.error(other)),
        }
    }

    /// What `done` makes of the response, or `None` when the work goes on in the background: the code says so or HTTP
    /// 202 does, whatever `status` says.
    pub(crate) fn unless_pending<T>(&self, done: impl FnOnce(&Self) -> Result<T, Error>) -> Result<Option<T>, Error> {
        let is_pending = match self.envelope() {
            Ok(Envelope { code: Some(code), .. }) => {
                [ErrorCode::SNAPSHOT_PROCESSING, ErrorCode::SNAPSHOT_RESTORE_PROCESSING].contains(&code.into())
            }
            Ok(_) => self.status == 202,
            Err(_) => self.status == 202 && self.body.is_empty(),
        };
        if is_pending { Ok(None) } else { done(self).map(Some) }
    }

    /// The error of a response that this call cannot have.
    pub(crate) fn unexpected(&self, problem: impl Into<String>) -> Error {
        Error::UnexpectedResponse {
            method: self.method,
            path: self.path.clone(),
            status: self.status,
            problem: clean(&problem.into(), MESSAGE_CHARS, self.secret.expose()).into(),
            excerpt: excerpt(&self.body, self.secret.expose()),
        }
    }

    /// The envelope, or what is wrong with the body.
    fn envelope(&self) -> Result<Envelope<'_>, String> {
        use serde_json::error::Category;
        let text = std::str::from_utf8(&self.body).map_err(|_| "a body that is not valid UTF-8")?;
        if text.trim().is_empty() {
            return Err("an empty body".into());
        }
        serde_json::from_str(text).map_err(|problem| match problem.classify() {
            Category::Eof => "JSON that ends too early".into(),
            Category::Data => "JSON without the expected envelope".into(),
            _ => "a body that is not JSON, or nested too deeply".into(),
        })
    }

    /// The envelope of a 200 that says `success`; everything else is an error.
    fn success(&self) -> Result<Envelope<'_>, Error> {
        match self.envelope() {
            Ok(envelope) if self.status == 200 && envelope.says("success") => Ok(envelope),
            other => Err(self.error(other)),
        }
    }

    fn error(&self, envelope: Result<Envelope<'_>, String>) -> Error {
        match envelope {
            Err(_) if matches!(self.status, 301 | 302 | 303 | 307 | 308) => {
                self.unexpected("a redirect, which this API never sends and which is not followed")
            }
            Err(problem) => self.unexpected(problem),
            Ok(envelope) if envelope.says("error") || (self.status >= 300 && envelope.code.is_some()) => {
                let code = envelope.code.unwrap_or_else(|| ErrorCode::UNKNOWN.as_str().to_owned());
                Error::Api {
                    method: self.method,
                    path: self.path.clone(),
                    status: self.status,
                    retry_after: self.retry_after,
                    code: clean(&code, CODE_CHARS, self.secret.expose()).into(),
                    message: clean(&envelope.message.unwrap_or_default(), MESSAGE_CHARS, self.secret.expose()),
                }
            }
            Ok(_) if self.status == 200 => {
                self.unexpected("an envelope whose `status` is neither `success` nor `error`")
            }
            Ok(_) => self.unexpected("a status that this call never has"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn response(status: u16, body: &[u8]) -> RawResponse {
        RawResponse {
            method: "GET",
            path: "/v2/x".into(),
            status,
            body: body.into(),
            date: None,
            retry_after: None,
            secret: ApiKey::new("1-hush".into()).unwrap(),
        }
    }

    fn data(response: &RawResponse) -> Result<Value, Error> {
        response.data(serde_json::from_str)
    }

    #[test]
    fn only_the_expected_answer_is_a_success() {
        let good = br#"{"status":"success","response":{"a":1},"code":"SUCCESS"}"#;
        assert!(data(&response(200, good)).is_ok());
        for status in [201, 202, 204, 206, 301, 304, 400, 404, 500, 999] {
            let error = data(&response(status, good)).unwrap_err();
            assert_eq!(error.status(), Some(status));
        }
        let bad: [&[u8]; 11] = [
            b"",
            b" \n",
            b"null",
            b"[]",
            b"true",
            b"{}",
            br#"{"status":"success"}"#,
            br#"{"status":"success","response":null}"#,
            br#"{"status":"ok","response":{}}"#,
            br#"{"status":"success","response":{}"#,
            b"<html>",
        ];
        for body in bad {
            assert!(data(&response(200, body)).is_err(), "{}", String::from_utf8_lossy(body));
        }
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        assert!(data(&response(200, &deep)).is_err());
        assert!(data(&response(200, b"{\"status\":\"success\",\"response\":\"\xff\"}")).is_err());
    }

    #[test]
    fn an_error_in_a_success_is_an_error_with_its_code() {
        let error =
            response(200, br#"{"status":"error","code":"KEEP_CALM","message":"wait 1r/5s"}"#).action().unwrap_err();
        assert_eq!(error.code(), Some(&ErrorCode::KEEP_CALM));
        assert_eq!(error.status(), Some(200));
        assert!(error.is_rate_limited());
    }

    #[test]
    fn actions_need_no_response() {
        let bodies: [&[u8]; 3] = [
            br#"{"status":"success"}"#,
            br#"{"status":"success","response":null}"#,
            br#"{"status":"success","response":7}"#,
        ];
        for body in bodies {
            assert_eq!(response(200, body).action().unwrap().status, "success");
        }
        assert!(response(200, b"").action().is_err());
    }

    #[test]
    fn pending_is_known_by_code_or_by_202() {
        let pending = |status, body: &'static [u8]| matches!(response(status, body).unless_pending(data), Ok(None));
        assert!(pending(202, br#"{"status":"error","code":"SNAPSHOT_PROCESSING"}"#));
        assert!(pending(202, br#"{"status":"success"}"#));
        assert!(pending(200, br#"{"status":"success","code":"SNAPSHOT_PROCESSING"}"#));
        assert!(pending(202, b""));
        assert!(pending(202, br#"{"status":"error","code":"SNAPSHOT_RESTORE_PROCESSING"}"#));
        assert!(!pending(200, b""));
        assert!(!pending(202, b"<html>"));
        assert!(!pending(202, br#"{"status":"error","code":"KEEP_CALM"}"#));
    }

    #[test]
    fn a_service_status_has_no_envelope() {
        let status = |body: &[u8]| response(200, body).service_status();
        assert_eq!(status(br#"{"status":"tomorrow","new":1}"#).unwrap().status, "tomorrow");
        for bad in [r#"{"status":"Success"}"#, r#"{"status":"success","response":{}}"#, "{}", r#"{"status":7}"#] {
            assert!(status(bad.as_bytes()).is_err(), "{bad}");
        }
        let refused = status(br#"{"status":"error","code":"KEEP_CALM"}"#).unwrap_err();
        assert_eq!(refused.code(), Some(&ErrorCode::KEEP_CALM));
    }

    proptest! {
        #[test]
        fn no_body_panics(status in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = data(&response(status, &body));
            let _ = response(status, &body).service_status();
            let _ = response(status, &body).action();
        }
    }
}
