//! The secrets: the API key and signed links.
//!
//! They print without their secret part. The only way to the whole value is `expose`, so a search for that
//! word finds every place where a secret is used.

mod redact;

use std::fmt;

use crate::error::{Error, Result};

pub(crate) use redact::{clean, excerpt, is_invisible};

/// The account's API key.
#[derive(Clone)]
pub(crate) struct ApiKey(String);

impl ApiKey {
    /// Accepts any key that an HTTP header can carry. Its length and form are the service's business.
    pub(crate) fn new(key: String) -> Result<Self> {
        let problem = if key.trim().is_empty() {
            "is empty; create one in the Square Cloud dashboard and pass it as it is shown there"
        } else if key != key.trim() {
            "begins or ends with a space; pass it as the dashboard shows it"
        } else if !key.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            "contains a line break or another character an HTTP header cannot carry; pass it as the dashboard shows it"
        } else {
            return Ok(Self(key));
        };
        Err(Error::invalid("the API key", problem))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// A signed download link: whoever has it can read the snapshot until it expires.
///
/// `Debug` and `Display` show scheme, host and path and never the query, which is the credential.
/// [`expose`](Self::expose) returns the whole link.
///
/// ```
/// let url = squarecloud_blocking::SignedUrl::parse(
///     "https://snapshots.squarecloud.app/applications/1/app.zip?Signature=hush",
/// )?;
/// assert_eq!(url.to_string(), "https://snapshots.squarecloud.app/applications/1/app.zip?..");
/// assert!(url.expose().ends_with("?Signature=hush"));
/// # Ok::<(), squarecloud_blocking::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SignedUrl {
    url: String,
    /// Where the path starts in `url`.
    path: usize,
    /// Where the path ends in `url`: the `?`, or the end.
    query: usize,
}

impl SignedUrl {
    /// Parses a signed link: an absolute URL with the scheme `https` (plain `http` for loopback only), a host and a
    /// path, without a user name, a fragment or characters that cannot be sent in a request line. Sends nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what is wrong, without repeating the link.
    pub fn parse(url: &str) -> Result<Self> {
        let bad = |reason: &'static str| Error::invalid("the signed link", reason);
        let path = path_of(url).map_err(bad)?;
        if url.contains('#') {
            return Err(bad("contains a fragment ('#'), which signed links never have"));
        }
        let query = url.find('?').unwrap_or(url.len());
        if query <= path {
            return Err(bad("has no path, so it does not name a snapshot"));
        }
        Ok(Self { url: url.to_owned(), path, query })
    }

    /// Returns the whole link, signature included. Treat it like a password.
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> &str {
        &self.url[..self.path]
    }

    /// The path without the query, as it is on the wire.
    pub(crate) fn path(&self) -> &str {
        &self.url[self.path..self.query]
    }

    /// The signed query.
    pub(crate) fn key(&self) -> SignedKey {
        SignedKey::new(self.query())
    }

    /// The signed query without its `?`, or an empty string.
    pub(crate) fn query(&self) -> &str {
        self.url.get(self.query + 1..).unwrap_or("")
    }
}

impl fmt::Display for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, query) = self.url.split_at(self.query);
        write!(f, "{shown}{}", if query.is_empty() { "" } else { "?.." })
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedUrl({self})")
    }
}

/// The signed query of a link, without its `?`: as secret as the link.
///
/// `Debug` and `Display` show nothing of it. [`expose`](Self::expose) returns it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct SignedKey(String);

impl SignedKey {
    pub(crate) fn new(query: &str) -> Self {
        Self(query.strip_prefix('?').unwrap_or(query).to_owned())
    }

    /// Returns the signed query, without `?`; empty when there is none. Treat it like a password.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for SignedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl fmt::Debug for SignedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedKey(..)")
    }
}

/// Checks an absolute `https` URL, or an `http` URL of a loopback host, and returns where its path begins. The error
/// repeats nothing of it, since it may be a secret.
pub(crate) fn path_of(url: &str) -> std::result::Result<usize, &'static str> {
    if url.is_empty() {
        return Err("is empty");
    }
    if url.bytes().any(|b| b <= b' ' || b == 0x7f || b >= 0x80 || b == b'\\') {
        return Err("contains a space, a control character or a character that must be percent-encoded");
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("is not an absolute URL; it must begin with https://");
    };
    let plain = scheme.eq_ignore_ascii_case("http");
    if !plain && !scheme.eq_ignore_ascii_case("https") {
        return Err("has a scheme other than https");
    }
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if authority.contains('@') {
        return Err("contains a user name or password before the host, which is not supported");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').ok_or("has an unclosed '[' in its host")?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() {
        return Err("has no host");
    }
    if plain && !is_loopback(host) {
        return Err("uses plain http, which would expose a secret to the network; use https (loopback may use http)");
    }
    let is_port = |digits: &str| digits.parse::<u16>().is_ok_and(|port| port != 0);
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Err("has a port that is not a number from 1 to 65535");
    }
    Ok(url.len() - rest.len() + authority.len())
}

/// Whether `host` can only be this machine: `localhost` or a loopback address.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
