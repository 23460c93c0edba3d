//! Whole programs that read from a host: `one_remote extract URL DIR`, `one_remote read URL NAME` or
//! `one_remote download URL DIR CONNECTIONS`, which extracts what it downloaded. Prints its peak memory.

use std::path::Path;

use squarecloud_blocking::{DownloadOptions, Snapshot};

fn main() -> squarecloud_blocking::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let snapshot = Snapshot::from_url(&args[1])?;
    match args[0].as_str() {
        "extract" => {
            snapshot.archive()?.extract(&args[2])?;
        }
        "read" => {
            snapshot.archive()?.read(&args[2])?;
        }
        "download" => {
            let dir = Path::new(&args[2]);
            let options = DownloadOptions::new().connections(args[3].parse().unwrap_or(1));
            let download = snapshot.download_with(dir.join("snapshot.zip"), &options)?;
            download.archive()?.extract(dir.join("files"))?;
        }
        other => panic!("{other}?"),
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmHWM:")).for_each(|line| println!("{line}"));
    Ok(())
}
