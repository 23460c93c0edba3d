//! What goes wrong before a response, redirects of the snapshot host, and codings that are none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use squarecloud_blocking::{Client, ClientBuilder, Error, NetworkFailure};

use crate::download_origin::{Origin, Reply, SIGNATURE, archive};
use crate::sandbox::tls::Tls;
use crate::sandbox::{NewSnapshot, Port, Sandbox};
use crate::support::{Slept, builder, whole};

const KEY: &str = "1-hush-hush";

/// The errors of a call of the API and of a download from `address`.
fn errors(address: &str, set: impl Fn(ClientBuilder) -> ClientBuilder) -> [Error; 2] {
    let builder = Client::builder(KEY).base_url(format!("https://{address}/v2")).no_proxy();
    let client = set(builder.sleep(Slept::default().sleeper())).build().unwrap();
    let snapshot = client.open_url(&format!("https://{address}/a.zip?Signature={SIGNATURE}")).unwrap();
    let errors = [client.account().unwrap_err(), snapshot.remote().unwrap_err()];
    for error in &errors {
        let text = whole(error);
        assert!(!text.contains("hush") && !text.contains(SIGNATURE), "{text}");
    }
    errors
}

/// Does this to every connection.
fn listen(each: impl Fn(std::net::TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(each));
    address
}

#[test]
fn an_error_names_host_and_port() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let closes = listen(drop).to_string();
    let plain = listen(|mut socket| {
        let _ = socket.read(&mut [0; 512]);
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let cases = [
        (refused.as_str(), refused.as_str(), NetworkFailure::Connect),
        ("nonexistent.invalid", "nonexistent.invalid:443", NetworkFailure::Lookup),
        ("nonexistent.invalid:8443", "nonexistent.invalid:8443", NetworkFailure::Lookup),
        (&closes, &closes, NetworkFailure::Broken),
        (&plain.to_string(), &plain.to_string(), NetworkFailure::Broken),
    ];
    for (address, named, expected) in cases {
        for error in errors(address, |builder| builder) {
            let Error::Network { failure, ref peer, .. } = error else { panic!("{error:?}") };
            assert_eq!((failure, peer.as_str()), (expected, named), "{error}");
            assert!(error.to_string().contains(named) && error.is_retryable(), "{error}");
            assert_eq!(error.to_string().contains("could not be resolved"), expected == NetworkFailure::Lookup);
        }
    }
    let silent = listen(std::mem::forget).to_string();
    for error in errors(&silent, |builder| builder.connect_timeout(Duration::from_millis(50))) {
        assert!(error.is_timeout() && error.to_string().contains(&format!("connecting to {silent}")), "{error:?}");
    }
}

#[test]
fn a_post_that_was_never_sent_was_not_carried_out() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::builder(KEY).base_url(format!("https://{refused}/v2")).build().unwrap();
    let error = client.app("a").restart().unwrap_err();
    assert!(!error.to_string().contains("carried out") && !error.is_retryable(), "{error}");
}

#[test]
fn an_invalid_certificate_is_final() {
    let sandbox = Sandbox::builder().small().no_limits().tls().start();
    let stranger = Tls::new().ca_pem;
    // Another authority's, and another host's.
    for (address, pem) in [("127.0.0.1", stranger.as_str()), ("127.0.0.2", sandbox.ca_pem().unwrap())] {
        let address = format!("{address}:{}", sandbox.address(Port::Api).port());
        if address.starts_with("127.0.0.2") && std::net::TcpStream::connect(&address).is_err() {
            continue;
        }
        let before = sandbox.connections(Port::Api);
        for error in errors(&address, |builder| builder.root_certificates(pem)) {
            assert!(matches!(error, Error::Network { failure: NetworkFailure::Certificate, .. }), "{error:?}");
            let text = error.to_string();
            assert!(!error.is_retryable() && text.contains(&address), "{text}");
            assert!(text.contains("root_certificates") && text.contains("clock"), "{text}");
        }
        assert_eq!(sandbox.connections(Port::Api) - before, 2, "it is not tried again");
    }
    assert!(sandbox.requests().is_empty());
}

#[test]
fn redirects_are_followed_wherever_they_are_written_from() {
    let object = archive(5000, 3);
    let right = object.clone();
    let other = Origin::<false>::start(move |asked| Reply::right(&right, Some("\"one\""), asked));
    let elsewhere = format!("//127.0.0.1:{}/deep/x.zip?k", other.url().split([':', '/']).nth(4).unwrap());
    for (location, target) in [
        ("/moved/app.zip?k", Some("/moved/app.zip?k")),
        ("other.zip?k", Some("/applications/1/other.zip?k")),
        ("../2/./app.zip?k=%2F#part", Some("/applications/2/app.zip?k=%2F")),
        ("?again", Some("/applications/1/app.zip?again")),
        (elsewhere.as_str(), None),
        (&format!("http:{elsewhere}"), None),
    ] {
        let (to, right) = (location.to_owned(), object.clone());
        let origin = Origin::<false>::start(move |asked| match asked.number {
            0 => Reply { headers: vec![("Location".into(), to.clone())], ..Reply::plain(302, "") },
            _ => Reply::right(&right, Some("\"one\""), asked),
        });
        let dir = tempfile::tempdir().unwrap();
        let client = Client::builder(KEY).build().unwrap();
        let download = client.open_url(&origin.url()).unwrap().download(dir.path()).unwrap();
        assert!(std::fs::read(download.path).unwrap() == object, "{location}");
        let lines: Vec<_> = origin.asked().iter().map(|asked| asked.line.clone()).collect();
        assert_eq!(lines.get(1).map(|line| line.split(' ').nth(1).unwrap()), target, "{location}");
    }
    assert!(other.asked().iter().all(|asked| asked.line.contains("/deep/x.zip?k ")), "{:?}", other.asked());
}

#[test]
fn redirects_that_lead_nowhere_or_away_from_tls_show_no_secret() {
    for location in
        ["https://h/x?token=hush", "//u:hush@127.0.0.1/x", "http://h.test/?hush", "http:hush", "ftp://h/?hush"]
    {
        let origin = Origin::<false>::start(move |_| Reply {
            headers: vec![("Location".into(), location.into())],
            ..Reply::plain(302, "")
        });
        let client = Client::builder("key").retries(0).build().unwrap();
        let error = client.open_url(&origin.url()).unwrap().remote().unwrap_err();
        assert!(matches!(error, Error::UnexpectedResponse { status: 302, .. }), "{location}: {error:?}");
        assert!(!whole(&error).contains("hush") && error.to_string().contains("redirected to"), "{error}");
    }
}

#[test]
fn codings_that_change_no_byte_are_accepted() {
    use crate::sandbox::{Fault, On};
    let sandbox = Sandbox::builder().small().no_limits().start();
    let link = sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
    let client = builder(&sandbox).build().unwrap();
    let snapshot = client.open_url(&link.url).unwrap();
    for (coding, accepted) in [
        ("aws-chunked", true),
        ("identity", true),
        ("AWS-Chunked , IDENTITY", true),
        ("aws-chunked,", true),
        ("gzip", false),
        ("aws-chunked,gzip", false),
        ("identity, br", false),
        ("aws-chunkedx", false),
    ] {
        sandbox.fault(On::Any, Fault::Header("Content-Encoding", coding.into()));
        let dir = tempfile::tempdir().unwrap();
        for result in [client.account().map(drop), snapshot.download(dir.path()).map(drop)] {
            assert_eq!(result.is_ok(), accepted, "{coding}: {result:?}");
            assert!(result.err().is_none_or(|e| e.to_string().contains("content coding")), "{coding}");
        }
        sandbox.clear_faults();
    }
}
