//! Any bytes open or are refused, and what opens can be looked at.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squarecloud_blocking::Archive;

fuzz_target!(|bytes: &[u8]| {
    let Ok(archive) = Archive::new(bytes) else { return };
    assert_eq!(archive.entries().len(), archive.len());
    for entry in archive.entries() {
        let _ = (entry.kind(), entry.modified(), entry.unix_mode(), entry.method());
        assert!(archive.entry(entry.name()).is_some());
    }
    assert!(archive.diff(&archive).removed.is_empty());
    assert!(!archive.tree().to_string().contains('\u{1b}'));
});
