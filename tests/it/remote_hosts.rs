//! Archives at hosts with ways of their own: few connections, no ranges, nothing that tells one object from another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::download_origin::{Asked, Origin, Reply, chain};
use crate::remote_support::{Corpus, Cost, FIRST, REQUEST, Work, assert_reason, builder, folders, made, wait_until};
use crate::sandbox::{Fault, NewSnapshot, Route, Sandbox};
use crate::support;

const ONE: Option<&str> = Some("\"one\"");

/// One that takes several requests.
fn media() -> Corpus {
    Corpus::new(
        "media",
        made(|maker| {
            folders(2, 20, 5000)(maker);
            (0..30).for_each(|n| maker.file(&format!("app/media-{n}"), 400_000 + n));
        }),
    )
}

/// One that a host without ranges may send whole.
fn small() -> Corpus {
    Corpus::new("small", made(folders(3, 100, 4000)))
}

fn whole(asked: &Asked) -> Asked {
    Asked { headers: Vec::new(), ..asked.clone() }
}

/// A host that serves one connection at a time and sends the others away.
#[test]
fn a_host_that_serves_one_connection_at_a_time() {
    let corpus = media();
    for (status, work) in [429, 503].into_iter().flat_map(|status| Work::ALL.map(|work| (status, work))) {
        let sandbox = Sandbox::builder().no_limits().max_connections(1, status).start();
        let bytes = Some(corpus.bytes.to_vec());
        let listed = sandbox.put_snapshot(NewSnapshot { bytes, ..NewSnapshot::of(sandbox.app_id()) });
        sandbox.fault(Route::Object, Fault::Bandwidth(100_000_000));
        // Time passes 100 times as fast.
        let quick = |pause: Duration| std::thread::sleep(pause / 100);
        let client = support::builder(&sandbox).sleep(quick).build().unwrap();
        let archive = work.run(&client, &listed.url, &corpus);
        let archive = archive.unwrap_or_else(|e| panic!("{work:?}, {status}: {}", chain(&e)));
        // What is sent away costs requests and a few words each.
        let stats = archive.source().stats();
        let most = corpus.allowed(work).bytes + stats.requests * 1024;
        assert!(stats.bytes <= most, "{work:?}, {status}: {stats:?}");
    }
}

/// Connections beyond the first one or two are refused: those there are do the work.
#[test]
fn a_host_that_takes_few_connections() {
    let (corpus, client) = (media(), builder().build().unwrap());
    for (connections, work) in [1, 2, 3].into_iter().flat_map(|n| Work::ALL.map(|work| (n, work))) {
        let bytes = corpus.bytes.clone();
        let host = Origin::<false>::listening_for(connections, move |asked| Reply::right(&bytes, ONE, asked));
        let archive = work.run(&client, &host.url(), &corpus);
        archive.unwrap_or_else(|e| panic!("{work:?}, {connections}: {}", chain(&e)));
        wait_until(|| host.under_way() == 0);
        let cost = Cost { requests: host.asked().len() as u64, bytes: host.sent() };
        cost.assert_within(corpus.allowed(work), &format!("{work:?}, {connections} connections"));
    }
}

/// A host that refuses all new connections after a while, and closes each it has after a response.
#[test]
fn a_host_that_goes_away() {
    let corpus = media();
    let client = builder().retry_for(Duration::from_millis(300)).build().unwrap();
    for (connections, work) in [1, 2].into_iter().flat_map(|n| Work::ALL.map(|work| (n, work))) {
        let bytes = corpus.bytes.clone();
        let host = Origin::<false>::listening_for(connections, move |asked| {
            let reply = Reply::right(&bytes, ONE, asked);
            Reply { cut: Some(reply.body.len()), ..reply }
        });
        match work.run(&client, &host.url(), &corpus) {
            Ok(_) => assert!(connections > 1 || work == Work::List, "{work:?}"),
            Err(error) => {
                let told = format!("{work:?}, {connections} connections");
                assert_reason(&error, &["Connect", "refused"], &told);
                assert!(error.is_retryable() && work != Work::List, "{told}");
            }
        }
    }
}

/// Without ranges, a small snapshot is read whole once, and a large one is to be downloaded.
#[test]
fn a_host_without_ranges() {
    let (small, large, client) = (small(), media(), builder().build().unwrap());
    for length in [true, false] {
        let host = |corpus: &Corpus| {
            let bytes = corpus.bytes.clone();
            Origin::<false>::start(move |asked| {
                let reply = Reply::right(&bytes, ONE, &whole(asked));
                Reply { length: (!length).then_some(None), ..reply }
            })
        };
        for work in Work::ALL {
            let host = host(&small);
            let archive = work.run(&client, &host.url(), &small).unwrap();
            wait_until(|| host.under_way() == 0);
            let cost = Cost { requests: host.asked().len() as u64, bytes: host.sent() };
            assert_eq!(cost, Cost { requests: 1, bytes: small.len() }, "{work:?}");
            let stats = archive.source().stats();
            assert_eq!(Cost { requests: stats.requests, bytes: stats.bytes }, cost);
        }
        let host = host(&large);
        let error = Work::List.run(&client, &host.url(), &large).unwrap_err();
        assert_reason(&error, &["download it instead"], "large");
        assert_eq!(host.asked().len(), 1);
    }
}

/// Nothing shows that two responses belong together: a small snapshot is read whole, a large one is to be downloaded.
#[test]
fn a_host_without_validators() {
    let (small, large, client) = (small(), media(), builder().build().unwrap());
    for etag in [None, Some("W/\"weak\"")] {
        let host = |corpus: &Corpus| {
            let bytes = corpus.bytes.clone();
            Origin::<false>::start(move |asked| Reply::right(&bytes, etag, asked))
        };
        for work in Work::ALL {
            let host = host(&small);
            work.run(&client, &host.url(), &small).unwrap();
            wait_until(|| host.under_way() == 0);
            let cost = Cost { requests: host.asked().len() as u64, bytes: host.sent() };
            cost.assert_within(Cost { requests: 2, bytes: small.len() + FIRST }, &format!("{work:?}"));
        }
        let host = host(&large);
        let error = Work::List.run(&client, &host.url(), &large).unwrap_err();
        assert_reason(&error, &["download it instead"], "large");
        assert!(host.asked().len() <= 2);
    }
}

/// The version in the link shows what an entity tag shows otherwise.
#[test]
fn a_host_with_versions_only() {
    let (corpus, client) = (media(), builder().build().unwrap());
    for work in Work::ALL {
        let bytes: Arc<Vec<u8>> = corpus.bytes.clone();
        let host = Origin::<false>::start(move |asked| {
            let mut reply = Reply::right(&bytes, None, asked);
            reply.headers.push(("x-amz-version-id".into(), "v1".into()));
            reply
        });
        work.run(&client, &host.url(), &corpus).unwrap();
        wait_until(|| host.under_way() == 0);
        let cost = Cost { requests: host.asked().len() as u64, bytes: host.sent() };
        cost.assert_within(corpus.allowed(work), &format!("{work:?}"));
    }
}

/// A host that closes every connection behind its response, without a word: the next request may hit a closed one.
#[test]
fn a_host_that_keeps_no_connection() {
    let (corpus, client) = (media(), builder().build().unwrap());
    for work in Work::ALL {
        let bytes = corpus.bytes.clone();
        let host = Origin::<false>::start(move |asked| {
            let reply = Reply::right(&bytes, ONE, asked);
            Reply { cut: Some(reply.body.len()), ..reply }
        });
        work.run(&client, &host.url(), &corpus).unwrap();
        wait_until(|| host.under_way() == 0);
        let cost = Cost { requests: host.asked().len() as u64, bytes: host.sent() };
        cost.assert_within(corpus.allowed(work), &format!("{work:?}"));
    }
}

/// The first piece comes last: the others may not take all the room that it needs.
#[test]
fn a_host_that_refuses_one_range_for_a_while() {
    let corpus = Corpus::new(
        "a big entry",
        made(|maker| {
            folders(2, 20, 3000)(maker);
            maker.file("app/big.bin", 64 << 20);
        }),
    );
    // Time passes 100 times as fast.
    let client = builder().sleep(|pause| std::thread::sleep(pause / 100)).build().unwrap();
    for work in [Work::Everything, Work::Verify] {
        let (bytes, sent, refused) = (corpus.bytes.clone(), AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        let count = refused.clone();
        let host = Origin::<false>::start(move |asked| {
            let is_first = asked.range(bytes.len()).is_some_and(|range| range.contains(&(1 << 20)));
            if is_first && sent.load(SeqCst) < 24 << 20 {
                count.fetch_add(1, SeqCst);
                return Reply::plain(503, "not now");
            }
            let reply = Reply::right(&bytes, ONE, asked);
            sent.fetch_add(reply.body.len() as u64, SeqCst);
            reply
        });
        work.run(&client, &host.url(), &corpus).unwrap_or_else(|e| panic!("{work:?}: {}", chain(&e)));
        wait_until(|| host.under_way() == 0);
        let (refused, allowed) = (refused.load(SeqCst), corpus.allowed(work));
        let cost = Cost { requests: host.asked().len() as u64, bytes: host.sent() };
        // A connection that makes room for the first piece leaves its own to be requested again.
        let again = Cost { requests: refused + 4, bytes: refused * 16 + 4 * REQUEST };
        cost.assert_within(allowed.and(again), &format!("{work:?}, {refused} times refused"));
        assert!(refused > 0);
    }
}
