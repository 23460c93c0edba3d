//! PURE. The knobs of a client: time limits, bounds, and who it says it is.

use std::time::Duration;

use crate::error::{Error, Result};

/// The largest JSON answer that is read, in bytes, counted after any decoding.
pub(crate) const MAX_JSON_BYTES: usize = 32 * 1024 * 1024;

/// The longest time limit: whoever sets `Duration::MAX` means none, and a clock cannot be that far ahead.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The bound of a response body of unknown length. One that takes longer is continued like one that broke off.
const BODY: Duration = Duration::from_secs(24 * 3600);

/// How long each phase may take. Every value is set on the builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Name look-up, TCP and TLS together.
    pub(crate) connect: Duration,
    /// A JSON call from start to end, retries and their pauses included.
    pub(crate) total: Duration,
    /// The same for calls the service holds open.
    pub(crate) held_open: Duration,
    /// From a request on the snapshot host to the end of the response's header section.
    pub(crate) first_byte: Duration,
    /// Silence within a transfer.
    pub(crate) stall: Duration,
    /// Bytes per second below which a transfer counts as stalled, measured over `stall`.
    pub(crate) min_speed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            total: Duration::from_secs(30),
            held_open: Duration::from_secs(120),
            first_byte: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            min_speed: 1024,
        }
    }
}

impl Limits {
    /// How long a response body of `length` bytes may take as a whole: what comes after its last byte, endless
    /// trailers for instance, ends here.
    pub(crate) fn body(&self, length: Option<u64>) -> Duration {
        let slowest = length.and_then(|length| length.checked_div(self.min_speed)).map(Duration::from_secs);
        slowest.map_or(BODY, |slowest| slowest.min(LONGEST) + self.stall.max(self.first_byte))
    }

    /// One limit for everything: what `ClientBuilder::timeout` sets. A transfer's silence gets half of it, since
    /// it may follow a wait for the first byte and is tried a second time.
    pub(crate) fn all(limit: Duration) -> Self {
        let default = Self::default();
        Self {
            connect: default.connect.min(limit),
            total: limit,
            held_open: limit,
            first_byte: limit,
            stall: limit / 2,
            min_speed: default.min_speed,
        }
    }
}

/// Everything the transports are made from.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    /// `None`: the proxy variables of the environment. Loopback is always reached directly.
    pub(crate) proxy: Option<ProxyChoice>,
    pub(crate) user_agent: String,
    /// Root certificates in PEM; `None`: the ones of the TLS feature.
    pub(crate) root_certificates: Option<Vec<u8>>,
}

/// An explicit choice of proxy. Its address may hold a password, so it never prints.
#[derive(Clone)]
pub(crate) enum ProxyChoice {
    Direct,
    Url(String),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            proxy: None,
            user_agent: concat!("squarecloud-blocking/", env!("CARGO_PKG_VERSION")).to_owned(),
            root_certificates: None,
        }
    }
}

impl Settings {
    /// The same, with limits that can be added to a clock.
    pub(crate) fn bounded(mut self) -> Self {
        let l = &mut self.limits;
        for limit in [&mut l.connect, &mut l.total, &mut l.held_open, &mut l.first_byte, &mut l.stall] {
            *limit = LONGEST.min(*limit);
        }
        self
    }

    /// Refuses what no request could be sent with.
    pub(crate) fn check(&self) -> Result<()> {
        if self.user_agent.is_empty() || !self.user_agent.bytes().all(|b| (b' '..0x7f).contains(&b)) {
            return Err(Error::invalid("the user agent", "must be visible ASCII on one line and not empty"));
        }
        let l = &self.limits;
        if [l.connect, l.total, l.held_open, l.first_byte, l.stall].iter().any(Duration::is_zero) {
            return Err(Error::invalid(
                "a time limit",
                "is zero, so no call could ever succeed; leave it out for the default",
            ));
        }
        Ok(())
    }
}
