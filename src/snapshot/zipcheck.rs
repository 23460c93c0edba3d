//! Whether bytes are a whole ZIP archive, by the parser that opens archives: what is downloaded can be opened.

use std::io;

use super::archive;
use super::source::Source;

pub(crate) use super::archive::LAST;
pub(crate) use super::source::read_exact_at;

/// `Ok(Err(why))` when `source` is not a whole ZIP archive. Reads its end and its central directory.
pub(crate) fn check(source: &impl Source) -> io::Result<Result<(), &'static str>> {
    archive::check(source)
}

/// The same as far as the last bytes alone tell: `tail` are those of `size` in all.
pub(crate) fn check_end(tail: &[u8], size: u64) -> Result<(), &'static str> {
    archive::check_end(tail, size)
}
#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn archive(files: usize, comment: &str, zip64: bool) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().large_file(zip64);
        for n in 0..files {
            zip.start_file(format!("dir/file-{n}.txt"), options).unwrap();
            zip.write_all(format!("content {n}").repeat(n % 7).as_bytes()).unwrap();
        }
        zip.set_comment(comment).unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn whole_archives_pass() {
        for (files, comment) in [(0, ""), (1, ""), (3, "a comment"), (2000, ""), (70_000, "zip64 by number")]
        {
            assert_eq!(check(&archive(files, comment, false)).unwrap(), Ok(()), "{files} files");
        }
        assert_eq!(check(&archive(5, "", true)).unwrap(), Ok(()));
    }

    #[test]
    fn what_real_tools_put_before_and_after_an_archive_is_taken() {
        let whole = archive(3, "", false);
        // A script before it, whose length no offset counts.
        let stub = [b"#!/bin/sh\nexec unzip $0\n", &whole[..]].concat();
        // Written to a pipe, the last block is filled up.
        let padded = [&whole[..], &[0; 10_240]].concat();
        for bytes in [stub, padded] {
            assert_eq!(check(&bytes).unwrap(), Ok(()));
            assert_eq!(check_end(&bytes, bytes.len() as u64), Ok(()));
            #[cfg(feature = "zip")]
            assert!(archive::Archive::new(bytes).is_ok());
        }
    }

    #[test]
    fn every_cut_is_found() {
        let whole = archive(3, "", false);
        for cut in 0..whole.len() {
            assert!(check(&whole[..cut].to_vec()).unwrap().is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn bytes_after_the_end_and_a_missing_middle_are_found() {
        let whole = archive(30, "", false);
        let mut longer = whole.clone();
        longer.push(1);
        assert!(check(&longer).unwrap().is_err());
        for gap in [1, 10, 100] {
            let mut shorter = whole.clone();
            shorter.drain(40..40 + gap);
            assert!(check(&shorter).unwrap().is_err(), "{gap} bytes missing");
        }
        let mut zeros = whole.clone();
        let at = whole.len() - 1000;
        zeros[at..at + 900].fill(0);
        assert!(check(&zeros).unwrap().is_err());
    }

    #[test]
    fn an_empty_archive_inside_is_not_the_end_of_the_outer_one() {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file("empty.zip", stored).unwrap();
        zip.write_all(&archive(0, "", false)).unwrap();
        zip.start_file("more", stored).unwrap();
        let whole = zip.finish().unwrap().into_inner();
        let inner = whole.windows(4).position(|w| w == b"PK\x05\x06").unwrap() + 22;
        assert!(check(&whole[..inner].to_vec()).unwrap().is_err());
        assert_eq!(check(&whole).unwrap(), Ok(()));
    }

    #[test]
    fn other_documents_are_refused() {
        for text in
            ["", "<html>please log in to go on, dear visitor</html>", "{\"status\":\"error\",\"code\":\"X\"}"]
        {
            assert!(check(&text.as_bytes().to_vec()).unwrap().is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn damage_to_the_end_never_panics(at in 0usize..400, value: u8, at2 in 0usize..400, value2: u8) {
            let mut bytes = archive(3, "c", true);
            let len = bytes.len();
            bytes[len - 1 - at % len] = value;
            bytes[len - 1 - at2 % len] = value2;
            let _ = check(&bytes).unwrap_or(Err("unreadable"));
        }
    }
}
