//! What a request without an answer, or an answer that ended too early, comes to: another attempt or an error.

use std::borrow::Cow;

use super::{Step, Stream};
use crate::api::failure::{Failure, Lost};
use crate::api::http::SnapshotResponse;
use crate::error::{Error, Result, is_refusal};

impl Stream {
    /// A 5xx; `again_or` bounds how often one is met.
    pub(super) fn busy(&mut self, answer: SnapshotResponse) -> Error {
        self.status = answer.status;
        self.tries.busy();
        self.wire.wrong(answer, "the snapshot host is busy or broken; try again later".into())
    }

    /// The running answer ended too early.
    pub(super) fn lost(&mut self, failure: Failure) -> Result<Step> {
        self.open = None;
        match failure {
            Failure::Timeout { .. } => {
                // What cannot be continued falls silent at the same place again: once more is enough.
                self.silences += u32::from(!self.known.is_provable());
                if self.silences > 1 || self.patience.silence(self.clock.elapsed()).is_none() {
                    return Err(self.stalled());
                }
            }
            Failure::Protocol(_) => return Err(self.wire.failed(failure, self.known_status())),
            Failure::Broken(_) => {}
        }
        let step = self.again(failure)?;
        if self.at > 0 && !self.known.is_provable() {
            return self.start_over("the connection broke off");
        }
        Ok(step)
    }

    /// A request without an answer: it is made again when it broke off and the host had not refused it.
    pub(super) fn unanswered(&mut self, Lost { failure, status }: Lost) -> Result<Step> {
        self.status = status.unwrap_or(self.status);
        let again = matches!(failure, Failure::Broken(_)) && !is_refusal(status);
        let late = matches!(failure, Failure::Timeout { .. }) && status.is_none();
        let error = self.wire.failed(failure, status);
        match self.why.take() {
            _ if again => self.again_or(error),
            // That time ran out says less than what the attempt before came to.
            Some(why) if late => Err(why),
            _ => Err(error),
        }
    }

    fn again(&mut self, failure: Failure) -> Result<Step> {
        let error = self.wire.failed(failure, self.known_status());
        self.again_or(error)
    }

    pub(crate) fn download_error(&self, problem: impl Into<Cow<'static, str>>) -> Error {
        self.wire.download_error(problem, self.known_status())
    }

    fn known_status(&self) -> Option<u16> {
        Some(self.status).filter(|status| *status > 0)
    }

    pub(super) fn again_or(&mut self, error: Error) -> Result<Step> {
        let now = self.clock.elapsed();
        if self.begun && self.patience.bytes(0, now).is_err() {
            return Err(self.too_slow());
        }
        let Some(pause) = self.tries.failed(now.subsec_nanos() % 1001) else { return Err(error) };
        self.pause = pause;
        self.why = Some(error);
        Ok(Step::Broke)
    }

    pub(super) fn stalled(&mut self) -> Error {
        if let Some(why) = self.why.take() {
            return why;
        }
        let limits = self.wire.agent.limits();
        self.wire.timeout("waiting for more of the snapshot", limits.stall, self.known_status())
    }

    pub(super) fn too_slow(&self) -> Error {
        let limits = self.wire.agent.limits();
        self.wire.timeout(
            "a transfer slower than the lowest speed allowed",
            limits.stall,
            self.known_status(),
        )
    }
}
