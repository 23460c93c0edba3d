//! Reports progress often enough and not too often.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::progress::{Observer, Progress};

/// The shortest time between two calls.
const PAUSE: Duration = Duration::from_millis(5);

/// One call's observer and what it was told last.
pub(crate) struct Meter<'a> {
    observer: Option<Observer<'a>>,
    target: PathBuf,
    told: Option<Instant>,
    pub(crate) progress: Progress,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(observer: Option<Observer<'a>>, target: &Path) -> Self {
        Self { observer, target: target.to_owned(), told: None, progress: Progress::default() }
    }

    /// Notes how far the transfer is, and tells the observer when it is time.
    pub(crate) fn tick(&mut self, bytes: u64, total: Option<u64>, attempt: u32) -> Result<()> {
        self.progress = Progress { bytes, total, attempt, ..self.progress };
        if self.observer.is_none() || self.told.is_some_and(|told| told.elapsed() < PAUSE) {
            return Ok(());
        }
        self.tell()
    }

    /// Tells the observer now.
    pub(crate) fn tell(&mut self) -> Result<()> {
        self.told = Some(Instant::now());
        match self.observer.as_mut().map_or(ControlFlow::Continue(()), |o| o(self.progress)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                Err(Error::Cancelled { action: "downloading to", path: self.target.clone() })
            }
        }
    }
}
