//! Progress on standard error: bars with speed and the time left, and spinners that move.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use squarecloud_blocking::Progress;

use crate::context::Context;

/// A bar of bytes while something is read or written, or a spinner while something is waited for. Invisible when bars
/// are not wanted.
pub struct Bar<'a> {
    context: &'a Context,
    bar: ProgressBar,
}

const BYTES: &str =
    "{prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {wide_msg}";
const SPINNER: &str = "{spinner} {prefix} {elapsed} {wide_msg}";

impl<'a> Bar<'a> {
    /// `doing`: a word or two, such as `Downloading`.
    pub fn bytes(context: &'a Context, doing: impl Into<Cow<'static, str>>) -> Self {
        Self::new(context, BYTES, doing)
    }

    pub fn spinner(context: &'a Context, doing: impl Into<Cow<'static, str>>) -> Self {
        let this = Self::new(context, SPINNER, doing);
        this.bar.enable_steady_tick(Duration::from_millis(100));
        this
    }

    fn new(context: &'a Context, template: &str, doing: impl Into<Cow<'static, str>>) -> Self {
        let target = if context.shows_bars() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style).with_prefix(doing);
        Self { context, bar }
    }

    /// What a callback does: shows the progress, and breaks after Ctrl-C.
    pub fn report(&self, progress: Progress) -> ControlFlow<()> {
        if let Some(total) = progress.total {
            self.bar.set_length(total);
        }
        self.bar.set_position(progress.bytes);
        self.bar.set_message(if progress.waiting { "waiting to try again" } else { "" });
        self.context.go_on()
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
