//! I/O. One JSON call from route to reply, repeated where that is safe.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use super::Client;
use super::builder::OnUnreadable;
use super::time::Time;
use super::wait::Waiting;
use crate::api::decode::Unreadable;
use crate::api::envelope::Reply;
use crate::api::failure::Failure;
use crate::api::http::{ApiAgent, ApiResponse, Payload, Request, SnapshotAgent};
use crate::api::json::Value;
use crate::api::pace::Pacer;
use crate::api::retry::{RetryPolicy, http_date, retry_after};
use crate::api::route::Route;
use crate::api::settings::Limits;
use crate::error::{Error, Result};
use crate::secret::{ApiKey, split_url};
use crate::types::{Kind, Listing};

/// What all clones of a client share.
pub(crate) struct Inner {
    pub(super) api: ApiAgent,
    pub(super) files: SnapshotAgent,
    pub(super) key: ApiKey,
    pub(super) base_url: String,
    /// The base URL's own path: errors show whole paths.
    pub(super) base_path: String,
    pub(super) snapshot_host: String,
    pub(super) limits: Limits,
    pub(super) retry: RetryPolicy,
    pub(super) pacer: Option<Mutex<Pacer>>,
    pub(super) waiting: Waiting,
    pub(super) time: Time,
    pub(super) on_unreadable: Option<OnUnreadable>,
    /// The account's id, asked for once.
    pub(super) owner: OnceLock<String>,
}

/// The path of a URL that was checked.
pub(super) fn base_path(url: &str) -> &str {
    split_url(url).map_or("", |parts| &url[parts.path..])
}

/// The time of an attempt: even one that is squeezed in at the end gets a moment.
const LEAST: Duration = Duration::from_millis(1);

/// The time of an attempt, and the total of its call, which an error names.
#[derive(Clone, Copy)]
struct Allowed {
    limit: Duration,
    total: Duration,
}

/// What an attempt came to.
struct Attempt<T> {
    result: Result<T>,
    /// The answer's body broke off.
    broken: bool,
    /// The service's clock.
    date: Option<OffsetDateTime>,
}

impl Client {
    /// A GET, repeated where that is safe.
    pub(super) fn get<T>(&self, route: &Route<'_>, read: impl Fn(Reply<'_>) -> Result<T>) -> Result<T> {
        self.get_dated(route, read).map(|(value, _)| value)
    }

    /// The same, with the service's clock.
    pub(super) fn get_dated<T>(
        &self,
        route: &Route<'_>,
        read: impl Fn(Reply<'_>) -> Result<T>,
    ) -> Result<(T, Option<OffsetDateTime>)> {
        let inner = &*self.inner;
        let path = route.path()?;
        // A paced client's turn comes first: waiting for it is no part of the call's total.
        inner.pace(route);
        let started = inner.time.now();
        let mut attempt = 0;
        let mut before = None;
        loop {
            let total = inner.limits.total;
            let left = total.saturating_sub(inner.time.now().saturating_sub(started));
            let limit = if attempt == 0 { total } else { left.max(LEAST) };
            let time = Allowed { limit, total };
            let tried = self.attempt(route, &path, Payload::Nothing, time, &read);
            let error = match tried.result {
                Ok(value) => return Ok((value, tried.date)),
                Err(error) => error,
            };
            // That time ran out says less than what the attempt before came to.
            if let (Error::Timeout { status: None, .. }, Some(before)) = (&error, before.take()) {
                return Err(before);
            }
            let left = inner.limits.total.saturating_sub(inner.time.now().saturating_sub(started));
            match inner.retry.pause(&error, tried.broken, attempt, left, Time::jitter()) {
                Some(pause) => inner.time.sleep(pause),
                None => return Err(error),
            }
            before = Some(error).filter(|error| error.status().is_some());
            inner.pace(route);
            attempt += 1;
        }
    }

    /// A POST without a file. It is sent once, whatever happens to it.
    pub(super) fn post<T>(
        &self,
        route: &Route<'_>,
        body: Option<&str>,
        read: impl Fn(Reply<'_>) -> Result<T>,
    ) -> Result<T> {
        self.post_dated(route, body, read).map(|(value, _)| value)
    }

    /// The same, with the service's clock.
    pub(super) fn post_dated<T>(
        &self,
        route: &Route<'_>,
        body: Option<&str>,
        read: impl Fn(Reply<'_>) -> Result<T>,
    ) -> Result<(T, Option<OffsetDateTime>)> {
        let path = route.path()?;
        let payload = body.map_or(Payload::Nothing, |json| Payload::Json(json.as_bytes()));
        let total = self.inner.limits.held_open;
        self.inner.pace(route);
        let tried = self.attempt(route, &path, payload, Allowed { limit: total, total }, &read);
        self.inner.created(route);
        Ok((tried.result?, tried.date))
    }

    /// A POST with a file. Only the service's own "busy" is answered with another attempt (contract, section
    /// 10), for which `payload` is made anew.
    pub(super) fn send_file<T>(
        &self,
        route: &Route<'_>,
        mut send: impl FnMut(&mut dyn FnMut(Payload<'_>) -> Result<T>) -> Result<T>,
        read: impl Fn(Reply<'_>) -> Result<T>,
    ) -> Result<T> {
        let inner = &*self.inner;
        let path = route.path()?;
        let total = inner.limits.held_open;
        let mut pauses = Duration::ZERO;
        let mut attempt = 0;
        loop {
            inner.pace(route);
            let time = Allowed { limit: total, total };
            let result = send(&mut |payload| self.attempt(route, &path, payload, time, &read).result);
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            // The transfer itself has no total; the pauses between attempts have.
            let left = total.saturating_sub(pauses);
            match inner.retry.pause(&error, false, attempt, left, Time::jitter()) {
                Some(pause) => {
                    pauses += pause;
                    inner.time.sleep(pause);
                }
                None => return Err(error),
            }
            attempt += 1;
        }
    }

    fn attempt<T>(
        &self,
        route: &Route<'_>,
        path: &str,
        payload: Payload<'_>,
        time: Allowed,
        read: impl Fn(Reply<'_>) -> Result<T>,
    ) -> Attempt<T> {
        let inner = &*self.inner;
        let url = format!("{}{path}", inner.base_url);
        let method = route.method();
        // The path alone: a query has no place in an error's line.
        let shown = format!("{}{}", inner.base_path, path.split('?').next().unwrap_or_default());
        let Allowed { limit, total } = time;
        let request = Request { method, url: &url, payload, timeout: limit, total };
        let response = match inner.api.send(request, &inner.key) {
            Ok(response) => response,
            Err(failure) => {
                return Attempt {
                    result: Err(failure.into_error(method, &shown, None)),
                    broken: false,
                    date: None,
                };
            }
        };
        let ApiResponse { status, headers, body, broken } = response;
        let date = headers.get("date").and_then(http_date);
        if let Some(Failure::Timeout { phase, limit }) = broken {
            let (phase, status) = (phase.into(), Some(status));
            let error = Error::Timeout { method, path: shown, phase, limit, status };
            return Attempt { result: Err(error), broken: false, date };
        }
        let reply = Reply {
            method,
            path: &shown,
            status,
            body: &body,
            retry_after: headers.get("retry-after").and_then(|value| retry_after(value, date)),
            broken: broken.as_ref().map(ToString::to_string),
            secret: inner.key.expose(),
        };
        Attempt { result: read(reply), broken: matches!(broken, Some(Failure::Broken(_))), date }
    }

    /// A listing, with the service's clock.
    pub(super) fn read_listing(
        &self,
        kind: Kind,
        route: &Route<'_>,
    ) -> Result<(Listing, Option<OffsetDateTime>)> {
        let (listing, date) = self.get_dated(route, |reply| match reply.data()? {
            Value::Array(items) => Ok(Listing::read(kind, &items)),
            _ => Err(reply.unexpected("a `response` that is no list")),
        })?;
        self.tell_unreadable(&listing.unreadable);
        Ok((listing, date))
    }

    /// Tells whoever asked for it of the items of an answer that could not be read.
    pub(super) fn tell_unreadable(&self, items: &[Unreadable]) {
        if let Some(hear) = &self.inner.on_unreadable {
            items.iter().for_each(|item| hear(item));
        }
    }
}

impl Inner {
    /// Waits until `route` is within the budgets of a paced client. The lock is let go before the wait.
    fn pace(&self, route: &Route<'_>) {
        let Some(pacer) = &self.pacer else {
            return;
        };
        let pause =
            pacer.lock().unwrap_or_else(PoisonError::into_inner).book(self.time.now(), creates(route));
        self.time.sleep(pause);
    }

    /// Tells a paced client's books that a creation was answered.
    fn created(&self, route: &Route<'_>) {
        if let (Some(pacer), Some(id)) = (&self.pacer, creates(route)) {
            pacer.lock().unwrap_or_else(PoisonError::into_inner).created(self.time.now(), id);
        }
    }
}

/// What a creation is of.
fn creates<'a>(route: &Route<'a>) -> Option<&'a str> {
    match route {
        Route::CreateSnapshot(_, id) => Some(id),
        _ => None,
    }
}
