//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgGroup, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use squarecloud_blocking::Overwrite as Policy;

const AFTER_HELP: &str = "\
A SNAPSHOT is a local zip, the ID of an app or database (its latest snapshot), ID@DATE (the latest at that time),
ID@VERSION, a signed link, or - for a signed link on standard input, where `ps` does not show it. An ID may be
shortened as long as it is unique, or be a name. A DATE is 2026-11-20 (the end of that day), '2026-11-20 18:00' or
RFC 3339.

Exit codes: 0 done, 1 failed, 2 usage, 3 damaged archive, 4 not found, 5 limit or quota, 6 accepted and still pending,
7 partly done, 130 Ctrl-C.

Examples:
  squarecloud-snapshots --sandbox list
  squarecloud-snapshots create my-bot
  squarecloud-snapshots download my-bot -C backups
  squarecloud-snapshots cat my-bot@2026-11-20 config/settings.json
  squarecloud-snapshots extract my-bot data/ --into rescued
  squarecloud-snapshots mirror backups --keep-daily 14 --keep-monthly 12";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Square Cloud's snapshots from the shell.
#[derive(Debug, Parser)]
#[command(name = "squarecloud-snapshots", version, after_help = AFTER_HELP, styles = STYLES, max_term_width = 120)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
    #[command(flatten)]
    pub globals: Globals,
}

/// The options that every verb takes.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// IDs name databases only
    #[arg(long, global = true)]
    pub database: bool,
    /// Print one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Show no progress bars
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// What happens to existing files
    #[arg(long, global = true, value_enum, value_name = "POLICY", default_value_t)]
    pub overwrite: Overwrite,
    /// Connections for each download
    #[arg(long, global = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub connections: u16,
    /// Seconds without a response or progress after which to give up
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Work on a built-in, offline Square Cloud: no key, no network, nothing lasts
    #[arg(long, global = true)]
    pub sandbox: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Overwrite {
    /// Existing files are an error
    #[default]
    Refuse,
    /// Existing files stay as they are
    Keep,
    /// Existing files are replaced
    Replace,
}

impl From<Overwrite> for Policy {
    fn from(overwrite: Overwrite) -> Self {
        match overwrite {
            Overwrite::Refuse => Policy::Refuse,
            Overwrite::Keep => Policy::Keep,
            Overwrite::Replace => Policy::Replace,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the apps and databases that the key sees
    Apps,
    /// Create snapshots and wait until they are ready
    Create(Create),
    /// List the snapshots of an app or database, or of all
    List {
        /// An app or database; all without it
        id: Option<String>,
    },
    /// Download a snapshot, or continue a download
    Download(Download),
    /// Show what is inside a snapshot, without downloading it
    Ls(Ls),
    /// Print a file of a snapshot, without downloading the rest
    Cat {
        snapshot: String,
        /// The file's path in the snapshot
        path: String,
    },
    /// Show what changed between two snapshots
    Diff { older: String, newer: String },
    /// Check every byte of downloaded snapshots
    Verify {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Extract files of a snapshot
    Extract(Extract),
    /// Put a snapshot back in place of the files of its app or database
    Restore(Restore),
    /// Upload a zip as a new app
    Upload { zip: PathBuf },
    /// Show how many snapshots the plan allows and how many are used
    Quota,
    /// Keep all snapshots in a directory
    Mirror(Mirror),
    /// Print the completions of a shell
    Completions { shell: Shell },
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct Create {
    #[arg(group = "what")]
    pub id: Option<String>,
    /// Of all apps and databases, or with --database of all databases
    #[arg(long, group = "what")]
    pub all: bool,
}

/// Which of the snapshots of an app or database.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct Which {
    /// The latest
    #[arg(long)]
    pub latest: bool,
    /// The latest at that time
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
    /// The one of this version
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
pub struct Download {
    pub id: String,
    #[command(flatten)]
    pub which: Which,
    /// Where the file goes
    #[arg(short = 'C', value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Ls {
    pub snapshot: String,
    /// Only what is at or under this path
    pub path: Option<String>,
    /// Sizes, times and permissions of each entry
    #[arg(short, long)]
    pub long: bool,
}

#[derive(Debug, clap::Args)]
pub struct Extract {
    pub snapshot: String,
    /// Only what is at or under these paths
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,
    /// Leave out the first N directories of each path
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub strip: usize,
    /// The directory to extract to; without it, one named after the snapshot
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Show what would be extracted, write nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true, group = ArgGroup::new("snapshot").args(["latest", "at", "version"]).required(true))]
pub struct Restore {
    pub id: String,
    #[command(flatten)]
    pub which: Which,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Wait until the restore has ended
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, clap::Args)]
pub struct Mirror {
    pub directory: PathBuf,
    /// Only these apps and databases
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,
    /// Keep the last N snapshots of each app and database
    #[arg(long, value_name = "N")]
    pub keep_last: Option<usize>,
    /// Keep the newest snapshot of each of the last N hours that have one; likewise those below
    #[arg(long, value_name = "N")]
    pub keep_hourly: Option<usize>,
    #[arg(long, value_name = "N")]
    pub keep_daily: Option<usize>,
    #[arg(long, value_name = "N")]
    pub keep_weekly: Option<usize>,
    #[arg(long, value_name = "N")]
    pub keep_monthly: Option<usize>,
    #[arg(long, value_name = "N")]
    pub keep_yearly: Option<usize>,
    /// Create a snapshot of each app and database first
    #[arg(long)]
    pub take_new: bool,
    /// Check every byte of what is there
    #[arg(long)]
    pub verify: bool,
    /// Show what would be fetched and deleted, do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before deleting what the policy no longer names
    #[arg(long)]
    pub yes: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be more than 0".to_owned()),
    }
}
