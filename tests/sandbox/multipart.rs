//! `multipart/form-data` as the service takes it: exactly one part named `file`, with a filename.

use super::http::{find, header};

/// The one part of an upload.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub filename: String,
    pub content_type: String,
    pub data: &'a [u8],
}

/// Why a body is none: the service's code.
pub type Refused = &'static str;

/// Parses a whole body (RFC 7578).
pub fn parse<'a>(content_type: &str, body: &'a [u8]) -> Result<Part<'a>, Refused> {
    let boundary = boundary(content_type).ok_or("INVALID_CONTENT_TYPE")?;
    let open = format!("--{boundary}\r\n");
    let close = format!("\r\n--{boundary}--");
    let rest = body.strip_prefix(open.as_bytes()).ok_or("INVALID_FILE")?;
    // The closing line is searched for at the end only: a body may have a hundred megabytes.
    let tail = rest.len().saturating_sub(close.len() + 4);
    let end = tail + find(&rest[tail..], close.as_bytes()).ok_or("INVALID_FILE")?;
    let split = find(&rest[..rest.len().min(8192)], b"\r\n\r\n").ok_or("INVALID_FILE")?;
    let data = rest.get(split + 4..end).ok_or("INVALID_FILE")?;
    let first = &data[..data.len().min(1 << 20)];
    if find(first, format!("\r\n--{boundary}").as_bytes()).is_some() {
        return Err("INVALID_FILE"); // a second part
    }
    let headers: Vec<(String, String)> = String::from_utf8_lossy(&rest[..split])
        .split("\r\n")
        .filter_map(|l| l.split_once(':').map(|(n, v)| (n.to_string(), v.trim().to_string())))
        .collect();
    let disposition = header(&headers, "Content-Disposition").ok_or("INVALID_FILE")?;
    if !disposition.starts_with("form-data") || parameter(disposition, "name").as_deref() != Some("file") {
        return Err("INVALID_FILE");
    }
    let filename = parameter(disposition, "filename").filter(|f| !f.is_empty()).ok_or("INVALID_FILENAME")?;
    if filename.contains(['/', '\\']) || filename == ".." {
        return Err("INVALID_FILENAME");
    }
    let kind = header(&headers, "Content-Type").unwrap_or("").to_string();
    Ok(Part { filename, content_type: kind, data })
}

fn boundary(content_type: &str) -> Option<String> {
    let kind = content_type.split(';').next().unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(content_type, "boundary").filter(|b| !b.is_empty() && b.len() <= 70)
}

/// A parameter of a header: plain or quoted, with `\"` and `%22` for a quote.
fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value;
    while let Some(at) = rest.find(';') {
        rest = rest[at + 1..].trim_start();
        let Some((found, tail)) = rest.split_once('=') else { continue };
        let (text, after) = match tail.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted),
            None => {
                let end = tail.find(';').unwrap_or(tail.len());
                (tail[..end].trim().to_string(), &tail[end..])
            }
        };
        if found.trim().eq_ignore_ascii_case(name) {
            return Some(text);
        }
        rest = after;
    }
    None
}

fn quoted_text(text: &str) -> (String, &str) {
    let (mut out, mut escaped) = (String::new(), false);
    for (i, c) in text.char_indices() {
        match c {
            '"' if !escaped => return (out.replace("%22", "\""), &text[i + 1..]),
            '\\' if !escaped => escaped = true,
            _ => {
                out.push(c);
                escaped = false;
            }
        }
    }
    (out, "")
}
