//! Progress on standard error: bars with speed and the time left, and spinners that move.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use squarecloud_blocking::{MirrorProgress, Progress};

use crate::context::Context;
use crate::output::printable;

/// A bar of bytes while something is read or written, or a spinner while something is waited for. Invisible when bars
/// are not wanted.
pub struct Bar<'a> {
    context: &'a Context,
    row: Row,
}

/// What is on the screen.
#[derive(Clone)]
struct Row {
    bar: ProgressBar,
    template: Arc<Mutex<&'static str>>,
}

// What takes the width that is left stands between spaces: at 50 columns, too, they are one row.
const BYTES: &str = "{prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
const WAITING: &str = "{spinner} {prefix} {decimal_bytes}/{decimal_total_bytes} {wide_msg}";
const SPINNER: &str = "{spinner} {prefix} {elapsed} {wide_msg}";
const SEVERAL: &str =
    "{spinner} {prefix} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {wide_msg}";

const TICK: Duration = Duration::from_millis(100);
/// How often a bar is drawn in a second at most.
const RATE: u8 = 20;
/// The room at the end of a row for the `^C` that the terminal writes there: a row that it breaks cannot be cleared.
const ROOM: u16 = 3;
/// Below this width, numbers count for more than what shows them.
const WIDE: u16 = 60;

impl<'a> Bar<'a> {
    /// `doing`: a word or two, such as `Downloading`.
    pub fn bytes(context: &'a Context, doing: impl Into<Cow<'static, str>>) -> Self {
        // Until it is known how much there is.
        Self::spinner(context, doing)
    }

    pub fn spinner(context: &'a Context, doing: impl Into<Cow<'static, str>>) -> Self {
        let target = || ProgressDrawTarget::term_like_with_hz(Box::new(Narrow(Term::buffered_stderr())), RATE);
        let target = if context.shows_bars() { target() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(style(SPINNER)).with_prefix(doing);
        if context.shows_bars() {
            context.interrupt().show(Some(bar.clone()));
        }
        // It moves while nothing comes, too.
        bar.enable_steady_tick(TICK);
        Self { context, row: Row { bar, template: Arc::new(Mutex::new(SPINNER)) } }
    }

    /// What a callback does: shows the progress, and breaks after Ctrl-C.
    pub fn report(&self, progress: Progress) -> ControlFlow<()> {
        self.row.show(progress);
        self.context.go_on()
    }

    /// [`report`](Self::report) while something is sent. When all of it is, the service has the word.
    pub fn report_sent(&self, progress: Progress) -> ControlFlow<()> {
        if progress.total == Some(progress.bytes) {
            self.row.switch(SPINNER);
            self.row.bar.set_message("waiting for the service");
        } else {
            self.row.show(progress);
        }
        self.context.go_on()
    }

    /// [`report`](Self::report) as a callback that may be kept for longer than this.
    pub fn reporter(&self) -> impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static {
        let (row, interrupt) = (self.row.clone(), self.context.interrupt());
        move |progress| {
            row.show(progress);
            interrupt.go_on()
        }
    }

    /// What the callback of a mirror does.
    pub fn report_mirror(&self, progress: &MirrorProgress) -> ControlFlow<()> {
        // Before the first byte, snapshots are listed and created.
        if progress.total > 0 && self.row.bar.length() != Some(progress.total) {
            self.row.switch(SEVERAL);
            self.row.bar.set_length(progress.total);
        }
        self.row.bar.set_position(progress.bytes);
        let count = match progress.total_snapshots {
            0 => String::new(),
            total => format!("{}/{total} ", progress.snapshots),
        };
        let pausing = if progress.waiting { "(waiting) " } else { "" };
        self.row.bar.set_message(printable(&format!("{count}{pausing}{}", progress.names.join(", "))));
        self.context.go_on()
    }

    /// What a spinner shows behind the time.
    pub fn message(&self, message: &str) {
        self.row.bar.set_message(printable(message));
    }

    /// What a callback of something that is waited for does: the spinner turns by itself.
    pub fn wait(&self) -> ControlFlow<()> {
        self.context.go_on()
    }
}

impl Row {
    fn show(&self, progress: Progress) {
        if let Some(total) = progress.total.filter(|total| self.bar.length() != Some(*total)) {
            self.bar.set_length(total);
        }
        self.bar.set_position(progress.bytes);
        self.switch(match (progress.waiting, self.bar.length()) {
            (true, Some(_)) => WAITING,
            (false, Some(_)) => BYTES,
            (_, None) => SPINNER,
        });
        let message = if progress.waiting { "waiting to try again" } else { "" };
        if self.bar.message() != message {
            self.bar.set_message(message);
        }
    }

    fn switch(&self, template: &'static str) {
        let mut shown = self.template.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown != template {
            *shown = template;
            self.bar.set_style(style(template));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let mut template = Cow::Borrowed(template);
    if Term::stderr().size().1 < WIDE {
        template = template.replace("{wide_bar} ", "").replace("{eta} {wide_msg}", "{wide_msg}").into();
    }
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The terminal without [`ROOM`].
#[derive(Debug)]
struct Narrow(Term);

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        self.0.size().1.saturating_sub(ROOM).max(1)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.0.write_line(line)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        self.row.bar.finish_and_clear();
        self.context.interrupt().show(None);
    }
}
