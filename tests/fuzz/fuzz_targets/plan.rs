//! Whatever is planned lies inside the target, and every path is planned once.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use squarecloud_blocking::{Archive, ExtractOptions};

fuzz_target!(|bytes: &[u8]| {
    let Ok(archive) = Archive::new(bytes) else { return };
    let Ok(plan) = archive.plan(&ExtractOptions::new()) else { return };
    if !plan.is_ok() {
        return;
    }
    let mut seen = HashSet::new();
    for path in plan.paths() {
        assert!(seen.insert(path), "{path:?} twice");
        assert!(!path.starts_with('/') && !path.contains('\0'), "{path:?}");
        assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
    }
});
