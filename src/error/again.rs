//! A transfer that several threads wait for fails once, and each of them is told why.

use super::Error;

impl Error {
    /// The same error for somebody else who waited for the same transfer; its cause as text.
    pub(crate) fn again(&self) -> Self {
        let status = self.status();
        match self {
            Self::UnexpectedResponse { method, path, status, problem, excerpt, retry_after } => {
                let (path, problem, excerpt) = (path.clone(), problem.clone(), excerpt.clone());
                Self::UnexpectedResponse { method, path, status: *status, problem, excerpt, retry_after: *retry_after }
            }
            Self::Network { method, path, failure, peer, source, .. } => {
                let (path, peer, source) = (path.clone(), peer.clone(), source.to_string().into());
                Self::Network { method, path, failure: *failure, peer, status, source }
            }
            Self::Proxy { method, path, host, proxy, .. } => {
                Self::Proxy { method, path: path.clone(), host: host.clone(), proxy: proxy.clone(), status }
            }
            Self::Timeout { method, path, phase, limit, .. } => {
                Self::Timeout { method, path: path.clone(), phase: phase.clone(), limit: *limit, status }
            }
            Self::Download { what, problem, .. } => {
                Self::Download { what: what.clone(), status, problem: problem.clone() }
            }
            // No other comes of a transfer.
            other => Self::Download { what: "the snapshot".into(), status, problem: other.to_string().into() },
        }
    }
}
