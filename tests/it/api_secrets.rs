//! The key and the signatures: in no error, no `Debug`, no log line, whatever the service repeats.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::json;
use squarecloud_blocking::{Client, Error, Kind};

use crate::sandbox::{End, Fault, NewSnapshot, On, Restoration, Sandbox};
use crate::support::{Slept, builder, client, whole};

/// Whether a text shows 14 bytes of a secret.
fn shows(text: &str, secret: &str) -> bool {
    secret.as_bytes().windows(10).step_by(5).any(|part| text.contains(std::str::from_utf8(part).unwrap()))
}

/// What is secret in a key: it may begin with the account's id, which is not.
fn secret_part(key: &str) -> &str {
    key.split_once('-').map_or(key, |(_, secret)| secret)
}

fn every_error(client: &Client, app: &str) -> Vec<Error> {
    let app = client.app(app);
    let results = [
        client.account().map(drop),
        client.service_status().map(drop),
        client.all_snapshots(Kind::App).map(drop),
        client.all_app_status(None).map(drop),
        app.info().map(drop),
        app.status().map(drop),
        app.restore_status().map(drop),
        app.wait_for_restore(Duration::from_secs(1)).map(drop),
        app.snapshot().map(drop),
        app.restart().map(drop),
        client.restore_snapshot(Kind::App, app.id(), "name", "version").map(drop),
    ];
    results.into_iter().filter_map(Result::err).collect()
}

/// Every way in which a server may repeat a secret.
fn echoes(secret: &str) -> Vec<Fault> {
    let answer = |status, kind: &'static str, body: String| Fault::Answer(status, kind, body.into_bytes());
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let mut all = vec![
        Fault::Code(403, leak(secret.into()), leak(format!("{} {secret} {secret}", "x".repeat(990)))),
        Fault::Code(200, "X", leak(format!("the key {secret} is bad"))),
        answer(403, "text/html", format!("<html>{secret}</html>")),
        answer(403, "text/html", format!("{}{secret}", " ".repeat(1590))),
        answer(403, "text/html", format!("{}{secret}", "y".repeat(190))),
        answer(403, "application/xml", format!("<Error><AWSAccessKeyId>{secret}</AWSAccessKeyId></Error>")),
        answer(200, "application/json", secret.repeat(60)),
        answer(200, "application/json", json!({ "status": "success", "response": secret }).to_string()),
        answer(200, "application/json", json!({ "status": secret, "response": {} }).to_string()),
        answer(
            200,
            "application/json",
            json!({ "status": "success", "response": { "url": secret, "key": secret } }).to_string(),
        ),
        answer(200, "application/json", json!({ "status": "success", "response": [{ "name": secret }] }).to_string()),
        answer(
            200,
            "application/json",
            json!({ "status": "success", "response": { "state": "error", "code": secret, "step": secret } })
                .to_string(),
        ),
        answer(
            200,
            "application/json",
            json!({ "status": "success", "response": { "url": format!("gopher://h/?t={secret}") } }).to_string(),
        ),
        Fault::Redirect(307, format!("http://127.0.0.1:9/{secret}?key={secret}")),
        Fault::LengthText(leak(secret.into())),
        Fault::Garbage(format!("HTTP/1.1 200 OK\r\n{secret}\r\n\r\n").into_bytes()),
        Fault::Garbage(format!("{secret}\r\n\r\n").into_bytes()),
        Fault::Garbage(format!("HTTP/1.1 {secret}\r\n\r\n").into_bytes()),
        Fault::Garbage(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{secret}\r\n").into_bytes()),
    ];
    for name in
        ["Content-Encoding", "Retry-After", "Content-Type", "Date", "Location", "Set-Cookie", "WWW-Authenticate"]
    {
        all.push(Fault::Header(name, secret.into()));
    }
    let bearing = format!("{{\"status\":\"error\",\"message\":\"{secret}\"}}");
    all.extend((30..bearing.len()).step_by(5).map(|at| answer(403, "application/json", bearing[..at].into())));
    all
}

#[test]
fn an_answer_that_repeats_the_key_puts_it_into_no_error() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    // Not the sandbox's own: what comes back are refusals and echoes.
    let usual = "841905532178461902-0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978".to_owned();
    let long = format!("841905532178461902-{}", "qwertzuiopasdfgh".repeat(60));
    for key in [usual, long, "AB/CD+EF==\"quoted\"\\#%&?=x&y".repeat(3)] {
        let client = Client::builder(&key)
            .base_url(sandbox.base_url())
            .retries(0)
            .sleep(Slept::default().sleeper())
            .build()
            .unwrap();
        let mut seen = 0;
        for fault in echoes(&key) {
            sandbox.fault(On::Api, fault.clone());
            for error in every_error(&client, sandbox.app_id()) {
                let text = whole(&error);
                assert!(!shows(&text, &key), "{fault:?}: {text}");
                seen += 1;
            }
            sandbox.clear_faults();
        }
        assert!(seen > 300, "{seen} errors");
    }
}

#[test]
fn an_answer_that_was_nearly_good_puts_its_signature_into_no_error() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    let link = sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
    let client = client(&sandbox);
    let response = |value| Fault::Response(value);
    let opaque = "opaque-signature-of-tomorrow-0123456789";
    let faults = [
        response(json!({ "url": 7, "key": link.key })),
        response(json!({ "url": format!("ftp://h/a.zip?{}", link.key) })),
        response(json!({ "url": format!("https://h/a b.zip?token={opaque}"), "key": opaque })),
        response(json!({ "key": opaque })),
        response(json!({ "item": { "url": link.url, "key": link.key } })),
        Fault::Status(201),
        Fault::Missing(3),
        Fault::Truncate(150),
        Fault::Truncate(250),
    ];
    let signature = link.key.split('&').find_map(|pair| pair.strip_prefix("Signature=")).unwrap();
    for fault in faults {
        sandbox.fault(On::Api, fault.clone());
        for error in [client.snapshot(sandbox.app_id()).err(), client.all_app_snapshots(sandbox.app_id()).err()] {
            let Some(error) = error else { continue };
            let text = whole(&error);
            assert!(!text.contains(signature) && !text.contains(opaque), "{fault:?}: {text}");
            let rest = text.split("Signature=").skip(1);
            assert!(rest.into_iter().all(|rest| rest.starts_with("[redacted]")), "{fault:?}: {text}");
        }
        sandbox.clear_faults();
    }
}

#[test]
fn nothing_that_prints_shows_a_secret() {
    let sandbox = Sandbox::builder().small().no_limits().start();
    let link = sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
    let builder = builder(&sandbox).proxy("http://user:hush-hush-hush@127.0.0.1:1");
    let mut shown = format!("{builder:?} {builder:#?}");
    let client = builder.build().unwrap();
    let listing = client.app(sandbox.app_id()).listing().unwrap();
    let info = listing.snapshots[0].clone();
    let debug: Vec<&dyn std::fmt::Debug> = vec![&client, &listing, &info];
    let (app, database) = (client.app(sandbox.app_id()), client.database("d"));
    let snapshot = client.open(&info).unwrap();
    let remote = snapshot.remote().unwrap();
    shown.push_str(&format!("{snapshot:?} {snapshot:#?} {remote:?} {}", snapshot.file_name()));
    let handles: Vec<&dyn std::fmt::Debug> = vec![&app, &database];
    for thing in debug.into_iter().chain(handles) {
        shown.push_str(&format!("{thing:?}\n{thing:#?}\n"));
    }
    shown.push_str(&info.url().unwrap().to_string());
    shown.push_str(&serde_json::to_string(&info).unwrap());
    assert!(!shows(&shown, secret_part(sandbox.api_key())), "{shown}");
    assert!(!shown.contains("hush") && !shown.contains("Signature="), "{shown}");
    let signature = link.key.split('&').find_map(|pair| pair.strip_prefix("Signature=")).unwrap();
    assert!(!shown.contains(signature), "{shown}");
    for bad in ["http://user:hush-hush@h/v2", "https://user:hush-hush@h", "hush-hush"] {
        let error = Client::builder("key").base_url(bad).build().unwrap_err();
        assert!(!whole(&error).contains("hush"), "{error}");
        let error = Client::builder("key").proxy(format!("::{bad}::")).build().err();
        assert!(error.is_none_or(|error| !whole(&error).contains("hush")));
        assert!(!whole(&client.open_url(&format!("{bad}\n")).unwrap_err()).contains("hush"));
    }
    assert!(!whole(&Client::new("hush-hush\n").unwrap_err()).contains("hush"));
}

/// A log that keeps nothing but what must not be in it.
struct Watch {
    secrets: Mutex<Vec<String>>,
    found: Mutex<Vec<String>>,
    lines: AtomicUsize,
}

impl log::Log for Watch {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Debug
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        self.lines.fetch_add(1, Ordering::SeqCst);
        let line = record.args().to_string();
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if secrets.iter().any(|secret| shows(&line, secret)) {
            self.found.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_debug_log_holds_neither_key_nor_signature() {
    static WATCH: OnceLock<Watch> = OnceLock::new();
    let watch =
        WATCH.get_or_init(|| Watch { secrets: Mutex::default(), found: Mutex::default(), lines: AtomicUsize::new(0) });
    for tls in [false, true] {
        let sandbox = Sandbox::builder().small().no_limits().rules(|r| r.restoration = Restoration::AfterPolls(1));
        let sandbox = if tls { sandbox.tls().start() } else { sandbox.start() };
        let link = sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
        let signature = link.key.split('&').find_map(|pair| pair.strip_prefix("Signature=")).unwrap();
        let key = secret_part(sandbox.api_key());
        watch.secrets.lock().unwrap().extend([key.to_owned(), signature.to_owned()]);
        // Another test may have set it: the process has one log.
        let _ = log::set_logger(watch);
        log::set_max_level(log::LevelFilter::Debug);
        let client = builder(&sandbox).sleep(Slept::default().sleeper()).build().unwrap();
        let app = client.app(sandbox.app_id());
        app.snapshot().unwrap();
        let info = app.latest_snapshot().unwrap().unwrap();
        assert!(app.restore(&info).unwrap_err().is_pending());
        app.wait_for_restore(Duration::from_secs(60)).unwrap();
        let snapshot = client.open(&info).unwrap();
        let directory = tempfile::tempdir().unwrap();
        snapshot.download(directory.path()).unwrap();
        snapshot.remote().unwrap();
        for fault in [Fault::html(403), Fault::Redirect(302, String::new()), Fault::BeforeAnswer(End::Close)] {
            sandbox.fault(On::Snapshots, fault);
            let error = snapshot.download(directory.path().join("again.zip")).unwrap_err();
            assert!(!whole(&error).contains(signature), "{error:?}");
            sandbox.clear_faults();
        }
        for fault in echoes(sandbox.api_key()) {
            // ureq logs these headers of an answer as they came.
            if matches!(fault, Fault::Header("Content-Type" | "Content-Encoding" | "Date", _)) {
                continue;
            }
            sandbox.fault(On::Api, fault);
            every_error(&client, sandbox.app_id());
            sandbox.clear_faults();
        }
    }
    log::set_max_level(log::LevelFilter::Off);
    assert!(watch.lines.load(Ordering::SeqCst) > 100, "the log was not listened to");
    let found = watch.found.lock().unwrap();
    assert!(found.is_empty(), "{found:#?}");
}
