//! From an answer and the faults it meets to what is written.

use std::sync::Arc;

use serde_json::Value;

use super::fault::{Fault, WrongRange};
use super::faults::Entry;
use super::files;
use super::host;
use super::http::{Answer, Body, Request};
use super::wire::{After, Framing, Output};

/// The answer of a fault that asks nobody; for one that only distorts, an empty success to distort.
pub fn instead(fault: &Fault, request: &Request) -> Answer {
    match fault {
        Fault::Answer(status, kind, body) => Answer::new(*status, kind, body.clone()),
        Fault::Code(status, code, message) => Answer::error(*status, code, message),
        Fault::Redirect(status, to) => {
            let mut answer = Answer::new(*status, "text/html", "");
            let own = match request.query.as_str() {
                "" => request.path.clone(),
                query => format!("{}?{query}", request.path),
            };
            answer.set("Location", if to.is_empty() { &own } else { to });
            answer
        }
        Fault::Expired => host::expired(),
        Fault::Deep(levels) => {
            let (open, close) = ("[".repeat(*levels), "]".repeat(*levels));
            json(format!("{{\"status\":\"success\",\"response\":{open}{close}}}").into_bytes())
        }
        Fault::Huge(mib) => json(huge(*mib)),
        Fault::GzipBomb(mib) => {
            let mut answer = json(files::gzip(&huge(*mib)));
            answer.set("Content-Encoding", "gzip");
            answer
        }
        Fault::Endless => json(b"{\"status\":\"success\",\"response\":\"".to_vec()),
        _ => json(b"{\"status\":\"success\"}".to_vec()),
    }
}

fn json(body: Vec<u8>) -> Answer {
    Answer::new(200, "application/json; charset=utf-8", body)
}

/// Valid JSON of so many MiB, one long string in the `response`.
fn huge(mib: usize) -> Vec<u8> {
    let mut body = b"{\"status\":\"success\",\"response\":\"".to_vec();
    body.resize((mib << 20).saturating_sub(2).max(body.len()), b'a');
    body.extend_from_slice(b"\"}");
    body
}

/// Lets one fault work on the output.
pub fn distort(entry: &Entry, out: &mut Output) {
    match &entry.fault {
        Fault::Endless => {
            out.framing = Framing::UntilClose;
            out.after = After::Close;
            out.endless = Some(b"aaaaaaaaaaaaaaaa");
        }
        Fault::Garbage(bytes) => out.garbage = Some(bytes.clone()),
        Fault::Status(status) => out.answer.status = *status,
        Fault::Body(bytes) => out.answer.body = Body::from(bytes.clone()),
        Fault::Header(name, value) => out.answer.set(name, value),
        Fault::RemoveHeader(name) => out.answer.unset(name),
        Fault::NoResponse => edit(out, |v| {
            v.as_object_mut().map(|o| o.remove("response"));
        }),
        Fault::Response(response) => edit(out, |v| v["response"] = response.clone()),
        Fault::Edit(change) => edit(out, change),
        Fault::Word(word) => edit(out, |v| v["status"] = (*word).into()),
        Fault::Truncate(at) => out.answer.body.end = out.answer.body.end.min(out.answer.body.start + at),
        Fault::Gzip => {
            out.answer.body = Body::from(files::gzip(out.answer.body.bytes()));
            out.answer.set("Content-Encoding", "gzip");
        }
        Fault::Encoding(name) => out.answer.set("Content-Encoding", name),
        Fault::IgnoreRange | Fault::Etag(_) | Fault::ObjectChanges(..) => {} // before the answer
        _ => framing(entry, out),
    }
}

fn edit(out: &mut Output, change: impl FnOnce(&mut Value)) {
    if let Ok(mut value) = serde_json::from_slice::<Value>(out.answer.body.bytes()) {
        change(&mut value);
        out.answer.body = Body::from(value.to_string().into_bytes());
    }
}

fn framing(entry: &Entry, out: &mut Output) {
    match &entry.fault {
        Fault::Missing(bytes) => out.framing = Framing::Off(*bytes as i64),
        Fault::Extra(bytes) => out.extra = b"x".repeat(*bytes),
        Fault::Chunked(size) => out.framing = Framing::Chunked(*size),
        Fault::BadChunks(bad) => out.framing = Framing::BadChunks(*bad),
        Fault::NoLength => {
            out.framing = Framing::UntilClose;
            out.after = After::Close;
        }
        Fault::TwoLengths => out.framing = Framing::TwoLengths,
        Fault::LengthText(text) => out.framing = Framing::LengthText(text),
        Fault::HeaderFlood(count) => {
            for i in 0..*count {
                out.lines.extend_from_slice(format!("X-Flood-{i}: {i}\r\n").as_bytes());
            }
        }
        Fault::HugeHeader(bytes) => {
            out.lines.extend_from_slice(format!("X-Huge: {}\r\n", "h".repeat(*bytes)).as_bytes());
        }
        Fault::FoldedHeader => out.lines.extend_from_slice(b"X-Folded: first\r\n second\r\n"),
        Fault::BadHeader => out.lines.extend_from_slice(b"X-B\x01d N\xffme: \x00\xfe\x7f\r\n"),
        Fault::Informational(status, count) => {
            let head = format!("HTTP/1.1 {status} Early\r\nLink: </a>; rel=preload\r\n\r\n");
            out.preface.extend_from_slice(head.repeat(*count).as_bytes());
        }
        Fault::Http10 => {
            out.version = "HTTP/1.0";
            out.after = After::Stale;
        }
        Fault::ConnectionClose => out.after = After::Close,
        Fault::StaleConnection => out.after = After::Stale,
        Fault::Delay(time) => out.delay += *time,
        Fault::SlowHead(pause) => out.slow_head = Some(*pause),
        Fault::Trickle(size, pause) => out.pieces = Some((*size, *pause)),
        Fault::Bandwidth(rate) => out.bandwidth = Some(*rate),
        Fault::BeforeAnswer(end) => out.before = Some(*end),
        Fault::InHead(at, end) => out.in_head = Some((*at, *end)),
        Fault::InBody(at, end) => out.in_body = Some((*at, *end)),
        Fault::HalfBody(end) => out.in_body = Some((out.answer.body.len() as u64 / 2, *end)),
        _ => object(entry, out),
    }
}

fn object(entry: &Entry, out: &mut Output) {
    let (start, length) = (out.answer.object_offset, out.answer.body.len() as u64);
    let served = matches!(out.answer.status, 200 | 206);
    match &entry.fault {
        // A body that ends right there is cut nowhere.
        Fault::AtObjectByte(at, end) if served && (start..start + length).contains(at) && entry.take(false) => {
            out.in_body = Some((at - start, *end));
        }
        Fault::Unsatisfiable => {
            let total = out.answer.body.data.len();
            out.answer = host::xml(416, "InvalidRange", "The requested range is not satisfiable");
            out.answer.set("Content-Range", &format!("bytes */{total}"));
        }
        Fault::WrongBytes if served => {
            let wrong: Vec<u8> = out.answer.body.bytes().iter().map(|b| b ^ 0x5a).collect();
            out.answer.body = Body::from(wrong);
        }
        Fault::ShortRange(most) if out.answer.status == 206 => {
            let body = &mut out.answer.body;
            body.end = body.end.min(body.start + most);
            let total = body.data.len();
            let text = format!("bytes {start}-{}/{total}", (start + body.len() as u64).saturating_sub(1));
            out.answer.set("Content-Range", &text);
        }
        Fault::ContentRange(wrong) if out.answer.status == 206 => {
            let total = out.answer.body.data.len() as i64;
            let (first, last) = (start as i64, (start + length) as i64 - 1);
            match wrong {
                WrongRange::Missing => out.answer.unset("Content-Range"),
                WrongRange::Shifted(by) => {
                    out.answer.set("Content-Range", &format!("bytes {}-{}/{total}", first + by, last + by));
                }
                WrongRange::Total(by) => {
                    out.answer.set("Content-Range", &format!("bytes {first}-{last}/{}", total + by));
                }
                WrongRange::UnknownTotal => out.answer.set("Content-Range", &format!("bytes {first}-{last}/*")),
                WrongRange::Text(text) => out.answer.set("Content-Range", text),
            }
        }
        _ => {}
    }
}

/// The fault that answers instead of the world, if one does.
pub fn standing_in(met: &[Arc<Entry>]) -> Option<&Entry> {
    met.iter().map(Arc::as_ref).find(|e| e.is_instead())
}
