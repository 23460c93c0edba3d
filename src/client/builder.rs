//! The settings of a client.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::Client;
use super::call::{Inner, base_path};
use super::time::{Sleep, Time};
use super::wait::Waiting;
use crate::api::decode::Unreadable;
use crate::api::http::{ApiAgent, SnapshotAgent};
use crate::api::pace::{Pace, Pacer};
use crate::api::retry::RetryPolicy;
use crate::api::settings::{Limits, ProxyChoice, Settings};
use crate::error::{Error, Result};
use crate::secret::{ApiKey, is_loopback, split_url};

const BASE_URL: &str = "https://api.squarecloud.app/v2";
const SNAPSHOT_HOST: &str = "https://snapshots.squarecloud.app";
const SNAPSHOT_WAIT: Duration = Duration::from_secs(300);

/// Who hears of list items that could not be read.
pub(super) type OnUnreadable = Arc<dyn Fn(&Unreadable) + Send + Sync>;

/// The settings of a [`Client`], each with a sound default.
///
/// | limit | default | of what |
/// |---|---|---|
/// | [`timeout`](Self::timeout) | - | sets every limit below at once |
/// | [`connect_timeout`](Self::connect_timeout) | 10 s | name look-up, TCP and TLS together |
/// | [`total_timeout`](Self::total_timeout) | 30 s | a JSON call from start to end, retries included |
/// | [`held_open_timeout`](Self::held_open_timeout) | 120 s | the same for POST calls, which the service holds open |
/// | [`first_byte_timeout`](Self::first_byte_timeout) | 30 s | a transfer's wait for the head of the answer |
/// | [`stall_timeout`](Self::stall_timeout) | 30 s | silence within a transfer, or one read that brings nothing of it |
/// | [`min_speed`](Self::min_speed) | 1024 bytes/s | the floor of a transfer, measured over the stall limit |
/// | [`snapshot_wait`](Self::snapshot_wait) | 5 min | waiting for a snapshot the service is still making |
///
/// Transfers have no total limit. What runs out is an [`Error::Timeout`], and [`is_timeout`](Error::is_timeout)
/// tells it apart. Fixed are: 32 MiB and 128 levels of JSON, 64 KiB of an answer's head (1 MiB on the snapshot host),
/// and 3 redirects of the snapshot host, which share one first-byte limit; none of the API is followed.
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
    pace: Option<Pace>,
    /// As set; else as `timeout` says; else the default.
    snapshot_wait: Option<Duration>,
    timeout: Option<Duration>,
    poll_interval: Option<Duration>,
    sleep: Sleep,
    on_unreadable: Option<OnUnreadable>,
}

impl ClientBuilder {
    pub(crate) fn new(api_key: String) -> Self {
        Self {
            api_key,
            base_url: BASE_URL.into(),
            snapshot_host: SNAPSHOT_HOST.into(),
            settings: Settings::default(),
            retry: RetryPolicy::default(),
            pace: None,
            snapshot_wait: None,
            timeout: None,
            poll_interval: None,
            sleep: Arc::new(std::thread::sleep),
            on_unreadable: None,
        }
    }

    /// Where the API is. Plain `http` is allowed to loopback only, since the key travels with each call.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Where snapshots are, for listings of the older form, which give no link.
    pub fn snapshot_host(mut self, url: impl Into<String>) -> Self {
        self.snapshot_host = url.into();
        self
    }

    /// Sets every time limit at once: no single phase, no JSON call as a whole, and no wait for a snapshot takes
    /// longer; a transfer may be silent for half of it. The calls the service holds open are meant too, so below
    /// 120 s a [`Client::snapshot`] may give up while the service is still at work; set
    /// [`held_open_timeout`](Self::held_open_timeout) after this, and [`snapshot_wait`](Self::snapshot_wait), to
    /// avoid that.
    pub fn timeout(mut self, limit: Duration) -> Self {
        let min_speed = self.settings.limits.min_speed;
        self.settings.limits = Limits { min_speed, ..Limits::all(limit) };
        self.timeout = Some(limit);
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

    /// The same for POST calls, which the service holds open for up to 95 s (contract, section 9).
    pub fn held_open_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.held_open = limit;
        self
    }

    /// How long a transfer waits for the head of its answer.
    pub fn first_byte_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.first_byte = limit;
        self
    }

    /// How long a transfer may be silent. A silent connection is given up after this time, and one more is tried
    /// before the transfer fails.
    pub fn stall_timeout(mut self, limit: Duration) -> Self {
        self.settings.limits.stall = limit;
        self
    }

    /// Below how many bytes per second, measured over the stall limit, a transfer counts as stalled; 0 for no
    /// floor.
    pub fn min_speed(mut self, bytes_per_second: u64) -> Self {
        self.settings.limits.min_speed = bytes_per_second;
        self
    }

    /// How often a call is repeated when that is safe (contract, section 10); 2 by default. POST calls that
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

    /// The `User-Agent` header. The service's edge answers some well-known ones with 403.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.settings.user_agent = name.into();
        self
    }

    /// Root certificates in PEM to trust **instead** of the usual ones: for a server or proxy of your own.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.settings.root_certificates = Some(pem.into());
        self
    }

    /// How long [`Client::snapshot`] waits for a snapshot the service is still making; `Duration::ZERO` returns
    /// [`Error::Pending`] at once.
    pub fn snapshot_wait(mut self, at_most: Duration) -> Self {
        self.snapshot_wait = Some(at_most);
        self
    }

    /// How often a running creation or restore is looked at: by default every 10 s and every 5 s (contract,
    /// sections 4 and 6).
    pub fn poll_interval(mut self, pause: Duration) -> Self {
        self.poll_interval = Some(pause);
        self
    }

    /// Keeps a loop over many apps under the service's budgets by waiting before a call that would exceed them.
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// What pauses the calling thread between retries, between looks at running work, and for
    /// [`pace`](Self::pace); by default [`std::thread::sleep`]. A test passes one that only counts.
    pub fn sleep(mut self, sleep: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.sleep = Arc::new(sleep);
        self
    }

    /// Who hears of a list item that could not be read: the others of its list are returned all the same.
    pub fn on_unreadable(mut self, hear: impl Fn(&Unreadable) + Send + Sync + 'static) -> Self {
        self.on_unreadable = Some(Arc::new(hear));
        self
    }

    /// The client. Sends nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] says which setting cannot be used, and why.
    pub fn build(self) -> Result<Client> {
        let key = ApiKey::new(self.api_key)?;
        let base_url = check_url("the base URL", &self.base_url)?;
        let snapshot_host = check_url("the snapshot host", &self.snapshot_host)?;
        let settings = self.settings.bounded();
        settings.check()?;
        if self.poll_interval.is_some_and(|pause| pause.is_zero()) {
            return Err(Error::invalid("the poll interval", "is zero, which would flood the service"));
        }
        let snapshot = self.snapshot_wait.or(self.timeout).unwrap_or(SNAPSHOT_WAIT);
        let inner = Inner {
            api: ApiAgent::new(&settings, &base_url)?,
            files: SnapshotAgent::new(&settings)?,
            key,
            base_path: base_path(&base_url).to_owned(),
            base_url,
            snapshot_host,
            limits: settings.limits,
            retry: self.retry,
            pacer: self.pace.map(|pace| Mutex::new(Pacer::new(pace))),
            waiting: Waiting { snapshot, interval: self.poll_interval },
            time: Time::new(self.sleep),
            on_unreadable: self.on_unreadable,
            owner: OnceLock::new(),
        };
        Ok(Client { inner: Arc::new(inner) })
    }
}

/// Refuses a URL the key may not be sent to, and takes a trailing slash off.
fn check_url(what: &'static str, url: &str) -> Result<String> {
    let parts = split_url(url).map_err(|reason| Error::invalid(what, reason))?;
    if parts.scheme == "http" && !is_loopback(parts.host) {
        let reason =
            "uses plain http, which would show the API key to the network; use https (http is for loopback)";
        return Err(Error::invalid(what, reason));
    }
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
            .field("pace", &self.pace)
            .field("snapshot_wait", &self.snapshot_wait)
            .finish_non_exhaustive()
    }
}
