//! The snapshot host: signed GETs of stored objects, with ranges and preconditions (RFC 9110 sections 13 and 14).

use std::ops::Range;

use super::clock;
use super::http::{Answer, Body, Request};
use super::sign::{self, Denied};
use super::world::{Version, World};

/// What an entity tag is made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Etag {
    Missing,
    Weak,
    /// Another one in each answer.
    Changing,
}

/// How the host looks at its object for one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    pub ignore_range: bool,
    /// The object is served as if this tag were its own.
    pub etag: Option<Etag>,
    /// Counts requests, for changing tags.
    pub serial: u64,
}

/// Answers one request of the snapshot host.
pub fn answer(world: &mut World, request: &Request, now: i64, view: View) -> Answer {
    world.expire_objects(now);
    serve(world, request, now, view).unwrap_or_else(|refusal| refusal)
}

/// An error as S3 writes it.
pub fn xml(status: u16, code: &str, message: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>SANDBOX</RequestId></Error>"
    );
    Answer::new(status, "application/xml", text)
}

/// What a link past its `Expires` gets.
pub fn expired() -> Answer {
    xml(403, "AccessDenied", "Request has expired")
}

fn serve(world: &World, request: &Request, now: i64, view: View) -> Result<Answer, Answer> {
    if request.header("Authorization").is_some() {
        return Err(xml(400, "InvalidArgument", "Only one auth mechanism allowed"));
    }
    if request.method != "GET" {
        let text = "The request signature we calculated does not match the signature you provided.";
        return Err(xml(403, "SignatureDoesNotMatch", text));
    }
    let version = match sign::verify(&world.secret, &request.path, &request.query, now) {
        Ok(version) => version,
        Err(Denied::Expired) => return Err(expired()),
        Err(Denied::Unsigned) => return Err(xml(403, "AccessDenied", "Access Denied")),
        Err(Denied::Mismatch) => {
            return Err(xml(403, "SignatureDoesNotMatch", "The signature does not match."));
        }
    };
    let versions = world.objects.get(&request.path);
    let versions = versions.ok_or_else(|| xml(404, "NoSuchKey", "The specified key does not exist."))?;
    let found = match version {
        Some(id) => versions.iter().find(|v| v.id == id),
        None => versions.last(),
    };
    let found = found.ok_or_else(|| xml(404, "NoSuchVersion", "The specified version does not exist."))?;
    send(found, request, view)
}

fn send(version: &Version, request: &Request, view: View) -> Result<Answer, Answer> {
    let etag = match view.etag {
        None => version.etag.clone(),
        Some(Etag::Missing) => None,
        Some(Etag::Weak) => version.etag.as_ref().map(|e| format!("W/{e}")),
        Some(Etag::Changing) => Some(format!("\"{:032x}\"", view.serial)),
    };
    let modified = clock::http_date(version.modified_ms);
    if let (Some(wanted), Some(etag)) = (request.header("If-Match"), &etag)
        && !wanted.split(',').map(str::trim).any(|w| w == "*" || strong_match(w, etag))
    {
        let text = "At least one of the pre-conditions you specified did not hold";
        return Err(xml(412, "PreconditionFailed", text));
    }
    let total = version.data.len();
    let same = request.header("If-Range").is_none_or(|wanted| match &etag {
        Some(etag) if wanted.starts_with(['"', 'W']) && !wanted.ends_with("GMT") => strong_match(wanted, etag),
        _ => wanted == modified,
    });
    let asked = request.header("Range").filter(|_| same && !view.ignore_range).map(|r| range(r, total));
    let mut answer = Answer { status: 200, ..Answer::default() };
    let span = match asked {
        Some(Asked::Beyond) => {
            let mut refusal = xml(416, "InvalidRange", "The requested range is not satisfiable");
            refusal.set("Content-Range", &format!("bytes */{total}"));
            return Err(refusal);
        }
        Some(Asked::Part(span)) => {
            answer.status = 206;
            answer.set("Content-Range", &format!("bytes {}-{}/{total}", span.start, span.end - 1));
            span
        }
        Some(Asked::Nonsense) | None => 0..total,
    };
    answer.object_offset = span.start as u64;
    answer.body = Body { data: version.data.clone(), start: span.start, end: span.end };
    answer.set("Content-Type", "application/zip");
    answer.set("Last-Modified", &modified);
    answer.set("x-amz-version-id", &version.id);
    if !view.ignore_range {
        answer.set("Accept-Ranges", "bytes");
    }
    if let Some(etag) = etag {
        answer.set("ETag", &etag);
    }
    Ok(answer)
}

/// Strong comparison: weak tags match nothing (RFC 9110 section 8.8.3.2).
fn strong_match(a: &str, b: &str) -> bool {
    a == b && !a.starts_with("W/")
}

/// What a `Range` header asks of `total` bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    Part(Range<usize>),
    /// 416.
    Beyond,
    /// Several ranges, another unit or no range at all: ignored.
    Nonsense,
}

/// Reads a `Range` header.
pub fn range(header: &str, total: usize) -> Asked {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return Asked::Nonsense;
    };
    let number = |text: &str| text.trim().parse::<usize>().ok();
    match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            None => Asked::Nonsense,
            Some(n) if n == 0 || total == 0 => Asked::Beyond,
            Some(n) => Asked::Part(total - n.min(total)..total),
        },
        (first, last) => match (number(first), if last.is_empty() { Some(usize::MAX - 1) } else { number(last) }) {
            (Some(first), Some(last)) if first > last => Asked::Nonsense,
            (Some(first), Some(_)) if first >= total => Asked::Beyond,
            (Some(first), Some(last)) => Asked::Part(first..(last + 1).min(total)),
            _ => Asked::Nonsense,
        },
    }
}
