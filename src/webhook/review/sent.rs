//! An object as the API server sent it, without parts that are not needed.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, map::Entry};
use std::fmt;

/// A JSON value in which no key occurs twice: readers disagree on which of the two counts, and what was judged must be
/// what runs.
///
/// `metadata.managedFields` is skipped. It is often a third of an object, in thousands of tiny maps, and is not needed.
pub(super) struct Sent(pub Value);

/// Where in the object a value is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Top,
    Metadata,
    Deeper,
}

impl Place {
    fn below(self, key: &str) -> Self {
        if self == Self::Top && key == "metadata" { Self::Metadata } else { Self::Deeper }
    }
}

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Place::Top.deserialize(deserializer).map(Self)
    }
}

impl<'de> DeserializeSeed<'de> for Place {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self::Deeper)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if self == Self::Metadata && key == "managedFields" {
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = entries.next_value_seed(self.below(&key))?;
            match map.entry(key) {
                Entry::Vacant(place) => drop(place.insert(value)),
                Entry::Occupied(taken) => {
                    return Err(A::Error::custom(format_args!("key {:?} occurs twice", taken.key())));
                }
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str) -> serde_json::Result<Value> {
        serde_json::from_str::<Sent>(text).map(|Sent(value)| value)
    }

    #[test]
    fn only_the_managed_fields_of_the_object_itself_are_left_out() {
        let object = json!({
            "metadata": {"name": "web", "managedFields": [{"fieldsV1": {"f:spec": {}}}]},
            "spec": {"template": {"metadata": {"managedFields": [1]}}, "managedFields": 2},
        });
        let wanted = json!({
            "metadata": {"name": "web"},
            "spec": {"template": {"metadata": {"managedFields": [1]}}, "managedFields": 2},
        });
        assert_eq!(read(&object.to_string()).unwrap(), wanted);
    }

    #[test]
    fn a_key_that_occurs_twice_is_refused_by_name() {
        for text in [r#"{"a": 1, "a": 1}"#, r#"[{"b": {"a": 1, "\u0061": 2}}]"#] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(r#"key "a" occurs twice"#), "{error}");
        }
    }

    proptest! {
        #[test]
        fn everything_else_is_read_as_it_was_sent(value in json_value()) {
            prop_assert_eq!(read(&value.to_string()).unwrap(), value);
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no others", |f| f.is_finite()).prop_map(Value::from),
            "\\PC{0,10}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 50, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("[a-z/.]{0,8}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
