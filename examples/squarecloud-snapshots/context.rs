//! What every verb works with: the options, the client, standard output, and whether Ctrl-C was pressed.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use squarecloud_blocking::{Client, ClientBuilder, Snapshot};

use crate::args::Globals;
use crate::exit::{Exit, Failure, Result, complain};
use crate::output::Out;
use crate::sandbox::Sandbox;

pub struct Context {
    pub globals: Globals,
    interrupt: Arc<Interrupt>,
    client: OnceLock<Client>,
    // Lives as long as the client that talks to it.
    sandbox: OnceLock<Sandbox>,
}

/// Ctrl-C: cancels what can be cancelled, and ends the process otherwise, after a while or at the second time.
#[derive(Debug)]
pub struct Interrupt {
    is_pressed: AtomicBool,
    // Locked by whoever ends the process, so that the verb does not say its own parting words as well.
    work: Mutex<Work>,
    bar: Mutex<Option<ProgressBar>>,
}

/// What would be interrupted.
#[derive(Clone, Debug)]
struct Work {
    is_cancellable: bool,
    /// Whether the process may end in the middle of it.
    is_killable: bool,
    parting: String,
}

impl Interrupt {
    fn new() -> Self {
        // Every verb begins with looking.
        let work =
            Work { is_cancellable: false, is_killable: true, parting: "stopped; nothing was changed".to_owned() };
        Self { is_pressed: AtomicBool::new(false), work: Mutex::new(work), bar: Mutex::new(None) }
    }

    /// What a callback returns: break after Ctrl-C.
    pub fn go_on(&self) -> ControlFlow<()> {
        if self.is_pressed.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The bar that is on the screen from now on.
    pub fn show(&self, bar: Option<ProgressBar>) {
        *lock(&self.bar) = bar;
    }

    /// What Ctrl-C does.
    fn press(self: &Arc<Self>) {
        if io::stderr().is_terminal() {
            // Behind the `^C` of the terminal, what comes next begins on a line of its own, and a bar where it was.
            let next = if lock(&self.bar).is_some() { "\r" } else { "\n" };
            let _ = io::stderr().write_all(next.as_bytes());
        }
        let is_first = !self.is_pressed.swap(true, Ordering::Relaxed);
        let work = lock(&self.work);
        if !is_first || !work.is_cancellable {
            self.end(&work);
        }
        drop(work);
        let ours = Arc::clone(self);
        // While a host sends nothing, a transfer looks up only now and then. If it stops, this ends with the process.
        thread::spawn(move || {
            thread::sleep(GRACE);
            let work = lock(&ours.work);
            if work.is_cancellable && work.is_killable {
                ours.end(&work);
            }
        });
    }

    fn end(&self, work: &Work) -> ! {
        if let Some(bar) = lock(&self.bar).take() {
            bar.finish_and_clear();
        }
        complain(&work.parting);
        process::exit(Exit::Interrupted as i32);
    }
}

/// How long what was cancelled may take to stop by itself.
const GRACE: Duration = Duration::from_secs(2);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    pub fn new(globals: Globals) -> Result<Self> {
        let interrupt = Arc::new(Interrupt::new());
        let ours = Arc::clone(&interrupt);
        ctrlc::set_handler(move || ours.press())
            .map_err(|e| Failure::new(Exit::Failed, format_args!("cannot handle Ctrl-C: {e}")))?;
        Ok(Self { globals, interrupt, client: OnceLock::new(), sandbox: OnceLock::new() })
    }

    /// The client of the environment's key, or of the sandbox. Made at the first call: local work needs no key.
    pub fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.builder()?.build()?;
        Ok(self.client.get_or_init(|| client))
    }

    fn builder(&self) -> Result<ClientBuilder> {
        let builder = if self.globals.sandbox {
            let sandbox = self.sandbox.get_or_init(|| {
                self.note("Working on the offline sandbox: nothing lasts.");
                Sandbox::builder().lenient().history(5).start()
            });
            Client::builder(sandbox.api_key()).base_url(sandbox.base_url())
        } else if std::env::var_os("SQUARECLOUD_API_KEY").is_none_or(|key| key.is_empty()) {
            let advice = "SQUARECLOUD_API_KEY is not set; export your key (in the dashboard under Account, API Key), \
                or try everything without one: --sandbox";
            return Err(Failure::new(Exit::Failed, advice));
        } else {
            ClientBuilder::from_env()?
        };
        Ok(self.configured(builder))
    }

    fn configured(&self, mut builder: ClientBuilder) -> ClientBuilder {
        if let Some(timeout) = self.globals.timeout {
            builder = builder.timeout(timeout).retry_for(timeout);
        }
        builder.user_agent(concat!("squarecloud-snapshots/", env!("CARGO_PKG_VERSION")))
    }

    /// The snapshot of a signed link: needs no key.
    pub fn open_url(&self, url: &str) -> Result<Snapshot> {
        // A client for its time limits. Nothing is sent to the API, so no key is needed.
        let client = self.configured(Client::builder("none")).build()?;
        Ok(client.open_url(url)?)
    }

    pub fn out(&self) -> Out {
        Out::new(self.globals.json)
    }

    /// A remark on standard error, unless `--quiet`.
    pub fn note(&self, message: impl std::fmt::Display) {
        if !self.globals.quiet {
            Self::say(message);
        }
    }

    /// A line on standard error.
    pub fn say(message: impl std::fmt::Display) {
        let _ = writeln!(io::stderr(), "{message}");
    }

    /// Whether bars are wanted and can be drawn.
    pub fn shows_bars(&self) -> bool {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        !self.globals.quiet && !self.globals.no_progress && !is_dumb && io::stderr().is_terminal()
    }

    /// Runs what looks at [`go_on`](Self::go_on) all the time, so that Ctrl-C need not end the process.
    pub fn cancellable<T>(&self, work: impl FnOnce() -> T) -> T {
        self.cancellable_with("stopped", work)
    }

    /// The same for what may be killed, too, which happens when it does not stop by itself. `parting` is said then.
    pub fn cancellable_with<T>(&self, parting: impl Into<String>, work: impl FnOnce() -> T) -> T {
        self.run(Work { is_cancellable: true, is_killable: true, parting: parting.into() }, work)
    }

    /// The same for what is not to be killed in the middle, however long it takes to stop: only a second Ctrl-C does that.
    pub fn cancellable_to_the_end<T>(&self, parting: impl Into<String>, work: impl FnOnce() -> T) -> T {
        self.run(Work { is_cancellable: true, is_killable: false, parting: parting.into() }, work)
    }

    fn run<T>(&self, this: Work, work: impl FnOnce() -> T) -> T {
        let mut before = std::mem::replace(&mut *lock(&self.interrupt.work), this);
        let result = work();
        if !before.is_cancellable {
            // It says itself what was changed.
            before.parting = "stopped".to_owned();
        }
        *lock(&self.interrupt.work) = before;
        result
    }

    /// What a callback returns: break after Ctrl-C.
    pub fn go_on(&self) -> ControlFlow<()> {
        self.interrupt.go_on()
    }

    /// For callbacks that outlive the context.
    pub fn interrupt(&self) -> Arc<Interrupt> {
        Arc::clone(&self.interrupt)
    }

    /// Waits, unless Ctrl-C is pressed.
    pub fn pause(&self, time: Duration) -> ControlFlow<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.go_on()?;
            thread::sleep(Duration::from_millis(50));
        }
        self.go_on()
    }

    /// Asks on a terminal, and refuses elsewhere.
    pub fn confirm(&self, question: &str) -> Result<()> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let refusal = "nothing was changed, since there is no terminal to ask on; --yes says yes to:";
            return Err(Failure::new(Exit::Usage, format_args!("{refusal} {question}")));
        }
        let _ = write!(io::stderr(), "{question} [y/N] ");
        let mut line = String::new();
        let answered = io::stdin().read_line(&mut line).is_ok();
        if !line.ends_with('\n') {
            let _ = writeln!(io::stderr());
        }
        if answered && ["y", "yes"].contains(&line.trim().to_lowercase().as_str()) {
            return Ok(());
        }
        Err(Failure::new(Exit::Failed, "nothing was changed"))
    }
}
