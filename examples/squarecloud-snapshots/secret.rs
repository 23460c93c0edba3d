//! What the user pastes and no message repeats: signed links and the API key.

use std::env;

/// Whether `text` may be a signed link, or a part of one.
pub fn is_link(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["://", "signature=", "awsaccesskeyid="].iter().any(|part| text.contains(part))
}

/// `message` without the links and the key that were given as arguments.
pub fn redact(message: &str) -> String {
    let key = env::var("SQUARECLOUD_API_KEY").unwrap_or_default();
    let arguments = env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned());
    let secrets = arguments.filter(|it| is_link(it) || (!key.is_empty() && *it == key));
    secrets.fold(message.to_owned(), |message, secret| message.replace(&secret, "…"))
}

/// The value of an option that names a directory.
pub fn directory(text: &str) -> Result<std::path::PathBuf, &'static str> {
    if is_link(text) { Err("a link is not a directory") } else { Ok(text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_known_by_any_of_their_parts() {
        for text in ["https://host/a.zip", "host/a.zip?Signature=abc", "a.zip?AWSAccessKeyId=K", "ftp://host"] {
            assert!(is_link(text) && directory(text).is_err(), "{text}");
        }
        for text in ["demo-bot", "backups/a.zip", "demo-bot@2026-11-20", "-"] {
            assert!(!is_link(text) && directory(text).is_ok(), "{text}");
        }
    }
}
