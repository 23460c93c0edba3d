//! The names a program outside this repository compiles against: each is used once, nothing is run.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use squarecloud_blocking::*;
use time::OffsetDateTime;

#[allow(dead_code)]
fn client() -> Result<()> {
    let _: Result<Client> = Client::new(String::new());
    let _: Result<Client> = Client::from_env();
    let _: Result<ClientBuilder> = ClientBuilder::from_env();
    let builder: ClientBuilder = Client::builder("key");
    let builder = builder.base_url("b").timeout(Duration::ZERO).retries(2).proxy("p").user_agent("u");
    let client: Client = builder.snapshot_wait(Duration::ZERO).build()?;
    let (app, database): (App, Database) = (client.app("a"), client.database(String::from("d")));
    let _: Result<Account> = client.account();
    let _: Result<ServiceStatus> = client.service_status();
    let _: Result<Snapshot> = client.snapshot("a");
    let _: Result<Snapshot> = client.database_snapshot("d");
    let _: Result<Vec<SnapshotInfo>> = client.all_app_snapshots("a");
    let _: Result<Vec<SnapshotInfo>> = client.all_database_snapshots("d");
    let infos: Result<Vec<SnapshotInfo>> = client.all_snapshots(Kind::App);
    let _: Result<Response> = client.restore_snapshot(Kind::Database, "d", "s", "v");
    let info = &infos?[0];
    let _: Result<Snapshot> = client.open(info);
    let _: Result<Snapshot> = client.open_url("u");
    let _: Result<UploadedApp> = client.upload(Path::new("a.zip"));

    let go = |_: Progress| std::ops::ControlFlow::Continue(());
    let _: [Result<Snapshot>; 2] = [client.snapshot_with("a", go), client.database_snapshot_with("d", go)];
    let _: String = Error::report(&client.account().unwrap_err());

    let _: &str = app.id();
    let _: Result<AppInfo> = app.info();
    let _: Result<RuntimeStatus> = app.status();
    let _: Result<Snapshot> = app.snapshot();
    let _: Result<Vec<SnapshotInfo>> = app.all_snapshots();
    let _: Result<Option<SnapshotInfo>> = app.latest_snapshot();
    let _: Result<Snapshot> = app.open(info);
    let _: Result<Response> = app.restore(info);
    let _: Result<RestoreStatus> = app.restore_status();
    let _: Result<RestoreStatus> = app.wait_for_restore(Duration::ZERO);
    let _: Result<RestoreStatus> = app.wait_for_restore_with(Duration::ZERO, go);
    let _: Result<RestoreStatus> = app.restore_and_wait(info, Duration::ZERO);
    let _: Result<RestoreStatus> = app.restore_and_wait_with(info, Duration::ZERO, go);
    let _: Result<Snapshot> = app.snapshot_with(go);
    let _: [Result<Response>; 4] = [app.start(), app.stop(), app.restart(), app.commit("a.zip")];

    let _: &str = database.id();
    let _: Result<DatabaseInfo> = database.info();
    let _: Result<RuntimeStatus> = database.status();
    let _: Result<Snapshot> = database.snapshot();
    let _: Result<Vec<SnapshotInfo>> = database.all_snapshots();
    let _: Result<Option<SnapshotInfo>> = database.latest_snapshot();
    let _: Result<Snapshot> = database.open(info);
    let _: Result<Response> = database.restore(info);
    let _: Result<RestoreStatus> = database.restore_status();
    let _: Result<RestoreStatus> = database.wait_for_restore(Duration::ZERO);
    let _: Result<RestoreStatus> = database.wait_for_restore_with(Duration::ZERO, go);
    let _: Result<RestoreStatus> = database.restore_and_wait(info, Duration::ZERO);
    let _: Result<RestoreStatus> = database.restore_and_wait_with(info, Duration::ZERO, go);
    let _: Result<Snapshot> = database.snapshot_with(go);
    let _: [Result<Response>; 2] = [database.start(), database.stop()];
    let _: Result<(Listing, Listing, Listing)> = Ok((app.listing()?, database.listing()?, client.listing(Kind::App)?));
    Ok(())
}

#[allow(dead_code)]
fn snapshots(info: &SnapshotInfo) -> Result<()> {
    let SnapshotInfo { id, size, created_at, kind, version_id, runtime, origin, .. } = info;
    let _: (&String, &u64, &OffsetDateTime, &Kind) = (id, size, created_at, kind);
    let _: (&Option<String>, &Option<String>, &Option<Origin>) = (version_id, runtime, origin);
    let _: (&str, OffsetDateTime) = (info.resource_id(), info.expires_at());
    let _: (Option<&SignedUrl>, &SignedKey) = (info.url(), info.key());

    let snapshot: Snapshot = Snapshot::from_url("u")?.clone();
    let (url, key): (&SignedUrl, &SignedKey) = (snapshot.url(), snapshot.key());
    let _: [&str; 3] = [url.expose(), key.expose(), snapshot.file_name()];
    let _: Option<&SnapshotInfo> = snapshot.info();
    let _: Result<Download> = snapshot.download(PathBuf::new());
    let options: DownloadOptions<'_> = DownloadOptions::new();
    let Download { path, bytes, resumed_from, .. } = snapshot.download_with("a", &options)?;
    let _: (PathBuf, u64, u64) = (path, bytes, resumed_from);
    let mut reader: RemoteReader = snapshot.reader()?;
    let _ = reader.read(&mut []);
    let remote: Remote = snapshot.remote()?;
    let source: &dyn Source = &remote;
    let _: (io::Result<u64>, io::Result<usize>) = (source.size(), source.read_at(0, &mut []));
    let RemoteStats { requests, bytes, .. } = remote.stats();
    let _: (u64, u64) = (requests, bytes);
    let fetched: Option<Box<dyn Prefetch + '_>> = remote.prefetch(&[0..1, 5..9]);
    if let Some(fetched) = fetched {
        let _: (Option<usize>, &dyn Source) = (fetched.claim(), &*fetched);
        fetched.finish(0);
        fetched.stop();
    }
    Ok(())
}

#[cfg(feature = "zip")]
#[allow(dead_code)]
fn archives(snapshot: &Snapshot) -> Result<()> {
    use std::fs::File;
    let remote: Archive<Remote> = snapshot.archive()?;
    let archive: Archive<File> = Archive::open("a.zip")?;
    let _: Result<Archive<File>> = snapshot.download("a")?.archive();
    let _: Result<Archive<Vec<u8>>> = Archive::new(Vec::new());
    let _: usize = archive.len();
    let _: Option<Entry<'_>> = archive.entries().next();
    let _: usize = archive.entries().len();
    if let Some(entry) = archive.entry("a") {
        let _: (&str, u64, u64, u32) = (entry.name(), entry.size(), entry.compressed_size(), entry.crc32());
        let _: (Option<time::PrimitiveDateTime>, EntryKind, Option<u32>) =
            (entry.modified(), entry.kind(), entry.unix_mode());
    }
    let _: Result<Vec<u8>> = archive.read("a");
    let _: Result<Vec<Vec<u8>>> = archive.read_many(["a", "b"]);
    let _: Result<Vec<Vec<u8>>> = archive.read_many(&[String::from("a")]);
    let _: Result<u64> = archive.copy("a", &mut Vec::new());
    let _: Result<Verified> = archive.verify();
    let _: Result<Verified> = archive.verify_with(|_: Progress| std::ops::ControlFlow::Continue(()));
    let options: ExtractOptions = ExtractOptions::new().threads(2);
    let _: Result<ExtractPlan> = archive.plan(&options);
    let _: Result<Extracted> = archive.extract("a");
    let _: Result<Extracted> = archive.extract_with(Path::new("a"), &options);
    let _: Diff = archive.diff(&remote);
    Ok(())
}

#[allow(dead_code)]
fn mirror(client: &Client) -> Result<()> {
    type Failed<T> = Vec<(T, Error)>;
    let mirror: Mirror = client.mirror("backups");
    let mirror = mirror.kind(Kind::App).only(["a"]).filter(|info| info.size > 0).threads(2);
    let keep: Keep = Keep::last(3).and(Keep::hourly(24)).and(Keep::daily(7)).and(Keep::weekly(5));
    let keep = keep.and(Keep::monthly(12)).and(Keep::yearly(3)).and(Keep::within(Duration::ZERO));
    let mirror = mirror.keep(keep.and(Keep::everything())).offset(time::UtcOffset::UTC).verify(true).take_new(true);
    let plan: MirrorPlan = mirror.plan()?;
    let _: [&Vec<PlannedSnapshot>; 5] = [&plan.fetch, &plan.keep, &plan.prune, &plan.unneeded, &plan.damaged];
    let PlannedSnapshot { path, snapshot, is_listed, reasons, .. } = &plan.keep[0];
    let _: (&PathBuf, &SnapshotInfo, &bool, &Vec<KeepReason>) = (path, snapshot, is_listed, reasons);
    let _: (&Failed<SnapshotInfo>, &Failed<String>) = (&plan.failed, &plan.not_listed);
    let _: Result<MirrorReport> = mirror.run();
    let report = mirror.run_with(|progress: MirrorProgress| {
        let _: (u64, u64, u64, u64) = (progress.bytes, progress.total, progress.snapshots, progress.total_snapshots);
        let _: (Vec<String>, bool) = (progress.names, progress.waiting);
        std::ops::ControlFlow::Continue(())
    })?;
    let _: (bool, String) = (report.is_complete(), report.to_string());
    let _: Option<&Error> = report.errors().next();
    let MirrorReport { fetched, kept, pruned, failed, damaged, bytes, not_listed, skipped, not_taken, stopped, .. } =
        report;
    let _: (Vec<PathBuf>, usize, Vec<PathBuf>, Failed<SnapshotInfo>) = (fetched, kept, pruned, failed);
    let _: (Vec<PathBuf>, u64, Failed<String>, Vec<Skipped>) = (damaged, bytes, not_listed, skipped);
    let _: (Failed<String>, Option<Error>) = (not_taken, stopped);
    let _: Result<Option<PathBuf>> = mirror.find("a", OffsetDateTime::now_utc());
    Ok(())
}

#[allow(dead_code)]
fn errors(error: &Error) {
    let _: (Option<&ErrorCode>, Option<u16>) = (error.code(), error.status());
    let _ = [error.is_retryable(), error.is_rate_limited(), error.is_not_found(), error.is_unauthorized()];
    let _ = [error.is_timeout(), error.is_cancelled(), error.is_pending()];
    let _ = error.code().is_some_and(|code| *code == "KEEP_CALM" || *code == ErrorCode::KEEP_CALM);
    let _ = match error {
        Error::Api { method, path, status, code, message, .. } => {
            format!("{method} {path} {status} {code} {message}")
        }
        _ => String::new(),
    };
    let _ = [Refusal::ClimbsOut, Refusal::Absolute, Refusal::Link, Refusal::Collision, Refusal::TooLarge];
    let _ = [Refusal::TooMany, Refusal::Ratio, Refusal::Overlap, Refusal::Corrupt, Refusal::Encrypted];
    let _ = Refusal::Unsupported;
}

fn plain_data<T: std::fmt::Debug + Clone + PartialEq + Serialize + DeserializeOwned>() {}
fn saved<T: std::fmt::Debug + Serialize>() {}
fn handle<T: std::fmt::Debug + Clone + Send + Sync + 'static>() {}
fn word<T: std::fmt::Display + std::str::FromStr>() {}

#[test]
fn plain_data_can_be_compared_and_saved_and_handles_sent_to_threads() {
    plain_data::<(Account, User, Plan, Memory)>();
    plain_data::<(AppSummary, DatabaseSummary, AppInfo, DatabaseInfo, UploadedApp, Language)>();
    plain_data::<(SnapshotInfo, Listing, Skipped, Kind, Origin)>();
    plain_data::<(Response, RestoreState, RestoreStatus, ErrorCode)>();
    plain_data::<(RuntimeStatus, RunningStatus, Statuses, Traffic, Reading, ServiceStatus)>();
    handle::<(Client, App, Database, Snapshot, Mirror)>();
    saved::<(MirrorReport, MirrorPlan)>();
    word::<Kind>();
    word::<Origin>();
    word::<RestoreState>();
    let io = io::Error::from(Client::new("").unwrap_err());
    assert_eq!(io.kind(), io::ErrorKind::InvalidInput);
    let back: Error = io.downcast().unwrap();
    assert!(matches!(back, Error::Invalid { .. }));
}

#[test]
fn the_package_holds_nobody_s_backups() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["Cargo.toml", "Cargo.lock"] {
        std::fs::copy(root.join(name), dir.path().join(name)).unwrap();
    }
    let ours = ["LICENSE", "README.md", "examples/backup.rs", "src/lib.rs", "tests/sandbox/mod.rs"];
    let others = ["examples/extract.rs", "examples/inspect.rs"];
    let mut backups: Vec<String> = ours.iter().map(|name| format!("backups/x/{name}")).collect();
    for dir in ["examples", "src", "tests/sandbox"] {
        backups.extend([format!("{dir}/backup.zip"), format!("{dir}/backups/.app.zip.part")]);
    }
    for name in ours.into_iter().chain(others).chain(backups.iter().map(String::as_str)) {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "fn main() {}").unwrap();
    }
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["package", "--list", "--allow-dirty", "--offline"]).current_dir(dir.path());
    let output = cargo.output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(ours.iter().all(|name| listed.lines().any(|line| line == *name)), "{listed}");
    assert!(backups.iter().all(|name| listed.lines().all(|line| line != name)), "{listed}");
}
