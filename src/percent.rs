//! PURE. Percent-encoding (RFC 3986, section 2).

use std::fmt::Write;

/// Encodes everything but the unreserved characters, so that `text` stays one path segment.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Encodes a query value as `application/x-www-form-urlencoded` does: a space becomes `+`.
pub(crate) fn encode_form(value: &str) -> String {
    encode(value).replace("%20", "+")
}

/// Decodes percent escapes once and leaves `+` alone; `None` when the result is not valid UTF-8. A `%` that
/// begins no escape stays as it is.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    String::from_utf8(decode(text)).ok()
}

fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    out
}

/// The decoded value of `name` in a query string, unless it is empty.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    percent_decode(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_encoded_segment_decodes_to_itself_and_stays_one_segment(text in ".*") {
            let encoded = encode(&text);
            prop_assert!(!encoded.contains(['/', '?', '#', '+', ' ']));
            prop_assert_eq!(percent_decode(&encoded), Some(text));
        }

        #[test]
        fn decoding_never_panics(text in "[%a-f0-9é+]{0,20}") {
            let _ = percent_decode(&text);
        }
    }

    #[test]
    fn a_version_keeps_its_plus() {
        assert_eq!(query_value("a=1&versionId=x%2By+z.%2F", "versionId").as_deref(), Some("x+y+z./"));
        assert_eq!(query_value("versionId=", "versionId"), None);
        assert_eq!(encode_form("w x+ü"), "w+x%2B%C3%BC");
    }
}
