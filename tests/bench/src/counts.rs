//! What reading from a host costs: requests and bytes, as the host counted them, against the targets.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use squarecloud_blocking::{Archive, Entry, EntryKind, ExtractOptions, Snapshot};

use crate::origin::Log;

/// The folders to extract, as a prefix of names: more than one where one holds next to nothing.
const FOLDERS: [(&str, &str); 4] = [
    ("few", "src/module-3/"),
    ("small-files", "app/node_modules/pkg-25"),
    ("incompressible", "media/4/"),
    ("tiny-files", "app/node_modules/pkg-25"),
];
const NEIGHBOURS: usize = 20;
const KIB: f64 = 1024.0;
const REQUEST: f64 = 8.0 * 1024.0 * KIB;
/// A gap that is worth a request of its own.
const GAP: f64 = 256.0 * KIB;

/// Part of an archive, as it lies in there.
#[derive(Default)]
struct Span {
    /// With the local file headers, which nobody can leave out.
    bytes: f64,
    gaps: f64,
    wide_gaps: f64,
}

impl Span {
    fn of(archive: &Archive<File>, pick: impl Fn(&Entry<'_>) -> bool) -> Self {
        let (mut span, mut gap) = (Self::default(), 0.0);
        for entry in archive.entries() {
            let length = entry.compressed_size() as f64 + 30.0 + entry.name().len() as f64;
            if !pick(&entry) {
                gap += length;
                continue;
            }
            if span.bytes > 0.0 && gap > 0.0 {
                span.gaps += 1.0;
                span.wide_gaps += f64::from(u8::from(gap > GAP));
            }
            span.bytes += length;
            gap = 0.0;
        }
        span
    }
}

/// The most requests and bytes that a piece of work may cost.
type Target = (f64, f64);

struct Table<'a> {
    log: &'a Log,
    size: f64,
}

impl Table<'_> {
    fn line<T>(&self, what: &str, target: Target, work: impl FnOnce() -> T) -> T {
        let done = work();
        // For a connection that was given up: its server notices by itself.
        std::thread::sleep(Duration::from_millis(20));
        let (requests, bytes) = self.log.take();
        let met = requests as f64 <= target.0 && bytes as f64 <= target.1;
        println!(
            "  {what:<34} {requests:>6} {bytes:>11} {:>8.4}   target {:>3} {:>11} {}",
            bytes as f64 / self.size,
            target.0.floor(),
            target.1.floor(),
            if met { "met" } else { "MISSED" }
        );
        done
    }
}

/// A file to read by itself: the first small one from the middle on.
pub fn small(archive: &Archive<File>) -> Entry<'_> {
    let mut entries = archive.entries().skip(archive.len() / 2);
    entries.find(|entry| entry.kind() == EntryKind::File && entry.size() < 2_000_000).unwrap()
}

pub fn run(kind: &str, zip: &Path, url: &str, log: &Log, base: &Path) {
    let local = Archive::open(zip).unwrap();
    let size = zip.metadata().unwrap().len() as f64;
    let end = zip::ZipArchive::new(BufReader::new(File::open(zip).unwrap())).unwrap().central_directory_start();
    let directory = size - end as f64;
    println!("{kind}: {} entries, {size} bytes, {directory} of them the central directory", local.len());
    println!("  {:<34} {:>6} {:>11} {:>8}", "", "requests", "bytes", "of all");
    let table = Table { log, size };
    log.take();
    let open = || Snapshot::from_url(url).unwrap().archive().unwrap();
    let windows = f64::from(1 + u8::from(directory > 66_657.0) + u8::from(directory > 16.0 * 1024.0 * KIB));
    let archive = table.line("open and list", (windows, 1.05 * directory + 72.0 * KIB), open);

    let one = small(&local);
    let target = (1.0, one.compressed_size() as f64 + 16.0 * KIB);
    table.line("+ read one small file", target, || archive.read(one.name()).unwrap());

    let names: Vec<&str> = local.entries().skip(local.len() / 2).take(NEIGHBOURS).map(|entry| entry.name()).collect();
    let span = Span::of(&local, |entry| names.contains(&entry.name()));
    let fresh = open();
    log.take();
    let what = format!("+ read {} neighbours", names.len());
    table.line(&what, (3.0, 1.05 * span.bytes + 64.0 * KIB), || fresh.read_many(&names).unwrap());

    if let Some(&(_, folder)) = FOLDERS.iter().find(|(of, _)| *of == kind) {
        let span = Span::of(&local, |entry| entry.name().starts_with(folder));
        let bytes = 1.05 * span.bytes + 64.0 * KIB * (1.0 + span.gaps);
        let (fresh, target) = (open(), (span.bytes / REQUEST + span.wide_gaps + 2.0, bytes));
        let options = ExtractOptions::new().filter(move |entry| entry.name().starts_with(folder));
        log.take();
        table.line(&format!("+ extract {folder}*"), target, || {
            fresh.extract_with(base.join("folder"), &options).unwrap();
        });
        std::fs::remove_dir_all(base.join("folder")).unwrap();
    }
    let everything = (size / REQUEST + 4.0, 1.02 * size);
    table.line("open, extract everything", everything, || open().extract(base.join("all")).unwrap());
    std::fs::remove_dir_all(base.join("all")).unwrap();
    table.line("open, verify", everything, || assert!(open().verify().unwrap().is_ok()));
}
