//! Parts of raw objects.

use serde_json::Value;

/// The part of `object` at `path`, names of fields from outside in: `/spec/template`.
///
/// As [`Value::pointer`], which costs two allocations a name, because it knows escapes. Neither they nor
/// positions in lists are known here.
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
