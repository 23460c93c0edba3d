//! Sending a local file: a new app from a zip, or files into an existing app.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::Client;
use super::time::random;
use crate::api::envelope::Reply;
use crate::api::http::Payload;
use crate::api::multipart::{Form, MAX_UPLOAD_BYTES};
use crate::api::route::Route;
use crate::error::{Error, Result};
use crate::progress::{Callback, Progress, Throttle};
use crate::types::{Response, UploadedApp};

impl Client {
    /// A **new** app from a local zip: the way to rehearse a restore without touching the app the backup is of.
    ///
    /// One POST that streams the file in constant memory; scope `apps:write`. At most 100 MiB, 256 MB of free
    /// plan memory, and a `squarecloud.app` or `squarecloud.config` file in the zip's root, which is checked
    /// before anything is sent (with the `zip` feature). A database cannot be made or restored from a file.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file is too large or not such a zip, [`Error::Io`] when it cannot be read,
    /// [`Error::Api`] with `INSUFFICIENT_MEMORY`, `FILE_TOO_LARGE`, ...
    pub fn upload(&self, zip: impl AsRef<Path>) -> Result<UploadedApp> {
        self.upload_with(zip, |_| ControlFlow::Continue(()))
    }

    /// The same, with a callback that sees the progress and can cancel.
    ///
    /// # Errors
    /// As [`upload`](Self::upload), and [`Error::Cancelled`].
    pub fn upload_with(
        &self,
        zip: impl AsRef<Path>,
        progress: impl Fn(Progress) -> ControlFlow<()> + Send + Sync,
    ) -> Result<UploadedApp> {
        let zip = zip.as_ref();
        let file = open(zip)?;
        check_app(&file)?;
        self.send(&Route::Upload, zip, &file, Arc::new(progress), |reply| {
            UploadedApp::read(&reply.data()?).map_err(|problem| super::explained(&reply, &problem))
        })
    }

    pub(crate) fn commit(
        &self,
        id: &str,
        file: &Path,
        path: Option<&str>,
        progress: Callback<'_>,
    ) -> Result<Response> {
        let route = Route::Commit { id, path };
        route.path()?;
        self.send(&route, file, &open(file)?, progress, |reply| reply.action())
    }

    fn send<T>(
        &self,
        route: &Route<'_>,
        path: &Path,
        file: &File,
        progress: Callback<'_>,
        read: impl Fn(Reply<'_>) -> Result<T>,
    ) -> Result<T> {
        let size = file.metadata().map_err(|e| Error::io("reading", path, e))?.len();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let form = Form::new(&format!("{:016x}{:016x}", random(), random()), &name);
        let throttle = Throttle::new(Some(progress));
        let mut attempt = 0;
        let send = |send: &mut dyn FnMut(Payload<'_>) -> Result<T>| {
            attempt += 1;
            let state = Progress { total: Some(size), attempt, ..Progress::default() };
            let mut watched = Watched { file, at: 0, state, throttle: &throttle, stopped: None };
            let mut reader = form.reader(&mut watched, size);
            let payload = Payload::Stream {
                content_type: &form.content_type,
                length: form.length(size),
                reader: &mut reader,
            };
            let result = send(payload);
            drop(reader);
            match watched.stopped {
                Some(Stopped::Cancelled) => {
                    Err(Error::Cancelled { action: "sending", path: path.to_owned() })
                }
                Some(Stopped::File(error)) => Err(Error::io("reading", path, error)),
                None => result,
            }
        };
        self.send_file(route, send, read)
    }
}

fn open(path: &Path) -> Result<File> {
    let io = |e| Error::io("opening", path, e);
    // Before it is opened: opening a fifo waits for its other end.
    let metadata = std::fs::metadata(path).map_err(io)?;
    let (kind, size) = (metadata.file_type(), metadata.len());
    if kind.is_dir() {
        return Err(Error::invalid("the file to send", "is a directory; pack it into a zip first"));
    }
    if !kind.is_file() {
        return Err(Error::invalid("the file to send", "is no regular file, so its length is not known"));
    }
    if size > MAX_UPLOAD_BYTES {
        let reason = format!("is {size} bytes long; the service takes at most {MAX_UPLOAD_BYTES}");
        return Err(Error::invalid("the file to send", reason));
    }
    File::open(path).map_err(io)
}

/// Why a file was not read to its end: kept beside the transport, which would call it a network error.
enum Stopped {
    Cancelled,
    File(io::Error),
}

/// A file that is watched while it is read, always from its start.
struct Watched<'a, 'o> {
    file: &'a File,
    at: u64,
    state: Progress,
    throttle: &'a Throttle<'o>,
    stopped: Option<Stopped>,
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        use crate::snapshot::source::Source;
        let n = match self.file.read_at(self.at, buf) {
            Ok(0) if !buf.is_empty() && Some(self.at) < self.state.total => {
                let shrank =
                    io::Error::new(io::ErrorKind::UnexpectedEof, "the file shrank while it was being sent");
                self.stopped = Some(Stopped::File(shrank));
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            Err(e) => {
                let kind = e.kind();
                self.stopped = Some(Stopped::File(e));
                return Err(kind.into());
            }
        };
        self.at += n as u64;
        self.state.bytes = self.at;
        let last = Some(self.at) == self.state.total;
        let flow =
            if last { self.throttle.report_now(self.state) } else { self.throttle.report(|| self.state) };
        if flow.is_break() {
            self.stopped = Some(Stopped::Cancelled);
            return Err(io::Error::other("cancelled"));
        }
        Ok(n)
    }
}

/// Refuses what the service would refuse after up to 100 MiB were sent.
#[cfg(feature = "zip")]
fn check_app(file: &File) -> Result<()> {
    let archive = crate::snapshot::archive::Archive::new(file)?;
    if ["squarecloud.app", "squarecloud.config"].iter().any(|name| archive.entry(name).is_some()) {
        return Ok(());
    }
    let reason = "has neither `squarecloud.app` nor `squarecloud.config` in its root, without which the service makes \
                  no app of it; add one, or pack the files without the directory around them";
    Err(Error::invalid("the zip to upload", reason))
}

/// Without the `zip` feature only the size is checked.
#[cfg(not(feature = "zip"))]
fn check_app(_: &File) -> Result<()> {
    Ok(())
}
