//! Progress on standard error: bars with speed and the time left, and spinners that move.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use squarecloud_blocking::{MirrorProgress, Progress};

use crate::context::Context;
use crate::output::printable;

/// A bar of bytes while something is read or written, or a spinner while something is waited for. Invisible when bars
/// are not wanted.
pub struct Bar<'a> {
    context: &'a Context,
    bar: ProgressBar,
}

// Each has one part that takes the width that is left: at 50 columns, too, they are one row.
const BYTES: &str = "{prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
const WAITING: &str = "{prefix} {decimal_bytes}/{decimal_total_bytes} {wide_msg}";
const SPINNER: &str = "{spinner} {prefix} {elapsed} {wide_msg}";
const SEVERAL: &str =
    "{spinner} {prefix} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {wide_msg}";

const PAUSING: &str = "waiting to try again";
const TICK: Duration = Duration::from_millis(100);

impl<'a> Bar<'a> {
    /// `doing`: a word or two, such as `Downloading`.
    pub fn bytes(context: &'a Context, doing: impl Into<Cow<'static, str>>) -> Self {
        // It moves while nothing comes, too.
        let this = Self::new(context, BYTES, doing);
        this.bar.enable_steady_tick(TICK);
        this
    }

    pub fn spinner(context: &'a Context, doing: impl Into<Cow<'static, str>>) -> Self {
        let this = Self::new(context, SPINNER, doing);
        this.bar.enable_steady_tick(TICK);
        this
    }

    /// The bytes of several files at once, and what is being done.
    pub fn several(context: &'a Context, doing: impl Into<Cow<'static, str>>) -> Self {
        // Before the first byte, snapshots are listed and created.
        Self::spinner(context, doing)
    }

    fn new(context: &'a Context, template: &str, doing: impl Into<Cow<'static, str>>) -> Self {
        let target = if context.shows_bars() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(style(template)).with_prefix(doing);
        Self { context, bar }
    }

    /// What a callback does: shows the progress, and breaks after Ctrl-C.
    pub fn report(&self, progress: Progress) -> ControlFlow<()> {
        if let Some(total) = progress.total {
            self.bar.set_length(total);
        }
        self.bar.set_position(progress.bytes);
        if progress.waiting == self.bar.message().is_empty() {
            self.bar.set_style(style(if progress.waiting { WAITING } else { BYTES }));
            self.bar.set_message(if progress.waiting { PAUSING } else { "" });
        }
        self.context.go_on()
    }

    /// What the callback of a mirror does.
    pub fn report_mirror(&self, progress: &MirrorProgress) -> ControlFlow<()> {
        if progress.total > 0 && self.bar.length() != Some(progress.total) {
            self.bar.set_style(style(SEVERAL));
            self.bar.set_length(progress.total);
        }
        self.bar.set_position(progress.bytes);
        let count = match progress.total_snapshots {
            0 => String::new(),
            total => format!("{}/{total} ", progress.snapshots),
        };
        let pausing = if progress.waiting { "(waiting) " } else { "" };
        self.bar.set_message(printable(&format!("{count}{pausing}{}", progress.names.join(", "))));
        self.context.go_on()
    }

    /// What a spinner shows behind the time.
    pub fn message(&self, message: &str) {
        self.bar.set_message(printable(message));
    }

    /// What a callback of something that is waited for does: the spinner turns by itself.
    pub fn wait(&self) -> ControlFlow<()> {
        self.context.go_on()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
