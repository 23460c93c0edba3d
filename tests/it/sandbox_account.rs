//! The sandbox's accounts and keys, the state of its resources, and what it notes about its callers.

use std::time::Duration;

use serde_json::json;

use crate::sandbox::{Kind, Port, Route, Sandbox};
use crate::sandbox_raw::{Raw, call, fetch, request};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn snapshots(s: &Sandbox) -> String {
    format!("/apps/{}/snapshots", s.app_id())
}

#[test]
fn keys_scopes_and_workspaces() {
    let s = Sandbox::builder().small().no_limits().start();
    let with = |key: &str, path: &str| {
        let mut raw = Raw::open(&s, Port::Api);
        raw.send(&request(key, "GET", path, ""));
        raw.reply()
    };
    let wrong = with("nobody", "/users/me");
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "ACCESS_DENIED"));
    assert_eq!(with("nobody", "/service/status").json()["status"], "online");
    let scoped = s.limited_key(&["apps:read"], &[]);
    assert_eq!(with(&scoped, &format!("/apps/{}", s.app_id())).status, 200);
    let missing = with(&scoped, &snapshots(&s));
    assert_eq!((missing.status, missing.code().as_str()), (403, "MISSING_SCOPE"));
    let limited = s.limited_key(&[], &[s.database_id()]);
    let refused = with(&limited, &snapshots(&s));
    assert_eq!((refused.status, refused.code().as_str()), (403, "RESOURCE_NOT_ALLOWED"));
    let me = with(&limited, "/users/me").json();
    assert_eq!(me["response"]["applications"], json!([]));
    assert_eq!(me["response"]["databases"][0]["type"], "postgres");

    let (composite, member) = s.share(s.app_id());
    assert_eq!(with(&member, &snapshots(&s)).status, 404, "the plain id is the owner's");
    assert_eq!(with(&member, &format!("/apps/{composite}/snapshots")).status, 200);
    assert_eq!(with(&member, "/users/me").json()["response"]["applications"][0]["id"], composite);
    let unknown = with(&member, "/nothing/here");
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "ROUTE_NOT_FOUND"));
}

#[test]
fn a_budget_blocks_the_key_for_half_an_hour() {
    let s = Sandbox::builder().small().rules(|r| r.budget = Some(2)).start();
    let me = || call(&s, "GET", "/users/me", "").status;
    assert_eq!([me(), me(), me()], [200, 200, 429]);
    s.advance(seconds(61));
    assert_eq!(me(), 429);
    s.advance(seconds(30 * 60));
    assert_eq!(me(), 200);
}

#[test]
fn start_stop_and_status() {
    let s = Sandbox::builder().small().no_limits().start();
    let app = format!("/apps/{}", s.app_id());
    let act = |what: &str| call(&s, "POST", &format!("{app}/{what}"), "");
    assert_eq!((act("start").status, act("start").code().as_str()), (409, "CONTAINER_ALREADY_STARTED"));
    assert_eq!(act("stop").json(), json!({"status": "success"}));
    assert_eq!(act("stop").code(), "CONTAINER_ALREADY_STOPPED");
    let status = call(&s, "GET", &format!("{app}/status"), "").json()["response"].clone();
    assert_eq!((status["running"].as_bool(), status["cpu"].as_str()), (Some(false), Some("0%")));
    assert!(status["uptime"].is_null());
    assert_eq!(act("restart").status, 200);
    let raw = call(&s, "GET", &format!("{app}/status?rawData=true"), "").json()["response"].clone();
    assert!(raw["cpu"].is_number() && raw["uptime"].is_i64());
    let all = call(&s, "GET", "/apps/status", "").json();
    assert_eq!(all["response"][0]["id"], s.app_id());
    s.world().resources.get_mut(s.app_id()).unwrap().refuses = Some("ACTION_FAILED".into());
    assert_eq!(act("restart").json(), json!({"status": "error", "code": "ACTION_FAILED"}));
}

#[test]
fn requests_are_recorded_and_judged() {
    let s = Sandbox::builder().small().no_limits().start();
    let mut raw = Raw::open(&s, Port::Api);
    raw.call(&s, "GET", "/users/snapshots?scope=databases", "");
    raw.call(&s, "POST", &snapshots(&s), "");
    let log = s.requests();
    assert_eq!((log[0].route, log[0].query.as_str()), (Route::ListAccount, "scope=databases"));
    assert_eq!(log[1].route, Route::Create(Kind::App));
    assert_eq!(log[1].header("authorization"), Some(s.api_key()));
    assert_eq!(log[0].connection, log[1].connection);
    assert_eq!((s.connections(Port::Api), s.count(Route::ListAccount)), (1, 1));
    assert_eq!(s.remarks(), Vec::<String>::new());
    for (path, status) in [(snapshots(&s), 200), ("/apps".into(), 411)] {
        raw.send(format!("POST /v2{path} HTTP/1.1\r\nAuthorization: {}\r\n\r\n", s.api_key()).as_bytes());
        assert_eq!(raw.reply().status, status, "{path}");
    }
    assert!(s.remarks().iter().filter(|r| r.contains("POST without Content-Length")).count() == 2);
    let link = s.put_object("x.zip", b"x".to_vec());
    let refused = fetch(&s, &link.url, &format!("Authorization: {}\r\n", s.api_key()));
    assert_eq!(refused.status, 400);
    let leaks = s.take_leaks();
    assert_eq!(leaks.len(), 2, "the header and the key in it: {leaks:?}");
    assert!(fetch(&s, &link.url, "Cookie: a=b\r\n").status == 200 && s.take_leaks().len() == 1);
}

#[test]
fn what_is_no_request_is_refused() {
    let s = Sandbox::builder().small().start();
    for bytes in ["nonsense\r\n\r\n", "GET /v2/users/me HTTP/1.1\r\nno colon\r\n\r\n"] {
        let mut raw = Raw::open(&s, Port::Api);
        raw.send(bytes.as_bytes());
        assert_eq!(raw.reply().status, 400, "{bytes:?}");
    }
    assert_eq!((s.requests().len(), s.remarks().len()), (0, 2));
}
