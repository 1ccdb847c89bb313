//! The summary: the last value of each key.

mod parts;
mod ways;

use std::collections::BTreeMap;

use crate::sink::records::Item;
pub(super) use parts::Part;
use parts::Parts;
use ways::{Ways, way};

#[derive(Debug, Default)]
pub(super) struct Summary {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    leaves: Vec<Item>,
    /// The leaves that it has on disk, or may have.
    on_disk: Ways<Vec<String>>,
    /// Not on disk in this form.
    changed: bool,
}

impl Summary {
    /// What the summary of a run holds that goes on: on disk where it goes on in its own log.
    pub(super) fn resumed(leaves: Vec<Item>, is_on_disk: bool) -> Self {
        let mut summary = Self::default();
        for leaf in leaves {
            if let [key, ..] = way(&leaf) {
                let entry = summary.entries.entry(key.clone()).or_default();
                entry.leaves.push(leaf);
                entry.changed = true;
            }
        }
        if is_on_disk {
            let entries = summary.entries.values_mut();
            entries.for_each(Entry::written);
        }
        summary
    }

    pub(super) fn set(&mut self, key: &str, leaves: Vec<Item>) {
        let entry = self.entries.entry(key.into()).or_default();
        entry.leaves = leaves;
        entry.changed = true;
    }

    pub(super) fn changed(&self) -> bool {
        self.entries.values().any(|entry| entry.changed)
    }

    /// What brings the disk up to date: the new leaves, and the end of those that a key no
    /// longer has. Each part is to be told what became of it.
    pub(super) fn pending(&mut self) -> Vec<Part> {
        let mut parts = Parts::default();
        let changed = self.entries.iter_mut().filter(|(_, entry)| entry.changed);
        for (key, entry) in changed {
            let removed = entry.stale();
            // From here on they may be there: of a value in several parts, some may be written.
            entry.add_to_disk();
            parts.add(key, &entry.leaves, removed);
        }
        parts.all()
    }

    /// The part is on disk.
    pub(super) fn written(&mut self, keys: &[String]) {
        self.each_of(keys, Entry::written);
    }

    /// The part can't be written, now or later.
    pub(super) fn given_up(&mut self, keys: &[String]) {
        self.each_of(keys, |entry| entry.changed = false);
    }

    fn each_of(&mut self, keys: &[String], change: fn(&mut Entry)) {
        for key in keys {
            self.entries.get_mut(key).into_iter().for_each(change);
        }
    }
}

impl Entry {
    /// Leaves on disk that the new ones neither replace nor lie in.
    fn stale(&self) -> Vec<Item> {
        let new = ways(&self.leaves);
        let gone = self.on_disk.iter().filter(|old| !new.meets(old));
        gone.map(removed).collect()
    }

    fn add_to_disk(&mut self) {
        for leaf in &self.leaves {
            self.on_disk.add(way(leaf));
        }
    }

    fn written(&mut self) {
        self.add_to_disk();
        let new = ways(&self.leaves);
        self.on_disk.keep(|way| new.holds(way));
        self.changed = false;
    }
}

fn ways(leaves: &[Item]) -> Ways<&[String]> {
    leaves.iter().map(way).collect()
}

/// The end of a leaf.
fn removed(way: &[String]) -> Item {
    match way {
        [key] => Item {
            key: key.clone(),
            ..Item::default()
        },
        _ => Item {
            nested_key: way.to_vec(),
            ..Item::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::items::leaves;
    use super::*;
    use crate::sink::records::SummaryRecord;

    fn set(summary: &mut Summary, key: &str, value: serde_json::Value) {
        summary.set(key, leaves(key, &value.into()));
    }

    fn paths(items: &[Item]) -> Vec<String> {
        items.iter().map(|item| item.path().join(".")).collect()
    }

    fn write(summary: &mut Summary) -> SummaryRecord {
        let mut all = SummaryRecord::default();
        for part in summary.pending() {
            summary.written(part.up_to_date());
            all.remove.extend(part.record.remove);
            all.update.extend(part.record.update);
        }
        all
    }

    fn check(summary: &mut Summary, remove: &[&str], update: &[&str]) {
        let written = write(summary);
        assert_eq!(paths(&written.remove), remove);
        assert_eq!(paths(&written.update), update);
        assert!(!summary.changed());
    }

    #[test]
    fn only_changes_are_written() {
        let mut summary = Summary::default();
        check(&mut summary, &[], &[]);
        set(&mut summary, "a", 1.into());
        set(&mut summary, "b", 2.into());
        assert!(summary.changed());
        check(&mut summary, &[], &["a", "b"]);
        assert!(!summary.changed());
        set(&mut summary, "b", 3.into());
        check(&mut summary, &[], &["b"]);
    }

    #[test]
    fn a_summary_that_goes_on_knows_what_is_on_disk() {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let mut old = leaves("a", &json(r#"{"x": 1, "y": 1}"#).into());
        old.extend(leaves("b", &json("2").into()));
        let mut summary = Summary::resumed(old.clone(), true);
        set(&mut summary, "a", json(r#"{"y": 2}"#));
        check(&mut summary, &["a.x"], &["a.y"]);
        check(&mut Summary::resumed(old, false), &[], &["a.x", "a.y", "b"]);
    }

    #[test]
    fn leaves_of_an_old_value_are_removed() {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let mut summary = Summary::default();
        set(&mut summary, "a", json(r#"{"x": 1, "y": 1}"#));
        check(&mut summary, &[], &["a.x", "a.y"]);
        set(&mut summary, "a", json(r#"{"y": 2}"#));
        check(&mut summary, &["a.x"], &["a.y"]);
        set(&mut summary, "a", json(r#"{"y": 3}"#));
        check(&mut summary, &[], &["a.y"]);
        set(&mut summary, "a", 4.into());
        check(&mut summary, &[], &["a"]);
        set(&mut summary, "a", json(r#"{"b": 5}"#));
        check(&mut summary, &[], &["a.b"]);
    }

    #[test]
    fn of_a_value_in_several_parts_none_is_forgotten_that_may_be_on_disk() {
        let long = "x".repeat(5 << 20);
        let mut summary = Summary::default();
        set(&mut summary, "a", serde_json::json!({"x": long, "y": long}));
        let parts = summary.pending();
        let up_to_date: Vec<_> = parts.iter().map(|part| part.up_to_date().len()).collect();
        assert_eq!(up_to_date, [0, 1]);
        // The first is written, the second isn't.
        summary.written(parts[0].up_to_date());
        assert!(summary.changed());
        set(&mut summary, "a", serde_json::json!({"z": 1}));
        check(&mut summary, &["a.x", "a.y"], &["a.z"]);
        set(&mut summary, "a", serde_json::json!({"z": 2}));
        check(&mut summary, &[], &["a.z"]);
    }

    #[test]
    fn a_summary_that_goes_on_elsewhere_is_written_in_parts() {
        let long = serde_json::Value::from("x".repeat(5 << 20));
        let of = |key: &str| leaves(key, &long.clone().into());
        let old = ["a", "b", "c"].into_iter().flat_map(of);
        let parts = Summary::resumed(old.collect(), false).pending();
        let keys: Vec<_> = parts.iter().flat_map(Part::up_to_date).collect();
        assert_eq!((parts.len(), keys.len()), (3, 3));
        assert_eq!(keys, ["a", "b", "c"]);
    }

    #[test]
    fn what_is_given_up_is_not_tried_again() {
        let mut summary = Summary::default();
        set(&mut summary, "a", 1.into());
        let parts = summary.pending();
        summary.given_up(&parts[0].keys);
        assert!(!summary.changed());
        set(&mut summary, "a", 2.into());
        check(&mut summary, &[], &["a"]);
    }
}
