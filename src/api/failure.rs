//! PURE. Why a request got no whole response, before anyone knows what it was for.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::{Cause, Error};

/// Why a request got no whole response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A limit ran out.
    Timeout { phase: &'static str, limit: Duration },
    /// The connection could not be made, or broke off.
    Broken(Cause),
    /// What came is not valid HTTP, or more than is read.
    Protocol(Cow<'static, str>),
}

impl Failure {
    /// The error of a request; `status` is that of the response, if one came.
    pub(crate) fn into_error(self, method: &'static str, path: &str, status: Option<u16>) -> Error {
        let path = path.to_owned();
        match (self, status) {
            (Self::Timeout { phase, limit }, status) => {
                Error::Timeout { method, path, phase: phase.into(), limit, status }
            }
            (Self::Broken(source), status) => Error::Network { method, path, status, source },
            (Self::Protocol(problem), Some(status)) => {
                Error::UnexpectedResponse { method, path, status, problem, excerpt: String::new() }
            }
            (Self::Protocol(problem), None) => {
                Error::Network { method, path, status, source: problem.into_owned().into() }
            }
        }
    }

    /// The failure inside an [`std::io::Error`] that a body's reader gave.
    pub(crate) fn from_io(error: std::io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => Self::Broken(error.into()),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout { phase, limit } => write!(f, "{phase} took longer than {} ms", limit.as_millis()),
            Self::Broken(_) => f.write_str("the connection broke off"),
            Self::Protocol(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken(cause) => Some(&**cause),
            _ => None,
        }
    }
}
