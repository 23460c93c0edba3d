//! What `--help` says at the end: of the program, and of each verb that needs it.

pub const AFTER_HELP: &str = "\
A SNAPSHOT is a local zip, the ID of an app or database (its latest snapshot), ID@DATE (the latest at that time), \
ID@VERSION, a signed link, or - for a signed link on standard input, where `ps` does not show it. An ID may be \
shortened as long as it is unique, or be a name. A DATE is 2026-11-20, '2026-11-20 18:00' or RFC 3339, and means the \
end of that day, minute or second, in the system's time zone unless it has an offset.

The API key is read from the environment variable SQUARECLOUD_API_KEY. Results are printed on standard output, \
everything else on standard error. With --json, the results are one document, with times in RFC 3339 and sizes in \
bytes; when a verb fails, it is an object with error: an object with exit (the exit code) and message.

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
  squarecloud-snapshots mirror backups --keep-daily 14 --yes";

pub const CREATE_HELP: &str = "\
The service creates at most one snapshot of an app or database every 180 s, and as many a day as `quota` shows. --all goes on \
after a failure, and pauses for 6 s between two creations. After Ctrl-C the service goes on with what it has begun.

With --json: a list of objects with kind, resource_id, name, status (created, pending or failed), error and snapshot.";

pub const LIST_HELP: &str = "\
The service may respond with a list that is up to 30 minutes old, and deletes a snapshot after 30 days (column EXPIRES).

With --json: a list of objects with kind, resource_id, name (of the app or database), id (of the snapshot), \
version_id, size, created_at, expires_at, runtime and origin.";

pub const DOWNLOAD_HELP: &str = "\
Without --latest, --at or --version, downloads the latest. Prints the path of the file. The file appears when it is \
complete and every byte of it has been checked; until then a part file holds what is there, and the same command \
continues it.

With --json: an object with path, bytes, resumed_from and snapshot.";

pub const RESTORE_HELP: &str = "\
Asks on a terminal; elsewhere --yes is needed. Without --wait, the exit code is 6 when the service has accepted the \
restore but does not yet report it as done. After Ctrl-C the service goes on with what it has accepted.

With --json: an object with kind, resource_id, name, status (done or pending), snapshot and restore (the service's \
state, step, code, started_at and finished_at).";

pub const UPLOAD_HELP: &str = "\
With --json: an object with id, name, description, domain, cluster, ram (MB), cpu and language.";

pub const QUOTA_HELP: &str = "\
USED counts the listed snapshots of the last 24 h that were requested, not automatic. It is a lower bound: the service counts \
those that were deleted, too.

With --json: an object with plan, quota, used, left, next_free_at, and resources: a list of objects with kind, \
resource_id, name, used, last_at and next_at (when the service's 180 s between two snapshots are over).";

pub const MIRROR_HELP: &str = "\
Made for cron: fetches what is new, checks what is there, deletes what the policy does not keep. With a policy it asks on a \
terminal before it deletes, and needs --yes elsewhere, such as in cron. The days of the policy are those of the \
system's time zone.

With --json: an object with fetched, bytes, kept, pruned, damaged, failed, not_listed, not_taken, skipped and stopped; \
with --dry-run, one with fetch, keep, prune, unneeded, damaged, failed, not_listed and skipped.";

pub const LS_HELP: &str = "\
Times are those of the archive, which has no time zone.

With --json: a list of objects with path, kind (file, directory, symlink or special), size, compressed_size, modified \
(without an offset), mode (octal) and crc32 (hexadecimal).";

pub const CAT_HELP: &str = "\
The checksum is known only after the last byte: unless the exit code is 0, do not use what was printed. Of a symbolic \
link, the target is printed. There is no --json.";

pub const DIFF_HELP: &str = "\
Shows files that were added (+), removed (-) or changed (~), with their sizes in both; nothing if there is no \
difference. The exit code is 0 either way. Neither snapshot is downloaded.

With --json: an object with added, removed and changed: lists of objects with path, old_size and new_size.";

pub const VERIFY_HELP: &str = "\
Prints a row for each file: ok, damaged, or failed if it cannot be read. If any is damaged, the exit code is 3. \
This is about bytes: whether an extraction would refuse names or links, `extract --dry-run` shows.

With --json: a list of objects with path, result, entries, bytes (that are right) and problems: a list of objects with \
entry, refusal and detail.";

pub const EXTRACT_HELP: &str = "\
All or nothing: if anything is damaged, or would be written outside of the directory, nothing is extracted. Prints the \
directory. Of a snapshot at the service, only what PATH needs is fetched.

With --json: an object with directory, files, directories, links, bytes, kept, times_not_kept and modes_not_kept; with \
--dry-run, one with directory, files, directories, links, bytes, paths and refused: a list of objects with entry, \
refusal and detail.";
