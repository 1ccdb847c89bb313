//! A config or a summary, as the records of a log make it.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::Value;

use crate::sink::logged::{MAX_NESTING, parse_text};
use crate::sink::records::Item;

/// A config or a summary: the texts of its leaves by the ways to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Leaves {
    texts: BTreeMap<Vec<String>, String>,
    /// What the ways and the texts take.
    bytes: usize,
}

impl Leaves {
    /// As W&B does it: what is removed is removed after the update.
    pub(crate) fn apply(&mut self, update: &[Item], remove: &[Item]) {
        let is_sane = |item: &&Item| item.nested_key.len() <= MAX_NESTING;
        for item in update.iter().filter(is_sane) {
            self.set(&owned_path(item), &item.value_json);
        }
        for item in remove.iter().filter(is_sane) {
            self.remove(&owned_path(item));
        }
    }

    fn set(&mut self, path: &[String], json: &str) {
        self.open_up(path);
        for length in 1..path.len() {
            self.take(&path[..length]);
        }
        self.remove_below(path);
        self.put(path.into(), json.into());
    }

    fn put(&mut self, path: Vec<String>, json: String) {
        self.take(&path);
        self.bytes += size_of_leaf(&path, &json);
        self.texts.insert(path, json);
    }

    fn take(&mut self, path: &[String]) {
        if let Some(json) = self.texts.remove(path) {
            self.bytes -= size_of_leaf(path, &json);
        }
    }

    fn remove(&mut self, path: &[String]) {
        self.open_up(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, path: &[String]) {
        for below in self.below(path).cloned().collect::<Vec<_>>() {
            self.take(&below);
        }
    }

    /// Makes leaves of the objects that the way leads through.
    fn open_up(&mut self, path: &[String]) {
        for length in 1..path.len() {
            let way = &path[..length];
            let object = self.texts.get(way).and_then(|json| parse_text(json));
            if let Some(Value::Object(entries)) = object {
                self.take(way);
                for (key, value) in entries {
                    self.put([way, &[key]].concat(), value.to_string());
                }
            }
        }
    }

    fn below(&self, path: &[String]) -> impl Iterator<Item = &Vec<String>> {
        let from = (Bound::Included(path), Bound::Unbounded);
        let below = self.texts.range::<[String], _>(from);
        below
            .map(|(way, _)| way)
            .take_while(move |way| way.starts_with(path))
    }

    /// The memory that they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All leaves.
    pub(crate) fn items(&self) -> Vec<Item> {
        let items = self.texts.iter().map(|(path, json)| item(path, json));
        items.collect()
    }

    /// The leaves of a key.
    pub(crate) fn of(&self, key: &str) -> Vec<Item> {
        let key = [key.to_owned()];
        let items = self.below(&key).map(|path| item(path, &self.texts[path]));
        items.collect()
    }

    /// Whether a value stands under its key as this one leaf.
    pub(crate) fn holds(&self, value: &Item) -> bool {
        self.texts.get(&owned_path(value)) == Some(&value.value_json)
    }
}

fn size_of_leaf(path: &[String], json: &str) -> usize {
    let way: usize = path
        .iter()
        .map(|part| size_of::<String>() + part.len())
        .sum();
    size_of::<(Vec<String>, String)>() + way + json.len()
}

fn owned_path(item: &Item) -> Vec<String> {
    item.path().into_iter().map(String::from).collect()
}

fn item(path: &[String], json: &str) -> Item {
    let (key, nested_key) = match path {
        [key] => (key.clone(), Vec::new()),
        _ => (String::new(), path.into()),
    };
    Item {
        key,
        nested_key,
        value_json: json.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, json: &str) -> Item {
        let path: Vec<String> = path.split('.').map(String::from).collect();
        item(&path, json)
    }

    fn check(changes: &[(&str, &str)], expected: &[(&str, &str)]) {
        let mut leaves = Leaves::default();
        for (path, json) in changes {
            match *json {
                "" => leaves.apply(&[], &[at(path, "")]),
                json => leaves.apply(&[at(path, json)], &[]),
            }
        }
        let found: Vec<_> = leaves.items();
        let expected: Vec<_> = expected.iter().map(|(path, json)| at(path, json)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn leaves_are_replaced_and_removed_as_wandb_does_it() {
        check(
            &[("a", "1"), ("b", "2"), ("a", "3")],
            &[("a", "3"), ("b", "2")],
        );
        check(&[("a.x", "1"), ("a.y", "2"), ("a", "3")], &[("a", "3")]);
        check(&[("a", "3"), ("a.x", "1")], &[("a.x", "1")]);
        check(&[("a.x", "1"), ("a.y", "2"), ("a.x", "")], &[("a.y", "2")]);
        check(&[("a.x", "1"), ("ab", "2"), ("a", "")], &[("ab", "2")]);
        check(&[("a", "1"), ("a.x", ""), ("b", "")], &[("a", "1")]);
    }

    #[test]
    fn a_change_inside_of_an_object_leaves_the_rest_of_it() {
        let object = r#"{"x":1,"y":{"p":2,"q":3},"z":4}"#;
        check(
            &[("a", object), ("a.x", "7"), ("a.y.p", "")],
            &[("a.x", "7"), ("a.y.q", "3"), ("a.z", "4")],
        );
    }
}
