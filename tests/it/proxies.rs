//! Requests through proxies: of the builder and of the environment, and what their errors say.

use std::process::{Command, Stdio};
use std::time::Duration;

use squarecloud_blocking::{Client, ClientBuilder, Error, NetworkFailure};

use crate::connect_proxy::{ConnectProxy, Respond};
use crate::sandbox::tls::Tls;
use crate::sandbox::{NewSnapshot, Port, Sandbox};
use crate::support::{Slept, whole};

const PASSWORD: &str = "p%40ss%3Aword";
/// `Hüsh:p@ss:word`
const BASIC: &str = "Basic SMO8c2g6cEBzczp3b3Jk";

fn sandbox() -> Sandbox {
    Sandbox::builder().small().no_limits().tls().start()
}

/// The API and a snapshot of the sandbox under names that are not loopback's.
fn urls(sandbox: &Sandbox) -> (String, String) {
    let link = sandbox.put_snapshot(NewSnapshot::of(sandbox.app_id()));
    (sandbox.base_url().replace("127.0.0.1", "api.test"), link.url.replace("127.0.0.1", "snapshots.test"))
}

fn builder(sandbox: &Sandbox, base_url: &str) -> ClientBuilder {
    let builder = Client::builder(sandbox.api_key()).base_url(base_url).sleep(Slept::default().sleeper());
    builder.root_certificates(sandbox.ca_pem().unwrap()).timeout(Duration::from_secs(20))
}

/// The errors of a call of the API and of a download.
fn errors(sandbox: &Sandbox, set: impl Fn(ClientBuilder) -> ClientBuilder) -> [Error; 2] {
    let (base_url, link) = urls(sandbox);
    let client = set(builder(sandbox, &base_url)).build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let errors = [client.account().unwrap_err(), client.open_url(&link).unwrap().download(dir.path()).unwrap_err()];
    let signature = link.split("Signature=").nth(1).unwrap();
    for error in &errors {
        let text = whole(error);
        for secret in ["hush", "Hush", "Hüsh", "ss:word", PASSWORD, sandbox.api_key(), signature] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    errors
}

#[test]
fn both_hosts_are_reached_through_a_proxy_with_its_password() {
    let sandbox = sandbox();
    let (base_url, link) = urls(&sandbox);
    let proxy = ConnectProxy::start(Respond::Credentials(BASIC), None);
    let url = format!("http://H%C3%BCsh:{PASSWORD}@127.0.0.1:{}", proxy.port);
    let client = builder(&sandbox, &base_url).proxy(url).build().unwrap();
    for _ in 0..2 {
        client.account().unwrap();
        let dir = tempfile::tempdir().unwrap();
        client.open_url(&link).unwrap().download(dir.path()).unwrap();
    }
    let heads = proxy.heads();
    for host in ["api.test", "snapshots.test"] {
        let times = heads.iter().filter(|head| head.starts_with(&format!("CONNECT {host}:"))).count();
        assert_eq!(times, 1, "connections are used again: {heads:?}");
    }
    assert!(heads.iter().all(|head| !head.contains(sandbox.api_key()) && !head.contains("Signature")));
    // Loopback is reached directly.
    let local = builder(&sandbox, sandbox.base_url()).proxy("http://127.0.0.1:1").build().unwrap();
    local.account().unwrap();
    local.open_url(&link.replace("snapshots.test", "localhost")).unwrap().remote().unwrap();
}

#[test]
fn a_proxys_refusal_is_the_proxys_and_final() {
    let sandbox = sandbox();
    for status in [401, 403, 404, 407, 429, 500, 502, 503] {
        let proxy = ConnectProxy::start(Respond::Status(status), None);
        let address = format!("127.0.0.1:{}", proxy.port);
        for error in errors(&sandbox, |b| b.proxy(format!("http://hush:hush-hush@{address}"))) {
            assert!(matches!(&error, Error::Proxy { proxy, .. } if *proxy == address), "{error:?}");
            assert_eq!((error.status(), error.is_retryable()), (Some(status), false), "{error}");
            assert!(!error.is_unauthorized() && !error.is_not_found() && !error.is_rate_limited(), "{error}");
            let text = error.to_string();
            assert!(text.contains(&format!("the proxy {address}")) && text.contains(&status.to_string()), "{text}");
            assert!(text.contains(".test:"), "{text}");
            assert_eq!(text.contains("user name and password"), status == 407, "{text}");
        }
        assert_eq!(proxy.heads().len(), 2, "{status} is final");
    }
    assert_eq!(sandbox.connections(Port::Api) + sandbox.connections(Port::Snapshots), 0);
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named_and_may_be_tried_again() {
    let sandbox = sandbox();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, name, expected) in [
        (format!("http://u:hush@{free}"), free.to_string(), NetworkFailure::Connect),
        ("http://u:hush@nonexistent.invalid:3128".into(), "nonexistent.invalid:3128".into(), NetworkFailure::Lookup),
    ] {
        for error in errors(&sandbox, |b| b.proxy(url.as_str())) {
            assert!(matches!(error, Error::Network { failure, .. } if failure == expected), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&format!("the proxy {name}")) && error.is_retryable(), "{text}");
            assert_eq!(text.contains("could not be resolved"), expected == NetworkFailure::Lookup, "{text}");
        }
    }
    let proxy = ConnectProxy::start(Respond::Close, None);
    for error in errors(&sandbox, |b| b.proxy(proxy.url())) {
        assert!(matches!(error, Error::Network { .. }) && error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains(&format!("the proxy 127.0.0.1:{}", proxy.port)), "{error}");
    }
    let proxy = ConnectProxy::start(Respond::Silence, None);
    for error in errors(&sandbox, |b| b.proxy(proxy.url()).connect_timeout(Duration::from_millis(100))) {
        let text = error.to_string();
        assert!(error.is_timeout() && text.contains("connecting to") && text.contains(".test:"), "{error:?}");
        assert!(text.contains(&format!("the proxy 127.0.0.1:{}", proxy.port)), "{error}");
    }
}

#[test]
fn an_https_proxy_has_tls_of_its_own() {
    let (sandbox, tls) = (sandbox(), Tls::new());
    let (base_url, link) = urls(&sandbox);
    let both = format!("{}{}", sandbox.ca_pem().unwrap(), tls.ca_pem);
    let proxy = ConnectProxy::start(Respond::Tunnel, Some(tls.config));
    let url = format!("https://127.0.0.1:{}", proxy.port);
    let client = builder(&sandbox, &base_url).root_certificates(both).proxy(&url).build().unwrap();
    client.account().unwrap();
    client.open_url(&link).unwrap().remote().unwrap();
    assert!(proxy.heads()[0].starts_with("CONNECT api.test:"));
    for error in errors(&sandbox, |b| b.proxy(&url)) {
        assert!(matches!(error, Error::Network { failure: NetworkFailure::Certificate, .. }), "{error:?}");
        assert!(error.to_string().contains("the proxy 127.0.0.1:") && !error.is_retryable(), "{error}");
    }
}

#[test]
fn an_explicit_proxy_that_cannot_be_used_is_refused() {
    for url in [
        "socks5://hush:hush-hush@h",
        "socks4a://h:1",
        "ftp://h",
        "http://",
        "http://:1",
        "::",
        "http://h:x",
        "http://u:p@h:99999",
        "http://h:0",
        "http://a b",
    ] {
        let error = Client::builder("key").proxy(url).build().unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{url}");
        assert!(error.to_string().contains("SOCKS") && !whole(&error).contains("hush"), "{error}");
    }
    for url in ["h:1", "http://u:p@h", "https://h", "http://[::1]:1/"] {
        assert!(Client::builder("key").proxy(url).build().is_ok(), "{url}");
    }
}

// --- the environment, which belongs to a process

/// What a process with these variables says of the API, then of a snapshot.
fn with(sandbox: &Sandbox, variables: &[(&str, &str)], explicit: Option<&str>) -> [String; 2] {
    let (base_url, link) = urls(sandbox);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "proxies::child", "--ignored", "--nocapture", "--test-threads=1"]);
    for name in ["https_proxy", "http_proxy", "all_proxy", "no_proxy"] {
        child.env_remove(name).env_remove(name.to_uppercase());
    }
    child.env("CHILD_KEY", sandbox.api_key()).env("CHILD_CA", sandbox.ca_pem().unwrap());
    child.env("CHILD_API", base_url).env("CHILD_LINK", link).envs(variables.iter().copied());
    child.envs(explicit.map(|choice| ("CHILD_PROXY", choice)));
    let output = child.stderr(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let line = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{variables:?}: {said}")).to_owned()
    };
    [line("API: "), line("SNAPSHOT: ")]
}

#[test]
#[ignore = "a process that another test starts"]
fn child() {
    let Ok(key) = std::env::var("CHILD_KEY") else { return };
    let variable = |name: &str| std::env::var(name).unwrap();
    let builder = |url: &str| {
        let builder = Client::builder(&key)
            .base_url(url)
            .root_certificates(variable("CHILD_CA"))
            .retries(0)
            .retry_for(Duration::ZERO);
        match std::env::var("CHILD_PROXY").as_deref() {
            Ok("none") => builder.no_proxy(),
            Ok(proxy) => builder.proxy(proxy),
            Err(_) => builder,
        }
    };
    let api = builder(&variable("CHILD_API")).build().and_then(|client| client.account());
    println!("\nAPI: {}", api.map_or_else(|e| e.to_string(), |_| "fine".into()));
    // A client whose API is on loopback is made whatever the environment says.
    let client = builder("http://127.0.0.1:1/v2").build().unwrap();
    let remote = client.open_url(&variable("CHILD_LINK")).unwrap().remote();
    println!("\nSNAPSHOT: {}", remote.map_or_else(|e| e.to_string(), |_| "fine".into()));
}

#[test]
fn the_environments_proxy_is_chosen_as_curl_does() {
    let sandbox = sandbox();
    let (good, bad) = (ConnectProxy::start(Respond::Tunnel, None), ConnectProxy::start(Respond::Status(418), None));
    let (good, bad) = (good.url(), bad.url());
    let bare = good.trim_start_matches("http://");
    let (fine, refused, direct) = ("fine", "HTTP 418", "could not be resolved");
    let cases: Vec<(Vec<(&str, &str)>, &str)> = vec![
        (vec![("https_proxy", &good), ("HTTPS_PROXY", &bad), ("ALL_PROXY", &bad)], fine),
        (vec![("HTTPS_PROXY", &good), ("all_proxy", &bad), ("ALL_PROXY", &bad)], fine),
        (vec![("all_proxy", &bad), ("https_proxy", bare)], fine),
        (vec![("all_proxy", &bad), ("https_proxy", "")], refused),
        (vec![("ALL_PROXY", &bad)], refused),
        (vec![("http_proxy", &good), ("HTTP_PROXY", &good)], direct),
        (vec![], direct),
        (vec![("https_proxy", &good), ("NO_PROXY", "*")], direct),
        (vec![("https_proxy", &good), ("no_proxy", "a, TEST.")], direct),
        (vec![("https_proxy", &good), ("no_proxy", ""), ("NO_PROXY", ".test")], direct),
        (vec![("https_proxy", &good), ("no_proxy", "test:1")], fine),
        (vec![("https_proxy", "socks5://h"), ("no_proxy", "test")], direct),
    ];
    for (variables, expected) in cases {
        for said in with(&sandbox, &variables, None) {
            assert!(said.contains(expected), "{variables:?}: {said}");
        }
    }
    let [api, snapshot] = with(&sandbox, &[("https_proxy", &good), ("no_proxy", "api.test")], None);
    assert!(api.contains(direct) && snapshot == fine, "{api}, {snapshot}");
    for (explicit, expected) in [("none", direct), (good.as_str(), fine)] {
        for said in with(&sandbox, &[("https_proxy", "socks5://h"), ("no_proxy", "*")], Some(explicit)) {
            assert!(said.contains(expected), "{explicit}: {said}");
        }
    }
}

#[test]
fn a_proxy_of_the_environment_that_cannot_be_used_is_no_silent_direct_connection() {
    let sandbox = sandbox();
    for (name, scheme) in [
        ("https_proxy", "socks4"),
        ("HTTPS_PROXY", "socks4a"),
        ("all_proxy", "socks5"),
        ("ALL_PROXY", "socks5h"),
        ("https_proxy", "ftp"),
    ] {
        for said in with(&sandbox, &[(name, &format!("{scheme}://u:hush@127.0.0.1:9"))], None) {
            assert!(said.contains(name) && said.contains("SOCKS proxies are not") && !said.contains("hush"), "{said}");
        }
    }
    for value in ["http://u:hush@h:x", "http://", "::hush"] {
        for said in with(&sandbox, &[("https_proxy", value)], None) {
            assert!(said.contains("https_proxy") && !said.contains("hush"), "{said}");
        }
    }
    assert_eq!(sandbox.connections(Port::Api) + sandbox.connections(Port::Snapshots), 0);
}
