//! PURE. Where the service's JSON is looser than `derive(Deserialize)`: numbers may be strings, times have two forms, an
//! optional field of another type counts as missing, and one bad item of a list does not take down the others.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::secret::clean;

/// A string that is not empty.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Err(D::Error::custom("an empty id")) } else { Ok(text) }
}

/// A field that counts as missing when it has another type.
pub(super) fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Value::deserialize(deserializer)?;
    Ok(T::deserialize(value).unwrap_or_default())
}

/// A string that counts as missing when it is empty or not a string.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(lenient::<D, Option<String>>(deserializer)?.filter(|text| !text.is_empty()))
}

/// A whole number or a string of one; 0 for anything else.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(whole(&Value::deserialize(deserializer)?).unwrap_or_default())
}

/// A whole number or a string of one.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    whole(&value).ok_or_else(|| D::Error::custom("a size that is not a whole number"))
}

fn whole(value: &Value) -> Option<u64> {
    // Some encoders write `12.0`; up to 2^53 every whole float is exact.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let exact = |number: &f64| number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(number);
    match value {
        Value::String(text) => text.trim().parse().ok(),
        number => number.as_u64().or_else(|| number.as_f64().filter(exact).map(|number| number as u64)),
    }
}

/// A time in RFC 3339 or in milliseconds since 1970; anything else counts as missing.
pub(super) mod when {
    use super::*;

    pub(crate) use time::serde::rfc3339::option::serialize;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = value.as_str().unwrap_or_default();
        let millis = || value.as_i64().or_else(|| text.trim().parse().ok());
        let since_1970 = |ms| OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
        Ok(OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| millis().and_then(since_1970)))
    }
}

/// A time in RFC 3339, for people.
pub(super) fn shown(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

/// An item of a list that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Skipped {
    /// Its position in the list, from 0.
    pub index: usize,
    /// Its name or id, when at least that could be decoded.
    pub name: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_ref().map(|name| format!(" ({name:?})")).unwrap_or_default();
        write!(f, "item {}{name}: {}", self.index, self.problem)
    }
}

/// Decodes every item that can be decoded and says which could not.
pub(super) fn items<T>(list: &[&RawValue], decode: impl Fn(&str) -> serde_json::Result<T>) -> (Vec<T>, Vec<Skipped>) {
    let (mut good, mut skipped) = (Vec::with_capacity(list.len()), Vec::new());
    for (index, item) in list.iter().enumerate() {
        match decode(item.get()) {
            Ok(value) => good.push(value),
            Err(problem) => {
                let item: Value = serde_json::from_str(item.get()).unwrap_or_default();
                let names = [&item["name"], &item["id"]].into_iter().filter_map(Value::as_str);
                let name = names.map(|name| clean(name, 200, "")).find(|name| !name.is_empty());
                let problem = problem.to_string();
                // Lines and columns of an item mean nothing in the listing.
                let problem = problem.split(" at line ").next().unwrap_or_default();
                skipped.push(Skipped { index, name, problem: clean(problem, 200, "") });
            }
        }
    }
    (good, skipped)
}

/// The same for the `response` of a listing; an error when it has items and none of them can be decoded.
pub(super) fn listing<T>(
    response: &str,
    decode: impl Fn(&str) -> serde_json::Result<T>,
) -> serde_json::Result<(Vec<T>, Vec<Skipped>)> {
    let list: Vec<&RawValue> = serde_json::from_str(response)?;
    let (good, skipped) = items(&list, decode);
    match skipped.first() {
        Some(first) if good.is_empty() => {
            Err(serde_json::Error::custom(format!("none of {} items can be decoded; {first}", list.len())))
        }
        _ => Ok((good, skipped)),
    }
}

/// `Display` and `FromStr` of an enum of the service's words: the word as serde writes and reads it.
macro_rules! word {
    ($Type:ident) => {
        impl std::fmt::Display for $Type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.serialize(f)
            }
        }

        impl std::str::FromStr for $Type {
            type Err = serde::de::value::Error;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::deserialize(serde::de::IntoDeserializer::into_deserializer(word))
            }
        }
    };
}
pub(super) use word;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_several_spellings() {
        for good in ["7", "7.0", "\"7\"", "\" 7 \""] {
            assert_eq!(size(&mut serde_json::Deserializer::from_str(good)).unwrap(), 7, "{good}");
        }
        assert_eq!(size(&mut serde_json::Deserializer::from_str("18446744073709551615")).unwrap(), u64::MAX);
        for bad in ["-1", "1.5", "\"x\"", "null", "[]", "1e300", "9007199254740994.0"] {
            assert!(size(&mut serde_json::Deserializer::from_str(bad)).is_err(), "{bad}");
            assert_eq!(number(&mut serde_json::Deserializer::from_str(bad)).unwrap(), 0, "{bad}");
        }
    }

    #[test]
    fn times_come_in_two_forms() {
        let read = |json: &str| when::deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap();
        let expected = OffsetDateTime::from_unix_timestamp(1_795_196_400).ok();
        for good in ["1795196400000", "\"1795196400000\"", "\"2026-11-20T17:40:00.000Z\""] {
            assert_eq!(read(good), expected, "{good}");
        }
        for bad in ["null", "\"\"", "\"soon\"", "{}", "1e300", "9223372036854775807"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_bad_item_is_named_and_the_others_stay() {
        let decode = |item: &str| serde_json::from_str::<(u32,)>(item);
        let (good, skipped) = listing(r#"[[1], {"name":"b"}, null]"#, decode).unwrap();
        assert_eq!(good, [(1,)]);
        assert_eq!(
            skipped.iter().map(|s| (s.index, s.name.as_deref())).collect::<Vec<_>>(),
            [(1, Some("b")), (2, None)]
        );
        let none = listing(r#"[{"id":"b"}]"#, decode).unwrap_err().to_string();
        assert!(none.contains("none of 1 items") && none.contains("\"b\""), "{none}");
        assert!(listing("[]", decode).unwrap().0.is_empty());
        assert!(listing("{}", decode).is_err());
    }
}
