//! PURE. The one form an upload has: exactly one part named `file`, with a known length (contract, section 8).

use std::io::{self, Read};

/// The largest file that may be uploaded, in bytes.
pub(crate) const MAX_UPLOAD_BYTES: u64 = 100 * 1024 * 1024;

/// What stands before and after the file.
pub(crate) struct Form {
    pub(crate) content_type: String,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Form {
    /// `boundary` must be letters and digits that do not occur in the file; a random one does not.
    pub(crate) fn new(boundary: &str, file_name: &str) -> Self {
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

    /// The whole body's length for a file of `size` bytes.
    pub(crate) fn length(&self, size: u64) -> u64 {
        size + (self.head.len() + self.tail.len()) as u64
    }

    /// The whole body. A file that turns out shorter than `size` is an error, or the service would wait for
    /// the rest; what it has grown by is left out.
    pub(crate) fn reader<'a>(&'a self, file: impl Read + 'a, size: u64) -> impl Read + 'a {
        self.head.as_slice().chain(Exactly { file, left: size }).chain(self.tail.as_slice())
    }
}

struct Exactly<R> {
    file: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let n = self.file.read(&mut buf[..most])?;
        if n == 0 && most > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file shrank while it was being sent",
            ));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_the_bodys_and_the_name_stays_in_its_quotes() {
        let form = Form::new("b0", "a\"b\r\nX: y.zip");
        let mut body = Vec::new();
        form.reader(&b"PK-data and more"[..], 7).read_to_end(&mut body).unwrap();
        assert_eq!(body.len() as u64, form.length(7));
        let text = String::from_utf8(body).unwrap();
        assert!(text.contains("filename=\"a%22b%0D%0AX: y.zip\"\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nPK-data\r\n--b0--\r\n"), "{text}");
    }

    #[test]
    fn a_file_that_shrank_is_an_error() {
        let form = Form::new("b0", "a.zip");
        assert!(form.reader(&b"PK"[..], 7).read_to_end(&mut Vec::new()).is_err());
    }
}
