//! Sending a local file: a new app from a zip, or files into an existing app.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::core::{Core, random};
use crate::api::envelope::RawResponse;
use crate::api::http::Payload;
use crate::api::route::Route;
use crate::error::{Error, Result};
use crate::progress::{Callback, Progress, Throttle};
use crate::snapshot::source::Source;
use crate::types::{Response, UploadedApp};

/// The largest file that may be uploaded, in bytes.
const MAX_UPLOAD_BYTES: u64 = 100 * 1024 * 1024;

impl Core {
    pub(super) fn upload(&self, zip: &Path, progress: Callback<'_>) -> Result<UploadedApp> {
        let file = open(zip)?;
        check_app(&file)?;
        self.send(&Route::Upload, zip, &file, progress, |response| response.data(serde_json::from_str))
    }

    pub(super) fn commit(
        &self,
        id: &str,
        path: &Path,
        directory: Option<&str>,
        progress: Callback<'_>,
    ) -> Result<Response> {
        let route = Route::Commit { id, path: directory };
        self.send(&route, path, &open(path)?, progress, |response| response.action())
    }

    /// Sends a file. Only the service's own "busy" is followed by another attempt.
    fn send<T>(
        &self,
        route: &Route<'_>,
        path: &Path,
        file: &File,
        progress: Callback<'_>,
        read: impl Fn(&RawResponse<'_>) -> Result<T>,
    ) -> Result<T> {
        let target = route.path()?;
        let size = file.metadata().map_err(|e| Error::io("reading", path, e))?.len();
        self.check_key()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let form = Form::new(&format!("{:016x}{:016x}", random(), random()), &name);
        let throttle = Throttle::new(Some(progress));
        let mut attempt = 0;
        // A transfer has no total limit.
        self.repeat(Duration::MAX, |_| {
            attempt += 1;
            let state = Progress { total: Some(size), attempt, ..Progress::default() };
            let mut body = FileBody { file, path, state, throttle: &throttle, stopped: None };
            let mut reader = form.head.as_slice().chain(&mut body).chain(form.tail.as_slice());
            let payload = Payload::Stream {
                content_type: &form.content_type,
                length: form.length(size),
                reader: &mut reader,
            };
            let (result, _) = self.attempt(route, &target, payload, self.limits.held_open, &read);
            (body.explain(result), false)
        })
    }

    /// Checks the key by one GET, once for each client: a service that refuses a file may close the connection while
    /// it is being sent, and then the reason is lost.
    fn check_key(&self) -> Result<()> {
        match self.owner.get().map_or_else(|| self.account().map(drop), |_| Ok(())) {
            Err(error) if error.status().is_none_or(|status| status == 401) => Err(error),
            _ => Ok(()),
        }
    }
}

fn open(path: &Path) -> Result<File> {
    let io = |e| Error::io("opening", path, e);
    // Before it is opened: opening a fifo waits for its other end.
    let metadata = std::fs::metadata(path).map_err(io)?;
    let (kind, size) = (metadata.file_type(), metadata.len());
    let refused = |reason: String| Err(Error::invalid("the file to send", reason));
    if kind.is_dir() {
        return refused("is a directory; pack it into a zip first".into());
    }
    if !kind.is_file() {
        return refused("is not a regular file, so its length is not known".into());
    }
    if size > MAX_UPLOAD_BYTES {
        return refused(format!("is {size} bytes long; the service takes at most {MAX_UPLOAD_BYTES}"));
    }
    File::open(path).map_err(io)
}

/// Refuses what the service would refuse after up to 100 MiB were sent.
#[cfg(feature = "zip")]
fn check_app(file: &File) -> Result<()> {
    let archive = crate::snapshot::archive::Archive::new(file)?;
    if ["squarecloud.app", "squarecloud.config"].iter().any(|name| archive.entry(name).is_some()) {
        return Ok(());
    }
    let reason = "has neither `squarecloud.app` nor `squarecloud.config` in its root, and the service needs one of \
                  them; add one, or pack the files without the directory around them";
    Err(Error::invalid("the zip to upload", reason))
}

/// Without the `zip` feature only the size is checked.
#[cfg(not(feature = "zip"))]
fn check_app(_: &File) -> Result<()> {
    Ok(())
}

/// The multipart form around a file: exactly one part named `file`, with a known length.
struct Form {
    content_type: String,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Form {
    /// `boundary` must be letters and digits that do not occur in the file; random ones do not.
    fn new(boundary: &str, file_name: &str) -> Self {
        // The escapes browsers use (WHATWG HTML, multipart/form-data encoding).
        let name = file_name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        Self {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            head: head.into_bytes(),
            tail: format!("\r\n--{boundary}--\r\n").into_bytes(),
        }
    }

    fn length(&self, size: u64) -> u64 {
        size + (self.head.len() + self.tail.len()) as u64
    }
}

/// A file that is read from its start, with progress. What it grows by meanwhile is left out.
struct FileBody<'a, 'o> {
    file: &'a File,
    path: &'a Path,
    state: Progress,
    throttle: &'a Throttle<'o>,
    /// Why the file was not read to its end: kept here, since the transport would call it a network error.
    stopped: Option<Error>,
}

impl FileBody<'_, '_> {
    /// The result of sending this file to a service that may have closed the connection first.
    fn explain<T>(self, result: Result<T>) -> Result<T> {
        let begun = self.state.bytes > 0 && Some(self.state.bytes) != self.state.total;
        match (self.stopped, result) {
            (Some(error), _) => Err(error),
            (None, Err(Error::Network { method, path, status: None, .. })) if begun => {
                let reason =
                    "the service closed the connection before the file was sent; it probably refused it";
                Err(Error::Network { method, path, status: None, source: reason.into() })
            }
            (None, result) => result,
        }
    }

    fn stop(&mut self, error: Error) -> io::Error {
        self.stopped = Some(error);
        io::Error::other("stopped")
    }
}

impl Read for FileBody<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (at, size) = (self.state.bytes, self.state.total.unwrap_or_default());
        let most = usize::try_from(size - at).unwrap_or(usize::MAX).min(buf.len());
        let n = match self.file.read_at(at, &mut buf[..most]) {
            Ok(0) if most > 0 => {
                let shrank =
                    io::Error::new(io::ErrorKind::UnexpectedEof, "the file shrank while it was being sent");
                return Err(self.stop(Error::io("reading", self.path, shrank)));
            }
            Ok(0) => return Ok(0),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            Err(e) => return Err(self.stop(Error::io("reading", self.path, e))),
        };
        self.state.bytes += n as u64;
        let state = self.state;
        let last = state.bytes == size;
        let flow = if last { self.throttle.report_now(state) } else { self.throttle.report(|| state) };
        if flow.is_break() {
            return Err(self.stop(Error::Cancelled { action: "sending", path: self.path.to_owned() }));
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stays_in_its_quotes() {
        let form = Form::new("b0", "a\"b\r\nX: y.zip");
        let head = String::from_utf8(form.head.clone()).unwrap();
        assert!(
            head.contains("filename=\"a%22b%0D%0AX: y.zip\"\r\n") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        assert_eq!(form.tail, b"\r\n--b0--\r\n");
        assert_eq!(form.length(7), (form.head.len() + form.tail.len()) as u64 + 7);
    }
}
