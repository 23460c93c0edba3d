//! The table of faults: what goes wrong, what each operation makes of it, and how often it was sent.

use std::time::Duration;

use serde_json::{Value, json};

use super::Op;
use crate::sandbox::{BadChunk, End, Fault};

/// What an operation comes to.
#[derive(Clone, Copy, Debug)]
pub enum Want {
    /// The answer is right in spite of the fault.
    Fine,
    /// An error that knows this HTTP status.
    Http(u16),
    /// The service's own error.
    Code(u16, &'static str),
    /// A time limit, with the status when the head was there.
    Timeout(Option<u16>),
    /// No answer that can be read.
    Lost,
    /// Accepted and not done.
    Pending,
    /// Which of them depends on the operation.
    ByOp(fn(Op) -> Want),
}

pub struct Case {
    pub name: String,
    pub faults: Vec<Fault>,
    pub want: Want,
    /// Requests of a GET; and of an upload when `busy`. Every other POST is sent once.
    pub gets: usize,
    pub busy: bool,
    /// Megabytes: for one operation of each kind only.
    pub heavy: bool,
    pub limit: Duration,
}

impl Case {
    fn gets(mut self, n: usize) -> Self {
        self.gets = n;
        self
    }
    fn busy(mut self) -> Self {
        self.busy = true;
        self
    }
    fn heavy(mut self) -> Self {
        self.heavy = true;
        self
    }
    /// Time runs out: the limit is short.
    fn quick(mut self) -> Self {
        self.limit = Duration::from_millis(150);
        self
    }
    fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

fn case(name: impl Into<String>, fault: Fault, want: Want) -> Case {
    let limit = Duration::from_secs(20);
    Case { name: name.into(), faults: vec![fault], want, gets: 1, busy: false, heavy: false, limit }
}

/// The same under every operation but those that need no `response`.
fn data(want: Want) -> Want {
    match want {
        Want::Http(200) => {
            Want::ByOp(|op| if op.is_action() || op == Op::Service { Want::Fine } else { Want::Http(200) })
        }
        other => other,
    }
}

fn body(text: &str) -> Fault {
    Fault::Answer(200, "application/json", text.as_bytes().to_vec())
}

fn lists_are_fine(op: Op) -> Want {
    let fine = op.is_action() || matches!(op, Op::Service | Op::AppList | Op::AccountList | Op::Statuses);
    if fine { Want::Fine } else { Want::Http(200) }
}

fn work_is_pending(op: Op) -> Want {
    if matches!(op, Op::Create | Op::Restore) { Want::Pending } else { Want::Http(202) }
}

fn any_word_is_a_service_status(op: Op) -> Want {
    if op == Op::Service { Want::Fine } else { Want::Http(200) }
}

pub fn all(elsewhere: &str) -> Vec<Case> {
    [statuses(elsewhere), bodies(), codes(), framing(), heads(), times(), ends()].into_iter().flatten().collect()
}

/// A few of each kind, for TLS.
pub fn some(elsewhere: &str) -> Vec<Case> {
    let kinds = [statuses(elsewhere), bodies(), codes(), framing(), heads(), times()];
    let thin = kinds.into_iter().flat_map(|kind| kind.into_iter().step_by(4));
    thin.chain(ends()).collect()
}

fn statuses(elsewhere: &str) -> Vec<Case> {
    let mut all: Vec<Case> = [201, 203, 204, 205, 206, 207, 226, 299, 300, 304, 400, 404, 418, 500, 503, 599, 600, 999]
        .map(|s| case(format!("the right answer under {s}"), Fault::Status(s), Want::Http(s)))
        .into();
    all.push(case("202", Fault::Status(202), Want::ByOp(work_is_pending)));
    for status in [301, 302, 303, 307, 308] {
        let to = |to: &str| Fault::Redirect(status, to.into());
        all.push(case(format!("{status} elsewhere"), to(elsewhere), Want::Http(status)));
        all.push(case(format!("{status} to itself"), to(""), Want::Http(status)));
        all.push(case(format!("{status} without a target"), Fault::Status(status), Want::Http(status)));
    }
    all.push(case("redirect to nonsense", Fault::Redirect(302, "http://[".into()), Want::Http(302)));
    all
}

fn bodies() -> Vec<Case> {
    let bad = |name: &str, fault: Fault| case(name, fault, Want::Http(200));
    let mut all = vec![
        bad("empty 200", Fault::empty()),
        bad("blank", body(" \r\n")),
        bad("null", Fault::null()),
        bad("[]", body("[]")),
        bad("true", body("true")),
        bad("a number", body("7")),
        bad("a string", body("\"success\"")),
        bad("{}", body("{}")),
        bad("two values", body("{\"status\":\"success\",\"response\":{}}{}")),
        bad("cut JSON", body("{\"status\":\"success\",\"response\":{\"id\":\"a")),
        bad("a byte order mark", body("\u{feff}{\"status\":\"success\"}")),
        bad("UTF-16", Fault::Answer(200, "application/json", b"{\0\"\0s\0".to_vec())),
        bad("not UTF-8", Fault::not_utf8()),
        bad("NaN", body("{\"status\":\"success\",\"response\":NaN}")),
        bad("a lone surrogate", body("{\"status\":\"success\",\"response\":\"\\ud800\"}")),
        bad("truncated to 1", Fault::Truncate(1)),
        bad("truncated to 17", Fault::Truncate(17)),
        bad("truncated to nothing", Fault::Truncate(0)),
        bad("deep", Fault::Deep(100_000)),
        bad("deep objects", body(&"{\"a\":".repeat(50_000))),
        bad("huge", Fault::Huge(33)).heavy(),
        bad("endless", Fault::Endless).heavy(),
        bad("gzip", Fault::Gzip),
        bad("said to be gzip", Fault::Encoding("gzip")),
        bad("br", Fault::Encoding("br")),
        bad("zstd", Fault::Encoding("zstd")),
        bad("an unknown coding", Fault::Encoding("tomorrow")),
        bad("two codings", Fault::Encoding("identity, gzip")),
        bad("gzip bomb", Fault::GzipBomb(40)).heavy(),
        bad("a wrong word", Fault::Edit(|v| v["status"] = json!(7))),
        case("identity", Fault::Encoding("identity"), Want::Fine),
        case("another word", Fault::Word("ok"), Want::ByOp(any_word_is_a_service_status)),
        case("no response", Fault::NoResponse, data(Want::Http(200))),
        case("a list", Fault::Response(json!([])), Want::ByOp(lists_are_fine)),
        case("unknown fields", Fault::Edit(|v| v["tomorrow"] = json!({ "a": [1] })), Want::Fine),
        case("a code with a success", Fault::Edit(|v| v["code"] = json!("SUCCESS")), Want::Fine),
        case("text/plain", Fault::Header("Content-Type", "text/plain".into()), Want::Fine),
        case("no type", Fault::RemoveHeader("Content-Type"), Want::Fine),
    ];
    for (name, value) in [("null", Value::Null), ("a number", json!(7)), ("a string", json!("x")), ("{}", json!({}))] {
        all.push(case(format!("a response that is {name}"), Fault::Response(value), data(Want::Http(200))));
    }
    for status in [200, 403, 404, 429, 500, 502, 503, 504, 520] {
        all.push(case(format!("HTML {status}"), Fault::html(status), Want::Http(status)));
    }
    for (status, code) in [(200, "X"), (403, "AccessDenied"), (404, "NoSuchKey"), (503, "SlowDown")] {
        all.push(case(format!("XML {status}"), Fault::xml(status, code), Want::Http(status)));
    }
    all
}

fn codes() -> Vec<Case> {
    let code = |status, code: &'static str| {
        case(format!("{status} {code}"), Fault::Code(status, code, "why"), Want::Code(status, code))
    };
    let busy =
        |code: &'static str| case(format!("503 {code}"), Fault::Code(503, code, "busy"), Want::Code(503, code)).gets(3);
    let retry = |value: &str| Fault::Header("Retry-After", value.into());
    let mut all: Vec<Case> = [
        (400, "INVALID_ID"),
        (401, "ACCESS_DENIED"),
        (402, "UPGRADE_REQUIRED"),
        (403, "MISSING_SCOPE"),
        (404, "APP_NOT_FOUND"),
        (409, "ACTION_FAILED"),
        (413, "FILE_TOO_LARGE"),
        (418, "A_CODE_OF_TOMORROW"),
        (429, "KEEP_CALM"),
        (429, "RATE_LIMITED"),
        (429, "RATE_LIMIT"),
        (429, "DAILY_SNAPSHOTS_LIMIT_REACHED"),
        (500, "INTERNAL_SERVER_ERROR"),
        (503, "CLUSTER_MAINTENANCE_TRY_LATER"),
        (200, "KEEP_CALM"),
        (201, "ACTION_FAILED"),
        (206, "ACTION_FAILED"),
        (299, "INTERNAL_SERVER_ERROR"),
    ]
    .map(|(status, name)| code(status, name))
    .into();
    all.extend([
        case("an error without a code", Fault::Word("error"), Want::Code(200, "UNKNOWN_ERROR")),
        busy("UPLOAD_BUSY").busy(),
        busy("ANALYTICS_BUSY").busy(),
        busy("DATABASE_UNAVAILABLE"),
        busy("UPLOAD_BUSY").busy().with(retry("1")),
        busy("UPLOAD_BUSY").busy().with(retry("0")),
        busy("UPLOAD_BUSY").busy().with(retry("soon")),
        busy("UPLOAD_BUSY").busy().with(retry("-1")),
        busy("UPLOAD_BUSY").busy().with(retry("99999999999999999999")),
        busy("UPLOAD_BUSY").gets(1).with(retry("3600")),
        busy("UPLOAD_BUSY").gets(1).with(retry("4294967295")),
        busy("DATABASE_UNAVAILABLE").gets(1).with(retry("Fri, 01 Jan 2100 00:00:00 GMT")),
        code(429, "KEEP_CALM").with(retry("1")),
        code(503, "CLUSTER_MAINTENANCE_TRY_LATER").with(retry("1")),
    ]);
    all
}

fn framing() -> Vec<Case> {
    let bad = |name: &str, fault: Fault| case(name, fault, Want::Http(200));
    // ureq reads no such header section.
    let lost = |name: &str, fault: Fault| case(name, fault, Want::Lost).gets(3);
    vec![
        bad("10 bytes missing", Fault::Missing(10)).gets(3),
        bad("2^40 bytes missing", Fault::Missing(1 << 40)).gets(3),
        case("bytes after the answer", Fault::Extra(20), Want::Fine),
        case("chunks", Fault::Chunked(7), Want::Fine),
        case("chunks of 1", Fault::Chunked(1), Want::Fine),
        bad("a chunk size that is none", Fault::BadChunks(BadChunk::Size)),
        bad("no last chunk", Fault::BadChunks(BadChunk::NoEnd)).gets(3),
        bad("a cut chunk", Fault::BadChunks(BadChunk::Cut)).gets(3),
        bad("a chunk without its end", Fault::BadChunks(BadChunk::NoCrlf)),
        bad("a chunk beyond 2^64", Fault::BadChunks(BadChunk::Huge)),
        case("no length", Fault::NoLength, Want::Fine),
        lost("two lengths", Fault::TwoLengths),
        lost("a length that is none", Fault::LengthText("many")),
        lost("a negative length", Fault::LengthText("-1")),
        lost("a length beyond 2^64", Fault::LengthText("99999999999999999999999")),
        lost("two lengths in one", Fault::LengthText("20, 21")),
        case("HTTP/1.0", Fault::Http10, Want::Fine),
    ]
}

fn heads() -> Vec<Case> {
    let lost = |name: &str, fault: Fault| case(name, fault, Want::Lost).gets(3);
    let garbage = |name: &str, bytes: &[u8]| lost(name, Fault::Garbage(bytes.to_vec()));
    vec![
        case("50 headers more", Fault::HeaderFlood(50), Want::Fine),
        lost("5000 headers more", Fault::HeaderFlood(5000)),
        case("a header of 8 kB", Fault::HugeHeader(8000), Want::Fine),
        lost("a header of 100 kB", Fault::HugeHeader(100_000)),
        lost("a header of 20 MB", Fault::HugeHeader(20_000_000)).heavy(),
        lost("a folded header", Fault::FoldedHeader),
        lost("a bad header", Fault::BadHeader),
        // Nothing asks for a 100, and ureq takes one without headers only.
        lost("100 with a header first", Fault::Informational(100, 1)),
        case("102 first", Fault::Informational(102, 3), Want::Fine),
        case("103 first", Fault::Informational(103, 1), Want::Fine),
        case("500 times 103 first", Fault::Informational(103, 500), Want::Fine),
        garbage("garbage", b"\x00\xff\x16\x03\x01 this is no HTTP\r\n\r\n"),
        garbage("an SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n"),
        garbage("HTTP/2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"),
        garbage("status 20", b"HTTP/1.1 20 OK\r\n\r\n"),
        garbage("status 2000", b"HTTP/1.1 2000 OK\r\n\r\n"),
        garbage("status 000", b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"),
        garbage("status text", b"HTTP/1.1 abc OK\r\n\r\n"),
        lost("HTTP/3.7", Fault::Garbage(b"HTTP/3.7 200 OK\r\n\r\n".to_vec())),
        garbage("nothing but line ends", b"\r\n\r\n\r\n"),
        case("Connection: close", Fault::ConnectionClose, Want::Fine),
        case("closed in silence", Fault::StaleConnection, Want::Fine),
    ]
}

fn times() -> Vec<Case> {
    let pause = Duration::from_millis(40);
    let early = |name: &str, fault: Fault| case(name, fault, Want::Timeout(None)).quick();
    let late = |name: &str, fault: Fault| case(name, fault, Want::Timeout(Some(200))).quick();
    vec![
        early("a late answer", Fault::Delay(Duration::from_secs(30))),
        early("a slow head", Fault::SlowHead(pause)),
        early("a stall before the answer", Fault::BeforeAnswer(End::Stall)),
        early("a stall in the first line", Fault::InHead(9, End::Stall)),
        early("a stall in the head", Fault::InHead(20, End::Stall)),
        late("a stall in the body", Fault::InBody(3, End::Stall)),
        late("a stall before the body", Fault::InBody(0, End::Stall)),
        late("a trickle", Fault::Trickle(1, pause)),
        late("a chunked trickle", Fault::Trickle(1, pause)).with(Fault::Chunked(1)),
        late("a trickle without length", Fault::Trickle(1, pause)).with(Fault::NoLength),
        late("an error that stalls", Fault::InBody(3, End::Stall)).with(Fault::Status(200)),
        case("500 and a stall", Fault::html(500), Want::Timeout(Some(500))).quick().with(Fault::InBody(5, End::Stall)),
        case("a little late", Fault::Delay(Duration::from_millis(20)), Want::Fine),
        case("a little slow", Fault::Trickle(64, Duration::from_millis(1)), Want::Fine),
    ]
}

fn ends() -> Vec<Case> {
    let mut all = Vec::new();
    for end in [End::Close, End::Reset] {
        all.extend([
            case(format!("{end:?} before the answer"), Fault::BeforeAnswer(end), Want::Lost).gets(3),
            case(format!("{end:?} at the head's start"), Fault::InHead(1, end), Want::Lost).gets(3),
            case(format!("{end:?} in the first line"), Fault::InHead(9, end), Want::Lost).gets(3),
            case(format!("{end:?} in the head"), Fault::InHead(30, end), Want::Lost).gets(3),
            case(format!("{end:?} before the body"), Fault::InBody(0, end), Want::Http(200)).gets(3),
            case(format!("{end:?} in the body"), Fault::InBody(5, end), Want::Http(200)).gets(3),
            // Never repeated, as far as it was heard.
            case(format!("403, then {end:?} in the body"), Fault::html(403), Want::Http(403))
                .with(Fault::InBody(5, end)),
        ]);
    }
    all
}
