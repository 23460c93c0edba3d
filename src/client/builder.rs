//! The settings of a client.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::core::{Core, Sleep};
use crate::api::http::{ApiAgent, SnapshotAgent};
use crate::api::retry::RetryPolicy;
use crate::api::settings::{Limits, ProxyChoice, Settings};
use crate::error::{Error, Result};
use crate::secret::{ApiKey, split_url};

const BASE_URL: &str = "https://api.squarecloud.app/v2";
const SNAPSHOT_HOST: &str = "https://snapshots.squarecloud.app";

/// The settings of a [`Client`](crate::Client), each with a sound default.
///
/// | limit | default | of what |
/// |---|---|---|
/// | [`timeout`](Self::timeout) | - | sets every limit below at once |
/// | [`connect_timeout`](Self::connect_timeout) | 10 s | name lookup, TCP and TLS together |
/// | [`total_timeout`](Self::total_timeout) | 30 s | a JSON call from start to end, retries included |
/// | [`held_open_timeout`](Self::held_open_timeout) | 120 s | the same for POST calls, which the service may hold open |
/// | [`first_byte_timeout`](Self::first_byte_timeout) | 30 s | a transfer's wait for the response's header section |
/// | [`stall_timeout`](Self::stall_timeout) | 30 s | a transfer that receives nothing |
/// | [`min_speed`](Self::min_speed) | 1024 bytes/s | the minimum speed of a transfer, measured over the stall limit |
/// | [`snapshot_wait`](Self::snapshot_wait) | 5 min | waiting for a snapshot the service is still making |
///
/// Transfers have no total limit. What runs out is an [`Error::Timeout`], and [`is_timeout`](Error::is_timeout)
/// tells it apart. A JSON response may have 32 MiB and 128 levels. Up to 3 redirects of the snapshot host are
/// followed, none of the API.
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
    api_key: String,
    base_url: String,
    snapshot_host: String,
    settings: Settings,
    retry: RetryPolicy,
    snapshot_wait: Duration,
    poll_interval: Option<Duration>,
    sleep: Sleep,
}

impl ClientBuilder {
    pub(crate) fn new(api_key: String) -> Self {
        Self {
            api_key,
            base_url: BASE_URL.into(),
            snapshot_host: SNAPSHOT_HOST.into(),
            settings: Settings::default(),
            retry: RetryPolicy::default(),
            snapshot_wait: Duration::from_secs(300),
            poll_interval: None,
            sleep: Arc::new(std::thread::sleep),
        }
    }

    /// The base URL of the API. Plain `http` is allowed to loopback only, since the key is sent with each call.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// The snapshot host, for listings of the older form, which have no link.
    pub fn snapshot_host(mut self, url: impl Into<String>) -> Self {
        self.snapshot_host = url.into();
        self
    }

    /// Sets every time limit at once: no single phase, no JSON call as a whole, and no wait for a snapshot takes
    /// longer; a transfer may stall for half of it. The calls the service holds open are included, so below
    /// 120 s a [`Client::snapshot`](crate::Client::snapshot) may give up while the service is still at work; set
    /// [`held_open_timeout`](Self::held_open_timeout) after this, and [`snapshot_wait`](Self::snapshot_wait), to
    /// avoid that.
    pub fn timeout(mut self, limit: Duration) -> Self {
        let min_speed = self.settings.limits.min_speed;
        self.settings.limits = Limits { min_speed, ..Limits::all(limit) };
        self.snapshot_wait = limit;
        self
    }

    /// How long making a connection may take.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.connect = limit;
        self
    }

    /// How long a JSON call may take from start to end, retries and their pauses included.
    pub fn total_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.total = limit;
        self
    }

    /// The same for POST calls, which the service may hold open for up to 95 s.
    pub fn held_open_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.held_open = limit;
        self
    }

    /// How long a transfer waits for the response's header section.
    pub fn first_byte_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.first_byte = limit;
        self
    }

    /// How long a transfer may receive nothing. A stalled connection is given up after this time, and another one is
    /// tried before the transfer fails.
    pub fn stall_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.stall = limit;
        self
    }

    /// Below how many bytes per second, measured over the stall limit, a transfer counts as stalled; 0 for no
    /// minimum.
    pub fn min_speed(mut self, bytes_per_second: u64) -> Self {
        self.settings.limits.min_speed = bytes_per_second;
        self
    }

    /// How often a call is repeated when that is safe; 2 by default. POST calls that
    /// change something are never repeated.
    pub fn retries(mut self, n: u32) -> Self {
        self.retry = RetryPolicy { retries: n };
        self
    }

    /// The proxy for everything but loopback, as `http://user:password@host:port`; by default the proxy
    /// variables of the environment decide.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.settings.proxy = Some(ProxyChoice::Url(url.into()));
        self
    }

    /// No proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.settings.proxy = Some(ProxyChoice::Direct);
        self
    }

    /// The `User-Agent` header. The service's edge rejects some well-known ones with 403.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.settings.user_agent = name.into();
        self
    }

    /// Root certificates in PEM to trust **instead** of the usual ones: for a server or proxy of your own.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.settings.root_certificates = Some(pem.into());
        self
    }

    /// How long [`Client::snapshot`](crate::Client::snapshot) waits for a snapshot the service is still making; `Duration::ZERO` returns
    /// [`Error::Pending`] at once.
    pub fn snapshot_wait(mut self, at_most: Duration) -> Self {
        self.snapshot_wait = at_most;
        self
    }

    /// How often a running creation or restore is polled: by default every 10 s and every 5 s.
    pub fn poll_interval(mut self, pause: Duration) -> Self {
        self.poll_interval = Some(pause);
        self
    }

    /// What pauses the calling thread between retries and between polls; by default [`std::thread::sleep`]. For
    /// tests.
    #[doc(hidden)]
    pub fn sleep(mut self, sleep: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.sleep = Arc::new(sleep);
        self
    }

    pub(super) fn core(self) -> Result<Core> {
        let key = ApiKey::new(self.api_key)?;
        let base_url = check_url("the base URL", &self.base_url)?;
        let snapshot_host = check_url("the snapshot host", &self.snapshot_host)?;
        let settings = self.settings.bounded();
        settings.check()?;
        if self.poll_interval.is_some_and(|pause| pause.is_zero()) {
            return Err(Error::invalid("the poll interval", "is zero, which would flood the service"));
        }
        Ok(Core {
            api: ApiAgent::new(&settings, &base_url)?,
            files: SnapshotAgent::new(&settings)?,
            key,
            base_path: split_url(&base_url).map_or("", |parts| &base_url[parts.path..]).to_owned(),
            base_url,
            snapshot_host,
            limits: settings.limits,
            retry: self.retry,
            snapshot_wait: self.snapshot_wait,
            poll_interval: self.poll_interval,
            sleep: self.sleep,
            owner: OnceLock::new(),
        })
    }
}

/// Refuses a URL the key may not be sent to, and takes a trailing slash off.
fn check_url(what: &'static str, url: &str) -> Result<String> {
    split_url(url).map_err(|reason| Error::invalid(what, reason))?;
    if url.contains(['?', '#']) {
        return Err(Error::invalid(what, "has a query or a fragment, which a base cannot have"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("limits", &self.settings.limits)
            .field("retry", &self.retry)
            .field("snapshot_wait", &self.snapshot_wait)
            .finish_non_exhaustive()
    }
}
