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
    /// The error of a call of which nothing but this is known.
    pub(crate) fn into_error(self, method: &'static str, path: &str) -> Error {
        let path = path.to_owned();
        match self {
            Self::Timeout { phase, limit } => {
                Error::Timeout { method, path, phase: phase.into(), limit, status: None }
            }
            Self::Broken(source) => Error::Network { method, path, source },
            Self::Protocol(problem) => Error::Network { method, path, source: problem.into_owned().into() },
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
