//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgGroup, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use squarecloud_blocking::Overwrite as Policy;

use crate::help::{
    AFTER_HELP, CAT_HELP, CREATE_HELP, DIFF_HELP, DOWNLOAD_HELP, EXTRACT_HELP, LIST_HELP, LS_HELP, MIRROR_HELP,
    QUOTA_HELP, RESTORE_HELP, UPLOAD_HELP, VERIFY_HELP,
};
use crate::secret;

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
    /// Look IDs up among databases only
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
    /// What `download` and `extract` do with existing files
    #[arg(long, global = true, value_enum, value_name = "POLICY", default_value_t)]
    pub overwrite: Overwrite,
    /// Connections per `download`
    #[arg(long, global = true, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=32))]
    pub connections: u16,
    /// Give up after this many seconds without a response or progress
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Work on a built-in, offline Square Cloud: no key, no network, nothing lasts
    #[arg(long, global = true)]
    pub sandbox: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Overwrite {
    /// Existing files are an error, unless a download finds the same snapshot
    #[default]
    Refuse,
    /// Existing files stay; the rest is extracted
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
    #[command(after_help = CREATE_HELP)]
    Create(Create),
    /// List the snapshots of an app or database, or of all
    #[command(after_help = LIST_HELP)]
    List {
        /// An app or database; without it, all of them
        id: Option<String>,
    },
    /// Download a snapshot, or continue a download
    #[command(after_help = DOWNLOAD_HELP)]
    Download(Download),
    /// Show what is inside a snapshot, without downloading it
    #[command(after_help = LS_HELP)]
    Ls(Ls),
    /// Print a file of a snapshot, without downloading the rest
    #[command(after_help = CAT_HELP)]
    Cat {
        /// A zip, ID, ID@DATE, ID@VERSION or link, or - for a link on standard input
        snapshot: String,
        /// The file's path in the snapshot
        path: String,
    },
    /// Show what changed between two snapshots
    #[command(after_help = DIFF_HELP)]
    Diff {
        /// A zip, ID, ID@DATE, ID@VERSION or link, or - for a link on standard input
        older: String,
        /// The other one, named in the same ways
        newer: String,
    },
    /// Check every byte of downloaded snapshots
    #[command(after_help = VERIFY_HELP)]
    Verify {
        /// The downloaded zips
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Extract files of a snapshot
    #[command(after_help = EXTRACT_HELP)]
    Extract(Extract),
    /// Replace the files or data of an app or database with those of a snapshot
    #[command(after_help = RESTORE_HELP)]
    Restore(Restore),
    /// Upload a zip as a new app, for example to rehearse a restore
    #[command(after_help = UPLOAD_HELP)]
    Upload {
        /// A zip of at most 100 MiB with a squarecloud.app or squarecloud.config in its root
        zip: PathBuf,
    },
    /// Show how many snapshots the plan allows in 24 h and how many are used
    #[command(after_help = QUOTA_HELP)]
    Quota,
    /// Keep all snapshots in a directory for as long as you like
    #[command(after_help = MIRROR_HELP)]
    Mirror(Mirror),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct Create {
    /// An app or database
    #[arg(group = "what")]
    pub id: Option<String>,
    /// All apps and databases, or with --database all databases
    #[arg(long, group = "what")]
    pub all: bool,
}

/// Which of the snapshots of an app or database.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct Which {
    /// The latest snapshot
    #[arg(long)]
    pub latest: bool,
    /// The latest snapshot at or before that time
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
    /// The snapshot of this version; a unique beginning is enough
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
pub struct Download {
    /// An app or database; also ID@DATE, ID@VERSION, a signed link, or - for one on standard input
    pub id: String,
    #[command(flatten)]
    pub which: Which,
    /// The directory for the file, or a name for it that ends in .zip
    #[arg(short = 'C', long, value_name = "DIR|FILE.zip", default_value = ".", value_parser = secret::directory)]
    pub directory: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Ls {
    /// A zip, ID, ID@DATE, ID@VERSION or link, or - for a link on standard input
    pub snapshot: String,
    /// Only what is at or under this path
    pub path: Option<String>,
    /// Sizes, times and permissions of each entry
    #[arg(short, long)]
    pub long: bool,
}

#[derive(Debug, clap::Args)]
pub struct Extract {
    /// A zip, ID, ID@DATE, ID@VERSION or link, or - for a link on standard input
    pub snapshot: String,
    /// Only what is at or under these paths
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,
    /// Leave out the first N directories of each path
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub strip: usize,
    /// The directory to extract to; without it, one named after the snapshot
    #[arg(long, value_name = "DIR", value_parser = secret::directory)]
    pub into: Option<PathBuf>,
    /// Show what would be extracted, write nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
#[command(group = ArgGroup::new("snapshot").args(["latest", "at", "version"]).required(true))]
pub struct Restore {
    /// An app or database
    pub id: String,
    #[command(flatten)]
    pub which: Which,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Wait until the restore has ended, for at most 30 min
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, clap::Args)]
pub struct Mirror {
    /// Where the snapshots go: DIR/apps/ID and DIR/databases/ID
    #[arg(value_name = "DIR", value_parser = secret::directory)]
    pub directory: PathBuf,
    /// Only this app or database; can be given more than once
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,
    /// Keep the newest N snapshots of each app and database
    #[arg(long, value_name = "N", help_heading = POLICY, value_parser = at_least_one)]
    pub keep_last: Option<usize>,
    /// Keep the newest snapshot of each of the last N hours that have one
    #[arg(long, value_name = "N", help_heading = POLICY, value_parser = at_least_one)]
    pub keep_hourly: Option<usize>,
    /// Keep the newest snapshot of each of the last N days that have one
    #[arg(long, value_name = "N", help_heading = POLICY, value_parser = at_least_one)]
    pub keep_daily: Option<usize>,
    /// Keep the newest snapshot of each of the last N weeks that have one
    #[arg(long, value_name = "N", help_heading = POLICY, value_parser = at_least_one)]
    pub keep_weekly: Option<usize>,
    /// Keep the newest snapshot of each of the last N months that have one
    #[arg(long, value_name = "N", help_heading = POLICY, value_parser = at_least_one)]
    pub keep_monthly: Option<usize>,
    /// Keep the newest snapshot of each of the last N years that have one
    #[arg(long, value_name = "N", help_heading = POLICY, value_parser = at_least_one)]
    pub keep_yearly: Option<usize>,
    /// Create a snapshot of each app and database first
    #[arg(long)]
    pub take_new: bool,
    /// Check every byte of what is there and of what comes
    #[arg(long)]
    pub verify: bool,
    /// How many downloads run at the same time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=32))]
    pub threads: u16,
    /// Show what would be fetched and deleted, do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before deleting what the policy does not keep
    #[arg(long)]
    pub yes: bool,
}

const POLICY: &str = "Policy (without one, everything is kept)";

/// A policy of none would be no policy: everything would be kept.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..) => Ok(n),
        _ => Err("must be a number from 1 on".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be more than 0".to_owned()),
    }
}
