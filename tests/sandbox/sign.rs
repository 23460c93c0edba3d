//! S3 signatures of version 2, as query strings: what a signed download URL carries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::{Digest, Sha1};

/// The access key id in every signed query.
pub const ACCESS_KEY_ID: &str = "SANDBOXACCESSKEY";

/// The signature of a GET of `path` (encoded, as on the wire), with the version when one is named.
pub fn signature(secret: &str, path: &str, expires: i64, version: Option<&str>) -> String {
    let version = version.map(|v| format!("?versionId={v}")).unwrap_or_default();
    let text = format!("GET\n\n\n{expires}\n{path}{version}");
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The `key` of a listing: the signed query without `?`. Only a listing's names the version.
pub fn query(secret: &str, path: &str, expires: i64, version: Option<&str>) -> String {
    let signature = encode(&signature(secret, path, expires, version), "");
    let mut query = format!("AWSAccessKeyId={ACCESS_KEY_ID}&Expires={expires}&Signature={signature}");
    if let Some(version) = version {
        // A literal `+` is legal in a query and stays one: a form decoder would make it a space.
        query.push_str(&format!("&versionId={}", encode(version, "+.")));
    }
    query
}

/// Why a signed request is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no signature at all.
    Unsigned,
    /// The signature is of something else.
    Mismatch,
    /// It was good until then.
    Expired,
}

/// Checks a signed query; gives the version it names.
pub fn verify(secret: &str, path: &str, query: &str, now_ms: i64) -> Result<Option<String>, Denied> {
    let field = |name: &str| {
        let pair = query.split('&').filter_map(|p| p.split_once('=')).find(|(n, _)| *n == name)?;
        Some(decode(pair.1))
    };
    let (Some(id), Some(expires), Some(given)) = (field("AWSAccessKeyId"), field("Expires"), field("Signature")) else {
        return Err(Denied::Unsigned);
    };
    let version = field("versionId");
    let expires: i64 = expires.parse().map_err(|_| Denied::Mismatch)?;
    if id != ACCESS_KEY_ID || given != signature(secret, path, expires, version.as_deref()) {
        return Err(Denied::Mismatch);
    }
    if expires * 1000 <= now_ms { Err(Denied::Expired) } else { Ok(version) }
}

/// Percent-encodes everything but unreserved characters and those in `keep`.
pub fn encode(text: &str, keep: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.as_bytes().contains(&byte);
        if plain { out.push(char::from(byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}

/// Percent-decodes once; `+` stays `+`.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::new(), 0);
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (bytes[i], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One parameter of a form-encoded query, where `+` is a space.
pub fn form_field(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').map(|p| p.split_once('=').unwrap_or((p, "")));
    pairs.into_iter().find(|(n, _)| decode(n) == name).map(|(_, v)| decode(&v.replace('+', " ")))
}

/// A strong entity tag of 32 hex digits. Long objects give their ends, length and version, not every byte.
pub fn etag(version: &str, data: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(version.as_bytes());
    hash.update(data.len().to_le_bytes());
    hash.update(&data[..data.len().min(1 << 16)]);
    hash.update(&data[data.len().saturating_sub(1 << 16)..]);
    let hex: String = hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect();
    format!("\"{hex}\"")
}

/// Deterministic bytes that look random and do not compress.
#[derive(Debug)]
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(len);
        out
    }

    /// `len` characters out of `alphabet`.
    pub fn text(&mut self, len: usize, alphabet: &str) -> String {
        let letters = alphabet.as_bytes();
        (0..len).map(|_| char::from(letters[(self.next() >> 11) as usize % letters.len()])).collect()
    }
}
