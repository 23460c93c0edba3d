//! The control route, `/_sandbox` on the API's port: for programs that cannot call the handle. No key, no record.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::clock;
use super::http::{Answer, Request};
use super::record::{Port, Recorded};
use super::server::{Shared, guard};
use super::sign::form_field;
use super::words;

const ROUTES: [&str; 6] = [
    "GET /_sandbox",
    "GET /_sandbox/requests",
    "POST /_sandbox/advance?by=DURATION",
    "POST /_sandbox/fault?on=ROUTE&kind=KIND[&times=N]",
    "POST /_sandbox/outage?on=any|api|download&for=DURATION",
    "POST /_sandbox/reset",
];

/// Whether a path is the control route's.
pub fn is_meant(path: &str) -> bool {
    path == "/_sandbox" || path.starts_with("/_sandbox/")
}

pub fn answer(shared: &Arc<Shared>, request: &Request) -> Answer {
    match decide(shared, request) {
        Ok(value) => Answer::json(200, &value),
        Err(text) => Answer::json(400, &json!({"error": text})),
    }
}

fn decide(shared: &Arc<Shared>, request: &Request) -> Result<Value, String> {
    let field = |name: &str| form_field(&request.query, name);
    let needed =
        |name: &str| field(name).ok_or_else(|| format!("`{name}` is missing; there are {}", ROUTES.join(", ")));
    match (request.method.as_str(), request.path.trim_start_matches("/_sandbox")) {
        ("GET", "" | "/") => Ok(about(shared)),
        ("GET", "/requests") => Ok(requests(shared)),
        ("POST", "/advance") => {
            shared.clock.advance(words::duration(&needed("by")?)?);
            Ok(json!({"now": clock::rfc3339(shared.clock.now_ms())}))
        }
        ("POST", "/fault") => {
            let wanted = words::wanted(&needed("on")?, &needed("kind")?, field("times").as_deref())?;
            shared.faults.want(wanted);
            Ok(json!({"faults": shared.faults.len()}))
        }
        ("POST", "/outage") => {
            let ports = match needed("on")?.as_str() {
                "any" => vec![Port::Api, Port::Snapshots],
                "api" => vec![Port::Api],
                "download" => vec![Port::Snapshots],
                on => return Err(format!("an outage is on any, api or download, not `{on}`")),
            };
            let time = words::duration(&needed("for")?)?;
            // The delay lets this response out first.
            let delay = if ports.contains(&Port::Api) { 100 } else { 0 };
            shared.outage(ports, Duration::from_millis(delay), time);
            Ok(json!({"seconds": time.as_secs()}))
        }
        ("POST", "/reset") => {
            shared.faults.clear();
            guard(&shared.log).clear();
            Ok(json!({"faults": 0, "requests": 0}))
        }
        (method, _) => Err(format!("there is no {method} {}; there are {}", request.path, ROUTES.join(", "))),
    }
}

fn about(shared: &Shared) -> Value {
    let kinds = words::KINDS.iter().chain(&words::DOWNLOAD_KINDS).map(|k| (k.0.to_string(), k.1.into()));
    let judged = guard(&shared.judged);
    json!({
        "control": ROUTES,
        "routes": words::ROUTES,
        "kinds": kinds.collect::<serde_json::Map<_, _>>(),
        "faults": shared.faults.len(),
        "now": clock::rfc3339(shared.clock.now_ms()),
        "leaks": judged.leaks,
        "remarks": judged.remarks,
    })
}

/// Without queries and headers: those hold signatures and keys.
fn requests(shared: &Shared) -> Value {
    let log = guard(&shared.log);
    let one = |r: &Recorded| json!({"method": r.method, "path": r.path, "status": r.status()});
    log.iter().map(one).collect()
}
