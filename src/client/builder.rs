//! The settings of a client, as its user sets them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::settings::{ProxyChoice, Settings};

/// The settings of a [`Client`](crate::Client), each with a sensible default.
///
/// | limit | default | what it limits |
/// |---|---|---|
/// | [`timeout`](Self::timeout) | - | sets every limit below at once |
/// | [`connect_timeout`](Self::connect_timeout) | 10 s | name lookup, TCP and TLS together |
/// | [`total_timeout`](Self::total_timeout) | 30 s | a JSON call from start to end, retries included |
/// | [`held_open_timeout`](Self::held_open_timeout) | 120 s | the same for POST calls, which the service may hold open |
/// | [`first_byte_timeout`](Self::first_byte_timeout) | 30 s | the wait of a transfer for the response's header section |
/// | [`stall_timeout`](Self::stall_timeout) | 30 s | how long a transfer may receive nothing |
/// | [`min_speed`](Self::min_speed) | 1024 bytes/s | the minimum speed of a transfer, measured over the stall limit |
/// | [`snapshot_wait`](Self::snapshot_wait) | 5 min | the wait for a snapshot that the service is still making |
///
/// Transfers have no total limit. Exceeding `snapshot_wait` is an [`Error::Pending`](crate::Error::Pending), any other
/// limit an [`Error::Timeout`](crate::Error::Timeout), which [`is_timeout`](crate::Error::is_timeout) recognises. A
/// JSON response may have at most 32 MiB and 128 levels of nesting. Up to 3 redirects from the snapshot host are
/// followed; redirects from the API are not.
///
/// ```
/// use std::time::Duration;
/// let client = squarecloud_blocking::Client::builder("api key")
///     .timeout(Duration::from_secs(60))
///     .snapshot_wait(Duration::from_secs(600))
///     .build()?;
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[must_use = "nothing happens before `build()`"]
pub struct ClientBuilder {
    pub(super) api_key: String,
    pub(super) settings: Settings,
}

impl ClientBuilder {
    /// Sets the base URL of the API; `https://api.squarecloud.app/v2` by default. Plain `http` is allowed for loopback
    /// only, since the key is sent with each call.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.settings.base_url = url.into();
        self
    }

    /// Sets the base URL of the snapshot host, used for listings in the older form, which have no links;
    /// `https://snapshots.squarecloud.app` by default.
    pub fn snapshot_host(mut self, url: impl Into<String>) -> Self {
        self.settings.snapshot_host = url.into();
        self
    }

    /// Sets every time limit at once: no single phase, no JSON call as a whole and no wait for a snapshot takes
    /// longer than `limit`; a transfer may stall for half of it.
    ///
    /// This includes the calls that the service holds open, so with less than 120 s
    /// [`Client::snapshot`](crate::Client::snapshot) may give up while the service is still at work. To avoid that,
    /// set [`held_open_timeout`](Self::held_open_timeout) and [`snapshot_wait`](Self::snapshot_wait) after this.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.set_all(limit);
        self
    }

    /// Sets how long connecting may take: name lookup, TCP and TLS together. 10 s by default.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.connect = limit;
        self
    }

    /// Sets how long a JSON call may take from start to end, retries and their pauses included; 30 s by default.
    pub fn total_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.total = limit;
        self
    }

    /// Sets how long a POST call may take, which the service may hold open for up to 95 s; 120 s by default.
    pub fn held_open_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.held_open = limit;
        self
    }

    /// Sets how long a transfer waits for the response's header section; 30 s by default.
    pub fn first_byte_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.first_byte = limit;
        self
    }

    /// Sets how long a transfer may receive nothing; 30 s by default. After that, the connection is given up, and
    /// another one is tried before the transfer fails.
    pub fn stall_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.stall = limit;
        self
    }

    /// Sets the speed in bytes per second, measured over the stall limit, below which a transfer counts as stalled;
    /// 1024 by default, 0 for no minimum.
    pub fn min_speed(mut self, bytes_per_second: u64) -> Self {
        self.settings.limits.min_speed = bytes_per_second;
        self
    }

    /// Sets how many times a failed call is repeated when that is safe; 2 by default. A POST is repeated only when the
    /// service refuses a file because uploads are busy.
    pub fn retries(mut self, n: u32) -> Self {
        self.settings.retries = n;
        self
    }

    /// Sets the proxy for everything but loopback, as `http://user:password@host:port`; by default it is taken from
    /// the environment's proxy variables.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.settings.proxy = Some(ProxyChoice::Url(url.into()));
        self
    }

    /// Uses no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.settings.proxy = Some(ProxyChoice::Direct);
        self
    }

    /// Sets the `User-Agent` header. The service's edge rejects some well-known values with HTTP 403.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.settings.user_agent = name.into();
        self
    }

    /// Sets the root certificates, in PEM, to trust **instead** of the usual ones: for a server or proxy of your own.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.settings.root_certificates = Some(pem.into());
        self
    }

    /// Sets how long [`Client::snapshot`](crate::Client::snapshot) waits for a snapshot that the service is still
    /// making; 5 min by default. With `Duration::ZERO` it returns [`Error::Pending`](crate::Error::Pending) at once.
    pub fn snapshot_wait(mut self, at_most: Duration) -> Self {
        self.settings.limits.snapshot_wait = at_most;
        self
    }

    /// Sets the pause between two polls of a running creation (10 s by default) or restore (5 s by default).
    pub fn poll_interval(mut self, pause: Duration) -> Self {
        self.settings.poll_interval = Some(pause);
        self
    }

    /// What pauses the calling thread between retries and between polls; by default [`std::thread::sleep`]. For
    /// tests.
    #[doc(hidden)]
    pub fn sleep(mut self, sleep: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.settings.sleep = Arc::new(sleep);
        self
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("limits", &self.settings.limits)
            .field("retries", &self.settings.retries)
            .finish_non_exhaustive()
    }
}
