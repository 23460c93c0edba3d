//! PURE. Text of the service, made fit to be shown: without secrets, escaped, cut.

use std::collections::HashSet;

use crate::percent::percent_decode;

/// How many characters of a body an error shows.
const EXCERPT: usize = 200;
/// How much of a body is looked at for that. Many times what is shown: secrets shrink when they are taken out,
/// and half of one must not be left at the end.
const WINDOW: usize = 64 * 1024;
/// A part of a secret as long as this is taken out like the whole.
const PART: usize = 8;
/// Shorter values of a signed query would take half of the text with them.
const SHORTEST: usize = 6;
const REDACTED: &str = "[redacted]";

/// How the name of a credential begins in a query, in S3's XML and in JSON; lower case. `key` counts in JSON only.
const NAMES: [&str; 10] = [
    "awsaccesskeyid",
    "signature",
    "stringtosign",
    "canonicalrequest",
    "credential",
    "x-amz-security-token",
    "authorization",
    "apikey",
    "api_key",
    "\"key",
];

/// The beginning of a response body, fit to be shown; of an S3 error its code and message only.
///
/// `secret` is the API key or the signed query of the request.
pub(crate) fn excerpt(body: &[u8], secret: &str) -> String {
    let body = body.trim_ascii_start();
    let text = String::from_utf8_lossy(body.get(..WINDOW).unwrap_or(body));
    match (element(&text, "Code"), element(&text, "Message")) {
        (Some(code), Some(message)) => clean(&format!("{code}: {message}"), EXCERPT, secret),
        (Some(code), None) => clean(code, EXCERPT, secret),
        _ => clean(&text, EXCERPT, secret),
    }
}

/// A text of the service, fit to be shown: at most `max` characters. It is redacted before it is cut, or half a
/// secret could be left at the end.
pub(crate) fn clean(text: &str, max: usize, secret: &str) -> String {
    let redacted = redact(text, secret);
    let mut out = String::new();
    for (n, c) in redacted.trim().chars().enumerate() {
        if n == max {
            out.push_str("...");
            break;
        }
        if c.is_control() || is_bidi(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Characters that reorder a line of text and so can make a terminal lie.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The content of an XML element.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}

/// Takes out what repeats a part of the secret, the value of everything that is part of a signature, and the
/// query of every URL.
fn redact(text: &str, secret: &str) -> String {
    let mut out = text.to_owned();
    for value in values(secret) {
        out = hide_parts(&out, &value);
    }
    for name in NAMES {
        out = hide_named(&out, name);
    }
    hide_queries(&out)
}

/// What is secret in a key or a signed query: a query's names are not, its values are, in every spelling. A
/// version id says nothing that the listing does not.
fn values(secret: &str) -> Vec<String> {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let pairs: Option<Vec<_>> =
        secret.split('&').map(|pair| pair.split_once('=').filter(|(name, _)| is_name(name))).collect();
    // A single pair may be a key that happens to hold a `=`.
    let whole = pairs.as_ref().is_none_or(|pairs| pairs.len() == 1).then(|| secret.to_owned());
    let spellings = |value: &str| {
        let decoded = percent_decode(value).unwrap_or_default();
        [value.to_owned(), decoded.replace('+', " "), decoded]
    };
    let secrets = pairs.into_iter().flatten().filter(|(name, _)| *name != "versionId");
    whole.into_iter().chain(secrets.flat_map(|(_, value)| spellings(value))).collect()
}

/// Takes out every run of [`PART`] or more bytes that stands in `secret`, too, in upper or lower case.
fn hide_parts(text: &str, secret: &str) -> String {
    if secret.len() < SHORTEST {
        return text.to_owned();
    }
    let part = PART.min(secret.len());
    let (lower, secret) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let parts: HashSet<&[u8]> = secret.as_bytes().windows(part).collect();
    let is_part = |at: usize| lower.as_bytes().get(at..at + part).is_some_and(|run| parts.contains(run));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        if !is_part(at) {
            out.push(*byte);
            at += 1;
            continue;
        }
        while is_part(at) {
            at += 1;
        }
        at += part - 1;
        out.extend_from_slice(REDACTED.as_bytes());
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Takes out the value in `name=value`, `name: value`, `<name>value<` and `"name": "value"`.
fn hide_named(text: &str, name: &str) -> String {
    // ASCII case does not change lengths, so what is found in `lower` stands at the same place in `text`.
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    while let Some(found) = lower[done..].find(name) {
        let (start, end) = (done + found, done + found + name.len());
        let closes_element = text[..start].ends_with('/');
        let (value, length) = match value_after(&text[end..]) {
            Some((skipped, length)) if !closes_element => (end + skipped, length),
            _ => (end, 0),
        };
        out.push_str(&text[done..value]);
        out.push_str(if length > 0 { REDACTED } else { "" });
        done = value + length;
    }
    out.push_str(&text[done..]);
    out
}

/// Where the value behind a name begins, and how long it is.
fn value_after(text: &str) -> Option<(usize, usize)> {
    let name_ends = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let unquoted = name_ends.trim_start_matches(['\\', '"']).trim_start();
    let (value, ends): (&str, &[char]) = if let Some(value) = unquoted.strip_prefix(':') {
        (value.trim_start_matches(['\\', '"', ' ']), &['"', '\\', ',', '}', '<', '\n'])
    } else if let Some(value) = name_ends.strip_prefix('>') {
        (value, &['<'])
    } else {
        let escaped = || name_ends.strip_prefix("%3D").or_else(|| name_ends.strip_prefix("%3d"));
        let value = name_ends.strip_prefix('=').or_else(escaped)?;
        (value, &['&', '<', '"', '\'', '\\', ' ', '\n'])
    };
    Some((text.len() - value.len(), value.find(ends).unwrap_or(value.len())))
}

/// Takes out the query of every absolute URL: the service's links are signed by theirs.
fn hide_queries(text: &str) -> String {
    let mut urls = text.split("://");
    let mut out = urls.next().unwrap_or_default().to_owned();
    for url in urls {
        out.push_str("://");
        let end = url.find(['"', '<', '>', '\\', '\n']).unwrap_or(url.len());
        let Some(query) = url[..end].find('?').map(|at| at + 1) else {
            out.push_str(url);
            continue;
        };
        let length = url[query..end].find([' ', '\'', '\r', '\t']).unwrap_or(end - query);
        out.push_str(&url[..query]);
        out.push_str(if length > 0 { REDACTED } else { "" });
        out.push_str(&url[query + length..]);
    }
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
    const QUERY: &str =
        "AWSAccessKeyId=EXAMPLEKEY&Expires=1797790051&Signature=iWPed%2FcsouRAP%3D&versionId=v1";

    #[test]
    fn an_s3_error_shows_its_code_and_message_only() {
        let xml = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message>\
                   <AWSAccessKeyId>EXAMPLEKEY</AWSAccessKeyId><SignatureProvided>iWPed/csouRAP=</SignatureProvided></Error>";
        assert_eq!(excerpt(xml.as_bytes(), QUERY), "AccessDenied: Request has expired");
    }

    #[test]
    fn nothing_secret_is_shown_in_any_spelling() {
        for text in [
            format!("<html>no such page: /a.zip?{QUERY}</html>"),
            format!("<a href=\"/a.zip?{}\">", QUERY.replace('&', "&amp;")),
            "<Code>X</Code><Message>bad iWPed/csouRAP= of EXAMPLEKEY</Message>".to_owned(),
            "<StringToSign>GET 1797790051 iWPed/csouRAP=</StringToSign>".to_owned(),
            "{\"signature\":\"iWPed%2fcsourap%3d\",\"q\":\"Signature=iWPed%2fcsouRAP%3D\"}".to_owned(),
            "<StringToSign>cut iWPed/csouRAP=".to_owned(),
        ] {
            let shown = excerpt(text.as_bytes(), QUERY).to_ascii_lowercase();
            for secret in ["iwped", "csourap", "examplekey", "1797790051"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn long_and_binary_answers_are_cut_and_escaped() {
        let shown = excerpt(&[0u8; 10_000], "");
        assert!(shown.len() < 1300 && shown.ends_with("..."), "{shown}");
        assert_eq!(excerpt(b"a\n\x1b[31mb", ""), "a\\n\\u{1b}[31mb");
        assert_eq!(excerpt(b"", ""), "");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_shown_without_a_panic(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600), query in ".{0,60}",
        ) {
            let shown = excerpt(&bytes, &query);
            proptest::prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
