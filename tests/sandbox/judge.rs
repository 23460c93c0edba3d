//! What a client must not send, by the contract's sections 1 and 5.

use super::http::{Request, find};
use super::record::Port;

/// What was found wrong with the requests so far.
#[derive(Debug, Default)]
pub struct Judged {
    /// Credentials on the snapshot host.
    pub leaks: Vec<String>,
    /// Requests of a form the contract does not have.
    pub remarks: Vec<String>,
}

impl Judged {
    pub fn look(&mut self, port: Port, request: &Request, keys: &[String]) {
        let what = format!("{} {}", request.method, request.path);
        let (leaks, remarks) = (&mut self.leaks, &mut self.remarks);
        if port == Port::Snapshots {
            for name in ["Authorization", "Cookie"] {
                if request.header(name).is_some() {
                    leaks.push(format!("{what}: {name} sent to the snapshot host"));
                }
            }
            let texts = request.headers.iter().map(|(_, v)| v).chain([&request.path, &request.query]);
            let texts: Vec<&str> = texts.map(String::as_str).collect();
            let leaked = keys
                .iter()
                .any(|k| texts.iter().any(|t| t.contains(k.as_str())) || find(&request.body, k.as_bytes()).is_some());
            if leaked {
                leaks.push(format!("{what}: the API key was sent to the snapshot host"));
            }
            if request.header("Accept-Encoding") != Some("identity") {
                remarks.push(format!("{what}: Accept-Encoding is not identity"));
            }
        }
        let sent = |name: &str| request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).count();
        for name in ["Authorization", "Host", "Content-Length", "Range", "If-Range", "If-Match"] {
            if sent(name) > 1 {
                remarks.push(format!("{what}: {name} sent more than once"));
            }
        }
        if request.header("User-Agent").is_none_or(str::is_empty) {
            remarks.push(format!("{what}: no User-Agent"));
        }
        if port == Port::Api && request.header("Accept").is_none_or(|a| !a.contains("application/json")) {
            remarks.push(format!("{what}: Accept does not name application/json"));
        }
        let length = request.header("Content-Length");
        match request.method.as_str() {
            "POST" if request.chunked => remarks.push(format!("{what}: chunked body")),
            "POST" if length.is_none() => remarks.push(format!("{what}: POST without Content-Length")),
            "POST" if request.body.is_empty() && request.header("Content-Type").is_some() && !request.too_large => {
                remarks.push(format!("{what}: Content-Type without a body"));
            }
            "GET" | "HEAD" if !request.body.is_empty() => remarks.push(format!("{what}: body with {}", request.method)),
            _ => {}
        }
    }
}
