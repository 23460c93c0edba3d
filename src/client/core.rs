//! I/O. What a client and its handles share: one call of the API from route to value, repeated where that is safe.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::api::envelope::RawResponse;
use crate::api::http::{ApiAgent, Payload, Request, SnapshotAgent};
use crate::api::retry::jitter;
use crate::api::settings::Settings;
use crate::error::{Error, Result};
use crate::secret::ApiKey;

/// The inside of a client.
pub(super) struct Core {
    pub(super) api: ApiAgent,
    pub(super) files: SnapshotAgent,
    pub(super) settings: Settings,
    /// The account's id, once it is known.
    pub(super) owner: OnceLock<String>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("base_url", &self.settings.base_url).finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn new(key: ApiKey, settings: Settings) -> Result<Self> {
        let (api, files) = (ApiAgent::new(key, &settings)?, SnapshotAgent::new(&settings)?);
        Ok(Self { api, files, settings, owner: OnceLock::new() })
    }

    /// Sends a GET, repeats it where that is safe, and returns what `read` makes of the response.
    pub(super) fn get<T>(&self, path: &str, read: impl Fn(&RawResponse) -> Result<T>) -> Result<T> {
        self.repeat(self.settings.limits.total, |timeout| {
            read(&self.api.send(Request { method: "GET", path, payload: Payload::Nothing, timeout })?)
        })
    }

    /// Sends a GET and decodes the `response` of its envelope.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.get(path, |response| response.data(serde_json::from_str))
    }

    /// Sends a POST once, whatever happens to it.
    pub(super) fn post(&self, path: &str, payload: Payload<'_>) -> Result<RawResponse> {
        let timeout = self.settings.limits.held_open;
        self.api.send(Request { method: "POST", path, payload, timeout })
    }

    /// Repeats `send`, which is given the time that is left, as long as the retry policy allows.
    pub(super) fn repeat<T>(
        &self,
        total: Duration,
        mut send: impl FnMut(Duration) -> Result<T>,
    ) -> Result<T> {
        let started = Instant::now();
        let left = || total.saturating_sub(started.elapsed());
        let (mut attempt, mut before) = (0, None);
        loop {
            let error = match send(left()) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            // A timeout says less than the error of the attempt before it.
            if let (Error::Timeout { status: None, .. }, Some(before)) = (&error, before.take()) {
                return Err(before);
            }
            match self.settings.retry.pause(&error, attempt, left(), jitter()) {
                Some(pause) => (self.settings.sleep)(pause),
                None => return Err(error),
            }
            before = Some(error).filter(|error| error.status().is_some());
            attempt += 1;
        }
    }
}
