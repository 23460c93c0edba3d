//! Sending a local file: a new app from a zip, or files into an existing app.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek};
use std::path::Path;
use std::time::Duration;

use super::core::Core;
use super::resource::Resource;
use crate::api::envelope::RawResponse;
use crate::api::http::Payload;
use crate::error::{Error, Result};
use crate::percent::encode_form;
use crate::progress::{Callback, Progress, Throttle};
use crate::types::{Response, UploadedApp};

/// The largest file that may be uploaded, in bytes.
const MAX_UPLOAD_BYTES: u64 = 100 * 1024 * 1024;

impl Core {
    pub(super) fn upload(&self, zip: &Path, progress: Callback<'_>) -> Result<UploadedApp> {
        let file = open(zip)?;
        #[cfg(feature = "zip")]
        check_app(&file, zip)?;
        self.send("/apps", zip, &file, progress, |response| response.data(serde_json::from_str))
    }

    /// Sends a file. Another attempt follows only when the service says that it is busy.
    fn send<T>(
        &self,
        target: &str,
        path: &Path,
        mut file: &File,
        progress: Callback<'_>,
        read: impl Fn(&RawResponse) -> Result<T>,
    ) -> Result<T> {
        let io = |e| Error::io("reading", path, e);
        let size = file.metadata().map_err(io)?.len();
        self.check_key()?;
        let random = || RandomState::new().hash_one(());
        let boundary = format!("{:016x}{:016x}", random(), random());
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let [before, after] = form(&boundary, &path.file_name().unwrap_or_default().to_string_lossy());
        let throttle = Throttle::new(Some(progress), "sending", path);
        let mut attempt = 0;
        // A transfer has no total limit.
        self.repeat(Duration::MAX, |_| {
            attempt += 1;
            file.rewind().map_err(io)?;
            let state = Progress { total: Some(size), attempt, ..Progress::default() };
            let body = FileBody { file: file.take(size), path, state, throttle: &throttle };
            let mut reader = before.as_bytes().chain(body).chain(after.as_bytes());
            let length = size + (before.len() + after.len()) as u64;
            let payload = Payload::Stream { content_type: &content_type, length, reader: &mut reader };
            read(&self.post(target, payload)?)
        })
    }

    /// Checks the key by one GET, once for each client: a service that refuses a file may close the connection while
    /// it is being sent, and then the reason is lost.
    fn check_key(&self) -> Result<()> {
        match self.owner() {
            Err(error) if error.status().is_none_or(|status| status == 401) => Err(error),
            // A key that may upload does not necessarily have the scope to read the account.
            _ => Ok(()),
        }
    }
}

impl Resource {
    pub(super) fn commit(&self, path: &Path, directory: Option<&str>, progress: Callback<'_>) -> Result<Response> {
        let query = directory.map_or_else(String::new, |path| format!("?path={}", encode_form(path)));
        let target = self.path(&format!("/commit{query}"))?;
        self.core.send(&target, path, &open(path)?, progress, RawResponse::action)
    }
}

fn open(path: &Path) -> Result<File> {
    let io = |e| Error::io("opening", path, e);
    // Checked before the file is opened: opening a fifo waits for its other end.
    let metadata = std::fs::metadata(path).map_err(io)?;
    let size = metadata.len();
    if !metadata.is_file() {
        return Err(Error::invalid("the file to send", "is not a regular file; zip a directory first"));
    }
    if size > MAX_UPLOAD_BYTES {
        let reason = format!("is {size} bytes long; the service accepts at most {MAX_UPLOAD_BYTES}");
        return Err(Error::invalid("the file to send", reason));
    }
    File::open(path).map_err(io)
}

/// Refuses a zip that the service would refuse after up to 100 MiB were sent.
#[cfg(feature = "zip")]
fn check_app(file: &File, path: &Path) -> Result<()> {
    let archive = crate::snapshot::archive::Archive::named(file, &path.to_string_lossy())?;
    // bsdtar writes `./squarecloud.app`.
    let mut names = archive.entries().map(|entry| entry.name().trim_start_matches("./"));
    if names.any(|name| matches!(name, "squarecloud.app" | "squarecloud.config")) {
        return Ok(());
    }
    let reason = "has neither `squarecloud.app` nor `squarecloud.config` in its root, and the service needs one of \
                  them; add one, or zip the files without their parent directory";
    Err(Error::invalid("the zip to upload", reason))
}

/// What comes before and after the file in a multipart form with one part named `file`. The boundary must not occur in
/// the file; a random one does not.
fn form(boundary: &str, file_name: &str) -> [String; 2] {
    // The escapes that browsers use (WHATWG HTML, multipart/form-data encoding).
    let name = file_name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let before = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    [before, format!("\r\n--{boundary}--\r\n")]
}

/// The bytes of a file, with progress. Bytes that are appended to the file in the meantime are not sent.
struct FileBody<'a, 'o> {
    file: io::Take<&'a File>,
    path: &'a Path,
    state: Progress,
    throttle: &'a Throttle<'o>,
}

impl FileBody<'_, '_> {
    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize> {
        let io = |e| Error::io("reading", self.path, e);
        let n = self.file.read(buf).map_err(io)?;
        if n == 0 && self.file.limit() > 0 && !buf.is_empty() {
            let problem = "the file shrank while it was being sent";
            return Err(io(io::Error::new(io::ErrorKind::UnexpectedEof, problem)));
        }
        if n == 0 {
            return Ok(0);
        }
        self.state.bytes += n as u64;
        let state = self.state;
        let last = self.file.limit() == 0;
        if last {
            self.throttle.report_now(state)?
        } else {
            self.throttle.report(|| state)?
        }
        Ok(n)
    }
}

impl Read for FileBody<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_some(buf).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stays_in_its_quotes() {
        let [before, after] = form("b0", "a\"b\r\nX: y.zip");
        assert!(before.contains("filename=\"a%22b%0D%0AX: y.zip\"\r\n") && before.ends_with("\r\n\r\n"), "{before}");
        assert_eq!(after, "\r\n--b0--\r\n");
    }
}
