//! Extraction into memory: what verifies can be read, in the size it says, and what does not verify is not read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squarecloud_blocking::{Archive, EntryKind};

fuzz_target!(|bytes: &[u8]| {
    let Ok(archive) = Archive::new(bytes) else { return };
    if archive.total_size() > 64 << 20 {
        return;
    }
    let Ok(verified) = archive.verify() else { return };
    for entry in archive.entries() {
        let content = archive.read(entry.name());
        if let Ok(content) = &content {
            assert_eq!(content.len() as u64, entry.size());
        }
        let file = matches!(entry.kind(), EntryKind::File | EntryKind::Symlink);
        let alone = archive.entries().filter(|other| other.name() == entry.name()).count() == 1;
        if verified.is_ok() && file && alone {
            assert!(content.is_ok(), "{entry:?} verified: {content:?}");
        }
    }
});
