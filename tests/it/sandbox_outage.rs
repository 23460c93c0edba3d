//! The sandbox off the network: ports that close and open again, and a host that is busy.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::sandbox::{End, Fault, Port, Sandbox};
use crate::sandbox_raw::{Raw, call, fetch, get};

fn refused(s: &Sandbox, port: Port) -> bool {
    TcpStream::connect(s.address(port)).is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
}

fn small() -> Sandbox {
    Sandbox::builder().small().no_limits().start()
}

#[test]
fn a_paused_port_refuses_and_comes_back_at_the_same_address() {
    let s = small();
    let link = s.put_object("x.zip", vec![7; 4000]);
    let mut kept = Raw::open(&s, Port::Snapshots);
    assert_eq!(kept.fetch(&link.url, "").status, 200);
    s.fault(crate::sandbox::Route::Object, Fault::InBody(2000, End::Stall)).once();
    let mut halfway = Raw::open(&s, Port::Snapshots);
    halfway.send(get(&link.url, "").as_bytes());
    assert!(halfway.at_least(2000));
    for _ in 0..3 {
        s.pause(Port::Snapshots);
        s.pause(Port::Snapshots);
        assert!(refused(&s, Port::Snapshots));
        assert_eq!(call(&s, "GET", "/users/me", "").status, 200, "the other port goes on");
        s.resume(Port::Snapshots);
        s.resume(Port::Snapshots);
        assert_eq!(fetch(&s, &link.url, "").body.len(), 4000);
    }
    let idle = kept.rest().0;
    assert!(idle.is_empty(), "the connection has ended");
    assert!(!halfway.at_least(2000), "and so has the transfer");
}

#[test]
fn an_outage_ends_by_itself() {
    let s = small();
    s.outage(Port::Api, Duration::from_millis(40));
    let start = Instant::now();
    assert!(refused(&s, Port::Api));
    while refused(&s, Port::Api) {
        assert!(start.elapsed() < Duration::from_secs(30), "it ends");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(call(&s, "GET", "/users/me", "").status, 200);
    let link = s.put_object("x.zip", vec![7; 40]);
    let mut raw = Raw::open(&s, Port::Api);
    raw.send(b"POST /_sandbox/outage?on=any&for=3650d HTTP/1.1\r\n\r\n");
    assert_eq!(raw.reply().status, 200);
    let start = Instant::now();
    while !(refused(&s, Port::Api) && refused(&s, Port::Snapshots)) {
        assert!(start.elapsed() < Duration::from_secs(30), "it begins");
        std::thread::sleep(Duration::from_millis(2));
    }
    s.resume(Port::Snapshots);
    assert_eq!(fetch(&s, &link.url, "").status, 200, "ended by hand; and a long outage does not keep the sandbox");
}

#[test]
fn a_stopped_sandbox_stays_stopped() {
    let gone = || {
        let s = small();
        let address = s.address(Port::Api);
        s.outage(Port::Api, Duration::from_millis(1));
        s.pause(Port::Snapshots);
        drop(s);
        TcpStream::connect(address).is_err()
    };
    assert!((0..3).any(|_| gone()), "once, another program may have got the port");
}

#[test]
fn the_snapshot_host_answers_so_many_at_once() {
    let s = Sandbox::builder().small().max_connections(2, 429).start();
    let link = s.put_object("x.zip", vec![7; 4000]);
    let stalls = s.fault(crate::sandbox::Route::Object, Fault::InBody(2000, End::Stall)).times(2);
    let mut open: Vec<Raw> = (0..2).map(|_| Raw::open(&s, Port::Snapshots)).collect();
    for raw in &mut open {
        raw.send(get(&link.url, "").as_bytes());
        assert!(raw.at_least(2000));
    }
    assert_eq!(stalls.hits(), 2);
    let reply = fetch(&s, &link.url, "");
    assert!(reply.status == 429 && reply.body.starts_with(b"<html>"), "{reply:?}");
    assert_eq!(call(&s, "GET", "/users/me", "").status, 200, "the API is another host");
    open.clear();
    let start = Instant::now();
    while fetch(&s, &link.url, "").status != 200 {
        assert!(start.elapsed() < Duration::from_secs(30), "places come free");
    }
    // One after another is one at a time, however quickly.
    s.rules(|r| r.concurrent = Some((1, 503)));
    for _ in 0..50 {
        assert_eq!(fetch(&s, &link.url, "").status, 200);
    }
}

#[test]
fn a_wanted_port_that_is_taken_is_an_error() {
    let s = small();
    let port = s.address(Port::Snapshots).port();
    let error = Sandbox::builder().small().ports(0, port).try_start().err().expect("it is taken");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&port.to_string()));
    let mut byte = [0];
    let mut socket = TcpStream::connect(s.address(Port::Snapshots)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    assert!(socket.read(&mut byte).is_err(), "and the first one is still there");
}
