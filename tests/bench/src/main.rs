//! Benchmarks. Each prints medians and the ratio to a named rival measured in the same run.
//!
//! `cargo build --release --manifest-path tests/bench/Cargo.toml`, then
//! `tests/bench/target/release/bench api|oneshot|download|extract|open|remote|host|make [...]`

mod api;
mod counts;
mod delay;
mod download;
mod extract;
mod make;
mod oneshot;
mod origin;
mod remote;
mod server;
mod stats;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("api") => api::run(),
        Some("oneshot") => oneshot::run(),
        Some("extract") => extract::run(args.get(1).map(String::as_str), 7),
        Some("download") => download::run(args.get(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(7)),
        // The archives themselves, for a look with other tools.
        Some("make") => {
            let dir = std::path::PathBuf::from(args.get(1).map_or(".", String::as_str));
            make::KINDS.iter().for_each(|(kind, make)| make(&dir.join(format!("{kind}.zip"))));
        }
        Some("open") => extract::open(11),
        Some("remote") => remote::run(&args[1..]),
        Some("host") if args.len() > 1 => remote::host(&args[1..]),
        _ => {
            eprintln!("which benchmark? api, oneshot, download [ROUNDS], extract [KIND], open, make DIR,");
            eprintln!("remote [MILLISECONDS or all] [ROUNDS] [MB/S A CONNECTION, 0 for all] [KIND],");
            eprintln!("host FILE [MILLISECONDS] [MB/S A CONNECTION]");
            std::process::exit(2);
        }
    }
}
