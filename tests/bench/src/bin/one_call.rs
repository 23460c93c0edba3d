//! A whole program that makes one call: `one_call BASE_URL CA_FILE`.

fn main() -> squarecloud_blocking::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let ca = std::fs::read(&args[1]).unwrap_or_default();
    let client = squarecloud_blocking::Client::builder("841905532178461902-bench")
        .base_url(&args[0])
        .root_certificates(ca)
        .build()?;
    assert!(client.app("bench").status()?.running);
    Ok(())
}
