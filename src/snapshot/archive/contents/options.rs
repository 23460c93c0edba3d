//! How an archive is extracted.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::entry::Entry;
use crate::error::Refusal;
use crate::progress::{Callback, Progress};
use crate::snapshot::archive::fault::{Fault, Judged};
use crate::snapshot::options::Overwrite;

/// Says which entries are extracted.
#[derive(Clone)]
pub(super) struct Filter(pub(super) Arc<dyn Fn(&Entry<'_>) -> bool + Send + Sync>);

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Links {
    /// Make those that stay inside the target, and refuse the archive for any that does not. The default.
    #[default]
    Keep,
    /// Leave links out.
    Skip,
    /// Refuse an archive that has any.
    Refuse,
}

/// How [`Archive::extract_with`](crate::Archive::extract_with) works. Everything is extracted, with all cores,
/// times and permission bits kept, into a target that does not exist or is empty, unless said otherwise.
///
/// ```
/// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
/// # zip.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
/// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
/// # let dir = tempfile::tempdir()?;
/// use squarecloud_blocking::{ExtractOptions, Links, Overwrite};
/// let options = ExtractOptions::new()
///     .prefix("app") // this directory only,
///     .strip(1) // without it in the paths
///     .filter(|entry| !entry.name().ends_with(".log"))
///     .links(Links::Skip)
///     .overwrite(Overwrite::Keep);
/// assert_eq!(archive.extract_with(dir.path(), &options)?.files, 1);
/// assert_eq!(archive.extract_with(dir.path(), &options)?.kept, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
#[non_exhaustive]
pub struct ExtractOptions {
    pub(super) threads: Option<usize>,
    pub(super) filter: Option<Filter>,
    pub(super) prefixes: Vec<String>,
    pub(super) strip: usize,
    pub(super) overwrite: Overwrite,
    pub(super) limits: Limits,
    pub(super) links: Links,
    pub(super) cp437: bool,
    pub(super) drop_times: bool,
    pub(super) drop_modes: bool,
    pub(super) verify: bool,
    pub(super) durable: Option<bool>,
    pub(super) callback: Option<Callback<'static>>,
}

impl ExtractOptions {
    /// Returns the defaults: everything, with all cores, into a target that does not exist or is empty.
    pub fn new() -> Self {
        Self::default()
    }

    crate::setters! {
        /// Works with `n` threads, at least 1; all cores by default. Each takes half a MiB of memory.
        threads(s, n: usize) { s.threads = Some(n.max(1)) }

        /// Extracts only entries for which `pick` is true. The others are not looked at: what is wrong with
        /// them refuses nothing.
        filter(s, pick: impl Fn(&Entry<'_>) -> bool + Send + Sync + 'static) { s.filter = Some(Filter(Arc::new(pick))) }

        /// Extracts only what lies at or under this path; given several times, under any of them.
        prefix(s, path: impl Into<String>) { s.prefixes.push(path.into().trim_end_matches('/').to_owned()) }

        /// Leaves out the first `n` components of every path, and entries that have no more than those.
        strip(s, n: usize) { s.strip = n }

        /// Sets what to do when the target is a directory that is not empty; [`Overwrite::Refuse`] by default. What is
        /// new is moved into it after everything has been extracted and checked; a failure while doing so is undone.
        ///
        /// With [`Overwrite::Replace`], every path has its old or its new content at every moment. A kill while files are
        /// moved leaves some old and some new; the same call again completes it.
        overwrite(s, policy: Overwrite) { s.overwrite = policy }

        /// Sets how much the archive may ask for; see [`Limits`] for the defaults.
        limits(s, limits: Limits) { s.limits = limits }

        /// Sets what becomes of symbolic links; [`Links::Keep`] by default.
        links(s, links: Links) { s.links = links }

        /// Sets whether names that are not UTF-8, and of which nothing says what they are, are taken as code page 437;
        /// `false` by default: they are refused. Without effect on archives of DOS and Windows tools, which mean code page
        /// 437.
        cp437(s, take: bool) { s.cp437 = take }

        /// Sets whether files and directories get the archive's modification times; `true` by default. DOS times, which
        /// have no time zone, are taken as UTC.
        keep_times(s, keep: bool) { s.drop_times = !keep }

        /// Sets whether files and directories get the archive's permission bits, less those of the umask; `true` by
        /// default. Set-id and sticky bits are never set, and no permission bits at all count as none given.
        keep_modes(s, keep: bool) { s.drop_modes = !keep }

        /// Sets whether everything is on the disk before the target changes, and its names before the call returns: by
        /// default only with [`Overwrite::Replace`]. Without it, a power cut within the next half minute can leave
        /// files empty that the call had written.
        ///
        /// Costs a sync of each file and each directory; 16 threads write then, to wait for the disk together, unless
        /// [`threads`](Self::threads) says otherwise. On an SSD with ext4, 5,000 files of 2 kB took 0.7 s instead of
        /// 0.2 s, and 60 files of 8 MB 0.35 s instead of 0.2 s; on a hard disk, expect more.
        durable(s, durable: bool) { s.durable = Some(durable) }

        /// Sets whether every file is read back and its CRC-32 compared before the target appears; `false` by default.
        /// Costs one more reading of all files.
        verify(s, verify: bool) { s.verify = verify }

        /// Reports how far the extraction is, and cancels it on [`ControlFlow::Break`]. Called from several threads, never
        /// twice at once; at least every 100 ms while files are written, also when the source is slow.
        progress(s, callback: impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static) { s.callback = Some(Callback::new(callback)) }
    }
}

/// What an extraction may write at most. Judged on what entries say before anything is written, and on the
/// bytes that come out while writing: an entry that inflates to more than it says stops the extraction.
///
/// | limit | default |
/// |---|---|
/// | [`total_bytes`](Self::total_bytes) | 64 GiB |
/// | [`entry_bytes`](Self::entry_bytes) | 32 GiB |
/// | [`entries`](Self::entries) | 1,000,000 |
/// | [`depth`](Self::depth) | 128 components |
/// | [`path_length`](Self::path_length) | 4,096 bytes |
/// | [`ratio`](Self::ratio) | none |
///
/// A compression ratio tells no bomb from a fresh database: both reach 1,032 to 1, the best that deflate can do. What bounds a
/// bomb are the bytes, so lower them where the disk is small: a full disk ends the extraction and nothing is left behind.
///
/// ```
/// # let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
/// # zip.start_file("app/config.json", zip::write::SimpleFileOptions::default())?;
/// # std::io::Write::write_all(&mut zip, b"{}")?;
/// # let archive = squarecloud_blocking::Archive::new(zip.finish()?.into_inner())?;
/// # let dir = tempfile::tempdir()?;
/// use squarecloud_blocking::{ExtractOptions, Limits, Refusal};
/// let options = ExtractOptions::new().limits(Limits::new().total_bytes(1));
/// let error = archive.extract_with(dir.path(), &options).unwrap_err();
/// assert_eq!(error.refusal(), Some(Refusal::TooLarge));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Limits {
    pub(super) total_bytes: u64,
    pub(super) entry_bytes: u64,
    pub(super) entries: u64,
    pub(super) depth: usize,
    pub(super) path_length: usize,
    pub(super) ratio: u64,
}

/// What may have any ratio: too small to do harm.
const UNSUSPICIOUS: u64 = 8 << 20;

/// Deeper trees cannot be deleted again by ordinary means: each level holds a descriptor open.
const DEEPEST: usize = 900;

impl Default for Limits {
    fn default() -> Self {
        Self {
            total_bytes: 64 << 30,
            entry_bytes: 32 << 30,
            entries: 1_000_000,
            depth: 128,
            path_length: 4096,
            ratio: u64::MAX,
        }
    }
}

impl Limits {
    /// Returns the defaults of the table.
    pub fn new() -> Self {
        Self::default()
    }

    crate::setters! {
        /// Sets how many bytes all extracted files together may have; 64 GiB by default.
        total_bytes(s, bytes: u64) { s.total_bytes = bytes }

        /// Sets how many bytes one extracted file may have; 32 GiB by default.
        entry_bytes(s, bytes: u64) { s.entry_bytes = bytes }

        /// Sets how many entries may be extracted; 1,000,000 by default. Directories count, those that no entry lists
        /// as well.
        entries(s, entries: u64) { s.entries = entries }

        /// Sets how many components a path may have: 128 by default, 900 at most.
        depth(s, components: usize) { s.depth = components.min(DEEPEST) }

        /// Sets how many bytes a path inside the target may have; 4,096 by default.
        path_length(s, bytes: usize) { s.path_length = bytes }

        /// Sets how many extracted bytes there may be for each compressed byte; not limited by default. Counts for each
        /// entry of more than 8 MiB, and for all entries together when they are more than 8 MiB.
        ratio(s, ratio: u64) { s.ratio = ratio }
    }

    pub(super) fn path(&self, path: &str) -> Judged<()> {
        let (bytes, components) = (path.len() as u64, path.split('/').count() as u64);
        let refusal = Refusal::TooMany;
        at_most(self.path_length as u64, bytes, "bytes in its path", "path_length", refusal)?;
        at_most(self.depth as u64, components, "components in its path", "depth", refusal)
    }

    pub(super) fn entry(&self, size: u64, compressed: u64) -> Judged<()> {
        at_most(self.entry_bytes, size, "bytes", "entry_bytes", Refusal::TooLarge)?;
        self.ratio_of(size, compressed)
    }

    pub(super) fn count(&self, entries: u64) -> Judged<()> {
        at_most(self.entries, entries, "files, links and directories", "entries", Refusal::TooMany)
    }

    pub(super) fn whole(&self, size: u64, compressed: u64) -> Judged<()> {
        at_most(self.total_bytes, size, "extracted bytes", "total_bytes", Refusal::TooLarge)?;
        self.ratio_of(size, compressed)
    }

    fn ratio_of(&self, size: u64, compressed: u64) -> Judged<()> {
        if size <= UNSUSPICIOUS {
            return Ok(());
        }
        let most = compressed.max(1).saturating_mul(self.ratio);
        at_most(most, size, &format!("bytes out of {compressed}"), "ratio", Refusal::Ratio)
    }
}

fn at_most(most: u64, found: u64, what: &str, limit: &str, refusal: Refusal) -> Judged<()> {
    if found <= most {
        return Ok(());
    }
    let detail = format!("it has {found} {what} and {most} are allowed; raise `Limits::{limit}` if that is right");
    Err(Fault::new(refusal, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_at_its_edge() {
        let limits = Limits::new().total_bytes(10).entry_bytes(5).entries(2).depth(2).path_length(4);
        assert!(
            limits.whole(10, 1).is_ok()
                && limits.entry(5, 1).is_ok()
                && limits.count(2).is_ok()
                && limits.path("a/bc").is_ok()
        );
        let kind = |judged: Judged<()>| judged.err().map(|f| f.refusal);
        assert_eq!(kind(limits.whole(11, 1)), Some(Refusal::TooLarge));
        assert_eq!(kind(limits.entry(6, 1)), Some(Refusal::TooLarge));
        assert_eq!(kind(limits.count(3)), Some(Refusal::TooMany));
        assert_eq!(kind(limits.path("a/b/c")), Some(Refusal::TooMany));
        assert_eq!(kind(limits.path("abcde")), Some(Refusal::TooMany));
        let limits = Limits::new().ratio(256);
        assert!(limits.entry(UNSUSPICIOUS, 1).is_ok() && limits.entry(256 << 20, 1 << 20).is_ok());
        assert_eq!(kind(limits.entry((256 << 20) + 1, 1 << 20)), Some(Refusal::Ratio));
        assert_eq!(kind(limits.whole(UNSUSPICIOUS + 1, 0)), Some(Refusal::Ratio));
        assert!(Limits::new().entry(1 << 30, 1).is_ok());
        assert_eq!(Limits::new().depth(usize::MAX).depth, DEEPEST);
    }
}
