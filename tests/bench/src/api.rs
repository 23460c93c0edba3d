//! A small call on a kept-alive loopback connection, one thread: against a hand-written socket client, which is
//! the least that can be done, and reqwest's blocking client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use squarecloud_blocking::Client;

use crate::server;
use crate::stats::{compare, contestant};

const CALLS: usize = 2000;
const KEY: &str = "841905532178461902-bench";

pub fn run() {
    let address = server::plain(Arc::new(server::status()));
    let ours = Client::builder(KEY).base_url(format!("http://{address}/v2")).build().unwrap().app("bench");
    let mut raw = TcpStream::connect(address).unwrap();
    raw.set_nodelay(true).unwrap();
    let reqwest = reqwest::blocking::Client::new();
    let url = format!("http://{address}/v2/apps/bench/status");
    compare(
        &format!("{CALLS} status calls, keep-alive"),
        21,
        vec![
            contestant("squarecloud-blocking", || {
                (0..CALLS).for_each(|_| assert!(ours.status().unwrap().running));
            }),
            contestant("raw socket", || (0..CALLS).for_each(|_| raw_call(&mut raw))),
            contestant("reqwest::blocking", || {
                for _ in 0..CALLS {
                    let answer = reqwest.get(&url).header("Authorization", KEY).send().unwrap();
                    assert!(answer.bytes().unwrap().len() > 100);
                }
            }),
        ],
    );
}

/// A request out, an answer in, its length read from its head: no parsing beyond that.
fn raw_call(stream: &mut TcpStream) {
    let request = format!(
        "GET /v2/apps/bench/status HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {KEY}\r\nAccept: application/json\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        filled += stream.read(&mut buffer[filled..]).unwrap();
        let answer = &buffer[..filled];
        let Some(head) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).unwrap();
        let (_, length) = text.split_once("Content-Length: ").unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        if filled == head + 4 + length {
            return;
        }
    }
}
