//! Mirrors that are killed while they fetch, set files aside and prune: what they leave, and what the next run makes of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use squarecloud_blocking::time::UtcOffset;
use squarecloud_blocking::{Client, Error, Keep, MirrorReport, Result};
use tempfile::TempDir;

use crate::download_origin::quick_dir;
use crate::sandbox::{Fault, FileNode, MODE_FILE, NewSnapshot, Noise, Route, Sandbox, to_zip};
use crate::support::builder;

/// Relative paths, and what is there.
pub type Found = BTreeMap<String, Vec<u8>>;

/// What a process of its own needs to run a mirror.
pub struct Job<'a> {
    pub sandbox: &'a Sandbox,
    pub dir: &'a Path,
    /// As [`policy`] reads it.
    pub policy: &'a str,
    pub threads: usize,
    pub verify: bool,
}

impl Job<'_> {
    /// The process, begun by `wrapper` if that is not empty.
    fn command(&self, wrapper: &[&str]) -> Command {
        let exe = std::env::current_exe().unwrap();
        let mut command = Command::new(wrapper.first().map_or(exe.as_path(), Path::new));
        command.args(wrapper.get(1..).unwrap_or_default());
        if !wrapper.is_empty() {
            command.arg(exe);
        }
        command
            .args(["--exact", "mirror_kill::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env("MIRROR_API", self.sandbox.base_url())
            .env("MIRROR_HOST", self.sandbox.snapshot_host())
            .env("MIRROR_KEY", self.sandbox.api_key())
            .env("MIRROR_DIR", self.dir)
            .env("MIRROR_POLICY", self.policy)
            .env("MIRROR_THREADS", self.threads.to_string())
            .env("MIRROR_VERIFY", self.verify.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    /// Returns when the run has begun.
    pub fn begin(&self) -> Child {
        let mut child = self.command(&[]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("begun")));
        child
    }
}

/// Reads `last,hourly,daily,weekly,monthly,yearly,within,offset`, the last two in seconds.
pub fn policy(text: &str) -> (Keep, UtcOffset) {
    let numbers: Vec<i32> = text.split(',').map(|number| number.parse().unwrap()).collect();
    let rules = [Keep::last, Keep::hourly, Keep::daily, Keep::weekly, Keep::monthly, Keep::yearly];
    let within = Keep::within(Duration::from_secs(numbers[6] as u64));
    let keep = rules.iter().zip(&numbers).fold(within, |keep, (rule, n)| keep.and(rule(*n as usize)));
    (keep, UtcOffset::from_whole_seconds(numbers[7]).unwrap())
}

/// Runs a mirror. Started by the tests below, and of `mirror_year`.
#[test]
#[ignore = "a process that other tests start and kill"]
fn child() {
    let Ok(dir) = std::env::var("MIRROR_DIR") else { return };
    let set = |name: &str| std::env::var(name).unwrap();
    let client = Client::builder(set("MIRROR_KEY")).base_url(set("MIRROR_API")).snapshot_host(set("MIRROR_HOST"));
    let client = client.retries(0).retry_for(Duration::from_millis(20)).build().unwrap();
    let (keep, offset) = policy(&set("MIRROR_POLICY"));
    let threads = set("MIRROR_THREADS").parse().unwrap();
    let mirror = client.mirror(dir).keep(keep).offset(offset).threads(threads).verify(set("MIRROR_VERIFY") == "true");
    let begun = Once::new();
    let report = mirror.run_with(|_| {
        begun.call_once(|| println!("begun"));
        ControlFlow::Continue(())
    });
    println!("{report:?}");
}

/// All files below `dir` but the lock.
pub fn files(dir: &Path) -> Found {
    let (mut found, mut left) = (Found::new(), vec![dir.to_owned()]);
    while let Some(at) = left.pop() {
        for entry in fs::read_dir(at).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            } else if entry.file_name() != ".mirror.lock" {
                let path = entry.path();
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// A directory in which a run has something to fetch, to set aside and to prune.
struct Scene {
    sandbox: Sandbox,
    dir: TempDir,
    policy: String,
    /// What the policy names, and the directory has in the end.
    stay: Found,
    /// What is there truncated, named or not.
    cut: Found,
    /// What is there and no rule names.
    old: Found,
}

impl Scene {
    /// So many snapshots that are not there, that are truncated, that are truncated and not named, and that are named no
    /// more: the newest first.
    fn new(new: usize, cut: usize, unnamed: usize, old: usize) -> Self {
        let sandbox = Sandbox::builder().small().no_limits().start();
        let mut noise = Noise::new(7);
        for minute in 0..new + cut + unnamed {
            let file = FileNode::new(noise.bytes(4000), MODE_FILE, 1_793_611_800);
            let (bytes, age) =
                (Some(to_zip(&[("noise".into(), file)].into())), Duration::from_secs(minute as u64 * 60));
            sandbox.put_snapshot(NewSnapshot { bytes, age, ..NewSnapshot::of(sandbox.app_id()) });
        }
        let dir = quick_dir();
        builder(&sandbox).build().unwrap().mirror(dir.path()).run().unwrap();
        let all = files(dir.path());
        assert_eq!(all.len(), new + cut + unnamed);
        let zip = all.values().next().unwrap().clone();
        let mut files: Vec<_> = all.into_iter().rev().collect();
        let shorter =
            |(n, (path, bytes)): (usize, &(String, Vec<u8>))| (path.clone(), bytes[..bytes.len() - n - 1].to_vec());
        let short = files[new..].iter().enumerate().map(shorter).collect();
        files.truncate(new + cut);
        let name = |n| format!("apps/{0}/{0}.20200101T00{1:02}{2:02}Z.zip", sandbox.app_id(), n / 60, n % 60);
        let old = (0..old).map(|n| (name(n), zip.clone())).collect();
        let policy = format!("{},0,0,0,0,0,0,0", files.len());
        Self { sandbox, dir, policy, stay: files.into_iter().collect(), cut: short, old }
    }

    fn job(&self, threads: usize) -> Job<'_> {
        let (dir, policy, verify) = (self.dir.path(), &*self.policy, cfg!(feature = "zip"));
        Job { sandbox: &self.sandbox, dir, policy, threads, verify }
    }

    /// Brings the directory to where a run has everything to do.
    fn reset(&self) {
        let _ = fs::remove_dir_all(self.dir.path().join("apps"));
        for (path, bytes) in self.cut.iter().chain(&self.old) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// After a kill, each file is what it was or what it will be, and nothing is lost.
    fn check(&self, told: &str) {
        let found = files(self.dir.path());
        for (path, bytes) in found.iter().filter(|(path, _)| path.ends_with(".zip")) {
            let known = [&self.stay, &self.cut, &self.old].iter().any(|known| known.get(path) == Some(bytes));
            assert!(known, "{told}: {path} has {} bytes that nobody knows", bytes.len());
        }
        for (path, bytes) in &self.cut {
            let kept = found.get(path) == Some(bytes) || found.get(&aside(path)) == Some(bytes);
            assert!(kept, "{told}: {path} is lost");
        }
        let whole = || self.stay.iter().all(|(path, bytes)| found.get(path) == Some(bytes));
        let pruned = self.old.keys().any(|path| !found.contains_key(path));
        assert!(!pruned || whole(), "{told}: something was pruned before everything was there");
    }

    /// The next run begins at once and finishes the rest.
    fn finish(&self, told: &str) {
        let report = self.run().unwrap_or_else(|e| panic!("{told}: {e:?}"));
        assert!(report.is_complete(), "{told}: {report:?}");
        let mut found = files(self.dir.path());
        for (path, bytes) in &self.cut {
            assert!(found.remove(&aside(path)).as_ref() == Some(bytes), "{told}: {path} is lost");
        }
        let names = |found: &Found| found.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&self.stay), "{told}");
        assert!(found == self.stay, "{told}");
    }

    fn run(&self) -> Result<MirrorReport> {
        let (keep, _) = policy(&self.policy);
        builder(&self.sandbox).sleep(|_| {}).build()?.mirror(self.dir.path()).keep(keep).run()
    }

    /// Kills a run at a moment for which `wait` waits.
    fn kill(&self, threads: usize, told: &str, wait: impl FnOnce(&Path)) {
        self.reset();
        let mut child = self.job(threads).begin();
        wait(self.dir.path());
        child.kill().unwrap();
        child.wait().unwrap();
        self.check(told);
        self.finish(told);
    }
}

fn aside(path: &str) -> String {
    format!("{path}.damaged")
}

/// Looks until something happened, for a minute at most.
fn until(happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
}

#[test]
fn a_kill_while_snapshots_are_fetched_leaves_whole_files_and_the_next_run_fetches_the_rest() {
    let scene = Scene::new(7, 0, 0, 1);
    scene.sandbox.fault(Route::Object, Fault::Trickle(1000, Duration::from_millis(1)));
    for threads in [1, 3] {
        scene.reset();
        let (mut child, begun) = (scene.job(threads).begin(), Instant::now());
        assert!(child.wait().unwrap().success());
        let full = begun.elapsed();
        scene.check("no kill");
        for round in 0..10 {
            let told = format!("killed after {round}/10 of {full:?} with {threads} threads");
            scene.kill(threads, &told, |_| std::thread::sleep(full.min(Duration::from_millis(50)) * round / 10));
        }
    }
}

#[test]
fn a_kill_while_files_are_set_aside_loses_none() {
    let scene = Scene::new(1, 2, 150, 1);
    for nth in [1, 5, 20, 60, 100] {
        let path = aside(scene.cut.keys().rev().nth(nth).unwrap());
        scene.kill(2, &format!("killed when {nth} were aside"), |dir| until(|| dir.join(&path).exists()));
    }
}

#[test]
fn a_kill_while_files_are_pruned_leaves_all_that_the_policy_names() {
    let scene = Scene::new(1, 1, 0, 150);
    for nth in [1, 5, 20, 60, 100] {
        let path = scene.old.keys().rev().nth(nth).unwrap();
        scene.kill(2, &format!("killed when {nth} were pruned"), |dir| until(|| !dir.join(path).exists()));
    }
}

#[test]
fn a_living_run_has_the_lock_and_a_killed_one_has_not() {
    let scene = Scene::new(2, 0, 0, 0);
    let stall = scene.sandbox.fault(Route::Object, Fault::Trickle(10, Duration::from_millis(100)));
    scene.reset();
    let mut child = scene.job(1).begin();
    assert!(matches!(scene.run(), Err(Error::Busy { path }) if path == scene.dir.path().join(".mirror.lock")));
    child.kill().unwrap();
    child.wait().unwrap();
    stall.remove();
    scene.check("killed while it had the lock");
    scene.finish("killed while it had the lock");
}

/// A kill between two calls at the end of a download leaves a part file or its record beside the file.
#[test]
fn what_a_kill_leaves_beside_a_whole_file_is_removed() {
    let scene = Scene::new(2, 0, 0, 0);
    scene.run().unwrap();
    for file in scene.stay.keys().map(|path| scene.dir.path().join(path)) {
        let part = file.with_file_name(format!(".{}.part", file.file_name().unwrap().to_str().unwrap()));
        fs::hard_link(&file, &part).unwrap();
        fs::write(format!("{}.meta", part.display()), "{}").unwrap();
    }
    assert!(scene.run().unwrap().is_complete());
    assert_eq!(files(scene.dir.path()).into_keys().collect::<Vec<_>>(), scene.stay.into_keys().collect::<Vec<_>>());
}

/// Before every call that changes the directory, one after the other.
#[test]
#[ignore = "needs strace"]
fn a_kill_at_any_system_call_is_survived() {
    let scene = Scene::new(2, 1, 1, 2);
    let mut kills = 0;
    let names = ["?mkdir,mkdirat", "?rename,?renameat,renameat2", "?link,linkat", "?unlink,unlinkat"];
    for call in names.into_iter().chain(["openat", "flock", "ftruncate", "pwrite64", "utimensat", "fsync"]) {
        for when in 1.. {
            scene.reset();
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={when}"));
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let status = scene.job(1).command(&strace).stdout(Stdio::null()).status().unwrap();
            let told = format!("killed before {call} number {when}");
            scene.check(&told);
            if status.signal().is_none() {
                assert!(status.success(), "{told}: {status:?}");
                break;
            }
            scene.finish(&told);
            kills += 1;
        }
    }
    assert!(kills > 50, "{kills}");
}
