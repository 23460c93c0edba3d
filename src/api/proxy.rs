//! PURE. The proxy that the environment names and the hosts that do without it, read as curl reads them.

use std::net::IpAddr;

/// The proxy variables in their order. `http_proxy` is not among them: only loopback is reached without TLS, and that
/// directly.
const VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// What the environment says of proxies. The URL may contain a password, so it never prints.
pub(crate) struct Environment {
    /// The variable, and the URL in it.
    pub(crate) proxy: Option<(&'static str, String)>,
    /// The hosts that are reached directly.
    pub(crate) exceptions: String,
}

impl Environment {
    /// An empty variable counts as unset.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let proxy = VARIABLES.into_iter().find_map(|name| Some((name, value(name)?)));
        let exceptions = value("no_proxy").or_else(|| value("NO_PROXY")).unwrap_or_default();
        Self { proxy, exceptions }
    }
}

/// The URL of a proxy, whose scheme and port may be left out: `http` and 1080, as in curl.
pub(crate) fn with_defaults(proxy: &str) -> String {
    let (scheme, rest) = proxy.split_once("://").unwrap_or(("http", proxy));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    if has_port || host.is_empty() || !scheme.eq_ignore_ascii_case("http") {
        return format!("{scheme}://{rest}");
    }
    format!("{scheme}://{authority}:1080")
}

/// Whether `exceptions`, the value of `NO_PROXY`, has an entry for `host`.
pub(crate) fn is_exception(exceptions: &str, host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let mut entries = exceptions.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    exceptions.trim() == "*" || entries.any(|entry| matches(&entry.to_ascii_lowercase(), &host))
}

fn matches(entry: &str, host: &str) -> bool {
    if let Ok(address) = host.parse() {
        return contains(entry.trim_matches(['[', ']']), address);
    }
    let domain = entry.strip_prefix('.').unwrap_or(entry).trim_end_matches('.');
    !domain.is_empty() && host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether `network`, an address or a range like `10.0.0.0/8`, contains `address`.
fn contains(network: &str, address: IpAddr) -> bool {
    let (network, prefix) = network.split_once('/').map_or((network, None), |(network, bits)| (network, Some(bits)));
    // The bits in which the two differ come after the prefix.
    let (same, all) = match (network.parse(), address) {
        (Ok(IpAddr::V4(a)), IpAddr::V4(b)) => ((u32::from(a) ^ u32::from(b)).leading_zeros(), 32),
        (Ok(IpAddr::V6(a)), IpAddr::V6(b)) => ((u128::from(a) ^ u128::from(b)).leading_zeros(), 128),
        _ => return false,
    };
    prefix.map_or(Ok(all), str::parse).is_ok_and(|prefix: u32| same >= prefix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_specific_variable_comes_first() {
        type Case = (&'static [(&'static str, &'static str)], Option<(&'static str, &'static str)>);
        let cases: [Case; 9] = [
            (&[], None),
            (&[("https_proxy", "http://a:1"), ("HTTPS_PROXY", "http://b:1")], Some(("https_proxy", "http://a:1"))),
            (&[("https_proxy", ""), ("HTTPS_PROXY", "http://b:1")], Some(("HTTPS_PROXY", "http://b:1"))),
            (&[("ALL_PROXY", "http://a:1"), ("HTTPS_PROXY", " b:1 ")], Some(("HTTPS_PROXY", "b:1"))),
            (&[("ALL_PROXY", "http://a:1"), ("all_proxy", "http://b:1")], Some(("all_proxy", "http://b:1"))),
            (&[("ALL_PROXY", "socks5h://a"), ("all_proxy", " ")], Some(("ALL_PROXY", "socks5h://a"))),
            (&[("HTTP_PROXY", "http://a:1"), ("http_proxy", "http://a:1")], None),
            (&[("https_proxy", "u:p@h")], Some(("https_proxy", "u:p@h"))),
            (&[("https_proxy", "HTTPS://h")], Some(("https_proxy", "HTTPS://h"))),
        ];
        for (variables, expected) in cases {
            let proxy = read(variables).proxy;
            let proxy = proxy.as_ref().map(|(name, url)| (*name, url.as_str()));
            assert_eq!(proxy, expected, "{variables:?}");
        }
        assert_eq!(read(&[("no_proxy", ""), ("NO_PROXY", " b ")]).exceptions, "b");
        assert_eq!(read(&[("no_proxy", "a"), ("NO_PROXY", "b")]).exceptions, "a");
    }

    #[test]
    fn what_a_proxy_leaves_out_is_as_in_curl() {
        for (url, expected) in [
            ("http://h", "http://h:1080"),
            ("u:p@h", "http://u:p@h:1080"),
            ("h:1", "http://h:1"),
            ("", "http://"),
            ("https://h", "https://h"),
            ("http://h/x", "http://h:1080"),
            ("http://u:p@h/", "http://u:p@h:1080"),
            ("http://u:p@[::1]", "http://u:p@[::1]:1080"),
            ("http://[::1]:2/", "http://[::1]:2/"),
            ("http://h:2", "http://h:2"),
            ("socks5://h", "socks5://h"),
        ] {
            assert_eq!(with_defaults(url), expected);
        }
    }

    #[test]
    fn exceptions_are_matched_as_curl_does() {
        let host = "snapshots.test";
        let yes = [
            ("*", host),
            ("snapshots.test", host),
            ("SNAPSHOTS.TEST", host),
            ("snapshots.test", "SNAPSHOTS.test."),
            ("snapshots.test.", host),
            (".snapshots.test", host),
            ("test", host),
            (".test", host),
            ("a,b , test ,c", host),
            ("a b test", host),
            ("a,,\ttest", host),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.0/8", "10.255.0.1"),
            ("10.128.0.0/9", "10.200.0.1"),
            ("0.0.0.0/0", "10.0.0.1"),
            ("fd00::/8", "[fd12::1]"),
            ("fd12::1", "[fd12:0::1]"),
        ];
        for (exceptions, host) in yes {
            assert!(is_exception(exceptions, host), "{exceptions} for {host}");
        }
        let no = [
            ("[fd12::1]:443", "[fd12::1]"),
            ("10.0.0.0/8:443", "10.255.0.1"),
            ("test:443", host),
            ("a, *", host),
            ("*.test", host),
            ("", host),
            (",", host),
            (".", host),
            ("other.test", host),
            ("shots.test", host),
            ("a.snapshots.test", host),
            ("snapshots", host),
            ("test:80", host),
            ("test:x", host),
            ("test:", host),
            ("10.0.0.10", "10.0.0.1"),
            ("0.0.1", "10.0.0.1"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.128.0.0/9", "10.100.0.1"),
            ("10.0.0.0/x", "10.0.0.1"),
            ("10.0.0.1/33", "10.0.0.1"),
            ("10.0.0.0/8:80", "10.0.0.1"),
            ("10.0.0.0/8", host),
            ("fd00::/8", "[fe80::1]"),
            ("fd12::1", "[fd12::2]"),
            ("::/0", "10.0.0.1"),
        ];
        for (exceptions, host) in no {
            assert!(!is_exception(exceptions, host), "{exceptions} for {host}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(exceptions in ".{0,40}", host in ".{0,20}", proxy in ".{0,30}") {
            let _ = is_exception(&exceptions, &host);
            let _ = read(&[("https_proxy", &proxy)]);
        }

        #[test]
        fn a_domain_covers_itself_and_what_is_below(domain in "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}", below in "[a-z]{1,5}") {
            for entry in [domain.clone(), format!(".{domain}"), format!("x {domain}.")] {
                let sub = format!("{below}.{domain}");
                let beside = format!("{below}{domain}");
                prop_assert!(is_exception(&entry, &domain) && is_exception(&entry, &sub));
                prop_assert!(entry.starts_with('x') || !is_exception(&entry, &beside), "{} {}", entry, beside);
            }
        }
    }
}
