//! Extracting straight from a host, as whole processes, against "curl, then unzip" and the like, with the host near
//! and far; and what it costs in requests and bytes. On a RAM disk where there is one.
//!
//! The distance is a forwarder's of our own: it delays, but knows no slow start and loses nothing, which favours one
//! connection over several.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use squarecloud_blocking::Archive;

use crate::delay::Distance;
use crate::extract::{installed, program};
use crate::origin::Log;
use crate::stats::median;
use crate::{counts, delay, make, origin};

/// Longer is not worth waiting for.
const LIMIT: Duration = Duration::from_secs(120);

/// One network: milliseconds of a round trip, and MB/s of each connection.
#[derive(Clone, Copy)]
struct Setting {
    millis: u64,
    rate: Option<f64>,
}

impl Setting {
    /// The address of `host` over this network.
    fn away(self, host: SocketAddr) -> SocketAddr {
        if self.millis == 0 && self.rate.is_none() {
            return host;
        }
        let rate = self.rate.map(|rate| rate * 1_000_000.0);
        delay::start(host, Distance { round_trip: Duration::from_millis(self.millis), rate })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.millis)?;
        self.rate.map_or(Ok(()), |rate| write!(f, " with {rate} MB/s a connection"))
    }
}

/// `[MILLISECONDS] [ROUNDS] [MB/S] [KIND]`: without a number first, the three networks that the targets are for.
pub fn run(args: &[String]) {
    let number = |n: usize| args.get(n).and_then(|word| word.parse::<f64>().ok());
    let near = Setting { millis: 0, rate: None };
    let far = Setting { millis: 50, rate: None };
    let settings = match number(0) {
        None => vec![near, far, Setting { rate: Some(50.0), ..far }],
        Some(millis) => vec![Setting { millis: millis as u64, rate: number(2).filter(|rate| *rate > 0.0) }],
    };
    let rounds = number(1).map_or(3, |rounds| rounds as usize).max(1);
    let ram = Path::new("/dev/shm");
    let place = if ram.is_dir() { ram.to_owned() } else { std::env::current_dir().unwrap() };
    let base = tempfile::Builder::new().prefix("bench-").tempdir_in(place).unwrap();
    for (kind, make) in make::REMOTE.iter().filter(|(kind, _)| args.get(3).is_none_or(|only| only == kind)) {
        let zip = base.path().join(format!("{kind}.zip"));
        make(&zip);
        let (host, log) = origin::logged(&zip, None, None);
        counts::run(kind, &zip, &link(host), &log, base.path());
        for setting in &settings {
            Race { kind, zip: &zip, host, log: &log, base: base.path(), rounds }.run(*setting);
        }
        std::fs::remove_file(&zip).unwrap();
    }
}

/// `FILE [MILLISECONDS] [MB/S]`: such a host by itself, for a look with other tools, until it is killed.
pub fn host(args: &[String]) {
    let number = |n: usize| args.get(n).and_then(|word| word.parse::<f64>().ok()).filter(|n| *n > 0.0);
    let setting = Setting { millis: number(1).unwrap_or(0.0) as u64, rate: number(2) };
    let (host, log) = origin::logged(Path::new(&args[0]), None, None);
    println!("{} {setting}", link(setting.away(host)));
    loop {
        thread::sleep(Duration::from_secs(1));
        let (requests, bytes) = log.take();
        if requests + bytes > 0 {
            println!("{requests} requests, {bytes} bytes");
        }
    }
}

fn link(host: SocketAddr) -> String {
    format!("http://{host}/applications/1/app.zip?versionId=v1")
}

/// A way to the extracted files: commands in which `OURS`, `URL` and `DIR` are filled in.
struct Way {
    name: &'static str,
    steps: Vec<Vec<String>>,
    /// `None` from its first failure on.
    rounds: Option<Vec<Round>>,
}

/// Seconds of every step, and what the last one printed.
struct Round {
    steps: Vec<f64>,
    printed: String,
    cost: (u64, u64),
}

impl Round {
    fn seconds(&self) -> f64 {
        self.steps.iter().sum()
    }
}

fn way(name: &'static str, steps: &[&str]) -> Way {
    let ours = program("one_remote").display().to_string();
    let word = |word: &str| if word == "OURS" { ours.clone() } else { word.to_owned() };
    let steps: Vec<Vec<String>> = steps.iter().map(|step| step.split(' ').map(word).collect()).collect();
    let rounds = steps.iter().all(|step| installed(&step[0])).then(Vec::new);
    Way { name, steps, rounds }
}

struct Race<'a> {
    kind: &'a str,
    zip: &'a Path,
    host: SocketAddr,
    log: &'a Log,
    base: &'a Path,
    rounds: usize,
}

impl Race<'_> {
    fn run(&self, setting: Setting) {
        let url = link(setting.away(self.host));
        let mut ways = ways(self.zip);
        for _ in 0..self.rounds {
            for way in &mut ways {
                self.round(way, &url);
            }
        }
        println!("{} at {setting} ({} rounds)", self.kind, self.rounds);
        self.print(&ways, if setting.rate.is_some() { 0.6 } else { 0.5 });
    }

    fn round(&self, way: &mut Way, url: &str) {
        let Some(rounds) = &mut way.rounds else { return };
        let dir = self.base.join("round");
        std::fs::create_dir(&dir).unwrap();
        self.log.take();
        let fill = |word: &String| word.replace("URL", url).replace("DIR", &dir.display().to_string());
        let (mut steps, mut printed) = (Vec::new(), Some(String::new()));
        for step in &way.steps {
            let command: Vec<String> = step.iter().map(fill).collect();
            let start = Instant::now();
            printed = printed.and_then(|_| output(&command));
            steps.push(start.elapsed().as_secs_f64());
        }
        // Outside the measured time: deleting takes as long as extracting.
        std::fs::remove_dir_all(&dir).unwrap();
        match printed {
            Some(printed) => rounds.push(Round { steps, printed, cost: self.log.take() }),
            None => way.rounds = None,
        }
    }

    /// `target` is for the ratio to the second way.
    fn print(&self, ways: &[Way], target: f64) {
        let finished: Vec<&[Round]> = ways.iter().map(|way| way.rounds.as_deref().unwrap_or_default()).collect();
        let (ours, curl) = (finished[0], finished[1]);
        for (way, rounds) in ways.iter().zip(&finished) {
            let Some((requests, bytes)) = rounds.last().map(|round| round.cost) else {
                let here = way.steps.iter().all(|step| installed(&step[0]));
                println!("  {:<32} {:>13}", way.name, if here { "failed" } else { "not installed" });
                continue;
            };
            print!("  {:<32} {:>11.3} s   ", way.name, median(rounds.iter().map(Round::seconds)));
            let peak = rounds.iter().filter_map(|round| peak(&round.printed)).max().unwrap_or(0) / 1024;
            let ratio_to_ours = ratio(ours.iter().zip(*rounds).map(|(ours, this)| ours.seconds() / this.seconds()));
            match way.name {
                OURS => {
                    let part = bytes as f64 / self.zip.metadata().unwrap().len() as f64;
                    println!("{requests} requests, {part:.3} of the archive, {peak} MiB peak, target 48");
                }
                READ => {
                    let ratios = rounds.iter().zip(curl).map(|(read, curl)| read.seconds() / curl.steps[0]);
                    println!("this / curl's download = {:.3}   {requests} requests", ratio(ratios));
                }
                RIPUNZIP => println!("ours / this = {ratio_to_ours:.2}   {requests} requests"),
                CURL => println!("ours / this = {ratio_to_ours:.2}   target {target:.2}"),
                _ => println!("ours / this = {ratio_to_ours:.2}   target 1.00   {requests} requests, {peak} MiB peak"),
            }
        }
    }
}

const OURS: &str = "straight from the host";
const CURL: &str = "curl, then unzip";
const RIPUNZIP: &str = "ripunzip unzip-uri";
const READ: &str = "one small file";

fn ways(zip: &Path) -> Vec<Way> {
    let local = Archive::open(zip).unwrap();
    let small = counts::small(&local).name().to_owned();
    vec![
        way(OURS, &["OURS extract URL DIR/files"]),
        way(CURL, &["curl -sS -o DIR/a.zip URL", "unzip -q DIR/a.zip -d DIR/files"]),
        way(RIPUNZIP, &["ripunzip unzip-uri URL -d DIR/files"]),
        way("our download, then extract", &["OURS download URL DIR 1"]),
        way("  with 4 connections", &["OURS download URL DIR 4"]),
        way(READ, &[&format!("OURS read URL {small}")]),
    ]
}

/// The median, or not a number where nothing was measured.
fn ratio(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    if values.is_empty() { f64::NAN } else { median(values.into_iter()) }
}

/// What the command printed, if it succeeded in time.
fn output(command: &[String]) -> Option<String> {
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]).stdout(Stdio::piped()).stderr(Stdio::null());
    // The rivals would take a proxy of the environment even to loopback.
    process.env("no_proxy", "127.0.0.1").env("NO_PROXY", "127.0.0.1");
    let (mut child, start) = (process.spawn().ok()?, Instant::now());
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The kibibytes in a line `VmHWM: 1234 kB`.
fn peak(printed: &str) -> Option<u64> {
    printed.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}
