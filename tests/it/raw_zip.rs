//! A ZIP writer that does what it is told: every field can lie. And the bystanders of the tests: a directory
//! tree read as a whole, and a source that gives one byte at a time.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use squarecloud_blocking::Source;

pub const DESCRIBED: u16 = 8;
pub const UTF8: u16 = 1 << 11;

/// One entry; what is `None` is told truly.
#[derive(Clone, Default)]
pub struct E {
    pub name: Vec<u8>,
    pub content: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub host: u8,
    pub mode: u32,
    pub attributes: u32,
    pub stamp: (u16, u16),
    pub extra: Vec<u8>,
    pub local_extra: Vec<u8>,
    pub comment: Vec<u8>,
    /// The compressed bytes as they stand in the file.
    pub compressed: Option<Vec<u8>>,
    /// Fields of the central header.
    pub crc: Option<u32>,
    pub compressed_size: Option<u32>,
    pub size: Option<u32>,
    pub offset: Option<u32>,
    pub disk: u16,
    /// Fields of the local header.
    pub local_name: Option<Vec<u8>>,
    pub local_method: Option<u16>,
    pub local_flags: Option<u16>,
    pub local_crc: Option<u32>,
    pub local_compressed_size: Option<u32>,
    pub local_size: Option<u32>,
    pub local_signature: Option<[u8; 4]>,
    /// What follows the data: a descriptor, padding, a hidden entry.
    pub after: Vec<u8>,
    /// Not in the file's data at all, or not in the directory.
    pub no_local: bool,
    pub no_central: bool,
}

pub fn file(name: impl AsRef<[u8]>, content: &[u8]) -> E {
    E {
        name: name.as_ref().to_vec(),
        content: content.to_vec(),
        host: 3,
        mode: 0o100_644,
        stamp: (0x5821, 0x6000),
        ..E::default()
    }
}

pub fn deflated(name: impl AsRef<[u8]>, content: &[u8]) -> E {
    E { method: 8, compressed: Some(deflate(content)), ..file(name, content) }
}

pub fn folder(name: &str) -> E {
    E { mode: 0o040_755, ..file(name, b"") }
}

pub fn link(name: &str, target: &str) -> E {
    E { mode: 0o120_777, ..file(name, target.as_bytes()) }
}

impl E {
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn data(&self) -> &[u8] {
        self.compressed.as_deref().unwrap_or(&self.content)
    }

    /// A descriptor behind the data, zeros in the local header.
    pub fn described(self) -> Self {
        self.with(|e| {
            let mut after = b"PK\x07\x08".to_vec();
            for n in [crc32(&e.content), e.data().len() as u32, e.content.len() as u32] {
                after.extend(n.to_le_bytes());
            }
            e.after = after;
            e.flags |= DESCRIBED;
            (e.local_crc, e.local_compressed_size, e.local_size) = (Some(0), Some(0), Some(0));
        })
    }

    pub fn local(&self) -> Vec<u8> {
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        let mut b = self.local_signature.unwrap_or(*b"PK\x03\x04").to_vec();
        u16s(
            &mut b,
            &[
                20,
                self.local_flags.unwrap_or(self.flags),
                self.local_method.unwrap_or(self.method),
                self.stamp.1,
                self.stamp.0,
            ],
        );
        u32s(
            &mut b,
            &[
                self.local_crc.or(self.crc).unwrap_or_else(|| crc32(&self.content)),
                self.local_compressed_size.or(self.compressed_size).unwrap_or(self.data().len() as u32),
                self.local_size.or(self.size).unwrap_or(self.content.len() as u32),
            ],
        );
        u16s(&mut b, &[name.len() as u16, self.local_extra.len() as u16]);
        b.extend(name);
        b.extend(&self.local_extra);
        b.extend(self.data());
        b.extend(&self.after);
        b
    }

    fn central(&self, offset: u32) -> Vec<u8> {
        let mut b = b"PK\x01\x02".to_vec();
        u16s(&mut b, &[u16::from(self.host) << 8 | 30, 20, self.flags, self.method, self.stamp.1, self.stamp.0]);
        u32s(
            &mut b,
            &[
                self.crc.unwrap_or_else(|| crc32(&self.content)),
                self.compressed_size.unwrap_or(self.data().len() as u32),
                self.size.unwrap_or(self.content.len() as u32),
            ],
        );
        u16s(&mut b, &[self.name.len() as u16, self.extra.len() as u16, self.comment.len() as u16, self.disk, 0]);
        u32s(&mut b, &[self.mode << 16 | self.attributes, self.offset.unwrap_or(offset)]);
        b.extend(&self.name);
        b.extend(&self.extra);
        b.extend(&self.comment);
        b
    }
}

fn u16s(b: &mut Vec<u8>, all: &[u16]) {
    all.iter().for_each(|n| b.extend(n.to_le_bytes()));
}

fn u32s(b: &mut Vec<u8>, all: &[u32]) {
    all.iter().for_each(|n| b.extend(n.to_le_bytes()));
}

/// An archive around the entries; what is `None` is told truly.
#[derive(Clone, Default)]
pub struct Z {
    pub entries: Vec<E>,
    pub prefix: Vec<u8>,
    /// Offsets count from the prefix's end instead of the file's start.
    pub relative: bool,
    pub before_directory: Vec<u8>,
    pub after_directory: Vec<u8>,
    pub disks: (u16, u16),
    pub count: Option<(u16, u16)>,
    pub length: Option<u32>,
    pub offset: Option<u32>,
    pub comment: Vec<u8>,
    pub comment_length: Option<u16>,
    pub trailing: Vec<u8>,
    pub zip64: Option<Z64>,
}

/// The zip64 EOCD records.
#[derive(Clone, Default)]
pub struct Z64 {
    pub count: Option<u64>,
    pub length: Option<u64>,
    pub offset: Option<u64>,
    pub record: Option<u64>,
    pub disks: u32,
    /// What the 32-bit record says, instead of leaving all open.
    pub narrow: bool,
    pub extensible: Vec<u8>,
}

pub fn zip(entries: Vec<E>) -> Z {
    Z { entries, ..Z::default() }
}

impl Z {
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let base = if self.relative { self.prefix.len() } else { 0 };
        let mut b = self.prefix.clone();
        let mut directory = Vec::new();
        let mut count = 0u64;
        for e in &self.entries {
            let offset = (b.len() - base) as u32;
            if !e.no_local {
                b.extend(e.local());
            }
            if !e.no_central {
                directory.extend(e.central(offset));
                count += 1;
            }
        }
        b.extend(&self.before_directory);
        let offset = (b.len() - base) as u64;
        let length = directory.len() as u64;
        b.extend(directory);
        b.extend(&self.after_directory);
        let open = self.zip64.as_ref().is_some_and(|z| !z.narrow);
        if let Some(z) = &self.zip64 {
            let at = (b.len() - base) as u64;
            b.extend(b"PK\x06\x06");
            b.extend((44 + z.extensible.len() as u64).to_le_bytes());
            u16s(&mut b, &[45, 45]);
            u32s(&mut b, &[z.disks, z.disks]);
            for n in [
                z.count.unwrap_or(count),
                z.count.unwrap_or(count),
                z.length.unwrap_or(length),
                z.offset.unwrap_or(offset),
            ] {
                b.extend(n.to_le_bytes());
            }
            b.extend(&z.extensible);
            b.extend(b"PK\x06\x07");
            u32s(&mut b, &[z.disks]);
            b.extend(z.record.unwrap_or(at).to_le_bytes());
            u32s(&mut b, &[z.disks + 1]);
        }
        b.extend(b"PK\x05\x06");
        let narrow = |n: u64| if open { 0xFFFF } else { n as u16 };
        let (here, all) = self.count.unwrap_or((narrow(count), narrow(count)));
        u16s(&mut b, &[self.disks.0, self.disks.1, here, all]);
        let wide = |n: u64| if open { u32::MAX } else { n as u32 };
        u32s(&mut b, &[self.length.unwrap_or(wide(length)), self.offset.unwrap_or(wide(offset))]);
        u16s(&mut b, &[self.comment_length.unwrap_or(self.comment.len() as u16)]);
        b.extend(&self.comment);
        b.extend(&self.trailing);
        b
    }
}

pub fn field(id: u16, body: &[u8]) -> Vec<u8> {
    let mut b = Vec::new();
    u16s(&mut b, &[id, body.len() as u16]);
    b.extend(body);
    b
}

pub fn zip64_field(values: &[u64]) -> Vec<u8> {
    field(1, &values.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>())
}

pub fn unicode_path(raw: &[u8], path: &[u8]) -> Vec<u8> {
    let mut body = vec![1];
    body.extend(crc32(raw).to_le_bytes());
    body.extend(path);
    field(0x7075, &body)
}

pub fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> =
        (0..256u32).map(|n| (0..8).fold(n, |c, _| if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 })).collect();
    !bytes.iter().fold(!0, |c, b| table[((c ^ u32::from(*b)) & 255) as usize] ^ (c >> 8))
}

pub fn deflate(content: &[u8]) -> Vec<u8> {
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    writer.start_file("x", options).unwrap();
    writer.write_all(content).unwrap();
    let mut archive = zip::ZipArchive::new(writer.finish().unwrap()).unwrap();
    let mut compressed = Vec::new();
    archive.by_index_raw(0).unwrap().read_to_end(&mut compressed).unwrap();
    compressed
}

/// A tree as it lies on the disk: path to what is there.
///
/// A directory is `dir`, a link `-> target` and a file `=` and its content.
pub type Tree = BTreeMap<String, Vec<u8>>;

pub fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let kind = entry.file_type().unwrap();
            if kind.is_symlink() {
                found.insert(name, format!("-> {}", fs::read_link(&path).unwrap().display()).into_bytes());
            } else if kind.is_dir() {
                found.insert(name, "dir".into());
                open.push(path);
            } else {
                found.insert(name, [b"=".to_vec(), fs::read(&path).unwrap()].concat());
            }
        }
    }
    found
}

/// A source that gives at most one byte a read and is interrupted now and then.
pub struct Dribble<S>(pub S);

impl<S: Source> Source for Dribble<S> {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset % 7 == 3 && buf.len() > 1 {
            static TURN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
            if TURN.fetch_xor(true, std::sync::atomic::Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        let n = buf.len().min(1);
        self.0.read_at(offset, &mut buf[..n])
    }
}
