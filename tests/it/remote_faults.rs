//! What goes wrong between an archive and the snapshot host: the result is right or the error says why, nothing is
//! left, and a fault costs one more request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use squarecloud_blocking::{Archive, Client, ClientBuilder, Error, Refusal, Remote};

use crate::download_origin::{Origin, Reply};
use crate::remote_fault_kinds::{Bend, DAMAGE, Fault, LASTING, ONE, Objects, PASSING, STALLS, WRONG};
use crate::remote_support::{Corpus, Cost, FIRST, REQUEST, Work, assert_reason, builder, folders, made, wait_until};

/// Two archives: one that takes several requests for data, and one whose directory does not come with the first.
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

/// Which responses are bent, counted from the beginning of the work.
#[derive(Clone, Copy, Debug)]
enum When {
    Never,
    Only(usize),
    From(usize),
    EverySecond,
}

struct Rule {
    when: When,
    bend: Bend,
    /// How many requests came before.
    before: usize,
    /// How many responses were bent.
    bent: u64,
}

/// A host that bends responses, and one archive of it for all that is done, before and after errors.
struct Bench<'a> {
    corpus: &'a Corpus,
    host: Origin<false>,
    objects: Arc<Objects>,
    rule: Arc<Mutex<Rule>>,
    client: Client,
    archive: Archive<Remote>,
    /// The requests of other archives of the host.
    others: u64,
    /// A connection may be about to send a request when an error has ended the work.
    after_error: bool,
    /// How many responses may be late although nobody bends them.
    late: u64,
}

/// What came of one run.
struct Ran {
    result: Result<(), Error>,
    cost: Cost,
    bent: u64,
}

impl<'a> Bench<'a> {
    fn new(corpus: &'a Corpus) -> Self {
        Self::with(builder(), corpus)
    }

    fn with(client: ClientBuilder, corpus: &'a Corpus) -> Self {
        let mut other = corpus.bytes.to_vec();
        // Another file's name.
        let at = other.len() - 100;
        other[at] ^= 1;
        let objects = Arc::new(Objects { right: corpus.bytes.clone(), other, gate: Mutex::default() });
        let rule = Arc::new(Mutex::new(Rule { when: When::Never, bend: PASSING[0].bend, before: 0, bent: 0 }));
        let (shared, theirs) = (rule.clone(), objects.clone());
        let host = Origin::start(move |asked| {
            let right = Reply::right(&theirs.right, ONE, asked);
            let mut rule = shared.lock().unwrap();
            let number = asked.number - rule.before;
            let is_hit = match rule.when {
                When::Never => false,
                When::Only(k) => number == k,
                When::From(k) => number >= k,
                When::EverySecond => number.is_multiple_of(2),
            };
            rule.bent += u64::from(is_hit);
            let bend = rule.bend;
            drop(rule);
            if is_hit { bend(asked, right, &theirs) } else { right }
        });
        let client = client.build().unwrap();
        let archive = client.open_url(&host.url()).unwrap().archive().unwrap();
        Self { corpus, host, objects, rule, client, archive, others: 0, after_error: false, late: 0 }
    }

    fn cost(&self) -> Cost {
        Cost { requests: self.host.asked().len() as u64, bytes: self.host.sent() }
    }

    /// What was read of small files is kept for a while: the next read is to send a request again.
    fn forget(&self) {
        let small: Vec<_> = self.corpus.local.entries().filter(|e| e.size() < 10_000).map(|e| e.name()).collect();
        let one = small.iter().position(|name| *name == self.corpus.one).unwrap();
        small.iter().step_by(one / 5).take(4).for_each(|name| drop(self.archive.read(name).unwrap()));
    }

    /// Does `work` while responses are bent, and compares the cost with what is allowed.
    fn run(&mut self, work: Work, fault: &Fault, when: When) -> Ran {
        if matches!(work, Work::Read | Work::Copy | Work::Reader) {
            self.forget();
            wait_until(|| self.host.under_way() == 0);
        }
        let before = self.cost();
        *self.rule.lock().unwrap() = Rule { when, bend: fault.bend, before: before.requests as usize, bent: 0 };
        let result = if work == Work::List {
            work.run(&self.client, &self.host.url(), self.corpus).map(drop)
        } else {
            work.run_on(&self.archive, self.corpus)
        };
        if work == Work::List {
            self.others += self.cost().requests - before.requests;
        }
        std::mem::take(&mut *self.objects.gate.lock().unwrap()).open();
        let stats = || self.archive.source().stats();
        wait_until(|| self.host.under_way() == 0 && stats().requests + self.others == self.cost().requests);
        self.rule.lock().unwrap().when = When::Never;
        let (now, bent) = (self.cost(), self.rule.lock().unwrap().bent);
        assert!(stats().bytes <= now.bytes);
        let cost = Cost { requests: now.requests - before.requests, bytes: now.bytes - before.bytes };
        let ran = Ran { result, cost, bent };
        self.judge(&ran, work, fault, &format!("{work:?} of {:?}, {}, {when:?}", self.corpus, fault.name));
        self.after_error = ran.result.is_err();
        ran
    }

    fn judge(&self, ran: &Ran, work: Work, fault: &Fault, told: &str) {
        let corpus = self.corpus;
        let (open, all) = (corpus.allowed(Work::List), corpus.allowed(work));
        let opened = if work == Work::List { 0 } else { open.requests };
        let more = ran.bent + self.late + if self.after_error { 2 } else { 0 };
        let whole = if fault.sends_all { corpus.len() } else { 0 };
        let most = all.bytes.clamp(FIRST, REQUEST).max(whole);
        let allowed = Cost { requests: all.requests - opened + more, bytes: all.bytes + more * most };
        ran.cost.assert_within(allowed, told);
        if let Err(error) = &ran.result {
            assert_reason(error, fault.reasons, told);
        }
    }

    /// How many responses `work` needs when nothing goes wrong.
    fn responses(&mut self, work: Work) -> usize {
        let ran = self.run(work, &PASSING[0], When::Never);
        ran.result.unwrap();
        assert!(ran.cost.requests > 0, "{work:?}");
        ran.cost.requests as usize
    }

    /// Hits one response after the other.
    fn each(&mut self, work: Work, faults: &[Fault], when: fn(usize) -> When, is_right: fn(&Ran) -> bool) {
        let responses = self.responses(work);
        for fault in faults {
            // A first response of all without a validator, say, is the host's way: see the hosts that give none.
            let first = usize::from(work == Work::List && !fault.reasons.is_empty());
            for k in first..responses {
                let ran = self.run(work, fault, when(k));
                let told = || format!("{work:?} of {:?}, {}, {:?}: {:?}", self.corpus, fault.name, when(k), ran.result);
                assert!(ran.bent > 0 && is_right(&ran), "{}", told());
            }
        }
    }
}

/// One archive of each corpus, and what is to be done with it.
fn with_each(works: &[Work], mut what: impl FnMut(&mut Bench<'_>, Work)) {
    let corpora = corpora();
    for corpus in &corpora {
        let mut bench = Bench::new(corpus);
        let mine = tasks(&corpora).filter(|(other, work)| std::ptr::eq(*other, corpus) && works.contains(work));
        mine.for_each(|(_, work)| what(&mut bench, work));
    }
}

fn each_fault_once(works: &[Work]) {
    with_each(works, |bench, work| {
        bench.each(work, &PASSING, When::Only, |ran| ran.result.is_ok());
        bench.each(work, &WRONG, When::Only, |_| true);
    });
}

#[test]
fn each_response_once_wrong_while_reading() {
    each_fault_once(&[Work::List, Work::Read, Work::ReadMany, Work::Copy, Work::Reader]);
}

#[test]
fn each_response_once_wrong_while_extracting() {
    each_fault_once(&[Work::Folder, Work::Everything]);
}

#[test]
fn each_response_once_wrong_while_verifying() {
    each_fault_once(&[Work::Verify]);
}

/// The first response of all: nothing is known of the object yet, so the next request is for all of it.
#[test]
fn a_wrong_first_response() {
    let (small, [media, _]) = (Corpus::new("small", made(folders(3, 100, 4000))), corpora());
    let (mut small, mut media) = (Bench::new(&small), Bench::new(&media));
    for fault in WRONG.map(|fault| Fault { sends_all: true, ..fault }) {
        // An error says why; the large one is not fetched to the end.
        small.run(Work::List, &fault, When::Only(0));
        let ran = media.run(Work::List, &fault, When::Only(0));
        assert!(ran.result.is_ok() || ran.cost.requests <= 2, "{}: {:?}", fault.name, ran.cost);
    }
}

/// Every second response, so that no request succeeds at its first attempt.
#[test]
fn every_second_response_is_wrong() {
    with_each(&Work::ALL, |bench, work| {
        for fault in &PASSING {
            let ran = bench.run(work, fault, When::EverySecond);
            assert!(ran.bent > 0 && ran.result.is_ok(), "{work:?}, {}: {:?}", fault.name, ran.result);
        }
    });
}

/// An expired link or another object, from each response on: an error that says so, and nothing left.
#[test]
fn what_does_not_pass_ends_the_work() {
    with_each(&Work::ALL, |bench, work| bench.each(work, &LASTING, When::From, |ran| ran.result.is_err()));
}

/// What HTTP does not notice, the checksums do.
#[test]
fn each_response_once_damaged() {
    with_each(
        &[Work::Read, Work::ReadMany, Work::Copy, Work::Reader, Work::Folder, Work::Everything],
        |bench, work| {
            let is_refused = |ran: &Ran| ran.result.as_ref().is_err_and(|e| e.refusal() == Some(Refusal::Corrupt));
            bench.each(work, &[DAMAGE], When::Only, is_refused);
        },
    );
}

#[test]
fn each_response_once_stalled() {
    let limit = Duration::from_millis(300);
    let limited = || builder().first_byte_timeout(limit).stall_timeout(limit).min_speed(0);
    let corpora = corpora();
    std::thread::scope(|scope| {
        for (corpus, work) in tasks(&corpora) {
            scope.spawn(move || {
                // On a busy machine, a response may be late by itself.
                let mut bench = Bench { late: 2, ..Bench::with(limited(), corpus) };
                bench.each(work, &STALLS, When::Only, |ran| ran.result.is_ok());
            });
        }
    });
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
