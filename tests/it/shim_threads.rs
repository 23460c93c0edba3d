//! Everything at once in a process that can start no thread: see `shim.rs`.

use std::io::Read;
use std::process::Command;
use std::time::Duration;

use squarecloud_blocking::{Client, DownloadOptions, Error};

use crate::sandbox::Sandbox;
use crate::shim::Shim;

#[test]
#[ignore = "needs a C compiler; .ci/run runs it"]
fn a_shim_without_threads_costs_speed_and_nothing_else() {
    let (shim, sandbox) = (Shim::build(), Sandbox::builder().small().no_limits().start());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "shim_threads::child", "--ignored", "--nocapture", "--test-threads=1"]);
    child.env("SQUARECLOUD_API_KEY", sandbox.api_key()).env("SQUARECLOUD_BASE_URL", sandbox.base_url());
    child.env("CHILD_APP", sandbox.app_id()).env("RUST_BACKTRACE", "0");
    let output = shim.preload(&mut child, "thread:EAGAIN").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("the child is done") && !said.contains("panicked"), "{said}");
}

#[test]
#[ignore = "a process that another test starts"]
fn child() {
    let Ok(app) = std::env::var("CHILD_APP") else { return };
    assert!(std::thread::Builder::new().spawn(|| {}).is_err(), "there are threads");
    let client = Client::from_env().unwrap();
    client.account().unwrap();
    let app = client.app(app);
    let snapshot = app.snapshot().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = DownloadOptions::new().connections(4).verify(true);
    let archive = snapshot.download_with(dir.path(), &options).unwrap().archive().unwrap();
    let remote = snapshot.archive().unwrap();
    let name = archive.entries().find(|entry| entry.size() > 0).unwrap().name().to_owned();
    assert_eq!(remote.read(&name).unwrap(), archive.read(&name).unwrap());
    let mut streamed = Vec::new();
    archive.reader(&name).unwrap().read_to_end(&mut streamed).unwrap();
    assert_eq!(streamed, archive.read(&name).unwrap());
    assert!(archive.verify().unwrap().is_ok());
    archive.extract(dir.path().join("out")).unwrap();
    app.commit(dir.path().join("out").join(&name)).unwrap();
    app.restore(snapshot.info().unwrap()).unwrap();
    let proxied = Client::builder("key").proxy("http://localhost:1").retries(0).retry_for(Duration::ZERO);
    let proxied = proxied.build().unwrap();
    let link = "https://snapshots.test/a.zip?k";
    for error in [proxied.account().unwrap_err(), proxied.open_url(link).unwrap().remote().unwrap_err()] {
        assert!(matches!(error, Error::Network { .. }), "{error:?}");
    }
    println!("the child is done");
}
