//! The files of an app or a database, and their way into a zip and back.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::clock;

/// A file, a directory or a symbolic link, told apart by the mode's type bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNode {
    /// A link's target, when it is one.
    pub data: Arc<Vec<u8>>,
    pub mode: u32,
    /// Unix seconds, even: zip times have steps of two.
    pub mtime: i64,
}

pub const MODE_FILE: u32 = 0o100_644;
pub const MODE_EXECUTABLE: u32 = 0o100_755;
pub const MODE_DIRECTORY: u32 = 0o040_755;
pub const MODE_LINK: u32 = 0o120_777;

impl FileNode {
    pub fn new(data: impl Into<Vec<u8>>, mode: u32, mtime: i64) -> Self {
        Self { data: Arc::new(data.into()), mode, mtime: mtime & !1 }
    }

    pub fn is_link(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }

    pub fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

/// Path (`/` between parts, none at the ends) to file.
pub type Files = BTreeMap<String, FileNode>;

/// A zip of all files, as a snapshot holds it.
pub fn to_zip(files: &Files) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, file) in files {
        let (year, month, day, hour, minute, second) = clock::fields(file.mtime);
        let time = DateTime::from_date_and_time(year, month, day, hour, minute, second).unwrap_or_default();
        // Noise stays as it is, as with every packer that looks before it deflates.
        let method = if packs(&file.data) { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let options = SimpleFileOptions::default()
            .last_modified_time(time)
            .unix_permissions(file.mode & 0o777)
            .compression_method(method);
        if file.is_directory() {
            zip.add_directory(path.as_str(), options).expect("directory entry");
        } else if file.is_link() {
            let target = String::from_utf8_lossy(&file.data).into_owned();
            zip.add_symlink(path, target, options).expect("link entry");
        } else {
            zip.start_file(path, options).expect("file entry");
            zip.write_all(&file.data).expect("memory takes it");
        }
    }
    zip.finish().expect("memory takes it").into_inner()
}

fn packs(data: &[u8]) -> bool {
    let sample = &data[..data.len().min(4096)];
    sample.len() > 64 && sample.iter().filter(|b| b.is_ascii_graphic() || **b == b' ').count() * 10 > sample.len() * 8
}

/// The files of a zip; `None` when it is no sound zip.
pub fn from_zip(bytes: &[u8]) -> Option<Files> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut files = Files::new();
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).ok()?;
        let default = if entry.is_dir() { MODE_DIRECTORY } else { MODE_FILE };
        let mode = entry.unix_mode().unwrap_or(default);
        let mtime = entry
            .last_modified()
            .map_or(0, |t| clock::unix(t.year(), t.month(), t.day(), t.hour(), t.minute(), t.second()));
        let name = entry.name().ok()?.trim_end_matches('/').to_string();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).ok()?;
        files.insert(name, FileNode::new(data, mode, mtime));
    }
    Some(files)
}

/// Deflates `data` and wraps it as gzip (RFC 1952), by way of a zip entry: no package beside zip is needed.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file("x", options).expect("file entry");
    zip.write_all(data).expect("memory takes it");
    let bytes = zip.finish().expect("memory takes it").into_inner();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).expect("a zip just written");
    let (crc, mut deflated) = {
        let mut raw = archive.by_index_raw(0).expect("its one entry");
        let mut deflated = Vec::new();
        raw.read_to_end(&mut deflated).expect("memory");
        (raw.crc32(), deflated)
    };
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.append(&mut deflated);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out
}
