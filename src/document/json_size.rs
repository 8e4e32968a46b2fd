//! Estimates before parsing how much memory a JSON text takes when it is parsed.
//!
//! It is far more than the text: measured, 26 times as much for a Deployment with many small fields, and 108 times
//! for hostile JSON.

/// Memory of a map that is not empty: a B-tree node with room for eleven entries.
const MAP_BYTES: usize = 700;

/// Memory of a list that is not empty: room for four entries.
const LIST_BYTES: usize = 160;

/// Memory of any other value or key, with its share of a vector's growth and a text's allocation.
const VALUE_BYTES: usize = 80;

/// The maximum memory that `body` takes when parsed, from the number of characters that begin values and keys, and
/// from its length.
///
/// Such characters inside strings count too, so the result can only be too large.
#[must_use]
pub fn parsed_bytes(body: &[u8]) -> usize {
    // Sums without branches, so that the compiler can vectorise them; none overflows for the longest body.
    let next = body.get(1..).unwrap_or_default();
    let (mut values, mut maps, mut lists) = (0_u32, 0_u32, 0_u32);
    for (byte, next) in body.iter().zip(next) {
        let (map, list) = (u32::from(*byte == b'{'), u32::from(*byte == b'['));
        let (full_map, full_list) = (map & u32::from(*next != b'}'), list & u32::from(*next != b']'));
        let value = map | list | u32::from(*byte == b',') | u32::from(*byte == b':');
        maps = maps.wrapping_add(full_map);
        lists = lists.wrapping_add(full_list);
        values = values.wrapping_add(value & !(full_map | full_list));
    }
    let bytes = |count: u32, each: usize| usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(each);
    let structure = [bytes(values, VALUE_BYTES), bytes(maps, MAP_BYTES), bytes(lists, LIST_BYTES)];
    structure.into_iter().fold(body.len(), usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_lists_cost_most_unless_they_are_empty() {
        assert_eq!(parsed_bytes(br#"{"a":0}"#), MAP_BYTES + VALUE_BYTES + 7);
        assert_eq!(parsed_bytes(b"[{},[]]"), LIST_BYTES + 3 * VALUE_BYTES + 7);
        assert_eq!(parsed_bytes(b""), 0);
    }

    #[test]
    fn a_long_text_counts_by_its_length() {
        let text = format!("[\"{}\"]", "x".repeat(1 << 20));
        assert_eq!(parsed_bytes(text.as_bytes()), LIST_BYTES + text.len());
    }
}
