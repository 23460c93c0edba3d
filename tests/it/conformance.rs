//! The official Python SDK and this crate, side by side against the same server.

use std::path::{Path, PathBuf};
use std::process::Command;

use squarecloud_blocking::{Client, Kind};

use crate::sandbox::{NewSnapshot, Port, Recorded, Route, Sandbox, parse_multipart};
use crate::support::client;

const SDK: &str = "squarecloud-api==5.0.0";

/// A virtual environment of its own with the SDK in it; kept from run to run.
fn python() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("official-sdk");
    let python = home.join("bin").join("python");
    let run = |command: &mut Command| {
        let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    if !python.exists() {
        run(Command::new("python3").arg("-m").arg("venv").arg(&home));
    }
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", SDK]));
    python
}

/// What must be equal: the rest of a request is each client's own business.
fn essence(request: &Recorded) -> String {
    let content_type = request.header("content-type").unwrap_or_default();
    // Of a form only the boundary is random: compare what is in it.
    let body = match parse_multipart(content_type, &request.body) {
        Ok(part) => format!("{part:?}"),
        Err(_) => String::from_utf8_lossy(&request.body).into_owned(),
    };
    let kind = content_type.split(';').next().unwrap_or_default();
    format!(
        "{} {}?{} [{kind}] key={:?} length={}\n{body}",
        request.method,
        request.path,
        request.query,
        request.header("authorization"),
        request.header("content-length").is_some(),
    )
}

#[test]
#[ignore = "installs a package from PyPI; .ci/run runs it"]
fn the_official_sdk_and_this_crate_send_the_same() {
    let sandbox = Sandbox::builder().no_limits().start();
    let (app, database) = (sandbox.app_id().to_owned(), sandbox.database_id().to_owned());
    let snapshot = sandbox.put_snapshot(NewSnapshot::of(&app));
    let db_snapshot = sandbox.put_snapshot(NewSnapshot::of(&database));
    let dir = tempfile::tempdir().unwrap();
    let zip = dir.path().join("app.zip");
    write_app(&zip);

    let output = Command::new(python())
        .args(["-c", include_str!("conformance.py")])
        .args([sandbox.base_url(), sandbox.api_key(), &app, &database])
        .args([&snapshot.name, &snapshot.version_id, &db_snapshot.name, &db_snapshot.version_id])
        .args([&zip, &dir.path().join("official")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let official = sandbox.requests();
    sandbox.clear_requests();

    let client = client(&sandbox);
    ask_the_same(
        &client,
        &app,
        &database,
        [&snapshot.name, &snapshot.version_id, &db_snapshot.name, &db_snapshot.version_id],
        &zip,
    );
    let mut ours = sandbox.requests();
    // A creation is followed by a look at the listing, which the SDK leaves to its caller.
    let created: Vec<bool> = ours.iter().map(|r| matches!(r.route, Route::Create(_))).collect();
    let mut before = std::iter::once(&false).chain(&created);
    ours.retain(|r| !(*before.next().unwrap() && matches!(r.route, Route::List(_))));

    let api = |requests: &[Recorded]| -> Vec<String> {
        requests.iter().filter(|r| r.port == Port::Api).map(essence).collect()
    };
    let (official_api, ours) = (api(&official), api(&ours));
    assert_eq!(official_api.len(), 27);
    for (theirs, ours) in official_api.iter().zip(&ours) {
        assert_eq!(theirs, ours);
    }
    assert_eq!(official_api.len(), ours.len());

    let fetched = official.iter().find(|r| r.port == Port::Snapshots).expect("the SDK fetched its snapshot");
    assert_eq!((fetched.method.as_str(), fetched.header("authorization")), ("GET", None));
}

/// The calls of `conformance.py`, in its order.
fn ask_the_same(client: &Client, app: &str, database: &str, names: [&str; 4], zip: &Path) {
    let (app, database) = (client.app(app), client.database(database));
    client.account().unwrap();
    client.all_snapshots(Kind::App).unwrap();
    client.all_snapshots(Kind::Database).unwrap();
    client.service_status().unwrap();
    app.info().unwrap();
    app.status().unwrap();
    app.raw_status().unwrap();
    client.all_app_status(None).unwrap();
    client.all_app_status(Some("my workspace")).unwrap();
    database.info().unwrap();
    database.status().unwrap();
    database.raw_status().unwrap();
    client.all_database_status().unwrap();
    app.restart().unwrap();
    app.stop().unwrap();
    app.start().unwrap();
    database.stop().unwrap();
    database.start().unwrap();
    app.all_snapshots().unwrap();
    database.all_snapshots().unwrap();
    app.snapshot().unwrap();
    database.snapshot().unwrap();
    client.restore_snapshot(Kind::App, app.id(), names[0], names[1]).unwrap();
    client.restore_snapshot(Kind::Database, database.id(), names[2], names[3]).unwrap();
    app.commit(zip).unwrap();
    app.commit_with(zip, Some("/some dir"), |_| std::ops::ControlFlow::Continue(())).unwrap();
    client.upload(zip).unwrap();
}

fn write_app(path: &Path) {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, text) in [("squarecloud.app", "MAIN=index.js\nMEMORY=256\n"), ("index.js", "console.log(1)\n")] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}
