//! The sandbox's uploads and commits, its TLS, and its own parsers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::sandbox::{
    End, Fault, FileNode, Files, MODE_FILE, Port, Route, Sandbox, fits, from_zip, gzip, parse_multipart, signature,
    to_zip,
};
use crate::sandbox_raw::{Raw, Reply, get};

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let nodes = files.iter().map(|(path, text)| (path.to_string(), FileNode::new(*text, MODE_FILE, 1_793_611_800)));
    to_zip(&nodes.collect::<Files>())
}

fn form(name: &str, filename: &str, kind: &str, data: &[u8]) -> Vec<u8> {
    let head = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\nContent-Type: {kind}\r\n\r\n"
    );
    [head.as_bytes(), data, b"\r\n--xyz--\r\n"].concat()
}

fn post(s: &Sandbox, path: &str, lines: &str, body: &[u8]) -> Reply {
    let head = format!(
        "POST /v2{path} HTTP/1.1\r\nAuthorization: {}\r\nUser-Agent: raw\r\nAccept: application/json\r\n{lines}\r\n",
        s.api_key()
    );
    let mut raw = Raw::open(s, Port::Api);
    raw.send(head.as_bytes());
    raw.send(body);
    raw.reply()
}

fn upload(s: &Sandbox, path: &str, body: &[u8]) -> Reply {
    let kind = "Content-Type: multipart/form-data; boundary=xyz";
    post(s, path, &format!("{kind}\r\nContent-Length: {}\r\n", body.len()), body)
}

fn small() -> Sandbox {
    Sandbox::builder().small().no_limits().start()
}

#[test]
fn an_upload_makes_an_app() {
    let s = small();
    let bytes = zip(&[("squarecloud.app", "MAIN=main.py\nMEMORY=512\nDISPLAY_NAME=new\n"), ("main.py", "pass\n")]);
    let made = upload(&s, "/apps", &form("file", "a.zip", "application/zip", &bytes)).json();
    assert_eq!((&made["response"]["ram"], &made["response"]["language"]["name"]), (&512.into(), &"python".into()));
    let id = made["response"]["id"].as_str().unwrap();
    assert_eq!(s.files(id), from_zip(&bytes).unwrap());
    let bare = zip(&[("dir/squarecloud.app", "MEMORY=256\n")]);
    let greedy = zip(&[("squarecloud.config", "MEMORY=4096\n")]);
    for (body, status, code) in [
        (form("file", "a.zip", "application/zip", &bare), 400, "INVALID_FILE"),
        (form("file", "a.zip", "application/zip", &greedy), 400, "INSUFFICIENT_MEMORY"),
        (form("file", "a.zip", "application/zip", b"no zip"), 400, "INVALID_FILE"),
        (form("other", "a.zip", "application/zip", &bytes), 400, "INVALID_FILE"),
        (form("file", "", "application/zip", &bytes), 400, "INVALID_FILENAME"),
        (form("file", "a.zip", "text/plain", &bytes), 400, "INVALID_FILE"),
    ] {
        let reply = upload(&s, "/apps", &body);
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
    }
    let body = form("file", "a.zip", "application/zip", &bytes);
    let lines = format!("Content-Type: application/zip\r\nContent-Length: {}\r\n", body.len());
    assert_eq!(post(&s, "/apps", &lines, &body).status, 415);
    let chunked = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let lines = "Content-Type: multipart/form-data; boundary=xyz\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(post(&s, "/apps", lines, &chunked).code(), "UPLOAD_ABORTED");
    assert!(s.remarks().iter().any(|r| r.contains("chunked body")));
    let lines = "Content-Type: multipart/form-data; boundary=xyz\r\nContent-Length: 209715200\r\n";
    let large = post(&s, "/apps", lines, b"--xyz");
    assert_eq!((large.status, large.code().as_str()), (413, "FILE_TOO_LARGE"), "judged by its length alone");
    assert_eq!(s.count(Route::Upload), 10);
}

#[test]
fn a_commit_adds_and_overwrites() {
    let s = small();
    let path = format!("/apps/{}/commit", s.app_id());
    let body = form("file", "c.zip", "application/octet-stream", &zip(&[("index.js", "new"), ("a/b.js", "b")]));
    assert_eq!(upload(&s, &path, &body).json(), serde_json::json!({"status": "success"}));
    let files = s.files(s.app_id());
    assert_eq!((files["index.js"].data.as_slice(), files["a/b.js"].data.as_slice()), (&b"new"[..], &b"b"[..]));
    assert!(files.contains_key("squarecloud.app"), "what the zip does not hold stays");
    let one = form("file", "note.txt", "application/octet-stream", b"hello");
    assert_eq!(upload(&s, &format!("{path}?path=%2Fdocs%2F"), &one).status, 200);
    assert_eq!(s.files(s.app_id())["docs/note.txt"].data.as_slice(), b"hello");
    assert_eq!(upload(&s, &format!("{path}?path=..%2Fout"), &one).code(), "INVALID_PATH");
}

#[test]
fn uploads_ended_early() {
    let s = small();
    let body = form("file", "c.zip", "application/zip", &[7; 40_000]);
    s.fault(Route::Upload, Fault::InRequest(1000, End::Close)).once();
    assert_eq!(upload(&s, "/apps", &body).status, 0);
    assert_eq!(s.requests()[0].body.as_slice(), &body[..1000]);
    s.fault(Route::Upload, Fault::Unread);
    s.fault(Route::Upload, Fault::Code(503, "UPLOAD_BUSY", ""));
    let reply = upload(&s, "/apps", &body);
    assert_eq!((reply.status, reply.header("Connection")), (503, Some("close")));
    assert!(s.requests()[1].body.is_empty());
}

#[test]
fn multipart_is_read_strictly() {
    let kind = "multipart/form-data; boundary=\"xyz\"";
    let body = form("file", "a\\\"b.zip", "application/zip", b"data\r\n--xy\r\n");
    let part = parse_multipart(kind, &body).unwrap();
    assert_eq!((part.filename.as_str(), part.data), ("a\"b.zip", &b"data\r\n--xy\r\n"[..]));
    let two = [&body[..body.len() - 4], b"\r\n", &body].concat();
    assert!(parse_multipart(kind, &two).is_err(), "exactly one part");
    assert!(parse_multipart(kind, &body[..body.len() - 10]).is_err(), "not closed");
    assert_eq!(parse_multipart("multipart/form-data", &body), Err("INVALID_CONTENT_TYPE"));
}

#[test]
fn signatures_are_the_published_ones() {
    // The example "Query String Request Authentication Alternative Example" of Amazon's page on
    // signing REST requests, with its secret key.
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let path = "/johnsmith/photos/puppy.jpg";
    assert_eq!(signature(secret, path, 1_175_139_620, None), "NpgCjnDzrM+WFzoENXmpNDUsSn8=");
}

#[test]
fn patterns_of_paths() {
    assert!(fits("/apps/*/snapshots", "/v2/apps/x/snapshots") && fits("/apps/**", "/v2/apps/x/snapshots"));
    assert!(!fits("/apps/*", "/v2/apps/x/snapshots") && !fits("/apps/*/snapshots", "/v2/apps/x"));
    assert_eq!(Route::of("GET", "/v2/apps/../snapshots"), (Route::Unknown, "..".into()));
    assert_eq!(Route::of("GET", "/v2/apps/a%2Fb"), (Route::Info(crate::sandbox::Kind::App), "a/b".into()));
}

#[test]
fn gzip_is_gzip() {
    let packed = gzip(&[b'a'; 100_000]);
    assert!(packed.len() < 1000 && packed.starts_with(&[0x1f, 0x8b, 8]));
    // The CRC of RFC 1952, bit by bit.
    let crc = !(0..100_000).fold(!0u32, |crc, _| {
        (0..8).fold(crc ^ u32::from(b'a'), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    });
    let tail = packed.len() - 8;
    assert_eq!((&packed[tail..tail + 4], &packed[tail + 4..]), (&crc.to_le_bytes()[..], &100_000u32.to_le_bytes()[..]));
}

#[test]
fn tls_with_an_authority_of_its_own() {
    let s = Sandbox::builder().small().tls().start();
    let link = s.put_object("x.zip", vec![5; 300_000]);
    assert!(s.base_url().starts_with("https://127.0.0.1:") && link.url.starts_with("https://"));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(s.ca_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let connection = ClientConnection::new(config, ServerName::try_from("127.0.0.1").unwrap()).unwrap();
    let socket = TcpStream::connect(s.address(Port::Snapshots)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(get(&link.url, "Connection: close\r\n").as_bytes()).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("ended by close_notify");
    assert!(reply.starts_with(b"HTTP/1.1 200") && reply.ends_with(&[5; 300_000]));
}
