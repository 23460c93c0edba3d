//! PURE. The first bytes of an answer, fit to be shown: escaped, cut, and without what a link keeps secret.

/// How many characters are shown.
const SHOWN: usize = 200;
/// How many bytes of an answer are worth reading for it.
pub(crate) const READ: usize = 4096;
/// What is put where a secret was.
const HIDDEN: &str = "..";
/// Elements of an S3 error that repeat the request or its signature.
const SECRET_ELEMENTS: [&str; 8] = [
    "AWSAccessKeyId",
    "StringToSign",
    "StringToSignBytes",
    "SignatureProvided",
    "CanonicalRequest",
    "CanonicalRequestBytes",
    "Expires",
    "X-Amz-Signature",
];

/// What an answer's first bytes say. `query` is the link's: none of its values is shown.
pub(crate) fn excerpt(bytes: &[u8], query: &str) -> String {
    let text = String::from_utf8_lossy(bytes.get(..READ).unwrap_or(bytes));
    let shown = match (element(&text, "Code"), element(&text, "Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => text.into_owned(),
    };
    let mut shown = shown;
    for name in SECRET_ELEMENTS {
        shown = hide_element(&shown, name);
    }
    for secret in secrets(query) {
        shown = hide(&shown, &secret);
    }
    for name in ["Signature=", "AWSAccessKeyId=", "Authorization:", "Credential="] {
        shown = hide_value(&shown, name);
    }
    clip(&shown)
}

/// Escaped and cut.
fn clip(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.trim().chars().enumerate() {
        if count >= SHOWN {
            out.push_str("...");
            break;
        }
        match c {
            ' ' => out.push(' '),
            '"' | '\'' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    out
}

/// Every value of the query, as it is and decoded, long ones first.
fn secrets(query: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    if !query.is_empty() {
        all.push(query.to_owned());
        all.push(query.replace('&', "&amp;"));
    }
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        // The version is no secret, and short values would take half of the text with them.
        if name == "versionId" || value.len() < 6 {
            continue;
        }
        let decoded = super::name::percent_decode(value);
        all.push(decoded.replace('+', " "));
        all.push(decoded);
        all.push(value.to_owned());
    }
    all.sort_by_key(|s| std::cmp::Reverse(s.len()));
    all.dedup();
    all
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let rest = text.get(start..)?;
    rest.get(..rest.find('<')?)
}

fn hide_element(text: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open.as_str()) {
        out.push_str(before);
        out.push_str(HIDDEN);
        rest = after.split_once(close.as_str()).map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// Hides `secret`, in upper and lower case: percent-encoding comes in both.
fn hide(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    let (lower, secret) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = lower.get(at..).and_then(|rest| rest.find(&secret)) {
        out.push_str(text.get(at..at + found).unwrap_or_default());
        out.push_str(HIDDEN);
        at += found + secret.len();
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// Hides what follows `name` up to where a value ends.
fn hide_value(text: &str, name: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = lower.get(at..).and_then(|rest| rest.find(&name)) {
        let value = at + found + name.len();
        out.push_str(text.get(at..value).unwrap_or_default());
        out.push_str(HIDDEN);
        let rest = text.get(value..).unwrap_or_default();
        let ends = |c: char| {
            matches!(c, '&' | '"' | '\'' | '<' | '>' | '\n' | '\r') || (c == ' ' && name != "authorization:")
        };
        at = value + rest.find(ends).unwrap_or(rest.len());
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

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
