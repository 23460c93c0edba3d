//! What goes wrong between an archive and the snapshot host: the result is right or the error says why, nothing is left,
//! and a fault costs one more request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use squarecloud_blocking::{Archive, Client, Error, Remote};

use crate::download_origin::{Asked, Origin, Reply};
use crate::remote_support::{Corpus, Cost, FIRST, REQUEST, Work, assert_reason, builder, folders, made, wait_until};
use crate::support::Gate;

const ONE: Option<&str> = Some("\"one\"");

/// What the host makes of the right response.
type Bend = fn(&Asked, Reply, &Objects) -> Reply;

/// What the host has.
struct Objects {
    right: Arc<Vec<u8>>,
    /// Another archive of the same length.
    other: Vec<u8>,
}

struct Fault {
    name: &'static str,
    bend: Bend,
    /// What an error may say. None: it is ridden out.
    reasons: &'static [&'static str],
}

const fn fault(name: &'static str, bend: Bend, reasons: &'static [&'static str]) -> Fault {
    Fault { name, bend, reasons }
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
const PASSING: [Fault; 8] = [
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
const WRONG: [Fault; 9] = [
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
    fault("everything", |_, _, o| Reply::right(&o.right, ONE, &Asked::default()), CHANGED),
];

/// What does not pass, from one response on. Objects that changed: by what the host says of them, or by the condition.
const LASTING: [Fault; 8] = [
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
    fault("no ranges any more", |_, _, o| Reply::right(&o.right, ONE, &Asked::default()), CHANGED),
    fault("no validators any more", |_, reply, _| with(reply, "ETag", None), CHANGED),
];

/// Two archives: one that takes several requests for data, and one whose directory does not come with the first request.
fn corpora() -> [Corpus; 2] {
    let media = made(|maker| {
        folders(2, 20, 5000)(maker);
        for n in 0..22 {
            maker.file(&format!("app/{:02}/media-{n}", n / 10), 400_000 + n);
            maker.link(&format!("app/{:02}/link-{n}", n / 10), &format!("media-{n}"));
        }
    });
    assert!(media.len() as u64 > REQUEST);
    let many = made(folders(10, 100, 1000));
    let [media, many] = [Corpus::new("media", media), Corpus::new("many", many)];
    assert!(many.directory() > FIRST && media.directory() < FIRST);
    [media, many]
}

/// All there is to be done, except twice the same.
fn tasks(corpora: &[Corpus; 2]) -> impl Iterator<Item = (&Corpus, Work)> {
    let [media, many] = corpora;
    let some = [Work::List, Work::Read, Work::ReadMany, Work::Verify];
    Work::ALL.map(|work| (media, work)).into_iter().chain(some.map(|work| (many, work)))
}

/// What came of one run.
struct Ran {
    result: Result<Archive<Remote>, Error>,
    cost: Cost,
    /// How many responses were bent.
    bent: u64,
}

/// Does `work` with a host that bends the responses that `hit` picks.
fn run(work: Work, corpus: &Corpus, bend: Bend, hit: impl Fn(usize) -> bool + Send + Sync + 'static) -> Ran {
    let mut other = corpus.bytes.to_vec();
    // Another file's name.
    let at = other.len() - 100;
    other[at] ^= 1;
    let objects = Objects { right: corpus.bytes.clone(), other };
    let bent = Arc::new(AtomicU64::new(0));
    let count = bent.clone();
    let host = Origin::<false>::start(move |asked| {
        let right = Reply::right(&objects.right, ONE, asked);
        if !hit(asked.number) {
            return right;
        }
        count.fetch_add(1, SeqCst);
        bend(asked, right, &objects)
    });
    let result = work.run(&builder().build().unwrap(), &host.url(), corpus);
    // A connection may be about to send a request when the work is done. When it has failed, all connections end soon.
    wait_until(|| match &result {
        Ok(archive) => host.under_way() == 0 && archive.source().stats().requests == host.asked().len() as u64,
        Err(_) => host.connections() == 0,
    });
    let cost = Cost { requests: host.asked().len() as u64, bytes: host.sent() };
    Ran { result, cost, bent: bent.load(SeqCst) }
}

/// Hits response `first`, then the next one, ... until none is there to be hit: right, or an error that says why.
fn each_response(work: Work, corpus: &Corpus, fault: &Fault, first: usize) {
    for k in first.. {
        let ran = run(work, corpus, fault.bend, move |number| number == k);
        if ran.bent == 0 {
            assert!(k > first || work != Work::Everything);
            ran.result.unwrap();
            return;
        }
        judge(&ran, work, corpus, fault, &format!("{work:?} of {corpus:?}, {} in response {k}", fault.name));
    }
}

fn judge(ran: &Ran, work: Work, corpus: &Corpus, fault: &Fault, told: &str) {
    let allowed = corpus.allowed(work);
    let most = allowed.bytes.min(REQUEST).max(FIRST);
    let whole = if fault.name.contains("everything") || fault.name.contains("ranges") { corpus.len() } else { 0 };
    let allowed = Cost { requests: allowed.requests + ran.bent, bytes: allowed.bytes + ran.bent * most.max(whole) };
    ran.cost.assert_within(allowed, told);
    match &ran.result {
        Ok(archive) => {
            let stats = archive.source().stats();
            assert!(
                stats.requests == ran.cost.requests && stats.bytes <= ran.cost.bytes,
                "{told}: {stats:?}, not {:?}",
                ran.cost
            );
        }
        Err(error) => assert_reason(error, fault.reasons, told),
    }
}

fn each_fault_once(works: &[Work]) {
    for (corpus, work) in tasks(&corpora()).filter(|(_, work)| works.contains(work)) {
        PASSING.iter().for_each(|fault| each_response(work, corpus, fault, 0));
        // A first response without a validator, say, is the host's way: see the hosts that give none.
        WRONG.iter().for_each(|fault| each_response(work, corpus, fault, 1));
    }
}

#[test]
fn each_response_once_wrong_while_reading() {
    each_fault_once(&[Work::List, Work::Read, Work::ReadMany, Work::Copy, Work::Reader]);
}

#[test]
fn each_response_once_wrong_while_extracting_a_folder() {
    each_fault_once(&[Work::Folder]);
}

#[test]
fn each_response_once_wrong_while_extracting_everything() {
    each_fault_once(&[Work::Everything]);
}

#[test]
fn each_response_once_wrong_while_verifying() {
    each_fault_once(&[Work::Verify]);
}

/// The first response of all: nothing is known of the object yet, so the next request is for all of it.
#[test]
fn a_wrong_first_response() {
    let small = Corpus::new("small", made(folders(3, 100, 4000)));
    for fault in WRONG.iter().take(6) {
        let host = |corpus| run(Work::Read, corpus, fault.bend, |number| number == 0);
        let [media, _] = corpora();
        match (host(&small), host(&media)) {
            (Ran { result: Ok(_), cost, .. }, Ran { result: large, .. }) => {
                let told = format!("{}: {large:?}", fault.name);
                cost.assert_within(Cost { requests: 2, bytes: FIRST + small.len() }, &told);
                assert_reason(&large.unwrap_err(), &["download it instead"], &told);
            }
            (Ran { result: Err(error), cost, .. }, _) => {
                assert_reason(&error, fault.reasons, fault.name);
                assert_eq!(cost.requests, 1);
            }
        }
    }
}

/// Every second response, so that no request succeeds at its first attempt.
#[test]
fn every_second_response_is_wrong() {
    for (corpus, work) in tasks(&corpora()) {
        for fault in &PASSING {
            let told = format!("{work:?} of {corpus:?}, {} every second time", fault.name);
            let ran = run(work, corpus, fault.bend, |number| number % 2 == 0);
            assert!(ran.bent > 0 && ran.result.is_ok(), "{told}: {:?}", ran.result);
            judge(&ran, work, corpus, fault, &told);
        }
    }
}

/// An expired link or another object, from each response on: an error that says so, and nothing left.
#[test]
fn what_does_not_pass_ends_the_work() {
    for (corpus, work) in tasks(&corpora()) {
        for fault in &LASTING {
            for k in 1.. {
                let told = format!("{work:?} of {corpus:?}, {} from response {k} on", fault.name);
                let ran = run(work, corpus, fault.bend, move |number| number >= k);
                judge(&ran, work, corpus, fault, &told);
                if ran.bent == 0 {
                    break;
                }
                assert!(ran.result.is_err(), "{told}");
            }
        }
    }
}

/// Nothing comes any more, before the first byte of a response or in the middle of it, until the client gives it up.
#[test]
fn each_response_once_stalled() {
    let limit = Duration::from_millis(150);
    let client = builder().first_byte_timeout(limit).stall_timeout(limit).min_speed(0).build().unwrap();
    let corpora = corpora();
    std::thread::scope(|scope| {
        for (corpus, work) in tasks(&corpora) {
            let client = &client;
            scope.spawn(move || (0..12).for_each(|n| stalled(client, work, corpus, n % 4, n / 4)));
        }
    });
}

/// Response `k` stalls before its head, after a byte or in the middle.
fn stalled(client: &Client, work: Work, corpus: &Corpus, k: usize, place: usize) {
    let (bytes, gate) = (corpus.bytes.clone(), Arc::new(Gate::default()));
    let closed = gate.clone();
    let host = Origin::<false>::start(move |asked| {
        let right = Reply::right(&bytes, ONE, asked);
        match place {
            _ if asked.number != k => return right,
            0 => closed.wait(),
            _ => {}
        }
        Reply { hold: Some(([0, 1, right.body.len() / 2][place], closed.clone())), ..right }
    });
    let result = work.run(client, &host.url(), corpus);
    let told = format!("{work:?} of {corpus:?}, a stall in response {k}, place {place}");
    // On a busy machine, a response may be late by itself.
    let allowed = corpus.allowed(work);
    let allowed = Cost { requests: allowed.requests + 3, bytes: allowed.bytes + 3 * allowed.bytes.min(REQUEST) };
    let cost = Cost { requests: host.asked().len() as u64, bytes: host.sent() };
    gate.open();
    assert!(result.is_ok(), "{told}: {result:?}");
    cost.assert_within(allowed, &told);
}

/// Responses that come byte by byte cost what others do.
#[test]
fn one_byte_at_a_time() {
    let client = builder().build().unwrap();
    for (corpus, work) in tasks(&corpora()) {
        let bytes = corpus.bytes.clone();
        let host = Origin::<true>::start(move |asked| Reply::right(&bytes, ONE, asked));
        let archive = work.run(&client, &host.url(), corpus).unwrap();
        wait_until(|| host.under_way() == 0);
        let cost = Cost { requests: host.asked().len() as u64, bytes: host.sent() };
        cost.assert_within(corpus.allowed(work), &format!("{work:?} of {corpus:?}"));
        let stats = archive.source().stats();
        assert_eq!(Cost { requests: stats.requests, bytes: stats.bytes }, cost);
    }
}
