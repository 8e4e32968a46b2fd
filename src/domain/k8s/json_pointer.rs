//! Access to parts of raw objects.

use serde_json::Value;

/// The part of `object` at `path`, such as `/spec/template`.
///
/// Unlike [`Value::pointer`], it does not allocate, but supports neither escapes nor list indices.
#[must_use]
pub fn part<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').skip(1).try_fold(object, |outer, name| outer.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_what_a_pointer_finds() {
        let object = json!({"spec": {"replicas": 3, "paused": null, "": [1]}});
        for path in
            ["", "/", "/spec", "/spec/replicas", "/spec/paused", "/spec/", "/spec/none", "/spec/replicas/x"]
        {
            assert_eq!(part(&object, path), object.pointer(path), "{path:?}");
        }
    }
}
