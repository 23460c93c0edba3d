//! Whole programs for common jobs. This module is documentation only.
//!
//! - Keeping: [a nightly backup](#a-nightly-backup), [a year of snapshots](#a-year-of-snapshots),
//!   [the quota](#the-quota)
//! - Going back: [one file](#one-file), [a rehearsal](#a-rehearsal)
//! - Surroundings: [a window with a cancel button](#a-window-with-a-cancel-button), [a proxy](#a-proxy),
//!   [your own root certificates](#your-own-root-certificates), [a container](#a-container)
//!
//! Each program is complete and takes the API key from the environment variable `SQUARECLOUD_API_KEY`. They compile as
//! they are; replace the ids before you run them. The last one also needs the crate `ctrlc`.
//!
//! When `main` returns an error, Rust prints it in its `Debug` form. Most of these programs let it, to be short; the
//! first and the last one print `{error:#}`, which is meant to be read.
//!
//! # A nightly backup
//!
//! Creates a snapshot of one app and downloads it, with the CRC-32 of every entry checked before the file gets its
//! name. The exit status and the line on stderr are all that cron needs:
//! `0 3 * * * SQUARECLOUD_API_KEY=... /usr/local/bin/nightly`.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use squarecloud_blocking::{Client, DownloadOptions, Result};
//!
//! fn main() -> ExitCode {
//!     if let Err(error) = back_up("0123456789abcdef0123456789abcdef") {
//!         eprintln!("{error:#}"); // what failed, why, and what to do next
//!         return ExitCode::FAILURE;
//!     }
//!     ExitCode::SUCCESS
//! }
//!
//! fn back_up(app_id: &str) -> Result<()> {
//!     let snapshot = Client::from_env()?.snapshot(app_id)?;
//!     let options = DownloadOptions::new().verify(true);
//!     let download = snapshot.download_with("/srv/backups", &options)?;
//!     println!("{} ({} bytes)", download.path.display(), download.bytes);
//!     Ok(())
//! }
//! ```
//!
//! When the creation succeeds and the download does not, the snapshot is still listed:
//! [`App::latest_snapshot`](crate::App::latest_snapshot) and [`Client::open`](crate::Client::open) lead to it. The next
//! recipe does that by itself.
//!
//! # A year of snapshots
//!
//! The service keeps a snapshot for 30 days. A [`Mirror`](crate::Mirror) downloads those of all apps and databases, and
//! thins them out by the rules of [restic's `forget`][forget]: here it keeps the newest of each of the last 14 days,
//! 8 weeks and 12 months (those without a snapshot do not count). What one run could not fetch, the next one fetches.
//!
//! `take_new(true)` makes each run create a snapshot of each app and database first, as far as the daily quota allows.
//! Without it, the mirror fetches only what was created in other ways.
//!
//! ```no_run
//! use squarecloud_blocking::{Client, Keep, Result};
//!
//! fn main() -> Result<()> {
//!     let keep = Keep::daily(14).and(Keep::weekly(8)).and(Keep::monthly(12));
//!     let mirror = Client::from_env()?.mirror("/srv/backups").keep(keep).take_new(true);
//!     if std::env::args().any(|arg| arg == "--dry-run") {
//!         for planned in mirror.plan()?.prune {
//!             println!("would delete {}", planned.path.display());
//!         }
//!         return Ok(());
//!     }
//!     let report = mirror.run()?;
//!     println!("{report}");
//!     report.errors().for_each(|error| eprintln!("{error:#}"));
//!     report.skipped.iter().for_each(|item| eprintln!("could not be decoded: {item}"));
//!     std::process::exit(if report.is_complete() { 0 } else { 1 });
//! }
//! ```
//!
//! Add [`verify(true)`](crate::Mirror::verify) once a week: it reads every file and checks every CRC.
//! [`Mirror::find`](crate::Mirror::find) returns the newest good file of an app or database that was created at or
//! before a given time.
//!
//! [forget]: https://restic.readthedocs.io/en/stable/060_forget.html#removing-snapshots-according-to-a-policy
//!
//! # The quota
//!
//! A plan includes [`(memory in MB / 256) * 2`][limits] snapshots within 24 hours. The service does not say how many
//! are used; the listings give a [lower bound](crate::Account::snapshots_used). Where the plan does not include the
//! account's listing (HTTP 402), each app and database still has its own, at one request each.
//!
//! ```no_run
//! use squarecloud_blocking::time::OffsetDateTime;
//! use squarecloud_blocking::{Client, Kind, Limit, Result};
//!
//! fn main() -> Result<()> {
//!     let client = Client::from_env()?;
//!     let account = client.account()?;
//!     let memory = &account.user.plan.memory;
//!     println!("{}: {} of {} MB of memory in use", account.user.plan.name, memory.used, memory.limit);
//!
//!     let mut listed = Vec::new();
//!     match client.all_snapshots(Kind::App) {
//!         Err(error) if error.needs_upgrade() => {
//!             for app in &account.applications {
//!                 listed.extend(client.all_app_snapshots(&app.id)?);
//!             }
//!             for database in &account.databases {
//!                 listed.extend(client.all_database_snapshots(&database.id)?);
//!             }
//!         }
//!         apps => {
//!             listed.extend(apps?);
//!             listed.extend(client.all_snapshots(Kind::Database)?);
//!         }
//!     }
//!     let used = account.snapshots_used(&listed, OffsetDateTime::now_utc());
//!     println!("at least {used} of the {} snapshots of 24 h are used", account.daily_snapshot_quota());
//!
//!     if let Err(error) = client.snapshot("0123456789abcdef0123456789abcdef") {
//!         match error.limit() {
//!             Some(Limit::Quota) => println!("the quota is used up"),
//!             Some(limit) => println!("{limit:?}: try again after {:?}", error.retry_after()),
//!             None => return Err(error),
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! [limits]: https://docs.squarecloud.app/en/api-reference/endpoint/apps/snapshots/create
//!
//! # One file
//!
//! Reads a single file out of the latest snapshot, without downloading the rest: two or three requests to the snapshot
//! host. Then it puts the file back into the app.
//!
//! ```no_run
//! use squarecloud_blocking::{Client, ExtractOptions, Result};
//! use std::ops::ControlFlow;
//!
//! fn main() -> Result<()> {
//!     let app = Client::from_env()?.app("0123456789abcdef0123456789abcdef");
//!     let Some(latest) = app.latest_snapshot()? else {
//!         println!("{} has no snapshot", app.id());
//!         return Ok(());
//!     };
//!     let archive = app.open(&latest)?.archive()?;
//!     print!("{}", archive.tree()); // what is there, and under which names
//!
//!     // To `restored/data/settings.json`. `read` returns the content instead.
//!     archive.extract_with("restored", &ExtractOptions::new().prefix("data/settings.json"))?;
//!     app.commit_with("restored/data/settings.json", Some("/data"), |_| ControlFlow::Continue(()))?;
//!     Ok(())
//! }
//! ```
//!
//! A file of a database's snapshot can be read in the same way, but not put back: a database can only be
//! [restored](crate::Database::restore_and_wait) as a whole.
//!
//! # A rehearsal
//!
//! Shows that a snapshot is good before you need it: downloads it, checks every byte, and creates a **new** app from
//! it. The original is not touched. The plan needs 256 MB of free memory, and the zip may be at most 100 MiB and
//! needs a [`squarecloud.app`][config] or `squarecloud.config` file in its root.
//!
//! ```no_run
//! use squarecloud_blocking::{Client, DownloadOptions, Overwrite, Result};
//!
//! fn main() -> Result<()> {
//!     let client = Client::from_env()?;
//!     let app = client.app("0123456789abcdef0123456789abcdef");
//!     let Some(latest) = app.latest_snapshot()? else {
//!         println!("{} has no snapshot", app.id());
//!         return Ok(());
//!     };
//!     let options = DownloadOptions::new().verify(true).overwrite(Overwrite::Keep);
//!     let download = app.open(&latest)?.download_with("rehearsal", &options)?;
//!     let copy = client.upload(&download.path)?;
//!     println!("{latest}\nis now the app {} ({})", copy.name, copy.id);
//!     println!("running: {}", client.app(&copy.id).status()?.running);
//!     Ok(())
//! }
//! ```
//!
//! Delete the copy in the dashboard; this crate deletes nothing at the service. For a real restore,
//! [`App::restore_and_wait`](crate::App::restore_and_wait) takes the same `latest`.
//!
//! [config]: https://docs.squarecloud.app/en/getting-started/config-file
//!
//! # A window with a cancel button
//!
//! The work runs on a thread of its own, which sends messages to the window; the button sets a flag that the callback
//! checks. After cancelling, the service still finishes a creation. A download continues when the same snapshot is
//! downloaded again; this button would create a new one.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::sync::atomic::{AtomicBool, Ordering};
//! use std::sync::{Arc, mpsc};
//! use std::thread;
//!
//! use squarecloud_blocking::{Client, Download, DownloadOptions, Progress, Result};
//!
//! enum Message {
//!     Progress(Progress),
//!     Done(Result<Download>),
//! }
//!
//! /// What the window's "Back up" button does.
//! fn start(client: Client, app_id: String, cancel: Arc<AtomicBool>) -> mpsc::Receiver<Message> {
//!     let (sender, messages) = mpsc::channel();
//!     thread::spawn(move || {
//!         let report = |progress| {
//!             // Without a window there is nobody to work for.
//!             let is_closed = sender.send(Message::Progress(progress)).is_err();
//!             let stop = is_closed || cancel.load(Ordering::Relaxed);
//!             if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
//!         };
//!         let options = DownloadOptions::new().progress(report);
//!         let snapshot = client.snapshot_with(&app_id, report);
//!         let result = snapshot.and_then(|snapshot| snapshot.download_with("backups", &options));
//!         let _ = sender.send(Message::Done(result));
//!     });
//!     messages
//! }
//!
//! fn main() -> Result<()> {
//!     let cancel = Arc::new(AtomicBool::new(false)); // the "Cancel" button stores true
//!     let messages = start(Client::from_env()?, "0123456789abcdef0123456789abcdef".into(), cancel);
//!     for message in messages {
//!         match message {
//!             Message::Progress(now) => println!("{} of {:?} bytes", now.bytes, now.total),
//!             Message::Done(Ok(download)) => println!("saved as {}", download.path.display()),
//!             Message::Done(Err(error)) if error.is_cancelled() => println!("cancelled"),
//!             Message::Done(Err(error)) => println!("{error:#}"),
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! A window redraws when it has time: take all waiting messages with `try_iter` and show the last.
//!
//! # A proxy
//!
//! `https_proxy`, `all_proxy` and `no_proxy` of the environment are read as curl does, so often there is nothing to do.
//! [`ClientBuilder::proxy`](crate::ClientBuilder::proxy) sets one for both hosts of the service;
//! [`no_proxy`](crate::ClientBuilder::no_proxy) turns proxies off. The proxy resolves host names; loopback is always
//! reached directly. SOCKS proxies are not supported.
//!
//! ```no_run
//! use squarecloud_blocking::{ClientBuilder, Error, Result};
//!
//! fn main() -> Result<()> {
//!     // User name and password are percent-encoded: this password is `p@ss`.
//!     let client = ClientBuilder::from_env()?.proxy("http://user:p%40ss@proxy.example:3128").build()?;
//!     match client.service_status() {
//!         Ok(status) => println!("the service is {}", status.status),
//!         Err(Error::Proxy { proxy, status: Some(407), .. }) => println!("{proxy} wants another user or password"),
//!         Err(Error::Proxy { proxy, host, .. }) => println!("{proxy} does not connect to {host}"),
//!         Err(error) => return Err(error),
//!     }
//!     Ok(())
//! }
//! ```
//!
//! [`Snapshot::from_url`](crate::Snapshot::from_url) has no client, so it uses the environment's proxy;
//! [`Client::open_url`](crate::Client::open_url) opens a signed link with the client's.
//!
//! # Your own root certificates
//!
//! For a proxy that decrypts TLS, or a server of your own. Where the certificate is installed on the system, the
//! feature `native-tls` (the system's library) or `platform-verifier` (rustls) is enough, without a line of code.
//! Otherwise [`ClientBuilder::root_certificates`](crate::ClientBuilder::root_certificates) takes one or several in PEM.
//! They **replace** the usual ones, so add those to the file if a host is reached without that proxy.
//!
//! ```no_run
//! use squarecloud_blocking::{ClientBuilder, Error, NetworkFailure};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pem = std::fs::read("/etc/ssl/company.pem")?;
//!     let client = ClientBuilder::from_env()?.root_certificates(pem).build()?;
//!     match client.service_status() {
//!         Err(error @ Error::Network { failure: NetworkFailure::Certificate, .. }) => println!("{error:#}"),
//!         status => println!("the service is {}", status?.status),
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # A container
//!
//! The key comes from the environment, the files go to a volume, and the exit status tells the scheduler whether it
//! worked. The first process of a container has no default action for SIGTERM, so without a handler it keeps running
//! until it is killed. That does no harm either: part files are continued by the next run, and the system frees the
//! directory's lock.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::process::ExitCode;
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! use squarecloud_blocking::{Client, Keep, Result};
//!
//! static STOP: AtomicBool = AtomicBool::new(false);
//!
//! fn main() -> ExitCode {
//!     // The crate `ctrlc` with its feature `termination`, for SIGTERM.
//!     ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).expect("no other handler is set");
//!     match run() {
//!         Ok(true) => ExitCode::SUCCESS,
//!         Ok(false) => ExitCode::from(7), // partly done: stderr says what is missing
//!         Err(error) => {
//!             eprintln!("{error:#}");
//!             if error.is_cancelled() { ExitCode::from(143) } else { ExitCode::FAILURE }
//!         }
//!     }
//! }
//!
//! fn run() -> Result<bool> {
//!     let mirror = Client::from_env()?.mirror("/backups").keep(Keep::daily(30).and(Keep::monthly(12)));
//!     let report = mirror.run_with(|_| {
//!         if STOP.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
//!     })?;
//!     println!("{report}");
//!     report.errors().for_each(|error| eprintln!("{error:#}"));
//!     report.skipped.iter().for_each(|item| eprintln!("could not be decoded: {item}"));
//!     Ok(report.is_complete())
//! }
//! ```
//!
//! ```text
//! docker run --rm -e SQUARECLOUD_API_KEY -v /srv/backups:/backups --user "$(id -u)" nightly
//! ```
//!
//! `-e` without a value passes the variable on and keeps the key out of the process list. With the feature `rustls` the
//! root certificates are compiled in, so the image needs none. A missing directory is created: without the volume, the
//! files are gone with the container.
