//! The settings of a client, their defaults, and what no request could be sent with.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::secret::path_of;

/// The longest time limit: `Duration::MAX` means no limit, but no clock can be that far ahead.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The limit for a response body of unknown length. A download that takes longer is continued as if it had broken off.
const BODY: Duration = Duration::from_secs(24 * 3600);

/// What pauses a thread.
pub(crate) type Sleep = Arc<dyn Fn(Duration) + Send + Sync>;

/// Everything a client is made from but its key. Every value is set on the builder.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The API, without a trailing slash.
    pub(crate) base_url: String,
    /// For listings without links; without a trailing slash.
    pub(crate) snapshot_host: String,
    pub(crate) limits: Limits,
    /// How often a call is repeated after its first attempt.
    pub(crate) retries: u32,
    /// How often a running creation or restore is polled; `None`: as often as usual.
    pub(crate) poll_interval: Option<Duration>,
    /// `None`: the proxy variables of the environment. Loopback is always reached directly.
    pub(crate) proxy: Option<ProxyChoice>,
    pub(crate) user_agent: String,
    /// Root certificates in PEM; `None`: the ones of the TLS feature.
    pub(crate) root_certificates: Option<Vec<u8>>,
    pub(crate) sleep: Sleep,
}

/// An explicit choice of proxy. Its address may contain a password, so it never prints.
#[derive(Clone)]
pub(crate) enum ProxyChoice {
    Direct,
    Url(String),
}

/// How long each phase may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Name lookup, TCP and TLS together.
    pub(crate) connect: Duration,
    /// A JSON call from start to end, retries and their pauses included.
    pub(crate) total: Duration,
    /// The same for calls the service holds open.
    pub(crate) held_open: Duration,
    /// From a request to the snapshot host to the end of the response's header section.
    pub(crate) first_byte: Duration,
    /// A transfer that receives or sends nothing.
    pub(crate) stall: Duration,
    /// Bytes per second below which a transfer counts as stalled, measured over `stall`.
    pub(crate) min_speed: u64,
    /// How long a transfer goes on trying without progress.
    pub(crate) retry_for: Duration,
    /// Waiting for a snapshot that the service is still making; zero for not waiting.
    pub(crate) snapshot_wait: Duration,
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
            retry_for: Duration::from_secs(120),
            snapshot_wait: Duration::from_secs(300),
        }
    }
}

impl Limits {
    /// Sets every limit at once. A stall gets half of it, since a wait for the first byte may come before it and
    /// another connection after it.
    pub(crate) fn set_all(&mut self, limit: Duration) {
        self.connect = Self::default().connect.min(limit);
        (self.total, self.held_open, self.first_byte) = (limit, limit, limit);
        (self.stall, self.retry_for, self.snapshot_wait) = (limit / 2, limit, limit);
    }

    /// How long a response body of `length` bytes may take as a whole: this also ends what comes after its last byte,
    /// such as endless trailers.
    pub(crate) fn body(&self, length: Option<u64>) -> Duration {
        let slowest = length.and_then(|length| length.checked_div(self.min_speed)).map(Duration::from_secs);
        slowest.map_or(BODY, |slowest| slowest.min(LONGEST) + self.stall.max(self.first_byte))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://api.squarecloud.app/v2".into(),
            snapshot_host: "https://snapshots.squarecloud.app".into(),
            limits: Limits::default(),
            retries: 2,
            poll_interval: None,
            proxy: None,
            user_agent: concat!("squarecloud-blocking/", env!("CARGO_PKG_VERSION")).into(),
            root_certificates: None,
            sleep: Arc::new(std::thread::sleep),
        }
    }
}

impl Settings {
    /// The settings as they are used: URLs without a trailing slash, limits that can be added to a clock.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a setting no request could be sent with.
    pub(crate) fn checked(mut self) -> Result<Self> {
        self.base_url = check_url("the base URL", &self.base_url)?;
        self.snapshot_host = check_url("the snapshot host", &self.snapshot_host)?;
        if self.user_agent.is_empty() || !self.user_agent.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(Error::invalid("the user agent", "must be visible ASCII on one line and not empty"));
        }
        if self.poll_interval.is_some_and(|pause| pause.is_zero()) {
            return Err(Error::invalid("the poll interval", "is zero, which would flood the service"));
        }
        let l = &mut self.limits;
        for limit in [&mut l.connect, &mut l.total, &mut l.held_open, &mut l.first_byte, &mut l.stall] {
            if limit.is_zero() {
                let reason = "is zero, so no call could ever succeed; leave it out for the default";
                return Err(Error::invalid("a time limit", reason));
            }
            *limit = LONGEST.min(*limit);
        }
        Ok(self)
    }
}

/// Refuses a URL the key may not be sent to, and takes a trailing slash off.
fn check_url(what: &'static str, url: &str) -> Result<String> {
    path_of(url).map_err(|reason| Error::invalid(what, reason))?;
    if url.contains(['?', '#']) {
        return Err(Error::invalid(what, "has a query or a fragment, which a base URL cannot have"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}
