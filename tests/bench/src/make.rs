//! The archives the benchmarks are run on: made here, always the same.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// A generator of numbers that is the same on every machine (xorshift64*).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(n + 8);
        while out.len() < n {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(n);
        out
    }

    /// Text that packs about 3 to 1, like source code and logs.
    pub fn text(&mut self, n: usize) -> Vec<u8> {
        const WORDS: [&str; 24] = [
            "const",
            "return",
            "function",
            "await",
            "client",
            "message",
            "=>",
            "{",
            "}",
            "(error)",
            "import",
            "from",
            "\"discord.js\"",
            "value",
            "index",
            "=== null",
            "snapshot",
            "async",
            "export",
            "default",
            "if",
            "else",
            ";\n",
            "\n    ",
        ];
        let mut out = Vec::with_capacity(n + 16);
        while out.len() < n {
            match self.below(4) {
                0 => out.extend_from_slice(format!("{:x}", self.next() & 0xff_ffff).as_bytes()),
                _ => out.extend_from_slice(WORDS[self.below(24) as usize].as_bytes()),
            }
            out.push(b' ');
        }
        out.truncate(n);
        out
    }
}

/// A name, and what writes such an archive.
type Kind = (&'static str, fn(&Path));

/// The four kinds of archive.
pub const KINDS: [Kind; 4] =
    [("small-files", small_files), ("one-large", one_large), ("incompressible", incompressible), ("few", few)];

/// What is read from a host: about 7, 50, 215, 370 and 50 MB.
pub const REMOTE: [Kind; 5] = [
    ("few", |path| files(path, 400_000)),
    ("small-files", small_files),
    ("one-large", |path| large(path, 715_000_000)),
    ("incompressible", incompressible),
    ("tiny-files", tiny_files),
];

fn writer(path: &Path) -> ZipWriter<BufWriter<File>> {
    ZipWriter::new(BufWriter::new(File::create(path).unwrap()))
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).unix_permissions(0o644)
}

/// 20,000 small text files in deep folders, about 50 MB packed.
fn small_files(path: &Path) {
    let (mut zip, mut noise) = (writer(path), Noise::new(1));
    for n in 0..20_000u64 {
        let name = format!("app/node_modules/pkg-{}/dist/lib/part-{}/file-{n}.js", n / 40, n / 10 % 4);
        zip.start_file(name, options()).unwrap();
        let size = 500 + noise.below(12_500) as usize;
        zip.write_all(&noise.text(size)).unwrap();
    }
    zip.finish().unwrap();
}

/// One 600 MB text file and two small ones.
fn one_large(path: &Path) {
    large(path, 600_000_000);
}

fn large(path: &Path, size: usize) {
    let (mut zip, mut noise) = (writer(path), Noise::new(2));
    zip.start_file("dump/database.sql", options().large_file(false)).unwrap();
    let block = noise.text(16 << 20);
    for _ in 0..size / block.len() {
        let at = noise.below(1 << 20) as usize;
        zip.write_all(&block[at..]).unwrap();
        zip.write_all(&block[..at]).unwrap();
    }
    for name in ["dump/readme.md", "dump/meta.json"] {
        zip.start_file(name, options()).unwrap();
        zip.write_all(&noise.text(4000)).unwrap();
    }
    zip.finish().unwrap();
}

/// 400 files that do not pack, 370 MB.
fn incompressible(path: &Path) {
    let (mut zip, mut noise) = (writer(path), Noise::new(3));
    for n in 0..400 {
        zip.start_file(format!("media/{}/picture-{n}.jpg", n / 50), options()).unwrap();
        zip.write_all(&noise.bytes(925_000)).unwrap();
    }
    zip.finish().unwrap();
}

/// 60 files, 3 MB.
fn few(path: &Path) {
    files(path, 50_000);
}

fn files(path: &Path, size: usize) {
    let (mut zip, mut noise) = (writer(path), Noise::new(4));
    for n in 0..60 {
        zip.start_file(format!("src/module-{}/file-{n}.js", n / 10), options()).unwrap();
        zip.write_all(&noise.text(size)).unwrap();
    }
    zip.finish().unwrap();
}

/// 200,000 files of some hundred bytes: the central directory is a third of the archive.
fn tiny_files(path: &Path) {
    let (mut zip, mut noise) = (writer(path), Noise::new(6));
    for n in 0..200_000u64 {
        zip.start_file(format!("app/node_modules/pkg-{}/dist/file-{n}.js", n / 40), options()).unwrap();
        let size = 20 + noise.below(400) as usize;
        zip.write_all(&noise.text(size)).unwrap();
    }
    zip.finish().unwrap();
}

/// `n` empty files, for opening.
pub fn many_entries(path: &Path, n: u64) {
    let mut zip = writer(path);
    for i in 0..n {
        zip.start_file(format!("app/node_modules/pkg-{}/dist/file-{i}.js", i / 40), options()).unwrap();
    }
    zip.finish().unwrap();
}

/// One stored file of `size` bytes that do not pack.
pub fn stored(path: &Path, size: usize) {
    let (mut zip, mut noise) = (writer(path), Noise::new(5));
    zip.start_file("media/film.bin", options().compression_method(CompressionMethod::Stored)).unwrap();
    for _ in 0..size / 1_000_000 {
        zip.write_all(&noise.bytes(1_000_000)).unwrap();
    }
    zip.finish().unwrap();
}
