//! From nested values to the leaves that records hold.

use crate::sink::records::Item;
use crate::value::Json;

/// The leaves of a value: one per scalar, list and empty map. `wandb leet` draws an image only
/// from its leaves.
pub(crate) fn leaves(key: &str, value: &Json) -> Vec<Item> {
    let mut items = Vec::new();
    let mut path = vec![key];
    collect(&mut path, value, &mut items);
    items
}

fn collect<'a>(path: &mut Vec<&'a str>, value: &'a Json, items: &mut Vec<Item>) {
    match value {
        Json::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                path.push(key);
                collect(path, value, items);
                path.pop();
            }
        }
        leaf => items.push(item(path, leaf)),
    }
}

fn item(path: &[&str], value: &Json) -> Item {
    match path {
        [key] => whole(key, value),
        _ => at(path, value),
    }
}

/// A value at the end of a way of keys.
pub(super) fn at<S: ToString>(path: &[S], value: &Json) -> Item {
    Item {
        nested_key: path.iter().map(ToString::to_string).collect(),
        value_json: value.to_text(),
        ..Item::default()
    }
}

/// A value under its key, nested or not: as config takes it.
pub(crate) fn whole(key: &str, value: &Json) -> Item {
    Item {
        key: key.into(),
        value_json: value.to_text(),
        ..Item::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: serde_json::Value, expected: &[(&[&str], &str)]) {
        let items = leaves("k", &value.into());
        let found: Vec<_> = items.iter().map(|i| (i.path(), &*i.value_json)).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, json)| (path.to_vec(), *json))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn maps_are_flattened_and_lists_are_not() {
        use serde_json::json;
        check(json!(1), &[(&["k"], "1")]);
        check(json!({}), &[(&["k"], "{}")]);
        check(json!([{"a": 1}]), &[(&["k"], r#"[{"a":1}]"#)]);
        check(
            json!({"a": {"b": null, "c": {}}, "d": []}),
            &[
                (&["k", "a", "b"], "null"),
                (&["k", "a", "c"], "{}"),
                (&["k", "d"], "[]"),
            ],
        );
    }

    #[test]
    fn a_top_level_leaf_has_a_key_and_a_nested_one_a_path() {
        let top = &leaves("k", &Json::Null)[0];
        assert_eq!((&*top.key, top.nested_key.len()), ("k", 0));
        let nested = &leaves("k", &Json::Map(vec![("a".into(), Json::Null)]))[0];
        assert_eq!(
            (&*nested.key, &nested.nested_key[..]),
            ("", &["k".into(), "a".into()][..])
        );
    }
}
