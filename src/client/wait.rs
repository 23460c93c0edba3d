//! I/O. Waiting for work that outlives its request: its polls, the pauses between them, and the callback that is told.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::resource::Resource;
use crate::error::{Error, Limit, Result};
use crate::progress::{Progress, pause_in};

/// How often the callback is called.
const TICK: Duration = Duration::from_millis(100);
/// How long the last poll before the deadline may take at least.
const LAST: Duration = Duration::from_secs(5);

/// The callback of a call that waits, if it has one.
pub(super) type Watch<'a> = Option<&'a dyn Fn(Progress) -> ControlFlow<()>>;

/// A wait for a snapshot or a restore.
pub(super) struct Wait<'a> {
    resource: &'a Resource,
    /// What is waited for: `the snapshot of app ...`.
    what: String,
    /// What to do when the wait ends before the work does.
    next: &'static str,
    watch: Watch<'a>,
    /// Whether this call requested the work, and the service accepted it.
    accepted: bool,
    /// The number of the current poll; 0 before the first one.
    poll: u32,
}

impl<'a> Wait<'a> {
    pub(super) fn new(resource: &'a Resource, work: &str, next: &'static str, watch: Watch<'a>) -> Self {
        Self { resource, what: format!("the {work} of {resource}"), next, watch, accepted: false, poll: 0 }
    }

    /// The service accepted what this call requested.
    pub(super) fn accepted(&mut self) {
        self.accepted = true;
    }

    /// The work is not finished: what the caller gets to know.
    pub(super) fn pending(&self, waited: Duration) -> Error {
        Error::Pending { what: self.what.clone(), waited, next: self.next }
    }

    fn tick(&self, waiting: bool) -> Result<()> {
        let progress = Progress { attempt: self.poll, waiting, ..Progress::default() };
        let unclear = "it may have begun all the same, so look before requesting another one";
        let next = if self.poll > 0 { self.next } else { unclear };
        match self.watch.map(|callback| callback(progress)) {
            Some(ControlFlow::Break(())) => Err(Error::WaitCancelled { what: self.what.clone(), next }),
            _ => Ok(()),
        }
    }

    /// Sends a request. With a callback it gets a thread of its own, which is left to itself when the callback cancels; where
    /// the system has no thread, the callback is not called until the response is there.
    pub(super) fn send<T: Send + 'static>(
        &self,
        request: impl Fn(&Resource) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        self.tick(false)?;
        let thread = self.watch.and_then(|_| {
            let (running, ended) = channel::<()>();
            let (resource, request) = (self.resource.clone(), request.clone());
            let work = move || {
                let _running = running;
                request(&resource)
            };
            Some((thread::Builder::new().name("squarecloud-request".into()).spawn(work).ok()?, ended))
        });
        let Some((thread, ended)) = thread else { return request(self.resource) };
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TICK) {
            self.tick(false)?;
        }
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn pause(&self, pause: Duration) -> Result<()> {
        let slice = if self.watch.is_some() { TICK } else { pause };
        pause_in(slice, pause, &*self.resource.core.settings.sleep, || self.tick(true).map(|()| true))
    }

    /// Polls until there is a result, for at most `at_most`; `check` is given the time that its request may take. A poll that
    /// fails for a passing reason is followed by the next one, since the work goes on regardless; one that came too soon
    /// makes the interval longer.
    pub(super) fn poll<T>(
        &mut self,
        at_most: Duration,
        usual: Duration,
        mut check: impl FnMut(&Self, Duration) -> Result<Option<T>>,
    ) -> Result<T> {
        let mut interval = self.resource.core.settings.poll_interval.unwrap_or(usual);
        // In tests `sleep` returns at once; its full length counts as waited.
        let (started, mut slept) = (Instant::now(), Duration::ZERO);
        loop {
            self.poll += 1;
            let mut asked = Duration::ZERO;
            match check(self, at_most.saturating_sub(started.elapsed().max(slept)).max(LAST)) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(error) if is_passing(&error) => {
                    asked = error.retry_after().unwrap_or_default();
                    interval = interval.saturating_mul(if error.is_rate_limited() { 2 } else { 1 });
                }
                Err(error) => return Err(self.not_the_work(error)),
            }
            let waited = started.elapsed().max(slept);
            let left = at_most.saturating_sub(waited);
            if left.is_zero() {
                return Err(self.pending(waited));
            }
            let pause = interval.max(asked).min(left);
            self.pause(pause)?;
            slept += pause;
        }
    }

    /// Adds to an error of the service that it ends the wait and not the work.
    fn not_the_work(&self, mut error: Error) -> Error {
        let goes_on = format!("{} was accepted and goes on, so do not request it again", self.what);
        match &mut error {
            _ if !self.accepted => {}
            Error::Api { message, .. } if message.is_empty() => *message = goes_on,
            Error::Api { message, .. } => *message = format!("{}; {goes_on}", message.trim_end_matches('.')),
            Error::UnexpectedResponse { problem, .. } => *problem = format!("{problem}; {goes_on}").into(),
            _ => {}
        }
        error
    }
}

/// Whether polling again may help: the network, a busy or broken service, or too many polls.
fn is_passing(error: &Error) -> bool {
    let is_broken = error.status().is_some_and(|status| status >= 500);
    error.limit() != Some(Limit::Budget) && (error.is_retryable() || error.is_rate_limited() || is_broken)
}
