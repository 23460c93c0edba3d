//! Answers no sandbox gives: byte by byte, from a bare socket.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use squarecloud_blocking::{Client, ClientBuilder, Error};

/// Gives every request of every connection the same bytes.
struct Bare {
    base_url: String,
    requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Bare {
    fn new(answer: Vec<u8>, keep: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v2", listener.local_addr().unwrap());
        let (requests, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while let Ok((mut socket, _)) = listener.accept() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, count) = (answer.clone(), Arc::clone(&count));
                std::thread::spawn(move || {
                    while heard(&mut socket) {
                        count.fetch_add(1, Ordering::SeqCst);
                        if socket.write_all(&answer).is_err() || !keep {
                            break;
                        }
                    }
                });
            }
        });
        Self { base_url, requests, stop, thread: Some(thread) }
    }

    fn builder(&self) -> ClientBuilder {
        let builder = Client::builder("841905532178461902-key").base_url(&self.base_url);
        builder.timeout(Duration::from_secs(2)).retries(0)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.base_url.trim_start_matches("http://").trim_end_matches("/v2"));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Reads a request without a body.
fn heard(socket: &mut TcpStream) -> bool {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

const ACCOUNT: &str = r#"{"status":"success","response":{"user":{"id":"84"}}}"#;

fn answer(headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}").into_bytes()
}

fn account(length: usize) -> Vec<u8> {
    answer(&format!("Content-Length: {length}\r\n"), ACCOUNT)
}

#[test]
fn a_second_answer_behind_the_first_is_never_anyones() {
    let mut two = account(ACCOUNT.len());
    let other = ACCOUNT.replace("84", "666");
    two.extend(answer(&format!("Content-Length: {}\r\n", other.len()), &other));
    let bare = Bare::new(two, true);
    let client = bare.builder().build().unwrap();
    for _ in 0..10 {
        assert_eq!(client.account().unwrap().user.id, "84");
    }
    assert_eq!(bare.requests.load(Ordering::SeqCst), 10);
}

#[test]
fn a_bare_100_and_both_framings_are_read_as_the_rfc_says() {
    let mut early = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    early.extend(account(ACCOUNT.len()));
    let chunks = format!("{:x}\r\n{ACCOUNT}\r\n0\r\n\r\n", ACCOUNT.len());
    let both = answer("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", &chunks);
    let trailers = answer("Transfer-Encoding: chunked\r\n", &chunks.replace("0\r\n\r\n", "0\r\nX: y\r\n\r\n"));
    for bytes in [early, both, trailers] {
        let bare = Bare::new(bytes.clone(), false);
        let result = bare.builder().build().unwrap().account();
        assert_eq!(result.unwrap().user.id, "84", "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn codings_hide_behind_no_second_header() {
    let length = format!("Content-Length: {}\r\n", ACCOUNT.len());
    for headers in [
        "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n",
        "Content-Encoding: br\r\nContent-Encoding: gzip\r\n",
        "Content-Encoding: \u{fc}\r\n",
    ] {
        let bare = Bare::new(answer(&format!("{headers}{length}"), ACCOUNT), false);
        let error = bare.builder().build().unwrap().account().unwrap_err();
        assert_eq!(error.status(), Some(200), "{headers}: {error:?}");
        assert!(error.to_string().contains("coding"), "{error}");
    }
}

#[test]
fn no_limit_at_all_is_no_panic() {
    let bare = Bare::new(account(ACCOUNT.len()), true);
    let builder = bare.builder().timeout(Duration::MAX).snapshot_wait(Duration::MAX).retries(u32::MAX);
    let client = builder.sleep(|_| {}).build().unwrap();
    assert_eq!(client.account().unwrap().user.id, "84");
    assert!(client.app("a").snapshot().is_err());
    assert!(client.app("a").snapshot().is_err());
}

#[test]
fn nobody_there_is_a_network_error_that_says_what_to_do() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let builder = Client::builder("key").base_url(format!("http://127.0.0.1:{port}/v2"));
    let client = builder.sleep(|_| {}).build().unwrap();
    let read = client.account().unwrap_err();
    assert!(matches!(read, Error::Network { .. }) && read.is_retryable(), "{read:?}");
    assert!(read.to_string().contains("try again"), "{read}");
    let post = client.app("a").snapshot().unwrap_err();
    assert!(!post.is_retryable() && !post.to_string().contains("try again"), "{post}");
}

/// One way to spoil bytes.
#[derive(Clone, Debug)]
enum Spoil {
    Flip(usize, u8),
    Cut(usize, usize),
    Insert(usize, Vec<u8>),
    End(usize),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..12),
        prop::sample::select(vec!["\r\n", "\0", ": ", "HTTP/1.1 ", "\r\n\r\n", "chunked", "Content-Length: 5\r\n"])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Spoil::Flip(at, byte)),
        (any::<usize>(), 1usize..20).prop_map(|(at, n)| Spoil::Cut(at, n)),
        (any::<usize>(), bytes).prop_map(|(at, bytes)| Spoil::Insert(at, bytes)),
        any::<usize>().prop_map(Spoil::End),
    ]
}

fn spoilt(mut bytes: Vec<u8>, how: &[Spoil]) -> Vec<u8> {
    for spoil in how {
        let length = bytes.len().max(1);
        match spoil {
            Spoil::Flip(at, byte) => bytes.iter_mut().skip(at % length).take(1).for_each(|b| *b ^= byte),
            Spoil::Cut(at, n) => drop(bytes.drain((at % length).min(bytes.len())..(at % length + n).min(bytes.len()))),
            Spoil::Insert(at, more) => {
                let at = (at % length).min(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Spoil::End(at) => bytes.truncate(at % length),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn spoilt_bytes_end_as_a_value_or_an_error(chunked in any::<bool>(), how in proptest::collection::vec(spoil(), 1..5)) {
        let whole = if chunked {
            answer("Transfer-Encoding: chunked\r\n", &format!("{:x}\r\n{ACCOUNT}\r\n0\r\n\r\n", ACCOUNT.len()))
        } else {
            account(ACCOUNT.len())
        };
        let bytes = spoilt(whole, &how);
        let bare = Bare::new(bytes.clone(), false);
        let client = bare.builder().timeout(Duration::from_millis(500)).build().unwrap();
        let started = Instant::now();
        let result = client.account();
        prop_assert!(started.elapsed() < Duration::from_secs(4));
        // Whatever was read as a success was on the wire as one.
        if result.is_ok() {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert!(text.contains("200") && text.contains("success") && text.contains("user"), "{}", text);
        }
        prop_assert_eq!(bare.requests.load(Ordering::SeqCst), 1);
    }
}

/// A refusal whose body cannot be read: its status is known, so it is not sent again.
#[test]
fn a_refusal_is_kept_and_not_repeated_however_its_body_goes_on() {
    let rest = ["Content-Length: 500\r\n\r\n<html>", "Transfer-Encoding: chunked\r\n\r\n5\r\n<ht"];
    for status in [401u16, 403, 429] {
        for rest in rest {
            for early in ["", "HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"] {
                let bare = Bare::new(format!("{early}HTTP/1.1 {status} No\r\n{rest}").into_bytes(), false);
                let client = bare.builder().retries(2).sleep(|_| {}).build().unwrap();
                let error = client.account().unwrap_err();
                let label = format!("{status} {:?}: {error:?}", rest.chars().take(30).collect::<String>());
                assert_eq!(error.status(), Some(status), "{label}");
                assert!(!error.is_retryable() && !error.is_timeout(), "{label}");
                assert_eq!(
                    (error.is_unauthorized(), error.is_rate_limited()),
                    (status == 401, status == 429),
                    "{label}"
                );
                assert_eq!(bare.requests.load(Ordering::SeqCst), 1, "{label}");
            }
        }
    }
}

#[test]
fn a_body_that_was_cut_by_the_cap_is_not_taken_apart() {
    let body = format!("{{\"status\":\"success\",\"response\":[{}", "0,".repeat(20 << 20));
    let bare = Bare::new(answer("", &body), false);
    let started = Instant::now();
    let error = bare.builder().timeout(Duration::from_secs(20)).build().unwrap().account().unwrap_err();
    assert!(error.status() == Some(200) && error.to_string().contains("longer than"), "{error}");
    // Millions of values would take many times as long.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
