//! PURE. A JSON value that borrows from the answer it was read from.
//!
//! An answer is read once and then looked into by name, so its objects are lists of fields in the order they
//! came, and a text without escapes stays where it is: a fifth of what a small call costs is saved against
//! `serde_json::Value`, which makes a tree of copies.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value; how deep it may be is bounded by `serde_json`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A whole number that is negative.
    Signed(i64),
    Float(f64),
    String(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// A field of an object; of several with one name, the last.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The same, taken out.
    pub(crate) fn into_field(self, name: &str) -> Option<Self> {
        let Self::Object(fields) = self else { return None };
        fields.into_iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Unsigned(number) => i64::try_from(*number).ok(),
            Self::Signed(number) => Some(*number),
            _ => None,
        }
    }

    /// Any number, as near as a float gets.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Unsigned(number) => Some(*number as f64),
            Self::Signed(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// What `serde_json` calls the only field of a number once any package of the program has turned on its feature
/// `arbitrary_precision`: numbers come as objects then, with their text inside.
const WRAPPED: &str = "$serde_json::private::Number";

fn number(text: &str) -> Option<Value<'static>> {
    let unsigned = || text.parse().map(Value::Unsigned);
    let signed = || text.parse().map(Value::Signed);
    let float = || text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float);
    unsigned().or_else(|_| signed()).ok().or_else(float)
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(Name(name)) = access.next_key()? {
            if fields.is_empty() {
                // Not for an empty object: millions of them fit into one answer.
                fields.reserve(8);
            }
            fields.push((name, access.next_value()?));
        }
        let number = match fields.as_slice() {
            [(name, Value::String(text))] if name == WRAPPED => number(text),
            _ => None,
        };
        Ok(number.unwrap_or(Value::Object(fields)))
    }
}

/// A field's name: serde reads a plain `Cow` as a copy.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A value as `serde_json::json!` takes it.
#[cfg(test)]
macro_rules! json {
    ($($json:tt)*) => { crate::api::json::Value::from(::serde_json::json!($($json)*)) };
}
#[cfg(test)]
pub(crate) use json;

#[cfg(test)]
impl From<serde_json::Value> for Value<'static> {
    fn from(value: serde_json::Value) -> Self {
        let text: &'static str = value.to_string().leak();
        serde_json::from_str(text).unwrap_or(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Value<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_needs_no_copy_is_borrowed() {
        let value = read(r#"{"plain":"a","escaped":"\n","plain":"b"}"#);
        let Value::Object(fields) = &value else { panic!("{value:?}") };
        assert!(matches!(fields[0], (Cow::Borrowed("plain"), Value::String(Cow::Borrowed("a")))));
        assert!(matches!(fields[1].1, Value::String(Cow::Owned(_))));
        assert_eq!(value.get("plain").and_then(Value::as_str), Some("b"), "the last one counts");
        assert_eq!(value.into_field("plain"), Some(Value::String("b".into())));
    }

    #[test]
    fn numbers_keep_their_kind() {
        assert_eq!(read("18446744073709551615"), Value::Unsigned(u64::MAX));
        assert_eq!((read("-7").as_i64(), read("-7").as_f64()), (Some(-7), Some(-7.0)));
        assert_eq!((read("7.5").as_i64(), read("7.5").as_f64()), (None, Some(7.5)));
        assert_eq!(read("18446744073709551615").as_i64(), None);
    }

    #[test]
    fn numbers_stay_numbers_where_another_package_wants_them_as_text() {
        // What serde_json gives for a number with its feature `arbitrary_precision`, which holds for a whole program.
        let wrapped = |number: &str| format!(r#"{{"$serde_json::private::Number":"{number}"}}"#);
        for number in ["0", "18446744073709551615", "-7", "7.5", "1e3", "-0.0"] {
            assert_eq!(read(&wrapped(number)), read(number), "{number}");
        }
        for none in ["x", "inf", "NaN", "1e999"] {
            assert!(read(&wrapped(none)).is_object(), "{none}");
        }
        assert!(read(&wrapped("7").replace('}', r#","a":1}"#)).is_object());
    }

    #[test]
    fn an_empty_object_takes_no_memory() {
        let Value::Object(fields) = read("{}") else { panic!() };
        assert_eq!(fields.capacity(), 0);
    }

    #[test]
    fn it_is_as_strict_as_serde_json() {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        for bad in ["", "{", "[1,]", "{\"a\":1,}", "{a:1}", "01", "\"\\ud800\"", "nul", "1 2", &deep] {
            assert!(serde_json::from_str::<Value<'_>>(bad).is_err(), "{bad}");
            assert!(serde_json::from_str::<serde_json::Value>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_slice::<Value<'_>>(b"{\"a\":\"\xff\"}").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_as_serde_json_does(text in r#"[\[\]{}:,"\\a-z0-9.\-+ eu]{0,24}"#) {
            let ours = serde_json::from_str::<Value<'_>>(&text).ok();
            let theirs = serde_json::from_str::<serde_json::Value>(&text).ok();
            prop_assert_eq!(ours.is_some(), theirs.is_some());
        }
    }
}
