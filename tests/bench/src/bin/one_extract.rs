//! Whole programs to time from outside: `one_extract extract|write|inflate|open|open-zip ZIP [DIR]`.

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use squarecloud_blocking::{Archive, EntryKind};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let zip = Path::new(&args[1]);
    match args[0].as_str() {
        "extract" => {
            Archive::open(zip).unwrap().extract(&args[2]).unwrap();
        }
        "write" => write_only(zip, Path::new(&args[2])),
        "inflate" => inflate_only(zip),
        "open" => assert!(!Archive::open(zip).unwrap().is_empty()),
        "open-zip" => {
            assert!(!zip::ZipArchive::new(BufReader::new(File::open(zip).unwrap())).unwrap().is_empty())
        }
        other => panic!("{other}?"),
    }
}

/// The least any extraction must do: make the directories, then create and write the files, on two threads.
fn write_only(zip: &Path, dir: &Path) {
    let archive = Archive::open(zip).unwrap();
    let files: Vec<(PathBuf, usize)> = archive
        .entries()
        .filter(|entry| entry.kind() == EntryKind::File)
        .map(|entry| (dir.join(entry.name()), entry.size() as usize))
        .collect();
    let mut last = PathBuf::new();
    for (path, _) in &files {
        let parent = path.parent().unwrap();
        if parent != last {
            fs::create_dir_all(parent).unwrap();
            last = parent.to_owned();
        }
    }
    let (next, bytes) = (AtomicUsize::new(0), vec![b'x'; 1 << 18]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(batch) = files.chunks(32).nth(next.fetch_add(1, Ordering::Relaxed)) {
                    for (path, size) in batch {
                        let mut file = File::create_new(path).unwrap();
                        let mut left = *size;
                        while left > 0 {
                            let n = left.min(bytes.len());
                            file.write_all(&bytes[..n]).unwrap();
                            left -= n;
                        }
                    }
                }
            });
        }
    });
}

/// Every entry through the `zip` crate into nothing.
fn inflate_only(zip: &Path) {
    let mut archive = zip::ZipArchive::new(BufReader::with_capacity(1 << 18, File::open(zip).unwrap())).unwrap();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).unwrap();
        let mut buffer = vec![0; 1 << 18];
        while io::Read::read(&mut entry, &mut buffer).unwrap() > 0 {}
    }
}
