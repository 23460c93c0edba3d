//! Downloads from a host that breaks, lies, changes its mind or falls silent. The result is the snapshot, or
//! an error and no file.

use std::fs;
use std::ops::ControlFlow;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use squarecloud_blocking::{Client, DownloadOptions, Error, Result, Snapshot};
use tempfile::{TempDir, tempdir};

use super::Origin;
use crate::download_origin::{Asked, Reply, archive, assert_no_secret, chain, names, quick_dir};

const ONE: Option<&str> = Some("\"one\"");
/// Long enough for a busy machine, short enough to wait for.
const LIMIT: Duration = Duration::from_millis(400);

fn impatient(url: &str, limit: Duration) -> Snapshot {
    let client = Client::builder("key-0").timeout(limit).no_proxy().sleep(|_| {}).build().unwrap();
    client.open_url(url).unwrap()
}

/// One download from `decide`: what came of it, and where.
fn run(decide: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Result<Vec<u8>>, TempDir, Vec<Asked>) {
    run_with(decide, Duration::from_secs(20), DownloadOptions::new())
}

fn run_with(
    decide: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    limit: Duration,
    options: DownloadOptions<'_>,
) -> (Result<Vec<u8>>, TempDir, Vec<Asked>) {
    let origin = Origin::start(decide);
    let dir = quick_dir();
    let result = impatient(&origin.url(), limit).download_with(dir.path(), &options);
    let result = result.map(|done| {
        assert_eq!(names(dir.path()), ["app.v1.zip"], "nothing but the file is left");
        let bytes = fs::read(&done.path).unwrap();
        assert_eq!(done.bytes, bytes.len() as u64);
        bytes
    });
    if let Err(error) = &result {
        assert!(!dir.path().join("app.v1.zip").exists(), "no final file after {error}");
        assert_no_secret(&chain(error));
        for name in names(dir.path()) {
            assert_no_secret(&name);
            assert_no_secret(&String::from_utf8_lossy(&fs::read(dir.path().join(name)).unwrap()));
        }
    }
    (result, dir, origin.asked())
}

/// Every small download again with a server that sends one byte at a time.
fn paced(slow: bool, mut reply: Reply) -> Reply {
    if slow {
        reply.pace = Some((1, Duration::ZERO));
    }
    reply
}

#[test]
fn a_cut_at_every_byte_is_mended() {
    let object = archive(90, 3);
    for etag in [ONE, Some("W/\"weak\""), None] {
        for slow in [false, true] {
            for cut in 0..=object.len() {
                let body = object.clone();
                let (result, _, asked) = run(move |asked| {
                    let mut reply = paced(slow, Reply::right(&body, etag, asked));
                    if asked.number == 0 && cut < body.len() {
                        reply.cut = Some(cut);
                    }
                    reply
                });
                assert_eq!(result.unwrap(), object, "cut at {cut}");
                assert_eq!(asked.len(), if cut < object.len() { 2 } else { 1 });
                let resumed = asked.get(1).and_then(|a| a.header("range").map(str::to_owned));
                let wanted = (etag == ONE && cut > 0 && cut < object.len()).then(|| format!("bytes={cut}-"));
                assert_eq!(resumed, wanted);
            }
        }
    }
}

#[test]
fn a_cut_in_every_answer_is_mended_as_long_as_there_is_progress() {
    let object = archive(20_000, 3);
    for slow in [false, true] {
        let body = object.clone();
        let (result, _, asked) = run(move |asked| {
            let mut reply = paced(slow, Reply::right(&body, ONE, asked));
            reply.cut = Some(1500).filter(|cut| *cut < reply.body.len());
            reply
        });
        assert_eq!(result.unwrap(), object);
        assert!(asked.len() > 10);
    }
}

#[test]
fn without_progress_it_ends() {
    for cut in [0, 1] {
        let object = archive(20_000, 3);
        for (options, requests) in [(DownloadOptions::new(), 6..=12), (DownloadOptions::new().attempts(5), 5..=5)] {
            let body = object.clone();
            let cut = move |asked: &Asked| Reply { cut: Some(cut), ..Reply::right(&body, ONE, asked) };
            let (result, _, asked) = run_with(cut, Duration::from_secs(20), options);
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Network { .. }) && error.is_retryable(), "{error:?}");
            assert!(requests.contains(&asked.len()), "{}", asked.len());
        }
    }
}

#[test]
fn ranges_that_are_ignored_mean_starting_over() {
    let object = archive(5000, 3);
    for slow in [false, true] {
        let body = object.clone();
        let (result, _, asked) = run(move |asked| {
            let plain = Asked { headers: Vec::new(), ..asked.clone() };
            let mut reply = paced(slow, Reply::right(&body, ONE, &plain));
            reply.cut = (asked.number < 2).then_some(3000);
            reply
        });
        assert_eq!(result.unwrap(), object);
        assert_eq!(asked.len(), 3);
    }
}

#[test]
fn a_changed_object_is_never_spliced() {
    let (old, new) = (archive(5000, 3), archive(5000, 4));
    assert_eq!(old.len(), new.len());
    // How the second object shows: by its tag, by the condition that fails, or by its length alone.
    type Change = fn(&[u8], &Asked) -> Reply;
    let changes: [Change; 4] = [
        |new, asked| Reply::right(new, Some("\"two\""), asked),
        |new, asked| {
            let blind = Asked {
                headers: asked.headers.iter().filter(|(n, _)| n != "if-match").cloned().collect(),
                ..asked.clone()
            };
            Reply::right(new, Some("\"two\""), &blind)
        },
        |new, asked| Reply::right(new, None, asked),
        |new, asked| Reply::right(new, Some("W/\"one\""), asked),
    ];
    for change in changes {
        for slow in [false, true] {
            let (old, body) = (old.clone(), new.clone());
            let (result, _, _) = run(move |asked| match asked.number {
                0 => paced(slow, Reply { cut: Some(2500), ..Reply::right(&old, ONE, asked) }),
                _ => paced(slow, change(&body, asked)),
            });
            assert_eq!(result.unwrap(), new);
        }
    }
}

#[test]
fn an_object_that_keeps_changing_ends_in_an_error() {
    let object = archive(5000, 3);
    let (result, _, asked) = run(move |asked| {
        let etag = format!("\"{}\"", asked.number);
        Reply { cut: Some(2500), ..Reply::right(&object, Some(&etag), asked) }
    });
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error:?}");
    assert!(asked.len() < 10, "{}", asked.len());
}

#[test]
fn a_wrong_content_range_is_never_used() {
    let object = archive(5000, 3);
    for wrong in ["", "bytes 2499-5128/{n}", "bytes 2501-{l}/{n}", "bytes 2500-{l}/*", "bytes 2500-{l}/99999", "junk"] {
        let body = object.clone();
        let (result, _, _) = run(move |asked| {
            let mut reply = Reply::right(&body, ONE, asked);
            if asked.number == 0 {
                reply.cut = Some(2500);
            }
            if reply.status == 206 {
                let (n, l) = (body.len().to_string(), (body.len() - 1).to_string());
                reply.headers.retain(|(name, _)| name != "Content-Range");
                if !wrong.is_empty() {
                    let said = wrong.replace("{n}", &n).replace("{l}", &l);
                    reply.headers.push(("Content-Range".into(), said));
                }
            }
            reply
        });
        assert_eq!(result.unwrap(), object, "{wrong}");
    }
}

#[test]
fn a_part_under_the_status_of_the_whole_is_never_taken_for_it() {
    let object = archive(5000, 3);
    for said in [true, false] {
        let body = object.clone();
        let (result, ..) = run(move |asked| {
            let mut reply = Reply::right(&body, ONE, asked);
            reply.cut = (asked.number == 0).then_some(2500);
            if reply.status == 206 {
                reply.status = 200;
                reply.headers.retain(|(name, _)| said || name != "Content-Range");
            }
            reply
        });
        assert_eq!(result.unwrap(), object, "Content-Range: {said}");
    }
    let (result, ..) = run(move |asked| {
        let mut reply = Reply::right(&object, ONE, asked);
        reply.headers.push(("Content-Range".into(), "bytes 0-2499/5000".into()));
        reply.body.truncate(2500);
        reply
    });
    assert!(matches!(result.unwrap_err(), Error::UnexpectedResponse { status: 200, .. }));
}

#[test]
fn a_page_in_the_place_of_the_rest_does_not_cost_what_came_before() {
    for connections in [1, 4] {
        let object = archive(2_000_000, 3);
        // The page comes once something is stored, or there would be nothing that it could cost.
        let (stored, seen) = mpsc::channel();
        let seen = Mutex::new(seen);
        let (result, dir, _) = run_with(
            move |asked| match asked.number {
                0 => Reply { cut: Some(700_000), ..Reply::right(&object, ONE, asked) },
                _ => {
                    // A single connection asks for the rest after the first response only.
                    if connections > 1 {
                        let _ = seen.lock().unwrap().recv_timeout(Duration::from_secs(10));
                    }
                    Reply {
                        headers: vec![("Content-Type".into(), "text/html; charset=utf-8".into())],
                        ..Reply::plain(200, "<html>please log in</html>")
                    }
                }
            },
            Duration::from_secs(20),
            DownloadOptions::new().connections(connections).progress(move |progress| {
                // One for every connection that waits.
                for _ in 0..8 * usize::from(progress.bytes > 0) {
                    let _ = stored.send(());
                }
                ControlFlow::Continue(())
            }),
        );
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::UnexpectedResponse { excerpt, .. } if excerpt.contains("log in")), "{error:?}");
        assert_eq!(names(dir.path()), [".app.v1.zip.part", ".app.v1.zip.part.meta"]);
    }
}

#[test]
fn a_version_and_a_length_do_without_a_tag() {
    let object = archive(5000, 3);
    let body = object.clone();
    let (result, _, asked) = run(move |asked| {
        let mut reply = Reply::right(&body, None, asked);
        reply.headers.push(("x-amz-version-id".into(), "v1".into()));
        reply.cut = (asked.number == 0).then_some(2500);
        reply
    });
    assert_eq!(result.unwrap(), object);
    assert_eq!(asked[1].header("range"), Some("bytes=2500-"));
}

#[test]
fn another_version_than_the_link_names_is_refused() {
    let object = archive(5000, 3);
    let (result, dir, _) = run(move |asked| {
        let mut reply = Reply::right(&object, ONE, asked);
        reply.headers.push(("x-amz-version-id".into(), "v2".into()));
        reply
    });
    assert!(matches!(result.unwrap_err(), Error::UnexpectedResponse { status: 200, .. }));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn statuses_that_are_no_success_are_errors_and_leave_nothing() {
    let object = archive(500, 3);
    let cases: Vec<(Reply, bool)> = vec![
        (Reply::plain(200, ""), false),
        (Reply::plain(200, "<html>log in</html>"), false),
        (Reply::plain(200, "{\"status\":\"error\"}"), false),
        (Reply::plain(202, ""), false),
        (Reply { status: 203, body: object.clone(), ..Reply::default() }, false),
        (Reply { status: 204, length: Some(None), ..Reply::default() }, false),
        (Reply { status: 206, body: object.clone(), ..Reply::default() }, false),
        (Reply { status: 304, length: Some(None), ..Reply::default() }, false),
        (Reply::plain(400, "bad"), false),
        (Reply::plain(401, "who"), false),
        (Reply::plain(403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"), false),
        (Reply::plain(404, "<Error><Code>NoSuchKey</Code></Error>"), false),
        (Reply::plain(416, ""), false),
        (Reply::plain(410, ""), false),
        (Reply::plain(501, ""), false),
        (Reply::plain(408, ""), true),
        (Reply::plain(429, ""), true),
        (Reply::plain(500, "oops"), true),
        (Reply::plain(502, "<html>"), true),
        (Reply::plain(503, "SlowDown"), true),
        (Reply::plain(504, ""), true),
        (Reply::plain(520, "<html>edge"), true),
        (Reply::plain(524, "<html>edge"), true),
        (Reply::plain(530, "<html>edge"), true),
        (Reply { status: 999, body: object.clone(), ..Reply::default() }, false),
    ];
    for (reply, is_retried) in cases {
        let status = reply.status;
        let (result, dir, asked) = run(move |_| reply.clone());
        let error = result.unwrap_err();
        assert_eq!(error.status(), Some(status), "{error:?}");
        assert!(matches!(&error, Error::UnexpectedResponse { method: "GET", path, .. } if path.ends_with("/app.zip")));
        // Within 20 s of pauses, which double from 0.5 s.
        let requests = if is_retried { 6..=12 } else { 1..=1 };
        assert!(requests.contains(&asked.len()), "HTTP {status}: {} requests", asked.len());
        assert!(names(dir.path()).is_empty(), "HTTP {status}: {:?}", names(dir.path()));
        assert_eq!(error.is_not_found(), status == 404);
    }
}

#[test]
fn a_refused_link_says_what_to_do_and_shows_no_secret() {
    let (result, ..) = run(|asked| {
        let echo = format!("<html>you asked for {} with {:?}</html>", asked.line, asked.headers);
        Reply::plain(403, &echo)
    });
    let text = result.unwrap_err().to_string();
    assert!(text.contains("list the snapshots again") && text.contains("you asked for"), "{text}");
}

#[test]
fn a_busy_host_is_asked_again() {
    let object = archive(500, 3);
    let body = object.clone();
    let (result, ..) = run(move |asked| match asked.number {
        0 => Reply::plain(503, "SlowDown"),
        _ => Reply::right(&body, ONE, asked),
    });
    assert_eq!(result.unwrap(), object);
}

#[test]
fn a_length_that_lies_makes_no_file() {
    let object = archive(5000, 3);
    for length in [object.len() - 1, object.len() - 100, object.len() + 1, object.len() + 100_000] {
        let body = object.clone();
        let (result, ..) = run(move |asked| Reply { length: Some(Some(length)), ..Reply::right(&body, None, asked) });
        assert!(result.is_err(), "announced {length} of {}", object.len());
    }
}

#[test]
fn without_a_length_the_archive_itself_shows_that_it_is_whole() {
    let object = archive(5000, 3);
    for (cut, whole) in [(None, true), (Some(4000), false), (Some(object.len() - 1), false)] {
        let body = object.clone();
        let (result, ..) = run(move |asked| Reply { length: Some(None), cut, ..Reply::right(&body, None, asked) });
        assert_eq!(result.is_ok(), whole, "cut at {cut:?}");
    }
}

#[test]
fn a_silence_is_mended_once_and_then_ends() {
    let object = archive(5000, 3);
    let body = object.clone();
    let (result, _, asked) = run_with(
        move |asked| {
            let silent = (asked.number == 0).then_some((2500, LIMIT * 3));
            Reply { silent, ..Reply::right(&body, ONE, asked) }
        },
        LIMIT,
        DownloadOptions::new(),
    );
    assert_eq!(result.unwrap(), object);
    assert_eq!(asked[1].header("range"), Some("bytes=2500-"));

    let begun = Instant::now();
    let (result, ..) = run_with(
        move |asked| Reply { silent: Some((1, LIMIT * 4)), ..Reply::right(&object, ONE, asked) },
        LIMIT,
        DownloadOptions::new(),
    );
    assert!(result.unwrap_err().is_timeout());
    assert!(begun.elapsed() < LIMIT * 2, "{:?}", begun.elapsed());
}

#[test]
fn a_drip_and_a_late_answer_end_in_time() {
    let object = archive(500_000, 3);
    let drip = object.clone();
    let begun = Instant::now();
    let (result, ..) = run_with(
        move |asked| Reply { pace: Some((1, LIMIT / 20)), ..Reply::right(&drip, ONE, asked) },
        LIMIT,
        DownloadOptions::new(),
    );
    let error = result.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert!(begun.elapsed() < LIMIT * 2, "{:?}", begun.elapsed());

    let begun = Instant::now();
    let (result, _, asked) = run_with(
        move |asked| Reply { late: LIMIT * 3, ..Reply::right(&object, ONE, asked) },
        LIMIT,
        DownloadOptions::new(),
    );
    assert!(result.unwrap_err().is_timeout());
    assert!(begun.elapsed() < LIMIT * 2, "{:?}", begun.elapsed());
    assert_eq!(asked.len(), 1, "waiting for a first byte is not repeated");
}

#[test]
fn an_answer_that_is_late_but_in_time_is_waited_for() {
    let object = archive(5000, 3);
    let body = object.clone();
    let (result, _, asked) = run_with(
        move |asked| Reply { late: LIMIT * 3 / 4, ..Reply::right(&body, ONE, asked) },
        LIMIT,
        DownloadOptions::new(),
    );
    assert_eq!(result.unwrap(), object);
    assert_eq!(asked.len(), 1);
}

#[test]
fn a_host_that_is_not_there_is_an_error_soon() {
    let url = { Origin::good(archive(10, 1)).url() };
    std::thread::sleep(Duration::from_millis(20));
    let dir = tempdir().unwrap();
    let error = impatient(&url, Duration::from_secs(4)).download(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Network { .. }), "{error:?}");
    assert_no_secret(&chain(&error));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn an_encoding_that_was_not_asked_for_is_refused() {
    let object = archive(500, 3);
    let (result, ..) = run(move |asked| {
        let mut reply = Reply::right(&object, ONE, asked);
        reply.headers.push(("Content-Encoding".into(), "gzip".into()));
        reply
    });
    assert!(result.is_err());
}

#[cfg(feature = "zip")]
#[test]
fn a_damaged_archive_is_found_by_verify() {
    let object = archive(100_000, 3);
    let mut damaged = object.clone();
    damaged[5000] ^= 1;
    for (verify, passes) in [(false, true), (true, false)] {
        let body = damaged.clone();
        let options = DownloadOptions::new().verify(verify);
        let (result, ..) = run_with(move |asked| Reply::right(&body, ONE, asked), Duration::from_secs(20), options);
        assert_eq!(result.is_ok(), passes);
    }
    let options = DownloadOptions::new().verify(true);
    let body = object.clone();
    let (result, ..) = run_with(move |asked| Reply::right(&body, ONE, asked), Duration::from_secs(20), options);
    assert_eq!(result.unwrap(), object);
}

#[test]
fn nonsense_options_are_refused_before_anything_is_sent() {
    let origin = Origin::good(archive(10, 1));
    let dir = tempdir().unwrap();
    let snapshot = Snapshot::from_url(&origin.url()).unwrap();
    for options in [
        DownloadOptions::new().connections(0),
        DownloadOptions::new().connections(1000),
        DownloadOptions::new().attempts(0),
    ] {
        let error = snapshot.download_with(dir.path(), &options).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
    }
    assert!(origin.asked().is_empty() && names(dir.path()).is_empty());
}

/// Bytes on the wire that are none of the snapshot, without an end, and silence on a host that cannot continue:
/// neither may be tried as often as a broken connection is.
#[test]
fn what_never_ends_ends_in_time_and_keeps_its_status() {
    let object = archive(5000, 3);
    type Spoil = fn(Reply) -> Reply;
    let spoils: [Spoil; 3] = [
        |reply| Reply { silent: Some((2500, LIMIT * 8)), ..reply },
        |reply| Reply { silent: Some((2500, LIMIT * 8)), length: Some(None), ..reply },
        |reply| Reply { silent: Some((reply.body.len(), LIMIT * 8)), length: Some(None), ..reply },
    ];
    for spoil in spoils {
        let body = object.clone();
        let begun = Instant::now();
        let (result, _, asked) =
            run_with(move |asked| spoil(Reply::right(&body, None, asked)), LIMIT, DownloadOptions::new());
        let error = result.unwrap_err();
        assert!(error.is_timeout() && error.status() == Some(200), "{error:?}");
        assert!(begun.elapsed() < LIMIT * 4, "{:?}", begun.elapsed());
        assert!(asked.len() <= 3, "{}", asked.len());
    }
}

#[test]
fn silences_that_bring_next_to_nothing_add_up() {
    let object = archive(100_000, 3);
    // With a tag it goes on from where it was, without one it begins again: neither may take for ever.
    for (etag, spoken) in [(ONE, 1000), (None, 50_000)] {
        for connections in [1, 4] {
            let body = object.clone();
            let (result, _, asked) = run_with(
                move |asked| Reply { silent: Some((spoken, LIMIT * 4)), ..Reply::right(&body, etag, asked) },
                LIMIT,
                DownloadOptions::new().connections(connections),
            );
            assert!(result.unwrap_err().is_timeout());
            // Silent for the stall limit twice, and for the rest of what is allowed in all.
            assert!(asked.len() <= 3, "{etag:?}, {connections}: {} times in vain", asked.len());
        }
    }
}

#[test]
fn endless_trailers_end_when_the_length_is_known() {
    use std::io::{Read, Write};
    let object = archive(5000, 3);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/applications/1/app.zip?Signature=hush&versionId=v1");
    let server = std::thread::spawn(move || {
        let (half, n) = (object.len() / 2, object.len());
        // The last connection is the test's own, to end this.
        for (number, socket) in listener.incoming().enumerate() {
            let mut socket = socket.unwrap();
            if socket.read(&mut [0; 4096]).unwrap_or(0) == 0 {
                return;
            }
            let mut sent = if number == 0 {
                let head = format!("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: {n}\r\n\r\n");
                socket.write_all(&[head.as_bytes(), &object[..half]].concat())
            } else {
                let head = format!(
                    "HTTP/1.1 206 Partial\r\nETag: \"a\"\r\nContent-Range: bytes {half}-{}/{n}\r\n\
                     Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                    n - 1,
                    n - half
                );
                socket.write_all(&[head.as_bytes(), &object[half..], b"\r\n0\r\n"].concat())
            };
            while sent.is_ok() && number > 0 {
                sent = socket.write_all(&b"X-More: and more\r\n".repeat(100));
            }
        }
    });
    let dir = tempdir().unwrap();
    let begun = Instant::now();
    let client = Client::builder("key-0").timeout(LIMIT).min_speed(1 << 20).no_proxy().build().unwrap();
    let result = client.open_url(&url).unwrap().download(dir.path());
    // All bytes are there, or time ran out: it ends either way.
    assert!(result.as_ref().is_ok() || result.as_ref().is_err_and(Error::is_timeout), "{result:?}");
    assert!(begun.elapsed() < LIMIT * 3, "{:?}", begun.elapsed());
    drop(std::net::TcpStream::connect(address));
    drop(server);
}

#[test]
fn redirects_have_one_limit_together_and_keep_their_status() {
    let begun = Instant::now();
    let (result, ..) = run_with(
        |asked| {
            let mut reply = Reply { late: LIMIT / 2, ..Reply::plain(302, "") };
            reply.headers.push(("Location".into(), asked.line.split(' ').nth(1).unwrap_or("/").into()));
            reply
        },
        LIMIT,
        DownloadOptions::new(),
    );
    assert_eq!(result.unwrap_err().status(), Some(302));
    assert!(begun.elapsed() < LIMIT * 3 / 2, "{:?}", begun.elapsed());
}

#[test]
fn an_error_that_drips_is_not_read_to_its_end() {
    for status in [403, 503] {
        for connections in [1, 4] {
            let begun = Instant::now();
            let (result, ..) = run_with(
                move |_| Reply { pace: Some((1, LIMIT / 20)), ..Reply::plain(status, &"no ".repeat(1000)) },
                LIMIT,
                DownloadOptions::new().connections(connections),
            );
            let error = result.unwrap_err();
            assert!(error.status() == Some(status) || error.is_timeout(), "{error:?}");
            assert!(begun.elapsed() < LIMIT * 20, "{status}: {:?}", begun.elapsed());
        }
    }
}

#[test]
fn late_refusals_and_redirects_share_one_limit() {
    type Decide = fn(&Asked) -> Reply;
    let cases: [Decide; 2] = [
        |_| Reply { late: LIMIT * 3 / 4, ..Reply::plain(503, "SlowDown") },
        |_| Reply {
            late: LIMIT * 3 / 4,
            headers: vec![("Location".into(), "/applications/1/app.zip?again".into())],
            ..Reply::plain(302, "")
        },
    ];
    for decide in cases {
        for connections in [1, 4] {
            let options = DownloadOptions::new().connections(connections);
            let (result, _, asked) = run_with(decide, LIMIT, options);
            assert!(result.is_err());
            assert!(asked.len() <= 2, "{connections}: waited {} times", asked.len());
        }
    }
}

#[test]
fn a_late_first_answer_leaves_less_time_side_by_side_too() {
    let object = archive(2_000_000, 3);
    let (result, _, asked) = run_with(
        move |asked| {
            let late = if asked.number == 0 { LIMIT * 3 / 4 } else { Duration::ZERO };
            Reply { late, silent: Some((500, LIMIT * 4)), ..Reply::right(&object, ONE, asked) }
        },
        LIMIT,
        DownloadOptions::new().connections(4),
    );
    assert!(result.unwrap_err().is_timeout());
    // Two for each of the two pieces: one stall and a half are left after the wait.
    assert!(asked.len() <= 4, "{}", asked.len());
}

#[test]
fn a_host_that_breaks_off_early_and_often_is_outlasted() {
    let object = archive(2_000_000, 3);
    for (connections, cut) in [(1, 20_000), (4, 20_000)] {
        let body = object.clone();
        let (result, ..) = run_with(
            move |asked| {
                let right = Reply::right(&body, ONE, asked);
                Reply { cut: Some(cut).filter(|cut| *cut < right.body.len()), ..right }
            },
            Duration::from_secs(20),
            DownloadOptions::new().connections(connections),
        );
        assert!(result.unwrap() == object, "{connections} connections, {cut} bytes each");
    }
}
