//! Lists of which older records hold one item, bare. One item is still written so.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written<T> {
    Many(Vec<T>),
    One(T),
}

/// For `#[serde(with)]`.
///
/// # Errors
/// The serializer's.
pub fn serialize<'a, T, C, S>(items: &'a C, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Serialize + 'a,
    &'a C: IntoIterator<Item = &'a T>,
    S: Serializer,
{
    let mut all = items.into_iter();
    match (all.next(), all.next()) {
        (Some(one), None) => one.serialize(serializer),
        _ => serializer.collect_seq(items),
    }
}

/// For `#[serde(with)]`.
///
/// # Errors
/// The deserializer's.
pub fn deserialize<'de, T, C, D>(deserializer: D) -> Result<C, D::Error>
where
    T: Deserialize<'de>,
    C: FromIterator<T>,
    D: Deserializer<'de>,
{
    Ok(match Written::deserialize(deserializer)? {
        Written::Many(items) => items.into_iter().collect(),
        Written::One(item) => std::iter::once(item).collect(),
    })
}
