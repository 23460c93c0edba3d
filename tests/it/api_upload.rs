//! Files sent to the service: one streamed part of known length, refused early, cancelled, never sent twice.

use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use squarecloud_blocking::{Client, Error, Progress};

use crate::sandbox::{End, Fault, FileNode, Files, Recorded, Route, Sandbox, parse_multipart, to_zip};
use crate::support::{Slept, builder, client, whole};

const MIB: u64 = 1024 * 1024;

fn app_zip(directory: &Path) -> PathBuf {
    let files = Files::from([
        ("squarecloud.app".into(), FileNode::new("MAIN=index.js\nMEMORY=256\n", 0o100_644, 1_793_611_800)),
        ("index.js".into(), FileNode::new("console.log('hi')\n".repeat(500), 0o100_644, 1_793_611_800)),
    ]);
    let path = directory.join("my \"app\" ü.zip");
    std::fs::write(&path, to_zip(&files)).unwrap();
    path
}

fn sparse(directory: &Path, size: u64) -> PathBuf {
    let path = directory.join("big.bin");
    File::create(&path).unwrap().set_len(size).unwrap();
    path
}

/// The one request that sends the file; before it the key is checked.
fn only_request(sandbox: &Sandbox) -> Recorded {
    let mut requests = sandbox.requests();
    assert_eq!(requests.len(), 2);
    let check = requests.remove(0);
    assert_eq!((check.method.as_str(), check.path.as_str()), ("GET", "/v2/users/me"));
    requests.remove(0)
}

#[test]
fn an_upload_is_one_streamed_part_of_known_length() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    let zip = app_zip(directory.path());
    let bytes = std::fs::read(&zip).unwrap();
    let seen: Mutex<Vec<Progress>> = Mutex::default();
    let uploaded = client(&sandbox)
        .upload_with(&zip, |progress| {
            seen.lock().unwrap().push(progress);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(!uploaded.id.is_empty() && uploaded.ram == 256, "{uploaded:?}");

    let request = only_request(&sandbox);
    let length: u64 = request.header("Content-Length").unwrap().parse().unwrap();
    assert_eq!(length, request.body.len() as u64);
    assert_eq!(request.header("Transfer-Encoding"), None);
    let part = parse_multipart(request.header("Content-Type").unwrap(), &request.body).unwrap();
    assert_eq!(part.data, bytes);
    let head = String::from_utf8_lossy(&request.body[..200]).into_owned();
    assert!(head.contains("filename=\"my %22app%22 ü.zip\"\r\n"), "{head}");
    let seen = seen.into_inner().unwrap();
    let last = seen.last().unwrap();
    assert_eq!((last.bytes, last.total, last.attempt), (bytes.len() as u64, Some(bytes.len() as u64), 1));
    assert!(seen.is_sorted_by_key(|progress| progress.bytes));
    assert!(sandbox.remarks().is_empty(), "{:?}", sandbox.remarks());
}

#[test]
fn a_commit_adds_files_where_it_was_asked_to() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    let app = client(&sandbox).app(sandbox.app_id());
    let before = sandbox.files(app.id()).len();
    assert_eq!(app.commit(app_zip(directory.path())).unwrap().status, "success");
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "hello").unwrap();
    app.commit_with(&text, Some("/deep & dir/x"), |_| ControlFlow::Continue(())).unwrap();
    let files = sandbox.files(app.id());
    assert_eq!(files["deep & dir/x/notes.txt"].data.as_slice(), b"hello");
    assert!(files.len() > before, "what was there stays: a commit is no restore");
}

#[test]
fn what_cannot_be_sent_is_refused_before_anything_is() {
    let (sandbox, directory) = (Sandbox::builder().small().start(), tempfile::tempdir().unwrap());
    let client = client(&sandbox);
    let app = client.app(sandbox.app_id());
    let (here, big) = (directory.path(), sparse(directory.path(), 100 * MIB + 1));
    for path in [here, &big, Path::new("/dev/null")] {
        for error in [client.upload(path).unwrap_err(), app.commit(path).unwrap_err()] {
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
        }
    }
    assert!(client.upload(&big).unwrap_err().to_string().contains("104857600"));
    #[cfg(feature = "zip")]
    {
        let other = here.join("other.zip");
        let files = Files::from([("in/squarecloud.app".into(), FileNode::new("x", 0o100_644, 1_793_611_800))]);
        std::fs::write(&other, to_zip(&files)).unwrap();
        let error = client.upload(&other).unwrap_err();
        assert!(error.to_string().contains("squarecloud.config"), "{error}");
        std::fs::write(&other, "no zip").unwrap();
        assert!(client.upload(&other).is_err());
    }
    let missing = client.upload(here.join("missing.zip")).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("missing.zip"), "{missing}");
    assert!(client.app("..").commit(app_zip(here)).is_err());
    assert!(sandbox.requests().is_empty());
}

#[cfg(feature = "zip")]
#[test]
fn the_configuration_file_may_be_spelled_with_a_dot() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    let path = directory.path().join("dot.zip");
    let content = FileNode::new("MAIN=index.js\nMEMORY=256\n", 0o100_644, 1_793_611_800);
    std::fs::write(&path, to_zip(&Files::from([("./squarecloud.app".into(), content)]))).unwrap();
    // Sent: what it is worth is for the service to say.
    let _ = client(&sandbox).upload(&path);
    assert_eq!(sandbox.requests().last().unwrap().method, "POST");
}

#[test]
fn exactly_100_mib_are_sent() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    // The whole file is read before the service's refusal comes back.
    sandbox.fault(Route::Commit, Fault::Code(413, "FILE_TOO_LARGE", "Files have at most 100 MiB."));
    let error = client(&sandbox).app(sandbox.app_id()).commit(sparse(directory.path(), 100 * MIB)).unwrap_err();
    assert_eq!((error.status(), error.code().unwrap().as_str()), (Some(413), "FILE_TOO_LARGE"));
    assert_eq!(only_request(&sandbox).header("Content-Length").map(str::len), Some(9));
}

#[test]
fn the_callback_cancels_and_nothing_is_made() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    let (app, big) = (client(&sandbox).app(sandbox.app_id()), sparse(directory.path(), 8 * MIB));
    let before = sandbox.files(app.id()).len();
    let last = AtomicU64::new(0);
    let error = app
        .commit_with(&big, None, |progress| {
            last.store(progress.bytes, Ordering::Relaxed);
            if progress.bytes > MIB { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap_err();
    assert!(error.is_cancelled() && error.to_string().contains("big.bin"), "{error}");
    assert!(last.into_inner() < 8 * MIB);
    assert_eq!(sandbox.files(app.id()).len(), before, "no new file");
}

#[test]
fn a_file_that_shrinks_is_an_error_of_the_file() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    let (app, big) = (client(&sandbox).app(sandbox.app_id()), sparse(directory.path(), 8 * MIB));
    let before = sandbox.files(app.id()).len();
    let error = app
        .commit_with(&big, None, |_| {
            File::options().write(true).open(&big).unwrap().set_len(MIB).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(sandbox.files(app.id()).len(), before, "no new file");
}

#[test]
fn a_file_that_grows_is_sent_as_it_was() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    let zip = app_zip(directory.path());
    let size = std::fs::metadata(&zip).unwrap().len();
    let grown = AtomicBool::new(false);
    let progress = |_: Progress| {
        if !grown.swap(true, Ordering::Relaxed) {
            File::options().append(true).open(&zip).unwrap().write_all(b"more").unwrap();
        }
        ControlFlow::Continue(())
    };
    client(&sandbox).upload_with(&zip, progress).unwrap();
    let request = only_request(&sandbox);
    let part = parse_multipart(request.header("Content-Type").unwrap(), &request.body).unwrap();
    assert_eq!(part.data.len() as u64, size);
}

#[test]
fn a_busy_service_gets_the_whole_body_again_and_nothing_else_is_repeated() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    let zip = app_zip(directory.path());
    let slept = Slept::default();
    let client = builder(&sandbox).sleep(slept.sleeper()).build().unwrap();
    sandbox.fault(Route::Upload, Fault::Code(503, "UPLOAD_BUSY", "busy")).times(2);
    let attempts = Mutex::new(Vec::new());
    client
        .upload_with(&zip, |progress| {
            attempts.lock().unwrap().push(progress.attempt);
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut requests = sandbox.requests();
    assert_eq!(requests.remove(0).path, "/v2/users/me");
    assert_eq!(requests.len(), 3);
    let parts =
        requests.iter().map(|r| parse_multipart(r.header("Content-Type").unwrap(), &r.body).unwrap().data.to_vec());
    assert!(parts.into_iter().all(|part| part == std::fs::read(&zip).unwrap()));
    let mut attempts = attempts.into_inner().unwrap();
    attempts.dedup();
    assert_eq!(attempts, [1, 2, 3]);
    assert!(slept.total() > Duration::from_millis(700));

    for end in [End::Close, End::Reset] {
        sandbox.clear_requests();
        let fault = sandbox.fault(Route::Upload, Fault::BeforeAnswer(end)).once();
        let error = client.upload(&zip).unwrap_err();
        assert!(matches!(error, Error::Network { .. }) && error.to_string().contains("look before"), "{error}");
        assert_eq!((sandbox.requests().len(), fault.hits()), (1, 1));
    }
}

#[test]
fn a_service_that_stops_reading_ends_the_call() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    let big = sparse(directory.path(), 40 * MIB);
    let client = builder(&sandbox).timeout(Duration::from_millis(200)).build().unwrap();
    for end in [End::Stall, End::Close, End::Reset] {
        sandbox.fault(Route::Commit, Fault::InRequest(1 << 20, end)).once();
        let started = std::time::Instant::now();
        let error = client.app(sandbox.app_id()).commit(&big).unwrap_err();
        let expected = if end == End::Stall { error.is_timeout() } else { matches!(error, Error::Network { .. }) };
        assert!(expected, "{end:?}: {error:?}");
        assert_eq!(whole(&error).contains("probably refused"), end != End::Stall, "{end:?}: {error:?}");
        assert!(started.elapsed() < Duration::from_secs(4), "{end:?}: {:?}", started.elapsed());
    }
    assert!(!sandbox.files(sandbox.app_id()).contains_key("big.bin"));
}

#[test]
fn a_refusal_before_the_body_was_read_keeps_its_status() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    let big = sparse(directory.path(), 40 * MIB);
    sandbox.fault(Route::Commit, Fault::Unread);
    sandbox.fault(Route::Commit, Fault::Code(413, "FILE_TOO_LARGE", "too large"));
    let error = client(&sandbox).app(sandbox.app_id()).commit(&big).unwrap_err();
    assert_eq!(error.status(), Some(413), "{error:?}");
}

#[test]
fn a_bad_key_is_noticed_before_the_file_is_sent() {
    let (sandbox, directory) = (Sandbox::builder().small().no_limits().start(), tempfile::tempdir().unwrap());
    let zip = app_zip(directory.path());
    let wrong = Client::builder("841905532178461902-wrong").base_url(sandbox.base_url()).build().unwrap();
    for error in [wrong.upload(&zip).unwrap_err(), wrong.app(sandbox.app_id()).commit(&zip).unwrap_err()] {
        assert!(error.is_unauthorized(), "{error}");
    }
    assert_eq!((sandbox.count(Route::Upload), sandbox.count(Route::Commit)), (0, 0));

    // A key that may upload and not read the account is good enough, and a good one is checked once.
    let client = client(&sandbox);
    sandbox.fault(Route::Me, Fault::Code(403, "MISSING_SCOPE", "no")).once();
    sandbox.clear_requests();
    (0..3).for_each(|_| drop(client.app(sandbox.app_id()).commit(&zip).unwrap()));
    assert_eq!((sandbox.count(Route::Me), sandbox.count(Route::Commit)), (2, 3));
}
