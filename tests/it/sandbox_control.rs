//! The sandbox's control route, and what the API answers beside its routes.

use std::time::Duration;

use serde_json::json;

use crate::sandbox::{Kind, NewSnapshot, Port, Route, Sandbox};
use crate::sandbox_raw::{Raw, Reply, call, fetch};

fn small() -> Sandbox {
    Sandbox::builder().small().start()
}

/// A request without a key, below the host itself.
fn control(s: &Sandbox, method: &str, path: &str) -> Reply {
    let mut raw = Raw::open(s, Port::Api);
    raw.send(format!("{method} {path} HTTP/1.1\r\nHost: api\r\n\r\n").as_bytes());
    raw.reply()
}

#[test]
fn time_moves_by_request() {
    let s = small();
    let before = s.now_ms();
    let reply = control(&s, "POST", "/_sandbox/advance?by=31d");
    assert_eq!(reply.status, 200);
    assert!(reply.json()["now"].as_str().unwrap().ends_with('Z'));
    let moved = s.now_ms() - before;
    assert!((31 * 86_400_000..31 * 86_400_000 + 60_000).contains(&moved), "{moved} ms");
}

#[test]
fn faults_come_and_go_by_request() {
    let s = small();
    let me = || call(&s, "GET", "/users/me", "").status;
    let list = || call(&s, "GET", &format!("/databases/{}/snapshots", s.database_id()), "").status;
    // They queue, whatever their order in time.
    for (kind, times) in [("503", "2"), ("keep-calm", "1")] {
        let path = format!("/_sandbox/fault?on=account&kind={kind}&times={times}");
        assert_eq!(control(&s, "POST", &path).status, 200);
    }
    assert_eq!((list(), [me(), me(), me(), me()]), (200, [503, 503, 429, 200]));
    assert_eq!(control(&s, "POST", "/_sandbox/fault?on=any&kind=reset").json(), json!({"faults": 1}));
    assert_eq!(control(&s, "GET", "/_sandbox").status, 200, "the control route has no faults");
    assert_eq!((me(), list()), (0, 0));
    assert_eq!(control(&s, "POST", "/_sandbox/reset").status, 200);
    assert_eq!((me(), list()), (200, 200));
}

#[test]
fn requests_are_listed_without_secrets() {
    let s = small();
    let link = s.put_object("some/thing.zip", b"0123456789".to_vec());
    call(&s, "GET", "/users/snapshots?scope=databases", "");
    fetch(&s, &link.url, "");
    fetch(&s, &link.url, "Range: bytes=0-3\r\n");
    control(&s, "GET", "/_sandbox");
    let reply = control(&s, "GET", "/_sandbox/requests");
    let one = |path: &str, status: u16| json!({"method": "GET", "path": path, "status": status});
    let thing = "/some/thing.zip";
    assert_eq!(reply.json(), json!([one("/v2/users/snapshots", 200), one(thing, 200), one(thing, 206)]));
    assert_eq!(s.requests().len(), 3);
    let about = control(&s, "GET", "/_sandbox").json();
    assert!(about["remarks"].as_array().unwrap().is_empty() && about["kinds"]["keep-calm"].is_string(), "{about}");
    control(&s, "POST", "/_sandbox/reset");
    assert_eq!(control(&s, "GET", "/_sandbox/requests").json(), json!([]));
}

#[test]
fn what_the_control_route_does_not_have_is_400_and_says_what_there_is() {
    let s = small();
    for (method, path, said) in [
        ("GET", "/_sandbox/advance?by=1d", "POST /_sandbox/advance"),
        ("POST", "/_sandbox", "GET /_sandbox"),
        ("DELETE", "/_sandbox/faults", "/_sandbox/fault?on="),
        ("POST", "/_sandbox/advance", "by=DURATION"),
        ("POST", "/_sandbox/advance?by=soon", "31d"),
        ("POST", "/_sandbox/fault?on=create", "kind=KIND"),
        ("POST", "/_sandbox/fault?on=creation&kind=500", "restore-status"),
        ("POST", "/_sandbox/fault?on=create&kind=600", "keep-calm"),
        ("POST", "/_sandbox/fault?on=create&kind=500&times=-1", "-1"),
        ("POST", "/_sandbox/outage?on=list&for=1s", "download"),
    ] {
        let reply = control(&s, method, path);
        let error = reply.json()["error"].as_str().unwrap_or_default().to_string();
        assert!(reply.status == 400 && error.contains(said), "{method} {path}: {} {error}", reply.status);
    }
    assert_eq!(control(&s, "GET", "/users/me").status, 401);
}

#[test]
fn every_word_means_a_fault_that_happens() {
    use crate::sandbox::words::{DOWNLOAD_KINDS, KINDS, ROUTES, wanted};
    for route in ROUTES {
        assert!(wanted(route, "521", None).is_ok(), "{route}");
    }
    let s = Sandbox::builder().small().no_limits().start();
    let link = s.put_object("x.zip", vec![7; 1000]);
    let plain = fetch(&s, &link.url, "Range: bytes=0-99\r\n");
    for (kind, ..) in KINDS.iter().chain(&DOWNLOAD_KINDS).filter(|k| !["late", "slow", "stall", "hang"].contains(&k.0))
    {
        s.clear_faults();
        s.want(wanted("download", kind, Some("1")).unwrap());
        let seen = || {
            let reply = fetch(&s, &link.url, "Range: bytes=0-99\r\n");
            let headers = ["ETag", "Retry-After"].map(|name| reply.header(name).map(str::to_string));
            (reply.status, reply.body, headers)
        };
        assert_ne!(seen(), seen(), "{kind}");
        assert_eq!(seen().1, plain.body, "{kind}: once is once");
    }
    for (kind, status, start) in [("520", 520, "<html>"), ("530", 530, "<html>"), ("503-xml", 503, "<?xml")] {
        s.want(wanted("any", kind, Some("1")).unwrap());
        s.want(wanted("any", "retry-after", Some("1")).unwrap());
        let reply = fetch(&s, &link.url, "");
        assert_eq!((reply.status, reply.header("Retry-After")), (status, Some("2")), "{kind}");
        assert!(reply.body.starts_with(start.as_bytes()), "{kind}");
    }
}

#[test]
fn a_delete_is_refused_for_two_minutes_after_a_restore() {
    let s = small();
    for (kind, id) in [(Kind::App, s.app_id()), (Kind::Database, s.database_id())] {
        let link = s.put_snapshot(NewSnapshot::of(id));
        let path = format!("/{}/{id}", kind.segment());
        let body = json!({"snapshotId": link.name, "versionId": link.version_id}).to_string();
        assert_eq!(call(&s, "POST", &format!("{path}/snapshots/restore"), &body).status, 200);
        s.advance(Duration::from_secs(118));
        let refused = call(&s, "DELETE", &path, "");
        assert_eq!((refused.status, refused.code().as_str()), (403, "RESTORE_IN_PROGRESS"));
        s.advance(Duration::from_secs(2));
        assert_eq!(call(&s, "DELETE", &path, "").json(), json!({"status": "success"}));
        let gone = call(&s, "GET", &format!("{path}/snapshots"), "");
        assert_eq!((gone.status, gone.code().as_str()), (404, kind.not_found()));
    }
    assert_eq!(s.requests().iter().filter(|r| r.route == Route::Delete(Kind::App)).count(), 2);
}

#[test]
fn whatever_is_asked_an_envelope_answers() {
    let s = small();
    let app = format!("/v2/apps/{}", s.app_id());
    let paths =
        ["/", "/v2", "/v2/", "/v2/nothing", "/v3/users/me", "/v2/apps/", "/v2/apps/../users/me", "/v2//users/me"];
    let others = ["PUT", "PATCH", "OPTIONS", "BREW"].map(|method| (method, "/v2/users/me".to_string()));
    let wrong =
        [("POST", "/v2/users/me".to_string()), ("DELETE", format!("{app}/snapshots")), ("DELETE", "/v2/apps".into())];
    for (method, path) in paths.map(|path| ("GET", path.to_string())).into_iter().chain(others).chain(wrong) {
        let keyless = control(&s, method, &path);
        assert_eq!((keyless.status, keyless.code().as_str()), (401, "ACCESS_DENIED"), "{method} {path}");
        let mut raw = Raw::open(&s, Port::Api);
        raw.send(format!("{method} {path} HTTP/1.1\r\nAuthorization: {}\r\n\r\n", s.api_key()).as_bytes());
        let reply = raw.reply();
        assert_eq!((reply.status, reply.code().as_str()), (404, "ROUTE_NOT_FOUND"), "{method} {path}");
    }
    for path in
        ["/apps".into(), format!("/apps/{}/commit", s.app_id()), format!("/apps/{}/snapshots/restore", s.app_id())]
    {
        assert_eq!(control(&s, "POST", &format!("/v2{path}")).code(), "ACCESS_DENIED", "{path}");
        let mut raw = Raw::open(&s, Port::Api);
        raw.send(format!("POST /v2{path} HTTP/1.1\r\nAuthorization: {}\r\n\r\n", s.api_key()).as_bytes());
        assert_eq!(raw.reply().json()["status"], "error", "{path}");
    }
    let mut raw = Raw::open(&s, Port::Api);
    raw.send(format!("HEAD {app} HTTP/1.1\r\nAuthorization: {}\r\n\r\n", s.api_key()).as_bytes());
    assert_eq!(raw.reply().status, 404);
    let bearer = format!("GET {app} HTTP/1.1\r\nAuthorization: Bearer {}\r\n\r\n", s.api_key());
    raw.send(bearer.as_bytes());
    let reply = raw.reply();
    assert!(reply.status == 401 && reply.json()["message"].as_str().unwrap().contains("without Bearer"));
}
