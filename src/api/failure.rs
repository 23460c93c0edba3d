//! PURE. Why a request got no whole answer, before anyone knows what it was for.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::{Cause, Error};

/// A request that got no whole answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A limit ran out.
    Timeout { phase: &'static str, limit: Duration },
    /// The connection could not be made, or broke off.
    Broken(Cause),
    /// What came is no HTTP, or more of it than is read.
    Protocol(Cow<'static, str>),
}

impl Failure {
    /// The error of a call of which nothing but this is known, and the status if that came.
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

/// A request that got no answer that can be used, and the status that came all the same.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) failure: Failure,
    pub(crate) status: Option<u16>,
}

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Self {
        Self { failure, status: None }
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
