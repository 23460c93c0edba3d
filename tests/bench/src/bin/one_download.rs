//! A whole program that downloads: `one_download URL FILE CONNECTIONS CA_FILE`.

use squarecloud_blocking::{Client, DownloadOptions};

fn main() -> squarecloud_blocking::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut builder = Client::builder("841905532178461902-bench");
    if let Some(ca) = args.get(3).filter(|ca| !ca.is_empty()) {
        builder = builder.root_certificates(std::fs::read(ca).unwrap_or_default());
    }
    let connections = args[2].parse().unwrap_or(1);
    builder.build()?.open_url(&args[0])?.download_with(&args[1], &DownloadOptions::new().connections(connections))?;
    Ok(())
}
