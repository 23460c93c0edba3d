//! PURE. Reading JSON the way the contract asks: unknown fields pass, optional ones may be missing or null,
//! numbers may come as strings.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::json::Value;

/// What is wrong with a value: shown to the user, so in words.
pub(crate) type Problem = String;

/// The first of `names` that is there and not null.
pub(crate) fn field<'v, 'a>(item: &'v Value<'a>, names: &[&str]) -> Option<&'v Value<'a>> {
    names.iter().filter_map(|name| item.get(name)).find(|value| !value.is_null())
}

pub(crate) fn required<'v, 'a>(item: &'v Value<'a>, names: &[&str]) -> Result<&'v Value<'a>, Problem> {
    match (item.is_object(), names.first()) {
        (false, _) => Err("is no JSON object".into()),
        (true, Some(name)) => field(item, names).ok_or_else(|| format!("has no `{name}`")),
        (true, None) => Err("has no field".into()),
    }
}

/// A string that is not empty.
pub(crate) fn string(item: &Value, names: &[&str]) -> Result<String, Problem> {
    match required(item, names)? {
        Value::String(text) if !text.is_empty() => Ok(text.clone().into_owned()),
        _ => Err(format!("has a `{}` that is no string, or an empty one", names.join("` or `"))),
    }
}

/// A string when there is one; anything else counts as missing.
pub(crate) fn optional_string(item: &Value, names: &[&str]) -> Option<String> {
    field(item, names).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A whole number, or a string of one.
pub(crate) fn unsigned(item: &Value, names: &[&str]) -> Result<u64, Problem> {
    let value = required(item, names)?;
    let number = match value {
        Value::Unsigned(number) => Some(*number),
        Value::Float(number) => whole(*number),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("has a `{}` that is no whole number", names.join("` or `")))
}

/// Some encoders write `12.0`; up to 2^53 every whole float is exact.
fn whole(number: f64) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
}

/// An RFC 3339 time.
pub(crate) fn time(item: &Value, names: &[&str]) -> Result<OffsetDateTime, Problem> {
    required(item, names)?
        .as_str()
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .ok_or_else(|| format!("has a `{}` that is no RFC 3339 time", names.join("` or `")))
}

/// The same where the field is optional: an unreadable time counts as missing.
pub(crate) fn optional_time(item: &Value, names: &[&str]) -> Option<OffsetDateTime> {
    field(item, names).and_then(Value::as_str).and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
}

/// Epoch milliseconds where the field is optional.
pub(crate) fn optional_millis(item: &Value, names: &[&str]) -> Option<OffsetDateTime> {
    let value = field(item, names)?;
    let millis = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())?;
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()
}

/// An item of a list that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// Where it stands in the list, from 0.
    pub index: usize,
    /// Its name or id, when at least that could be read.
    pub name: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "item {} ({name:?}) {}", self.index, self.problem),
            None => write!(f, "item {} {}", self.index, self.problem),
        }
    }
}

/// Reads every item that can be read and says which could not.
pub(crate) fn list<T>(
    items: &[Value],
    read: impl Fn(&Value) -> Result<T, Problem>,
) -> (Vec<T>, Vec<Unreadable>) {
    let mut good = Vec::with_capacity(items.len());
    let mut bad = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match read(item) {
            Ok(value) => good.push(value),
            Err(problem) => {
                bad.push(Unreadable { index, name: optional_string(item, &["name", "id"]), problem })
            }
        }
    }
    (good, bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::json;

    fn field_n(value: &str) -> Value<'static> {
        Value::Object(vec![("n".into(), serde_json::from_str(value.to_owned().leak()).unwrap())])
    }

    #[test]
    fn numbers_come_in_several_spellings() {
        for good in ["7", "7.0", "\"7\"", "\" 7 \""] {
            assert_eq!(unsigned(&field_n(good), &["n"]), Ok(7));
        }
        for bad in ["-1", "1.5", "\"x\"", "null", "[]", "1e300"] {
            assert!(unsigned(&field_n(bad), &["n"]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_null_falls_through_to_the_other_spelling() {
        assert_eq!(string(&json!({ "name": null, "id": "x" }), &["name", "id"]), Ok("x".into()));
    }

    #[test]
    fn a_bad_item_is_named_and_the_others_stay() {
        let items = [json!({ "name": "a", "n": 1 }), json!({ "name": "b" }), json!(null)];
        let (good, bad) = list(&items, |item| unsigned(item, &["n"]));
        assert_eq!(good, [1]);
        assert_eq!(
            bad.iter().map(|b| (b.index, b.name.as_deref())).collect::<Vec<_>>(),
            [(1, Some("b")), (2, None)]
        );
    }
}
