//! PURE. Status and bytes of an answer become a value, a [`Response`] or an error: only the expected status
//! with the expected body is a success.

use std::time::Duration;

use crate::api::json::Value;
use crate::api::redact::{clean, excerpt};
use crate::error::{Error, ErrorCode};
use crate::types::Response;

/// How many characters of the service's code and message an error keeps.
const CODE_CHARS: usize = 80;
const MESSAGE_CHARS: usize = 1000;

/// What was asked, and what came back.
pub(crate) struct Reply<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    /// The `Retry-After` header, read.
    pub(crate) retry_after: Option<Duration>,
    /// Why the body is not whole, when it is not.
    pub(crate) broken: Option<String>,
    /// What must never be shown, should the answer repeat it.
    pub(crate) secret: &'a str,
}

/// What an action may answer (contract, sections 4 and 6).
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    Done(T),
    /// Accepted and still running: one of the two 202.
    Pending,
}

impl<'a> Reply<'a> {
    /// The `response` of a call that must have one.
    pub(crate) fn data(&self) -> Result<Value<'a>, Error> {
        match self.success()?.into_field("response") {
            None | Some(Value::Null) => {
                Err(self.unexpected("a success without the `response` it should have"))
            }
            Some(response) => Ok(response),
        }
    }

    /// The answer of an action, with whatever `response` or none.
    pub(crate) fn action(&self) -> Result<Response, Error> {
        let envelope = self.success()?;
        let text = |name: &str| envelope.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Response {
            status: "success".into(),
            code: text("code").map(ErrorCode::from),
            message: text("message"),
        })
    }

    /// The body of the one route without an envelope.
    pub(crate) fn bare(&self) -> Result<Value<'a>, Error> {
        if self.broken.is_some() {
            return Err(self.error());
        }
        match (self.status, self.json()) {
            (200, Ok(value)) if !says_error(&value) => Ok(value),
            _ => Err(self.error()),
        }
    }

    /// Looks for the answer `pending` means first: by its code, or by HTTP 202, whatever `status` says.
    pub(crate) fn or_pending<T>(
        &self,
        pending: &ErrorCode,
        done: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<Outcome<T>, Error> {
        if self.broken.is_none() {
            let code = self.json().ok().and_then(|value| code(&value));
            let json_or_nothing = self.body.is_empty() || self.json().is_ok_and(|value| value.is_object());
            // A 202 with the other call's code is still a 202.
            let processing = [&ErrorCode::SNAPSHOT_PROCESSING, &ErrorCode::SNAPSHOT_RESTORE_PROCESSING];
            let accepted = code.as_ref().is_none_or(|code| processing.contains(&code));
            if code.as_ref() == Some(pending) || (self.status == 202 && accepted && json_or_nothing) {
                return Ok(Outcome::Pending);
            }
        }
        done(self).map(Outcome::Done)
    }

    /// An error about an answer whose envelope was good and whose content is not.
    pub(crate) fn unexpected(&self, problem: impl Into<String>) -> Error {
        Error::UnexpectedResponse {
            method: self.method,
            path: self.path.to_owned(),
            status: self.status,
            problem: clean(&problem.into(), MESSAGE_CHARS, self.secret).into(),
            excerpt: excerpt(self.body, self.secret),
        }
    }

    fn json(&self) -> Result<Value<'a>, &'static str> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Err("an empty body");
        }
        serde_json::from_slice(self.body).map_err(|e| match e.classify() {
            serde_json::error::Category::Eof => "a body of JSON that ends too early",
            _ if std::str::from_utf8(self.body).is_err() => "a body that is no UTF-8",
            _ => "a body that is no JSON, or nested too deeply",
        })
    }

    /// The envelope of a 200 that says `success`; everything else is an error.
    fn success(&self) -> Result<Value<'a>, Error> {
        // Not even looked at: taking megabytes of it apart would take longer than any limit allows.
        if self.broken.is_some() {
            return Err(self.error());
        }
        match self.json() {
            Ok(value) if self.status == 200 && says(&value, "success") => Ok(value),
            _ => Err(self.error()),
        }
    }

    fn error(&self) -> Error {
        if let Some(broken) = &self.broken {
            return self.unexpected(format!("the answer's body is not whole: {broken}"));
        }
        let value = match self.json() {
            Ok(value) => value,
            Err(_) if matches!(self.status, 301 | 302 | 303 | 307 | 308) => {
                return self
                    .unexpected("a redirect, which this API never answers with and which is not followed");
            }
            Err(problem) => return self.unexpected(problem),
        };
        let refused = says_error(&value) || (self.status >= 300 && code(&value).is_some());
        if refused {
            return self.refusal(&value);
        }
        match (self.status, value.is_object()) {
            (_, false) => self.unexpected("JSON that is no envelope"),
            (200, true) => self.unexpected("an envelope whose `status` is neither `success` nor `error`"),
            (..) => self.unexpected("a status this call never answers with"),
        }
    }

    fn refusal(&self, value: &Value) -> Error {
        let message = value.get("message").and_then(Value::as_str).unwrap_or_default();
        let code = code(value).unwrap_or(ErrorCode::UNKNOWN);
        Error::Api {
            method: self.method,
            path: self.path.to_owned(),
            status: self.status,
            retry_after: self.retry_after,
            code: clean(code.as_str(), CODE_CHARS, self.secret).into(),
            message: clean(message, MESSAGE_CHARS, self.secret),
        }
    }
}

fn says(value: &Value, status: &str) -> bool {
    value.get("status").and_then(Value::as_str) == Some(status)
}

fn says_error(value: &Value) -> bool {
    says(value, "error")
}

fn code(value: &Value) -> Option<ErrorCode> {
    value.get("code").and_then(Value::as_str).filter(|code| !code.is_empty()).map(ErrorCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(status: u16, body: &[u8]) -> Reply<'_> {
        Reply {
            method: "GET",
            path: "/v2/x",
            status,
            body,
            retry_after: None,
            broken: None,
            secret: "1-hush",
        }
    }

    #[test]
    fn only_the_expected_answer_is_a_success() {
        let good = br#"{"status":"success","response":{"a":1},"code":"SUCCESS"}"#;
        assert!(reply(200, good).data().is_ok());
        for status in [201, 202, 204, 206, 301, 304, 400, 404, 500, 999] {
            let error = reply(status, good).data().unwrap_err();
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
            assert!(reply(200, body).data().is_err(), "{}", String::from_utf8_lossy(body));
        }
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        assert!(reply(200, &deep).data().is_err());
        assert!(reply(200, b"{\"status\":\"success\",\"response\":\"\xff\"}").data().is_err());
    }

    #[test]
    fn an_error_in_a_success_is_an_error_with_its_code() {
        let error = reply(200, br#"{"status":"error","code":"KEEP_CALM","message":"wait 1r/5s"}"#)
            .action()
            .unwrap_err();
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
            assert_eq!(reply(200, body).action().unwrap().status, "success");
        }
        assert!(reply(200, b"").action().is_err());
    }

    #[test]
    fn pending_is_known_by_code_or_by_202() {
        let pending = |status, body: &'static [u8]| {
            matches!(
                reply(status, body).or_pending(&ErrorCode::SNAPSHOT_PROCESSING, Reply::data),
                Ok(Outcome::Pending)
            )
        };
        assert!(pending(202, br#"{"status":"error","code":"SNAPSHOT_PROCESSING"}"#));
        assert!(pending(202, br#"{"status":"success"}"#));
        assert!(pending(200, br#"{"status":"success","code":"SNAPSHOT_PROCESSING"}"#));
        assert!(pending(202, b""));
        assert!(pending(202, br#"{"status":"error","code":"SNAPSHOT_RESTORE_PROCESSING"}"#));
        assert!(!pending(200, b""));
        assert!(!pending(202, b"<html>"));
        assert!(!pending(202, br#"{"status":"error","code":"KEEP_CALM"}"#));
    }

    proptest! {
        #[test]
        fn no_body_panics(status in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = reply(status, &body).data();
            let _ = reply(status, &body).action();
        }
    }
}
