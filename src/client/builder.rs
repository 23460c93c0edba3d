//! The settings of a client, as its user sets them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::settings::{ProxyChoice, Settings};
use crate::error::{Error, Result};

/// The settings of a [`Client`](crate::Client), each with a sensible default.
///
/// | limit | default | what it limits |
/// |---|---|---|
/// | [`timeout`](Self::timeout) | - | sets all time limits below; a stall gets half of it, connecting at most 10 s |
/// | [`connect_timeout`](Self::connect_timeout) | 10 s | name lookup, TCP and TLS together |
/// | [`total_timeout`](Self::total_timeout) | 30 s | a JSON call from start to end, retries included |
/// | [`held_open_timeout`](Self::held_open_timeout) | 120 s | one POST call, which the service may hold open |
/// | [`first_byte_timeout`](Self::first_byte_timeout) | 30 s | the wait of a transfer for the response's header section |
/// | [`stall_timeout`](Self::stall_timeout) | 30 s | how long a transfer may receive nothing |
/// | [`min_speed`](Self::min_speed) | 1024 bytes/s | the minimum speed of a transfer, measured over the stall limit |
/// | [`retry_for`](Self::retry_for) | 2 min | how long a transfer goes on trying without progress |
/// | [`snapshot_wait`](Self::snapshot_wait) | 5 min | the wait for a snapshot that the service is still making |
///
/// Transfers have no total limit. Exceeding `snapshot_wait` is an [`Error::Pending`](crate::Error::Pending), exceeding
/// `retry_for` the error of the last attempt, and any other limit an [`Error::Timeout`](crate::Error::Timeout), which
/// [`is_timeout`](crate::Error::is_timeout) recognises. A JSON response may have at most 32 MiB and 128 levels of
/// nesting. Up to 3 redirects from the snapshot host are followed; redirects from the API are not.
///
/// ```
/// use std::time::Duration;
/// let client = squarecloud_blocking::Client::builder("api key")
///     .retry_for(Duration::from_secs(600))
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
    /// Returns a builder with the API key in the environment variable `SQUARECLOUD_API_KEY`, and with the base URL in
    /// `SQUARECLOUD_BASE_URL` if that is set. To change nothing else, use [`Client::from_env`](crate::Client::from_env).
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key is not set or one of the values is not valid Unicode.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &'static str| match std::env::var(name) {
            Ok(value) if !value.is_empty() => Ok(Some(value)),
            Err(std::env::VarError::NotUnicode(_)) => Err(Error::invalid(name, "is not valid Unicode")),
            _ => Ok(None),
        };
        let missing = "is not set; export your API key under this name";
        let key = variable("SQUARECLOUD_API_KEY")?;
        let api_key = key.ok_or_else(|| Error::invalid("SQUARECLOUD_API_KEY", missing))?;
        let builder = Self { api_key, settings: Settings::default() };
        Ok(match variable("SQUARECLOUD_BASE_URL")? {
            Some(url) => builder.base_url(url),
            None => builder,
        })
    }

    /// Uses no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.settings.proxy = Some(ProxyChoice::Direct);
        self
    }

    crate::setters! {
        /// Sets the base URL of the API; `https://api.squarecloud.app/v2` by default. Plain `http` is allowed for loopback
        /// only, since the key is sent with each call.
        base_url(s, url: impl Into<String>) { s.settings.base_url = url.into() }

        /// Sets the base URL of the snapshot host, used for listings in the older form, which have no links;
        /// `https://snapshots.squarecloud.app` by default.
        snapshot_host(s, url: impl Into<String>) { s.settings.snapshot_host = url.into() }

        /// Sets every time limit at once: no single phase, no JSON call as a whole and no wait for a snapshot takes
        /// longer than `limit`; a transfer may stall for half of it, and go on without progress for all of it.
        ///
        /// This includes the calls that the service holds open, so with less than 120 s
        /// [`Client::snapshot`](crate::Client::snapshot) may give up while the service is still at work. To avoid that,
        /// set [`held_open_timeout`](Self::held_open_timeout) and [`snapshot_wait`](Self::snapshot_wait) after this.
        timeout(s, limit: Duration) { s.settings.limits.set_all(limit) }

        /// Sets how long connecting may take: name lookup, TCP and TLS together. 10 s by default.
        connect_timeout(s, limit: Duration) { s.settings.limits.connect = limit }

        /// Sets how long a JSON call may take from start to end, retries and their pauses included; 30 s by default.
        total_timeout(s, limit: Duration) { s.settings.limits.total = limit }

        /// Sets how long a POST call may take, which the service may hold open for up to 95 s; 120 s by default.
        held_open_timeout(s, limit: Duration) { s.settings.limits.held_open = limit }

        /// Sets how long a transfer waits for the response's header section; 30 s by default.
        first_byte_timeout(s, limit: Duration) { s.settings.limits.first_byte = limit }

        /// Sets how long a transfer may receive nothing; 30 s by default. After that, the connection is given up and
        /// another one is tried, as long as [`retry_for`](Self::retry_for) allows.
        stall_timeout(s, limit: Duration) { s.settings.limits.stall = limit }

        /// Sets the speed in bytes per second, measured over the stall limit, below which a transfer counts as stalled;
        /// 1024 by default, 0 for no minimum.
        min_speed(s, bytes_per_second: u64) { s.settings.limits.min_speed = bytes_per_second }

        /// Sets how long a transfer goes on trying while it makes no progress; 2 min by default, `Duration::ZERO` for one
        /// attempt. It rides out a network that is away and a host that is busy: between attempts it pauses for 0.5, 1,
        /// 2, 4, ... at most 30 s, or for as long as the host asks. Any progress starts the time again; an attempt that is
        /// under way when it ends is not cut short.
        retry_for(s, limit: Duration) { s.settings.limits.retry_for = limit }

        /// Sets how many times a failed call of the API is repeated when that is safe; 2 by default: a GET that got no
        /// response, and what the service refuses because it is busy. Creations, restores and actions are never repeated.
        /// For transfers see [`retry_for`](Self::retry_for).
        retries(s, n: u32) { s.settings.retries = n }

        /// Sets the proxy for everything but loopback, as `http://user:password@host:port` (or `https://`); user name
        /// and password are percent-encoded; without a port it is 1080, as in curl. SOCKS proxies are not supported.
        ///
        /// By default the environment is read as curl does: `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY`,
        /// the first that is not empty, except for the hosts in `no_proxy` or `NO_PROXY`. A proxy in them that cannot
        /// be used is an [`Error::Invalid`](crate::Error::Invalid) where it would be needed.
        proxy(s, url: impl Into<String>) { s.settings.proxy = Some(ProxyChoice::Url(url.into())) }

        /// Sets the `User-Agent` header. The service's edge rejects some well-known values with HTTP 403.
        user_agent(s, name: impl Into<String>) { s.settings.user_agent = name.into() }

        /// Sets the root certificates, in PEM, to trust **instead** of the usual ones: for a server or proxy of your own.
        root_certificates(s, pem: impl Into<Vec<u8>>) { s.settings.root_certificates = Some(pem.into()) }

        /// Sets how long [`Client::snapshot`](crate::Client::snapshot) waits for a snapshot that the service is still
        /// making; 5 min by default. With `Duration::ZERO` it returns [`Error::Pending`](crate::Error::Pending) at once.
        snapshot_wait(s, at_most: Duration) { s.settings.limits.snapshot_wait = at_most }

        /// Sets the pause between two polls of a running creation (10 s by default) or restore (5 s by default).
        poll_interval(s, pause: Duration) { s.settings.poll_interval = Some(pause) }

        /// What pauses the calling thread between retries and between polls; by default [`std::thread::sleep`]. For
        /// tests.
        #[doc(hidden)]
        sleep(s, sleep: impl Fn(Duration) + Send + Sync + 'static) { s.settings.sleep = Arc::new(sleep) }
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
