//! What a snapshot host may send instead of the right response.

use std::sync::{Arc, Mutex};

use crate::download_origin::{Asked, Reply};
use crate::support::Gate;

pub const ONE: Option<&str> = Some("\"one\"");

/// What the host makes of the right response.
pub type Bend = fn(&Asked, Reply, &Objects) -> Reply;

/// What the host has.
pub struct Objects {
    pub right: Arc<Vec<u8>>,
    /// Another archive of the same length.
    pub other: Vec<u8>,
    /// What a stall waits for.
    pub gate: Mutex<Arc<Gate>>,
}

impl Objects {
    fn gate(&self) -> Arc<Gate> {
        self.gate.lock().unwrap().clone()
    }
}

#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    pub bend: Bend,
    /// What an error may say. None: it is ridden out.
    pub reasons: &'static [&'static str],
    /// Whether a response has all of the archive.
    pub sends_all: bool,
}

const fn fault(name: &'static str, bend: Bend, reasons: &'static [&'static str]) -> Fault {
    Fault { name, bend, reasons, sends_all: false }
}

const fn all_of_it(name: &'static str, bend: Bend, reasons: &'static [&'static str]) -> Fault {
    Fault { sends_all: true, ..fault(name, bend, reasons) }
}

fn page(status: u16) -> Reply {
    let headers = vec![("Content-Type".into(), "text/html; charset=UTF-8".into())];
    Reply { headers, ..Reply::plain(status, "<html><h1>back soon</h1></html>") }
}

/// The right response with another header, or without it.
fn with(mut reply: Reply, name: &str, value: Option<&str>) -> Reply {
    reply.headers.retain(|(known, _)| known != name);
    reply.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    reply
}

/// What passes: it costs a request, and no more bytes than a request has.
pub const PASSING: [Fault; 8] = [
    fault("503", |_, _, _| Reply::plain(503, "<Error><Code>SlowDown</Code></Error>"), &[]),
    fault("a page with 502", |_, _, _| page(502), &[]),
    fault("429", |_, _, _| with(Reply::plain(429, ""), "Retry-After", Some("1")), &[]),
    fault("no response", |_, _, _| Reply::default(), &[]),
    fault("cut", |_, reply, _| Reply { cut: Some(reply.body.len() / 2), ..reply }, &[]),
    fault("cut early", |_, reply, _| Reply { cut: Some(1), ..reply }, &[]),
    fault("cut at once", |_, reply, _| Reply { cut: Some(0), ..reply }, &[]),
    fault("cut late", |_, reply, _| Reply { cut: Some(reply.body.len() - 1), ..reply }, &[]),
];

const CHANGED: &[&str] = &["changed", "the bytes sent are not", "does not say which", "serving ranges"];

/// Responses that are of no use. They are requested again, or end the work.
pub const WRONG: [Fault; 9] = [
    fault("a page", |_, _, _| page(200), &["a web page was sent", "not a zip archive"]),
    fault("no length", |_, reply, _| with(reply, "Content-Range", None), CHANGED),
    fault(
        "another range",
        |_, reply, o| {
            let end = o.right.len().min(reply.body.len() + 3);
            let range = format!("bytes 3-{}/{}", end - 1, o.right.len());
            let reply = with(reply, "Content-Range", Some(&range));
            Reply { body: reply.body[..end - 3].to_vec(), ..reply }
        },
        CHANGED,
    ),
    fault(
        "too short a range",
        |asked, reply, o| {
            let range = asked.range(o.right.len()).unwrap();
            let range = format!("bytes {}-{}/{}", range.start, range.end - 2, o.right.len());
            let reply = with(reply, "Content-Range", Some(&range));
            Reply { body: reply.body[..reply.body.len() - 1].to_vec(), ..reply }
        },
        CHANGED,
    ),
    fault("no validator", |_, reply, _| with(reply, "ETag", None), CHANGED),
    fault("a weak validator", |_, reply, _| with(reply, "ETag", Some("W/\"one\"")), CHANGED),
    fault("another validator", |_, reply, _| with(reply, "ETag", Some("\"two\"")), CHANGED),
    fault(
        "another length",
        |asked, reply, o| {
            let range = asked.range(o.right.len()).unwrap();
            with(
                reply,
                "Content-Range",
                Some(&format!("bytes {}-{}/{}", range.start, range.end - 1, o.right.len() + 1)),
            )
        },
        CHANGED,
    ),
    all_of_it("everything", |_, _, o| Reply::right(&o.right, ONE, &Asked::default()), CHANGED),
];

/// What does not pass, from one response on. Objects that changed: by what the host says of them, or by the condition.
pub const LASTING: [Fault; 8] = [
    fault(
        "expired",
        |_, _, _| Reply::plain(403, "<Error><Message>Request has expired</Message></Error>"),
        &["expired"],
    ),
    fault("gone", |_, _, _| Reply::plain(404, "<Error><Code>NoSuchKey</Code></Error>"), &["gone"]),
    fault("412", |_, _, _| Reply::plain(412, ""), &["changed"]),
    fault(
        "another object",
        |asked, _, o| {
            let unconditional = asked.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("if-match"));
            let asked = Asked { headers: unconditional.cloned().collect(), ..asked.clone() };
            Reply::right(&o.other, Some("\"two\""), &asked)
        },
        &["changed"],
    ),
    fault(
        "a longer object",
        |asked, _, o| {
            let longer = [&o.other[..], &[0; 1000]].concat();
            let unconditional = asked.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("if-match"));
            let asked = Asked { headers: unconditional.cloned().collect(), ..asked.clone() };
            Reply::right(&longer, Some("\"two\""), &asked)
        },
        &["changed"],
    ),
    fault("a shorter object", |_, _, _| with(Reply::plain(416, ""), "Content-Range", Some("bytes */9")), CHANGED),
    all_of_it("no ranges any more", |_, _, o| Reply::right(&o.right, ONE, &Asked::default()), CHANGED),
    fault("no validators any more", |_, reply, _| with(reply, "ETag", None), CHANGED),
];

/// Nothing comes any more, before the first byte of a response or in the middle of it, until the client gives it up.
pub const STALLS: [Fault; 3] = [
    fault(
        "silence",
        |_, reply, o| {
            o.gate().wait();
            reply
        },
        &[],
    ),
    fault("silence after a byte", |_, reply, o| Reply { hold: Some((1, o.gate())), ..reply }, &[]),
    fault("a stall", |_, reply, o| Reply { hold: Some((reply.body.len() / 2, o.gate())), ..reply }, &[]),
];

/// A byte that changed on the way, in what is read first of a response.
pub const DAMAGE: Fault = fault(
    "another byte",
    |_, mut reply, _| {
        reply.body[100] ^= 1;
        reply
    },
    &["damaged"],
);
