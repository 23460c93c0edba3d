//! Reports progress often enough and not too often.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::progress::{Callback, Progress, Throttle};

/// One call's observer and what it was told last.
pub(crate) struct Meter<'a> {
    throttle: Throttle<'a>,
    target: PathBuf,
    pub(crate) progress: Progress,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(callback: Option<Callback<'a>>, target: &Path) -> Self {
        Self { throttle: Throttle::new(callback), target: target.to_owned(), progress: Progress::default() }
    }

    /// Notes how far the transfer is, and tells the observer when it is time.
    pub(crate) fn tick(&mut self, bytes: u64, total: Option<u64>, attempt: u32) -> Result<()> {
        self.progress = Progress { bytes, total, attempt, ..self.progress };
        let flow = self.throttle.report(|| self.progress);
        self.or_cancelled(flow)
    }

    /// Reports now.
    pub(crate) fn tell(&mut self) -> Result<()> {
        let flow = self.throttle.report_now(self.progress);
        self.or_cancelled(flow)
    }

    fn or_cancelled(&self, flow: ControlFlow<()>) -> Result<()> {
        match flow {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                Err(Error::Cancelled { action: "downloading to", path: self.target.clone() })
            }
        }
    }
}
