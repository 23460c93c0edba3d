//! A snapshot's bytes, from the service's host to a file, and from a file to a directory.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::api::http::SnapshotAgent;
use crate::api::settings::Settings;
use crate::error::Result;
use crate::secret::{SignedKey, SignedUrl};
use crate::types::SnapshotInfo;

mod ahead;
pub(crate) mod archive;
pub(crate) mod download;
mod fetcher;
mod files;
mod leftovers;
mod location;
pub(crate) mod mirror;
mod name;
pub(crate) mod options;
mod part;
mod prefetch;
mod queue;
mod range;
pub(crate) mod reader;
mod record;
pub(crate) mod remote;
pub(crate) mod source;
mod spans;
mod stream;
mod transfer;

use download::Download;
use location::Location;
pub(crate) use name::snapshot_name;
use options::DownloadOptions;
use reader::RemoteReader;
use remote::Remote;

/// A snapshot that can be downloaded: its signed link, and a transport without an API key.
///
/// Cheap to clone, and independent of the client it came from.
#[derive(Clone)]
pub struct Snapshot {
    location: Location,
    key: SignedKey,
}

impl Snapshot {
    /// Returns the snapshot behind a signed link: no API key, no client, default time limits. Sends nothing.
    ///
    /// ```
    /// let snapshot = squarecloud_blocking::Snapshot::from_url(
    ///     "https://snapshots.squarecloud.app/applications/1/app.zip?Signature=hush&versionId=v1",
    /// )?;
    /// assert_eq!(snapshot.file_name(), "app.v1.zip");
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) when `url` is not a link that can be fetched; `https` is required
    /// except for loopback.
    pub fn from_url(url: &str) -> Result<Self> {
        let url = SignedUrl::parse(url)?;
        let key = url.key();
        Ok(Self::new(SnapshotAgent::new(&Settings::default())?, url, key, None))
    }

    pub(crate) fn new(agent: SnapshotAgent, url: SignedUrl, key: SignedKey, info: Option<SnapshotInfo>) -> Self {
        let named = name::of_link(url.path(), url.query(), info.as_ref());
        let (file_name, version) = (named.file_name.into(), named.version.map(Arc::from));
        let (is_unique, info, traffic) = (named.is_unique, info.map(Arc::new), Arc::default());
        Self { location: Location { agent, url: url.into(), file_name, version, is_unique, info, traffic }, key }
    }

    /// Returns the signed download link.
    pub fn url(&self) -> &SignedUrl {
        &self.location.url
    }

    /// Returns the signed query as the service sent it: a secret, like the link.
    pub fn key(&self) -> &SignedKey {
        &self.key
    }

    /// Returns the name that [`download`](Self::download) gives the file in a directory: the snapshot's name, when it
    /// was created (UTC) and its version, as in `app.20261125T022944Z.k3Zp0VQ-8d1f0b2c.zip`; names sort by time.
    ///
    /// A version is shortened to 16 characters, different ones differently. What is not known is left out: a listed
    /// snapshot always has the same name, and so has one that was just created if [`info`](Self::info) is there; a link
    /// by itself has only the version, as in `app.k3Zp0VQ-8d1f0b2c.zip`. Where neither is known, the time of signing
    /// stands in for the creation; another link to the same snapshot then gives another name.
    pub fn file_name(&self) -> &str {
        &self.location.file_name
    }

    /// Downloads to `path`: a file if it ends in `.zip`, otherwise a directory, created if missing, in which the
    /// file is named [`file_name`](Self::file_name).
    ///
    /// Costs one request when nothing goes wrong, about 1 MiB of memory whatever the size, and the snapshot's length
    /// on the disk. A broken connection is continued where it broke off, a network that is away and a host that is busy
    /// are waited for ([`retry_for`](crate::ClientBuilder::retry_for)); a later call continues what an earlier one left
    /// in `.<name>.part`, in a directory also what an earlier link to the same snapshot left under another name. The
    /// file gets its name once it is complete, checked and on the disk (as far as the file system can do that), and
    /// when a listing told it, the snapshot's creation as its time. While another download writes to the same target,
    /// the call waits for it.
    ///
    /// A call that fails, is cancelled or is killed leaves what it received in `.<name>.part`, at most the snapshot's
    /// length, and `.<name>.part.meta` beside it. They go when a download to the same target finishes, when the same
    /// snapshot is downloaded to another name in that directory, and when any download finishes there after the link
    /// has expired. Missing parent directories are created, and stay.
    ///
    /// ```no_run
    /// # let snapshot = squarecloud_blocking::Client::from_env()?.snapshot("0123456789abcdef0123456789abcdef")?;
    /// let download = snapshot.download("backups")?; // or "backups/app.zip"
    /// println!("{} bytes in {}", download.bytes, download.path.display());
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`download_with`](Self::download_with).
    pub fn download(&self, path: impl AsRef<Path>) -> Result<Download> {
        self.download_with(path, &DownloadOptions::new())
    }

    /// Downloads to `path` as [`download`](Self::download) does, with options.
    ///
    /// ```no_run
    /// # let snapshot = squarecloud_blocking::Client::from_env()?.snapshot("0123456789abcdef0123456789abcdef")?;
    /// use squarecloud_blocking::{DownloadOptions, Overwrite};
    /// let options = DownloadOptions::new().overwrite(Overwrite::Keep).verify(true);
    /// let download = snapshot.download_with("backups", &options)?;
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exists`](crate::Error::Exists) when the target exists and may not be replaced,
    /// [`Error::Io`](crate::Error::Io) from the file system,
    /// [`Error::UnexpectedResponse`](crate::Error::UnexpectedResponse) when the link has expired or the response is
    /// not a zip archive, [`Error::Network`](crate::Error::Network) and [`Error::Timeout`](crate::Error::Timeout)
    /// when the connection fails for good or is too slow, [`Error::Download`](crate::Error::Download) when the
    /// archive is damaged or keeps changing, [`Error::Cancelled`](crate::Error::Cancelled) when the callback
    /// cancelled, and [`Error::Invalid`](crate::Error::Invalid) for options that cannot be met.
    pub fn download_with(&self, path: impl AsRef<Path>, options: &DownloadOptions<'_>) -> Result<Download> {
        download::download(&self.location, path.as_ref(), options)
    }

    /// Returns a reader of the snapshot's bytes in order; nothing is written to disk. One request; when the connection
    /// breaks off, the reader continues with another one, for as long as
    /// [`retry_for`](crate::ClientBuilder::retry_for) allows.
    ///
    /// ```no_run
    /// # let snapshot = squarecloud_blocking::Client::from_env()?.snapshot("0123456789abcdef0123456789abcdef")?;
    /// let mut stdout = std::io::stdout().lock();
    /// std::io::copy(&mut snapshot.reader()?, &mut stdout)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnexpectedResponse`](crate::Error::UnexpectedResponse) when the link has expired,
    /// [`Error::Network`](crate::Error::Network) and [`Error::Timeout`](crate::Error::Timeout) when no response
    /// arrives. What goes wrong later is in the reader's [`std::io::Error`].
    pub fn reader(&self) -> Result<RemoteReader> {
        RemoteReader::open(self.location.clone())
    }

    /// Returns a [`Source`](crate::Source) of the snapshot's bytes at any offset; nothing is written to disk. One
    /// request now, for the length and the last 66 KiB, and more as the bytes are read.
    ///
    /// # Errors
    /// Those of [`reader`](Self::reader), and [`Error::Download`](crate::Error::Download) for a snapshot over 8 MiB
    /// on a host that does not serve ranges or does not say which version they belong to.
    pub fn remote(&self) -> Result<Remote> {
        Remote::open(self.location.clone())
    }

    /// Opens the archive on the snapshot host: listing, reading, verifying and extracting it fetch only what is needed.
    ///
    /// Opening costs one request, or two where there are more than about 700 files (a central directory of over 66 KiB), and
    /// up to two more where the zip has something in front of it, such as a self-extractor's program. After that:
    ///
    /// | work | requests | bytes |
    /// |---|---|---|
    /// | [listing](crate::Archive::entries), [comparing](crate::Archive::diff) | none | none |
    /// | [reading](crate::Archive::read) a small file, or [several](crate::Archive::read_many) next to each other | 1 | their compressed sizes, and up to 16 KiB |
    /// | [extracting](crate::Archive::extract_with) a folder | 1 per 8 MiB, and 1 per larger gap between its files | their compressed sizes, up to 64 KiB per gap, and 1 % |
    /// | extracting or [verifying](crate::Archive::verify) everything | 1 per 8 MiB | the archive, once |
    ///
    /// Extraction starts with the first bytes and uses up to four connections, so it finishes about when the transfer does.
    /// Where each connection's speed is limited, that is faster than [downloading](Self::download) first. Where it is not, and
    /// the host is far away, a download may be ahead by two or three round trips, which counts for small snapshots. The same
    /// checks are made; only the zip is not kept.
    /// [`Remote::stats`] returns the requests and bytes so far.
    ///
    /// ```no_run
    /// # let snapshot = squarecloud_blocking::Client::from_env()?.snapshot("0123456789abcdef0123456789abcdef")?;
    /// let archive = snapshot.archive()?;
    /// println!("{}", archive.tree());
    /// let config = archive.read("squarecloud.app")?;
    /// # Ok::<(), squarecloud_blocking::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`remote`](Self::remote) and of [`Archive::new`](crate::Archive::new).
    #[cfg(feature = "zip")]
    pub fn archive(&self) -> Result<archive::Archive<Remote>> {
        let url = &self.location.url;
        archive::Archive::named(self.remote()?, &format!("{}{}", url.origin(), url.path()))
    }

    /// Returns the listing's item, if the snapshot was opened from one, or was found in the listing after it was created.
    pub fn info(&self) -> Option<&SnapshotInfo> {
        self.location.info.as_deref()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("url", &self.location.url)
            .field("file_name", &self.location.file_name)
            .finish_non_exhaustive()
    }
}
