//! PURE. What an answer says, made fit to be shown: without secrets, escaped, cut.

use std::collections::HashSet;

/// How many bytes of an answer an error shows.
const EXCERPT_BYTES: usize = 200;
/// How much of a body is looked at for that. Many times what is shown: secrets shrink when they are taken out,
/// and half of one must not be left at the end.
const WINDOW: usize = 64 * 1024;
/// A part of a secret as long as this is taken out like the whole.
const PART: usize = 8;
const REDACTED: &str = "[redacted]";

/// The first bytes of a body, fit to be printed.
pub(crate) fn excerpt(body: &[u8], secret: &str) -> String {
    let body = body.trim_ascii_start();
    let text = String::from_utf8_lossy(body.get(..WINDOW).unwrap_or(body));
    clean(&text, EXCERPT_BYTES, secret)
}

/// A text of the service's, fit to be printed: redacted before it is cut, or half a secret could be left at the
/// cut.
pub(crate) fn clean(text: &str, most: usize, secret: &str) -> String {
    escape(&redact(text, secret), most)
}

/// Escapes what a terminal would act upon, and cuts at `most` characters.
fn escape(text: &str, most: usize) -> String {
    let mut out = String::new();
    for (n, c) in text.trim().chars().enumerate() {
        if n == most {
            out.push_str("...");
            break;
        }
        if c.is_control() || is_direction(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that reorder a line of text and so can make a terminal lie.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a credential is called in a query, in S3's XML and in JSON; lower case.
const NAMES: [&str; 12] = [
    "awsaccesskeyid",
    "signature",
    "signatureprovided",
    "stringtosign",
    "stringtosignbytes",
    "canonicalrequest",
    "canonicalrequestbytes",
    "x-amz-credential",
    "x-amz-security-token",
    "authorization",
    "apikey",
    "api_key",
];

/// Takes out a secret the answer repeats, whole or in part, the value of everything that is part of a signature,
/// and the query of every URL.
pub(crate) fn redact(text: &str, secret: &str) -> String {
    let mut out = if secret.is_empty() { text.to_owned() } else { text.replace(secret, REDACTED) };
    for value in values(secret) {
        out = without_parts(&out, value);
    }
    for name in NAMES {
        out = blank(&out, name, false);
    }
    out = blank(&out, "key", true);
    without_queries(&out)
}

/// A signed query's names are no secret, its values are.
fn values(secret: &str) -> impl Iterator<Item = &str> {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let is_query = secret.contains('&')
        && secret.split('&').all(|part| part.split_once('=').is_some_and(|(name, _)| is_name(name)));
    secret.split(move |c| is_query && c == '&').map(move |part| match part.split_once('=') {
        Some((_, value)) if is_query => value,
        _ => part,
    })
}

/// Takes out every run of [`PART`] or more bytes that stands in `secret` too.
fn without_parts(text: &str, secret: &str) -> String {
    if secret.len() < PART {
        return text.to_owned();
    }
    let parts: HashSet<&[u8]> = secret.as_bytes().windows(PART).collect();
    let bytes = text.as_bytes();
    let is_part = |at: usize| bytes.get(at..at + PART).is_some_and(|part| parts.contains(part));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if !is_part(at) {
            out.push(*byte);
            at += 1;
            continue;
        }
        while is_part(at) {
            at += 1;
        }
        at += PART - 1;
        out.extend_from_slice(REDACTED.as_bytes());
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Replaces the value in `name=value`, `<name>value<` and `"name": "value"`, or only in the last.
fn blank(text: &str, name: &str, only_json: bool) -> String {
    // Of the same length byte by byte, so that what is found there is found in `text`.
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    while let Some(found) = lower.get(done..).and_then(|rest| rest.find(name)) {
        let (start, end) = (done + found, done + found + name.len());
        let (Some(before), Some(after)) = (text.get(done..end), text.get(end..)) else {
            break;
        };
        out.push_str(before);
        done = end;
        let preceded_by = |c: &str| text.get(..start).is_some_and(|before| before.ends_with(c));
        let json = after.trim_start_matches(['\\', '"']).trim_start().strip_prefix(':');
        let (value, ends): (&str, &[char]) =
            if let (Some(value), true) = (json, !only_json || preceded_by("\"")) {
                (value.trim_start_matches(['\\', '"', ' ']), &['"', '\\', ',', '}', '<', '\n'])
            } else if let (Some(value), false) = (after.strip_prefix('='), only_json) {
                (value, &['&', '<', '"', '\'', '\\', ' ', '\n'])
            } else if let (Some(value), false) =
                (after.strip_prefix("%3D").or(after.strip_prefix("%3d")), only_json)
            {
                (value, &['&', '%', '<', '"', '\'', '\\', ' ', '\n'])
            } else if let (Some(value), false) = (after.strip_prefix('>'), only_json || preceded_by("/")) {
                (value, &['<'])
            } else {
                continue;
            };
        let length = value.find(ends).unwrap_or(value.len());
        out.push_str(&after[..after.len() - value.len()]);
        if length > 0 {
            out.push_str(REDACTED);
        }
        done = text.len() - value.len() + length;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Replaces the query of every absolute URL: the service's links are signed by theirs.
fn without_queries(text: &str) -> String {
    let ends = ['"', '<', '>', '\\', '\n'];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        let (url, after) = url.split_at(url.find(ends).unwrap_or(url.len()));
        match url.split_once('?') {
            Some((path, query)) if !query.is_empty() => {
                let end = query.find([' ', '\'', '\r', '\t']).unwrap_or(query.len());
                out.push_str(path);
                out.push('?');
                out.push_str(if end > 0 { REDACTED } else { "" });
                out.push_str(query.get(end..).unwrap_or_default());
            }
            _ => out.push_str(url),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "841905532178461902-0f1e2d3c4b5a69788796a5b4c3d2e1f0";

    #[test]
    fn an_excerpt_shows_no_secret_and_no_control_character() {
        let body =
            b"\x1b[31m<Error>1-hush-hush AWSAccessKeyId=AK&Signature=sig%2F&x=1 <Signature>sig</Signature>\
            \"Signature\":\"sig\" signature%3Dsig%26x \"key\":\"a=sig\" https://h/a.zip?token=sig\"";
        let shown = excerpt(body, "1-hush-hush");
        for bad in ["hush", "AK&", "sig%", "sig<", "\"sig", "=sig", "\x1b"] {
            assert!(!shown.contains(bad), "{bad} in {shown}");
        }
        assert!(shown.contains("x=1"));
        let code = "<Code>SignatureDoesNotMatch</Code> \"key\": null, monkey: 7";
        assert_eq!(
            redact(code, "AWSAccessKeyId=AKAKAKAK&Signature=abcdefghij"),
            code.replace("null", REDACTED)
        );
    }

    #[test]
    fn no_part_of_a_key_is_left_at_a_cut() {
        let long = "k0".to_owned() + &"0123456789abcdef".repeat(63);
        for pad in [0, 100, 180, 199, 1500, 1600] {
            for key in [KEY, &long] {
                let body = format!("{}{}", " ".repeat(pad) + &"x".repeat(pad.min(190)), key.repeat(3));
                let shown = excerpt(body.as_bytes(), key);
                assert!(!shown.contains(&key[..PART]) && !shown.contains(&key[20..20 + PART]), "{shown}");
                let message = clean(&body, 80, key);
                assert!(!message.contains(&key[..PART]), "{message}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_value_after_a_secret_name_never_stays(value in "[A-Za-z0-9%/+_-]{6,40}", pad in ".{0,20}") {
            let shown = redact(&format!("{pad}?AWSAccessKeyId={value}&Signature={value}"), "");
            prop_assert!(pad.contains(&value) || !shown.contains(&value), "{}", shown);
        }

        #[test]
        fn no_part_of_a_secret_stays_anywhere(before in ".{0,30}", from in 0usize..20, length in 8usize..31, after in ".{0,30}") {
            let part = &KEY[from..from + length];
            let shown = redact(&format!("{before}{part}{after}"), KEY);
            prop_assert!(!shown.contains(part), "{}", shown);
        }

        #[test]
        fn nothing_panics_and_nothing_harmless_is_lost(text in ".{0,200}", words in "[a-z ]{0,60}") {
            let _ = redact(&text, KEY);
            let _ = excerpt(text.as_bytes(), KEY);
            prop_assert_eq!(redact(&words, KEY), words);
        }
    }
}
