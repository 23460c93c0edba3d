//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgGroup, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use squarecloud_blocking::Overwrite as Policy;

const AFTER_HELP: &str = "\
A SNAPSHOT is a local zip, the ID of an app or database (its latest snapshot), ID@DATE (the latest at that time), \
ID@VERSION, a signed link, or - for a signed link on standard input, where `ps` does not show it. An ID may be \
shortened as long as it is unique, or be a name. A DATE is 2026-11-20, '2026-11-20 18:00' or RFC 3339, and means the \
end of that day, minute or second.

The API key is in the environment variable SQUARECLOUD_API_KEY. Results are printed on standard output, everything else \
on standard error. With --json, that is one document, with times in RFC 3339 and sizes in bytes.

Exit codes:
    0  done
    1  failed
    2  usage
    3  damaged archive
    4  not found
    5  limit or quota
    6  accepted and still pending
    7  partly done
  130  Ctrl-C

Examples:
  squarecloud-snapshots --sandbox list
  squarecloud-snapshots create my-bot
  squarecloud-snapshots download my-bot -C backups
  squarecloud-snapshots cat my-bot@2026-11-20 config.json
  squarecloud-snapshots extract my-bot data/ --into rescued
  squarecloud-snapshots restore my-bot --at 2026-11-20 --wait
  squarecloud-snapshots mirror backups --keep-daily 14";

const CREATE_HELP: &str = "\
The service creates one snapshot of an app or database in 180 s, and a number a day that `quota` shows. --all goes on \
after a failure, and pauses for 6 s between two creations. After Ctrl-C the service goes on with what it has begun.

With --json: a list of objects with kind, resource_id, name, status (created, pending or failed), error and snapshot.";

const LIST_HELP: &str = "\
The service may respond with a list that is up to 30 minutes old, and deletes a snapshot after 30 days: EXPIRES.

With --json: a list of objects with kind, resource_id, name (of the app or database), id (of the snapshot), version_id, \
size, created_at, expires_at, runtime and origin.";

const DOWNLOAD_HELP: &str = "\
Without --latest, --at or --version it is the latest. Prints the path of the file. The file appears when it is complete \
and every byte of it has been checked; until then a part file holds what is there, and the same command continues it.

With --json: an object with path, bytes, resumed_from and snapshot.";

const RESTORE_HELP: &str = "\
Asks on a terminal; elsewhere --yes is needed. Without --wait, the exit code is 6 when the service has accepted the \
restore and does not report yet that it is done. After Ctrl-C the service goes on with what it has accepted.

With --json: an object with kind, resource_id, name, status (done or pending), snapshot and restore (the service's \
state, step, code, started_at and finished_at).";

const UPLOAD_HELP: &str = "\
With --json: an object with id, name, description, domain, cluster, ram (MB), cpu and language.";

const QUOTA_HELP: &str = "\
USED counts the listed snapshots of the last 24 h that somebody requested. It is a lower bound: the service counts those \
that were deleted, too.

With --json: an object with plan, quota, used, left, next_free_at, and resources: a list of objects with kind, \
resource_id, name, used, last_at and next_at (when the service's 180 s between two snapshots are over).";

const MIRROR_HELP: &str = "\
Made for cron: fetches what is new, checks what is there, deletes what the policy does not keep. Asks on a terminal \
before it deletes; elsewhere --yes is needed when there is something to delete. The days of the policy are those of the \
system's time zone.

With --json: an object with fetched, bytes, kept, pruned, damaged, failed, not_listed, not_taken, skipped and stopped; \
with --dry-run, one with fetch, keep, prune, unneeded, damaged, failed, not_listed and skipped.";

const LS_HELP: &str = "\
Times are those of the archive, which has no time zone.

With --json: a list of objects with path, kind (file, directory, symlink or special), size, compressed_size, modified \
(without an offset), mode (octal) and crc32 (hexadecimal).";

const CAT_HELP: &str = "\
The checksum is known only after the last byte: unless the exit code is 0, do not use what was printed. Of a symbolic \
link, the target is printed. There is no --json.";

const DIFF_HELP: &str = "\
Shows files that were added (+), removed (-) or changed (~), with their sizes in both; nothing if there is no \
difference. The exit code is 0 either way. Neither snapshot is downloaded.

With --json: an object with added, removed and changed: lists of objects with path, old_size and new_size.";

const VERIFY_HELP: &str = "\
Prints a row for each file: ok, damaged, or failed if it cannot be read. If any is damaged, the exit code is 3.

With --json: a list of objects with path, result, entries, bytes (that are right) and problems: a list of objects with \
entry, refusal and detail.";

const EXTRACT_HELP: &str = "\
All or nothing: if anything is damaged, or would be written outside of the directory, nothing is extracted. Prints the \
directory. Of a snapshot at the service, only what PATH needs is fetched.

With --json: an object with directory, files, directories, links, bytes, kept, times_not_kept and modes_not_kept; with \
--dry-run, one with directory, files, directories, links, bytes, paths and refused: a list of objects with entry, \
refusal and detail.";

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
    /// What `download` and `extract` do with existing files
    #[arg(long, global = true, value_enum, value_name = "POLICY", default_value_t)]
    pub overwrite: Overwrite,
    /// Connections of a `download`
    #[arg(long, global = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=32))]
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
    /// Existing files stay; a download is content if it is the same snapshot
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
        /// An app or database; all without it
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
        /// Likewise
        newer: String,
    },
    /// Check every byte of downloaded snapshots
    #[command(after_help = VERIFY_HELP)]
    Verify {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Extract files of a snapshot
    #[command(after_help = EXTRACT_HELP)]
    Extract(Extract),
    /// Put a snapshot back in place of the present files or data of its app or database
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
    /// Print the completions of a shell
    Completions { shell: Shell },
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
    /// The latest snapshot at that time
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
    /// The snapshot of this version, or of the only one that begins so
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
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
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
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Show what would be extracted, write nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true, group = ArgGroup::new("snapshot").args(["latest", "at", "version"]).required(true))]
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
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Only these apps and databases
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,
    /// Keep the newest N snapshots of each app and database
    #[arg(long, value_name = "N", help_heading = POLICY)]
    pub keep_last: Option<usize>,
    /// Keep the newest snapshot of each of the last N hours that have one
    #[arg(long, value_name = "N", help_heading = POLICY)]
    pub keep_hourly: Option<usize>,
    /// Likewise of the last N days
    #[arg(long, value_name = "N", help_heading = POLICY)]
    pub keep_daily: Option<usize>,
    /// Likewise of the last N weeks
    #[arg(long, value_name = "N", help_heading = POLICY)]
    pub keep_weekly: Option<usize>,
    /// Likewise of the last N months
    #[arg(long, value_name = "N", help_heading = POLICY)]
    pub keep_monthly: Option<usize>,
    /// Likewise of the last N years
    #[arg(long, value_name = "N", help_heading = POLICY)]
    pub keep_yearly: Option<usize>,
    /// Create a snapshot of each app and database first
    #[arg(long)]
    pub take_new: bool,
    /// Check every byte of what is there and of what comes
    #[arg(long)]
    pub verify: bool,
    /// Downloads at the same time
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

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be more than 0".to_owned()),
    }
}
