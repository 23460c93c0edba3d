//! PURE. Text of the service, made fit to be shown: without secrets, escaped, cut.

use std::collections::HashSet;
use std::ops::Range;

use crate::percent::percent_decode;

/// How many characters of a response body an error shows.
const EXCERPT: usize = 200;
/// How many bytes of a response body are searched for secrets before it is cut to [`EXCERPT`]: a secret may begin
/// before the cut and end after it.
const WINDOW: usize = 64 * 1024;
/// This many bytes of a secret in a row are taken out like the whole.
const PART: usize = 8;
/// Shorter values of a signed query would take half of the text with them.
const SHORTEST: usize = 6;
const REDACTED: &str = "[redacted]";

/// How the names of the credentials begin that S3 and the service's own responses contain; lower case. `key` counts in
/// JSON only.
const NAMES: &str = "awsaccesskeyid signature stringtosign canonicalrequest credential x-amz-security-token \
                     authorization apikey api_key \"key";

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

/// The content of an XML element.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}

/// A text of the service, fit to be shown: redacted, then cut to `max` characters.
pub(crate) fn clean(text: &str, max: usize, secret: &str) -> String {
    let end = (0..=WINDOW.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    let redacted = redact(&text[..end.unwrap_or(0)], secret);
    let mut out = String::new();
    for (n, c) in redacted.trim().chars().enumerate() {
        if n == max {
            out.push_str("...");
            break;
        }
        if c.is_control() || is_invisible(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Characters that make a text read as another one: they reorder it or take no room.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Takes out every part of the secret, the value of everything that is part of a signature, and the query of every
/// link, since the service's links are signed by theirs.
fn redact(text: &str, secret: &str) -> String {
    // ASCII case does not change lengths, so what is found in `lower` is at the same place in `text`.
    let lower = text.to_ascii_lowercase();
    let mut hidden = vec![false; text.len()];
    for value in values(secret) {
        let value = value.to_ascii_lowercase();
        let part = value.len().clamp(SHORTEST, PART);
        let parts: HashSet<&[u8]> = value.as_bytes().windows(part).collect();
        for (at, bytes) in lower.as_bytes().windows(part).enumerate() {
            if parts.contains(bytes) {
                hidden[at..at + part].fill(true);
            }
        }
    }
    let query = |at: usize| {
        let length = text[at..].find(['"', '\'', '<', '>', '\\', ' ', '\n', '\r', '\t']);
        Some(at..length.map_or(text.len(), |length| at + length))
    };
    for name in NAMES.split(' ').chain(["?"]) {
        let mut done = 0;
        for (at, _) in lower.match_indices(name) {
            // What is hidden already is not searched again: a text full of names must not cost its square.
            if at < done || lower[..at].ends_with("</") {
                continue;
            }
            let end = at + name.len();
            let value = if name == "?" { query(end) } else { value_after(&lower, end) };
            if let Some(value) = value {
                done = value.end;
                hidden[value].fill(true);
            }
        }
    }
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if !hidden[at] {
            out.push(c);
        } else if at == 0 || !hidden[at - 1] {
            out.push_str(REDACTED);
        }
    }
    out
}

/// What is secret in a key or a signed query: all of a key, and the values of a query, encoded and decoded. A version
/// id is also in the listing, so it is not.
fn values(secret: &str) -> Vec<String> {
    let is_plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let is_query = secret.split_once('=').is_some_and(|(name, _)| is_plain(name));
    let pairs = secret.split('&').filter_map(|pair| pair.split_once('='));
    let secrets = pairs.filter(|(name, _)| is_query && *name != "versionId");
    let whole = (!is_query || !secret.contains('&')).then(|| secret.to_owned());
    secrets.flat_map(|(_, value)| [Some(value.to_owned()), percent_decode(value)]).flatten().chain(whole).collect()
}

/// Where the value is in `name=value`, `<name>value<` or `"name": "value"`, in lower case, when `name` ends at `at`.
fn value_after(lower: &str, at: usize) -> Option<Range<usize>> {
    // The rest of a name is not long.
    let rest = lower.as_bytes()[at..].iter().take(40);
    let name = rest.take_while(|byte| byte.is_ascii_alphabetic() || b"\\\"".contains(byte)).count();
    let rest = lower[at + name..].trim_start_matches(' ');
    let (value, ends): (&str, &[char]) = match rest.strip_prefix([':', '>']) {
        Some(value) => (value.trim_start_matches(['\\', '"', ' ']), &['"', '\\', ',', '}', '<', '\n']),
        None => {
            let value = rest.strip_prefix('=').or_else(|| rest.strip_prefix("%3d"))?;
            (value, &['&', '<', '"', '\'', '\\', ' ', '\n'])
        }
    };
    let start = lower.len() - value.len();
    Some(start..start + value.find(ends).unwrap_or(value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "841905532178461902-0f1e2d3c4b5a69788796a5b4c3d2e1f0";

    #[test]
    fn an_excerpt_shows_no_secret_and_no_control_character() {
        let body = b"\x1b[31m<Error>1-hush-hush AWSAccessKeyId=AK&Signature=sig%2F&x=1 <Signature>sig</Signature>\
            \"Signature\":\"sig\" signature%3Dsig%26x \"key\":\"a=sig\" https://h/a.zip?token=sig\"";
        let shown = excerpt(body, "1-hush-hush");
        for bad in ["hush", "AK&", "sig%", "sig<", "\"sig", "=sig", "\x1b"] {
            assert!(!shown.contains(bad), "{bad} in {shown}");
        }
        assert!(shown.contains("x=1"));
        let code = "<Code>SignatureDoesNotMatch</Code> \"key\": null, monkey: 7";
        assert_eq!(redact(code, "AWSAccessKeyId=AKAKAKAK&Signature=abcdefghij"), code.replace("null", REDACTED));
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
    const QUERY: &str = "AWSAccessKeyId=EXAMPLEKEY&Expires=1797790051&Signature=iWPed%2FcsouRAP%3D&versionId=v1";

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

    /// A megabyte of names or of question marks is cut and searched once.
    #[test]
    fn a_hostile_text_costs_no_square() {
        for piece in ["?", "signature=", "signature", "\"key"] {
            assert!(clean(&piece.repeat(1 << 20), 1000, "1-hush-hush").len() <= 1010, "{piece}");
        }
    }

    #[test]
    fn the_values_of_any_query_are_taken_out_decoded_too() {
        let text = b"<Code>X</Code><Message>bad iWPed/csouR= given, \"signature\" : \"abc\"</Message>";
        for query in ["Signature=iWPed%2FcsouR%3D", "A=1&Signature=iWPed%2FcsouR%3D"] {
            let shown = excerpt(text, query);
            assert!(!shown.contains("iWPed") && !shown.contains("csouR") && !shown.contains("abc"), "{shown}");
        }
    }
}
