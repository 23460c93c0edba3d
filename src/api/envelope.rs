//! PURE. From the status and body of a response to a value or an error: only the expected status with the expected
//! body is a success.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::error::{Error, ErrorCode, base_url_advice, suffix};
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
        let envelope = self.envelope()?;
        match envelope.status.as_deref() {
            // The `status` of an envelope says nothing about the service.
            Some(word) if word.eq_ignore_ascii_case("success") => {
                Err(self.unexpected("an envelope in place of the service's own status"))
            }
            Some(word) if self.status == 200 && word != "error" => {
                serde_json::from_slice(&self.body).map_err(|problem| self.unexpected(problem.to_string()))
            }
            _ => Err(self.error(envelope)),
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
        let advice = if self.status == 404 { base_url_advice(&self.path) } else { "" };
        let problem = problem.into() + &suffix("; ", advice);
        Error::UnexpectedResponse {
            method: self.method,
            path: self.path.clone(),
            status: self.status,
            problem: clean(&problem, MESSAGE_CHARS, self.secret.expose()).into(),
            excerpt: excerpt(&self.body, self.secret.expose()),
            retry_after: self.retry_after,
        }
    }

    /// The envelope, whatever it says.
    fn envelope(&self) -> Result<Envelope<'_>, Error> {
        let problem = match std::str::from_utf8(&self.body).map(serde_json::from_str) {
            Ok(Ok(envelope)) => return Ok(envelope),
            _ if matches!(self.status, 301 | 302 | 303 | 307 | 308) => {
                "a redirect, which this API never sends and which is not followed; check the base URL"
            }
            Err(_) => "a body that is not valid UTF-8",
            Ok(Err(_)) if self.body.trim_ascii().is_empty() => "an empty body",
            Ok(Err(problem)) if problem.is_eof() => "JSON that ends too early",
            Ok(Err(problem)) if problem.is_data() => "JSON without the expected envelope",
            Ok(Err(_)) => "a body that is not JSON, or nested too deeply",
        };
        Err(self.unexpected(problem))
    }

    /// The envelope of a 200 that says `success`; everything else is an error.
    fn success(&self) -> Result<Envelope<'_>, Error> {
        let envelope = self.envelope()?;
        match envelope.status.as_deref() {
            Some("success") if self.status == 200 => Ok(envelope),
            _ => Err(self.error(envelope)),
        }
    }

    /// The error in an envelope that is not a success.
    fn error(&self, envelope: Envelope<'_>) -> Error {
        if envelope.status.as_deref() == Some("error") || (self.status >= 300 && envelope.code.is_some()) {
            let code = envelope.code.unwrap_or_else(|| ErrorCode::UNKNOWN.as_str().to_owned());
            return Error::Api {
                method: self.method,
                path: self.path.clone(),
                status: self.status,
                retry_after: self.retry_after,
                code: clean(&code, CODE_CHARS, self.secret.expose()).into(),
                message: clean(&envelope.message.unwrap_or_default(), MESSAGE_CHARS, self.secret.expose()),
            };
        }
        self.unexpected(match self.status {
            200 => "an envelope whose `status` is neither `success` nor `error`",
            _ => "a status that this call never has",
        })
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
