//! Checked names and hashes.

pub use super::weight::Weight;

use super::k8s::json_pointer::part;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt;

/// Identity of a pod template: equal templates, and only those, have equal hashes.
///
/// Not Kubernetes' `pod-template-hash`, which hashes Go memory and cannot be computed before the
/// deployment controller has made a `ReplicaSet`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateHash(String);

impl TemplateHash {
    /// The hash of a pod template as the API server stores it (defaults filled in).
    ///
    /// `pod-template-hash`, which Kubernetes adds to a `ReplicaSet`'s copy, is left out, so a
    /// Deployment's template and its `ReplicaSet`'s have the same identity.
    #[must_use]
    pub fn of(template: &Value) -> Self {
        let mut copy;
        let mut template = template;
        if part(template, POD_TEMPLATE_HASH).is_some() {
            copy = template.clone();
            let labels = copy.pointer_mut("/metadata/labels").and_then(Value::as_object_mut);
            labels.map(|labels| labels.remove("pod-template-hash"));
            template = &copy;
        }
        let mut hasher = Sha256::new();
        // Neither can a value fail to be written as JSON, nor a hash to take it.
        let _ = serde_json::to_writer(&mut hasher, &Canonical { value: template, sparse: true });
        Self(hex(&hasher.finalize(), 8))
    }

    /// Whether both templates have the same hash, found out much faster than by making them.
    #[must_use]
    pub fn same(a: &Value, b: &Value) -> bool {
        // Only copies in a `ReplicaSet` have it, which are not compared with each other often.
        if [a, b].iter().any(|template| part(template, POD_TEMPLATE_HASH).is_some()) {
            return Self::of(a) == Self::of(b);
        }
        prints_equally(a, b, true)
    }

    /// The sixteen hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TemplateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where Kubernetes writes it.
const POD_TEMPLATE_HASH: &str = "/metadata/labels/pod-template-hash";

/// A value as it is hashed: equal values print equally, whichever order their keys came in.
///
/// Nulls and empty maps are left out: clients differ in writing them, and `creationTimestamp: null` is one.
struct Canonical<'a> {
    value: &'a Value,
    /// Not so of the items of a list: `emptyDir: {}` says of which kind a volume is.
    sparse: bool,
}

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Object(map) => {
                let mut entries: Vec<_> =
                    map.iter().filter(|(_, value)| !(self.sparse && is_nothing(value))).collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                serializer.collect_map(
                    entries.into_iter().map(|(key, value)| (key, Canonical { value, sparse: true })),
                )
            }
            Value::Array(items) => {
                serializer.collect_seq(items.iter().map(|value| Canonical { value, sparse: false }))
            }
            plain => plain.serialize(serializer),
        }
    }
}

/// Whether two values print equally as [`Canonical`]; not a single byte is written for that.
fn prints_equally(a: &Value, b: &Value, sparse: bool) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let is_kept = |value: &Value| !(sparse && is_nothing(value));
            let kept = |map: &Map<String, Value>| map.values().filter(|value| is_kept(value)).count();
            let mut entries = a.iter().filter(|(_, value)| is_kept(value));
            kept(a) == kept(b)
                && entries.all(|(key, value)| {
                    b.get(key).is_some_and(|other| is_kept(other) && prints_equally(value, other, true))
                })
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| prints_equally(a, b, false))
        }
        (a, b) => a == b,
    }
}

/// Null, an empty map, or a map of nothing else.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(|map| map.values().all(is_nothing))
}

/// Ten hexadecimal digits: enough to keep shortened names of one namespace apart.
#[must_use]
pub fn short_hash(bytes: &[u8]) -> String {
    digest(bytes, 5)
}

/// The first `length` bytes of the SHA-256 digest in hexadecimal.
#[must_use]
pub fn digest(bytes: &[u8], length: usize) -> String {
    hex(&Sha256::digest(bytes), length)
}

/// The first `length` bytes of a digest in hexadecimal.
fn hex(digest: &[u8], length: usize) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
    let kept = digest.iter().take(length);
    kept.flat_map(|byte| [byte >> 4, byte & 0xf]).filter_map(digit).collect()
}

/// `base` + `suffix` within `max` characters: a base that is too long is cut and made unique by a hash.
///
/// Kubernetes' limits: 63 for label values and Services, 253 for most other names.
#[must_use]
pub fn suffixed(base: &str, suffix: &str, max: usize) -> String {
    let whole = format!("{base}{suffix}");
    if whole.len() <= max {
        return whole;
    }
    let hash = short_hash(base.as_bytes());
    let room = max.saturating_sub(suffix.len() + hash.len() + 1);
    let head: String = base.chars().take(room).collect();
    let head = head.trim_end_matches(['-', '.', '_']);
    format!("{head}-{hash}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_replica_sets_copy_has_its_deployments_hash() {
        let deployment =
            json!({"metadata": {"labels": {"app": "web"}, "creationTimestamp": null}, "spec": {"a": 1}});
        let replica_set =
            json!({"metadata": {"labels": {"app": "web", "pod-template-hash": "x"}}, "spec": {"a": 1}});
        assert_eq!(TemplateHash::of(&deployment), TemplateHash::of(&replica_set));
        let other = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"a": 2}});
        assert_ne!(TemplateHash::of(&deployment), TemplateHash::of(&other));
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let (a, b) = (
            r#"{"spec": {"a": 1, "b": [{"c": 1, "d": 2}]}}"#,
            r#"{"spec": {"b": [{"d": 2, "c": 1}], "a": 1}}"#,
        );
        let hash = |text: &str| TemplateHash::of(&serde_json::from_str(text).unwrap());
        assert_eq!(hash(a), hash(b));
    }

    #[test]
    fn an_empty_volume_keeps_its_kind() {
        // `emptyDir: {}` against `hostPath`: pruning must not make different volumes equal.
        let a = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}});
        let b = json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}});
        assert_ne!(TemplateHash::of(&a), TemplateHash::of(&b));
    }

    /// Small, with much that is left out, so that pairs often are almost equal.
    fn template() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            Just(json!({})),
            Just(json!([])),
            Just(json!(1)),
            Just(json!("x"))
        ];
        let inner = leaf.prop_recursive(4, 12, 2, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..2).prop_map(Value::from),
                prop::collection::btree_map("[ab]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        (inner.clone(), inner)
            .prop_map(|(labels, spec)| json!({"metadata": {"labels": labels}, "spec": spec}))
    }

    proptest! {
        #[test]
        fn to_compare_is_to_compare_the_hashes(a in template(), b in template()) {
            prop_assert_eq!(TemplateHash::same(&a, &b), TemplateHash::of(&a) == TemplateHash::of(&b));
        }

        #[test]
        fn a_suffixed_name_fits_and_keeps_its_suffix(base in "[a-z][a-z0-9-]{0,80}[a-z0-9]") {
            let name = suffixed(&base, "-canary", 63);
            prop_assert!(name.len() <= 63 && name.ends_with("-canary"), "{name}");
        }

        #[test]
        fn different_long_names_stay_different(a in "[a-z]{64,90}", b in "[a-z]{64,90}") {
            prop_assume!(a != b);
            prop_assert_ne!(suffixed(&a, "-canary", 63), suffixed(&b, "-canary", 63));
        }
    }
}
