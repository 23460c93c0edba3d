//! Each fault of the sandbox does what its name says, seen from a bare socket.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::sandbox::{BadChunk, End, Etag, Fault, Link, On, Port, Route, Sandbox, WrongRange};
use crate::sandbox_raw::{Raw, Reply, call, fetch, get, request};

const MS: Duration = Duration::from_millis(1);

fn small() -> Sandbox {
    Sandbox::builder().small().no_limits().start()
}

/// `GET /users/me` under one fault.
fn me(fault: Fault) -> Reply {
    let s = small();
    let handle = s.fault(Route::Me, fault).once();
    let reply = call(&s, "GET", "/users/me", "");
    assert_eq!(handle.hits(), 1);
    assert_eq!(call(&s, "GET", "/users/me", "").status, 200, "once is once");
    reply
}

#[test]
fn answers_replaced() {
    let cases: [(Fault, u16, &[u8]); 7] = [
        (Fault::empty(), 200, b""),
        (Fault::null(), 200, b"null"),
        (Fault::html(502), 502, b"<html>"),
        (Fault::xml(403, "AccessDenied"), 403, b"<?xml"),
        (Fault::keep_calm(), 429, b"{\"code\":\"KEEP_CALM\""),
        (Fault::Code(503, "UPLOAD_BUSY", ""), 503, b"{\"code\":\"UPLOAD_BUSY\""),
        (Fault::Answer(999, "text/plain", b"odd".to_vec()), 999, b"odd"),
    ];
    for (fault, status, start) in cases {
        let reply = me(fault.clone());
        assert!(reply.whole && reply.status == status, "{fault:?}: {reply:?}");
        assert!(reply.body.starts_with(start), "{fault:?}: {reply:?}");
        assert_eq!(start.is_empty(), reply.body.is_empty());
    }
    assert!(std::str::from_utf8(&me(Fault::not_utf8()).body).is_err());
    for status in [204, 304] {
        let reply = me(Fault::Status(status));
        assert_eq!((reply.status, reply.header("Content-Length")), (status, None));
    }
    assert_eq!(me(Fault::Status(206)).json()["status"], "success");
}

#[test]
fn json_bent() {
    assert!(me(Fault::NoResponse).json().get("response").is_none());
    assert_eq!(me(Fault::Response(json!([1]))).json()["response"], json!([1]));
    let edited = me(Fault::Edit(|v| v["response"]["user"]["id"] = 7.into()));
    assert_eq!(edited.json()["response"]["user"]["id"], 7);
    let word = me(Fault::Word("error"));
    assert_eq!((word.status, word.json()["status"].as_str()), (200, Some("error")));
    let cut = me(Fault::Truncate(20));
    assert_eq!((cut.whole, cut.body.len()), (true, 20));
    let deep = me(Fault::Deep(100_000)).body;
    assert_eq!(deep.iter().filter(|b| **b == b'[').count(), 100_000);
    let huge = me(Fault::Huge(3));
    assert_eq!(huge.body.len(), 3 << 20);
    assert!(huge.json()["response"].is_string());
    let plain = me(Fault::Body(b"{}".to_vec()));
    assert_eq!((plain.status, plain.body.as_slice()), (200, b"{}".as_slice()));
}

#[test]
fn an_endless_body_does_not_end() {
    let s = small();
    s.fault(Route::Me, Fault::Endless);
    let mut raw = Raw::open(&s, Port::Api);
    raw.send(&request(s.api_key(), "GET", "/users/me", ""));
    assert!(raw.at_least(8 << 20), "eight MiB, and more to come");
}

#[test]
fn encodings() {
    let zipped = me(Fault::Gzip);
    assert_eq!((zipped.header("Content-Encoding"), &zipped.body[..2]), (Some("gzip"), b"\x1f\x8b".as_slice()));
    let bomb = me(Fault::GzipBomb(20)).body;
    assert!(bomb.len() < 200 << 10, "{} bytes", bomb.len());
    assert_eq!(bomb[bomb.len() - 4..], (20u32 << 20).to_le_bytes());
    let claim = me(Fault::Encoding("br"));
    assert!(claim.header("Content-Encoding") == Some("br") && claim.json()["status"] == "success");
}

#[test]
fn framings() {
    let right = me(Fault::Delay(Duration::ZERO)).body;
    let short = me(Fault::Missing(5));
    assert!(!short.whole && short.body == right);
    let chunked = me(Fault::Chunked(7));
    assert!(chunked.whole && chunked.body == right && chunked.header("Content-Length").is_none());
    for bad in [BadChunk::Size, BadChunk::NoEnd, BadChunk::Cut, BadChunk::NoCrlf, BadChunk::Huge] {
        assert!(!me(Fault::BadChunks(bad)).whole, "{bad:?}");
    }
    let open = me(Fault::NoLength);
    assert!(open.body == right && open.header("Content-Length").is_none());
    let heads = |fault| String::from_utf8_lossy(&me(fault).head).into_owned();
    assert_eq!(heads(Fault::TwoLengths).matches("Content-Length").count(), 2);
    assert!(heads(Fault::LengthText("many")).contains("Content-Length: many\r\n"));
    let s = small();
    s.fault(Route::Me, Fault::Extra(9)).once();
    let mut raw = Raw::open(&s, Port::Api);
    assert!(raw.call(&s, "GET", "/users/me", "").whole);
    assert_eq!(raw.rest().0, b"xxxxxxxxx");
}

#[test]
fn heads() {
    let head = |fault| me(fault).head;
    assert_eq!(String::from_utf8_lossy(&head(Fault::HeaderFlood(500))).matches("X-Flood").count(), 500);
    assert!(head(Fault::HugeHeader(100_000)).len() > 100_000);
    assert!(String::from_utf8_lossy(&head(Fault::FoldedHeader)).contains("first\r\n second"));
    assert!(head(Fault::BadHeader).contains(&0xff));
    assert!(head(Fault::Http10).starts_with(b"HTTP/1.0 200"));
    assert_eq!(me(Fault::Header("Retry-After", "7".into())).header("Retry-After"), Some("7"));
    assert_eq!(me(Fault::RemoveHeader("Content-Type")).header("Content-Type"), None);
    assert_eq!(me(Fault::ConnectionClose).header("Connection"), Some("close"));
    let redirect = me(Fault::Redirect(307, String::new()));
    assert_eq!((redirect.status, redirect.header("Location")), (307, Some("/v2/users/me")));
    let away = me(Fault::Redirect(302, "http://elsewhere.example/x".into()));
    assert_eq!(away.header("Location"), Some("http://elsewhere.example/x"));
    let garbage = me(Fault::Garbage(b"SSH-2.0-x\r\n".to_vec()));
    assert_eq!((garbage.status, garbage.head.as_slice()), (0, b"SSH-2.0-x\r\n".as_slice()));

    let s = small();
    s.fault(Route::Me, Fault::Informational(103, 2)).once();
    let mut raw = Raw::open(&s, Port::Api);
    assert_eq!(raw.call(&s, "GET", "/users/me", "").status, 103);
    assert_eq!([raw.reply().status, raw.reply().status], [103, 200]);
}

#[test]
fn connections_ended_early() {
    let cut = me(Fault::InBody(10, End::Close));
    assert_eq!((cut.status, cut.body.len(), cut.whole), (200, 10, false));
    assert_eq!(me(Fault::InHead(12, End::Close)).head, b"HTTP/1.1 200");
    assert!(me(Fault::BeforeAnswer(End::Close)).head.is_empty());

    let s = small();
    s.fault(Route::Me, Fault::BeforeAnswer(End::Reset));
    let mut raw = Raw::open(&s, Port::Api);
    raw.send(&request(s.api_key(), "GET", "/users/me", ""));
    let (bytes, end) = raw.rest();
    assert!(bytes.is_empty());
    assert_eq!(end.expect_err("a reset is no end of file").kind(), ErrorKind::ConnectionReset);

    for stall in [Fault::BeforeAnswer(End::Stall), Fault::InHead(9, End::Stall), Fault::InBody(9, End::Stall)] {
        s.clear_faults();
        s.fault(Route::Me, stall.clone());
        let mut raw = Raw::open(&s, Port::Api);
        raw.timeout(30 * MS);
        raw.send(&request(s.api_key(), "GET", "/users/me", ""));
        let end = raw.rest().1.expect_err("silence");
        assert!(matches!(end.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stall:?}: {end}");
    }
}

#[test]
fn stale_connections() {
    let s = small();
    s.fault(Route::Me, Fault::StaleConnection).once();
    let mut raw = Raw::open(&s, Port::Api);
    let reply = raw.call(&s, "GET", "/users/me", "");
    assert_eq!((reply.status, reply.header("Connection")), (200, None), "it does not say so");
    assert!(raw.rest().0.is_empty());
    let mut raw = Raw::open(&s, Port::Api);
    assert_eq!(raw.call(&s, "GET", "/users/me", "").status, 200);
    while s.close_idle() == 0 {
        std::thread::sleep(MS);
    }
    assert!(raw.rest().0.is_empty());
}

#[test]
fn slow_answers() {
    for (fault, least) in [
        (Fault::Delay(20 * MS), 20),
        (Fault::SlowHead(MS / 10), 10),
        (Fault::Trickle(100, 2 * MS), 10),
        (Fault::Bandwidth(20_000), 20),
    ] {
        let start = Instant::now();
        let reply = me(fault.clone());
        assert!(reply.whole && reply.status == 200, "{fault:?}");
        assert!(start.elapsed() >= least * MS, "{fault:?} took {:?}", start.elapsed());
    }
}

#[test]
fn effects_counts_and_order() {
    let s = small();
    let path = format!("/apps/{}/snapshots", s.app_id());
    let listed = || call(&s, "GET", &path, "").json()["response"].as_array().map_or(0, Vec::len);
    s.fault(On::path("POST", "/apps/*/snapshots"), Fault::BeforeAnswer(End::Close)).once();
    assert!(call(&s, "POST", &path, "").head.is_empty());
    assert_eq!(listed(), 1, "the answer was lost, the snapshot was made");
    s.fault(On::path("POST", "/apps/**"), Fault::BeforeAnswer(End::Close)).once().unserved();
    assert!(call(&s, "POST", &path, "").head.is_empty());
    assert_eq!(listed(), 1, "not even asked");
    let third = s.fault(On::Api, Fault::html(503)).after(2).times(1);
    let seen: Vec<u16> = (0..4).map(|_| call(&s, "GET", "/users/me", "").status).collect();
    assert_eq!((seen, third.hits()), (vec![200, 200, 503, 200], 1));
    let both = s.fault(On::Any, Fault::Header("Retry-After", "3".into()));
    s.fault(Route::Me, Fault::rate_limited());
    let reply = call(&s, "GET", "/users/me", "");
    assert_eq!((reply.status, reply.header("Retry-After")), (429, Some("3")), "faults add up");
    both.remove();
    assert_eq!(call(&s, "GET", "/users/me", "").header("Retry-After"), None);
}

fn stored() -> (Sandbox, Link, Vec<u8>) {
    let s = small();
    let bytes: Vec<u8> = (0..4000u32).map(|i| (i * 7 + i / 256) as u8).collect();
    let link = s.put_object("applications/1/x.zip", bytes.clone());
    (s, link, bytes)
}

#[test]
fn wrong_ranges() {
    let (s, link, bytes) = stored();
    let under = |fault: Fault| {
        let handle = s.fault(On::Snapshots, fault).once();
        let reply = fetch(&s, &link.url, "Range: bytes=100-199\r\n");
        handle.remove();
        reply
    };
    let whole = under(Fault::IgnoreRange);
    assert!(whole.status == 200 && whole.body == bytes && whole.header("Accept-Ranges").is_none());
    let range = |wrong| {
        let reply = under(Fault::ContentRange(wrong));
        assert_eq!((reply.status, &reply.body[..]), (206, &bytes[100..200]));
        reply.header("Content-Range").map(str::to_string)
    };
    assert_eq!(range(WrongRange::Missing), None);
    assert_eq!(range(WrongRange::Shifted(-10)).as_deref(), Some("bytes 90-189/4000"));
    assert_eq!(range(WrongRange::Total(1)).as_deref(), Some("bytes 100-199/4001"));
    assert_eq!(range(WrongRange::UnknownTotal).as_deref(), Some("bytes 100-199/*"));
    assert_eq!(range(WrongRange::Text("x".into())).as_deref(), Some("x"));
    let short = under(Fault::ShortRange(30));
    assert_eq!((&short.body[..], short.header("Content-Range")), (&bytes[100..130], Some("bytes 100-129/4000")));
    let wrong = under(Fault::WrongBytes);
    assert!(wrong.status == 206 && wrong.body.len() == 100 && wrong.body != bytes[100..200]);
    assert_eq!(under(Fault::Unsatisfiable).header("Content-Range"), Some("bytes */4000"));
    assert_eq!(under(Fault::Expired).status, 403);
    let zipped = under(Fault::Gzip);
    assert_eq!((zipped.status, zipped.header("Content-Encoding")), (206, Some("gzip")));
}

#[test]
fn tags_and_changing_objects() {
    let (s, link, bytes) = stored();
    let plain = fetch(&s, &link.url, "").header("ETag").unwrap().to_string();
    let under = |fault: Fault, lines: &str| {
        let handle = s.fault(On::Snapshots, fault).once();
        let reply = fetch(&s, &link.url, lines);
        handle.remove();
        (reply.status, reply.header("ETag").map(str::to_string))
    };
    assert_eq!(under(Fault::Etag(Etag::Missing), "").1, None);
    assert_eq!(under(Fault::Etag(Etag::Weak), "").1.unwrap(), format!("W/{plain}"));
    assert_eq!(under(Fault::Etag(Etag::Weak), &format!("If-Match: {plain}\r\n")).0, 412);
    let changing = || under(Fault::Etag(Etag::Changing), "").1;
    assert_ne!(changing(), changing());
    s.fault(On::Snapshots, Fault::ObjectChanges(vec![1; 5000], true)).after(1).once();
    assert_eq!(fetch(&s, &link.url, "").body, bytes);
    let changed = fetch(&s, &link.url, "");
    assert_eq!(changed.body, vec![1; 5000]);
    let tag = changed.header("ETag").unwrap();
    assert_ne!(tag, plain);
    s.fault(On::Snapshots, Fault::ObjectChanges(vec![2; 5000], false)).once();
    let silent = fetch(&s, &link.url, "");
    assert_eq!((silent.body, silent.headers.iter().any(|(_, v)| v == tag)), (vec![2; 5000], true));
}

#[test]
fn cut_at_a_byte_of_the_object() {
    let (s, link, bytes) = stored();
    let handle = s.fault(On::Snapshots, Fault::AtObjectByte(150, End::Close)).times(2);
    assert_eq!(fetch(&s, &link.url, "Range: bytes=200-299\r\n").body.len(), 100, "beyond it");
    assert_eq!(handle.hits(), 0);
    assert_eq!(fetch(&s, &link.url, "").body, bytes[..150]);
    assert_eq!(fetch(&s, &link.url, "Range: bytes=100-\r\n").body, bytes[100..150]);
    assert_eq!(fetch(&s, &link.url, "Range: bytes=150-\r\n").body, bytes[150..], "twice is enough");
    s.fault(On::Snapshots, Fault::Trickle(1, Duration::ZERO));
    assert_eq!(fetch(&s, &link.url, "").body, bytes, "byte by byte");
}

#[test]
fn the_bandwidth_is_a_connections_own() {
    let s = small();
    let link = s.put_object("big.zip", vec![9; 60_000]);
    s.fault(On::Snapshots, Fault::Bandwidth(1_000_000));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for part in 0..3 {
            let (s, link) = (&s, &link);
            scope.spawn(move || {
                let (first, last) = (part * 20_000, part * 20_000 + 19_999);
                let reply = fetch(s, &link.url, &format!("Range: bytes={first}-{last}\r\n"));
                assert_eq!(reply.body.len(), 20_000);
            });
        }
    });
    let (three, start) = (start.elapsed(), Instant::now());
    assert_eq!(fetch(&s, &link.url, "").body.len(), 60_000);
    assert!(three >= 20 * MS && start.elapsed() >= 60 * MS, "{three:?}, then {:?}", start.elapsed());
}

#[test]
fn connections_are_kept_on_both_ports() {
    let (s, link, _) = stored();
    let (mut api, mut host) = (Raw::open(&s, Port::Api), Raw::open(&s, Port::Snapshots));
    for _ in 0..3 {
        assert_eq!(api.call(&s, "GET", "/users/me", "").status, 200);
        assert!(host.fetch(&link.url, "").whole);
    }
    // Two requests in one write are two answers.
    host.send(get(&link.url, "").repeat(2).as_bytes());
    assert!(host.reply().whole && host.reply().whole);
    assert_eq!((s.connections(Port::Api), s.connections(Port::Snapshots)), (1, 1));
}

#[test]
fn stopping_closes_everything_at_once() {
    let (s, link, _) = stored();
    s.fault(On::Snapshots, Fault::InBody(5, End::Stall));
    let mut idle = Raw::open(&s, Port::Api);
    assert_eq!(idle.call(&s, "GET", "/users/me", "").status, 200);
    let mut stalled = Raw::open(&s, Port::Snapshots);
    stalled.send(get(&link.url, "").as_bytes());
    let (address, start) = (s.address(Port::Api), Instant::now());
    drop(s);
    assert!(start.elapsed() < 500 * MS, "{:?}", start.elapsed());
    assert!(idle.rest().0.is_empty());
    assert!(std::net::TcpStream::connect(address).is_err(), "the port is closed");
}
