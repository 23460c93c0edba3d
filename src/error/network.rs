//! PURE. What connections fail with.

use super::display::next;

/// What went wrong with a connection: to be matched, not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetworkFailure {
    /// The name could not be resolved. Nothing was sent.
    Lookup,
    /// The connection was refused, or there is no route to the host. Nothing was sent.
    Connect,
    /// The server's certificate is not valid. Nothing was sent, and trying again does not help.
    Certificate,
    /// The connection broke off, or the response could not be read.
    Broken,
}

impl NetworkFailure {
    pub(super) fn of(self, peer: &str) -> String {
        match self {
            Self::Lookup => format!("the name of {peer} could not be resolved"),
            Self::Connect => format!("could not connect to {peer}"),
            Self::Certificate => format!("the certificate of {peer} is not valid"),
            Self::Broken => format!("received no complete response from {peer}"),
        }
    }

    /// What to do next.
    pub(super) fn advice(self, method: &str) -> &'static str {
        match self {
            Self::Lookup | Self::Connect if method != "GET" => "nothing was sent; check the network",
            Self::Lookup | Self::Connect => next(method),
            Self::Certificate => {
                "check this machine's clock, and if the certificate is from an authority of your own, set it with \
                 `root_certificates`"
            }
            Self::Broken => next(method),
        }
    }
}

/// What to do about a proxy's refusal.
pub(super) fn proxy_advice(status: Option<u16>) -> &'static str {
    match status {
        Some(407) => "set the user name and password in the proxy's URL: http://user:password@host:port",
        _ => "check the proxy and whether it allows this host",
    }
}
