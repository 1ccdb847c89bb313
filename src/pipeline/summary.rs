//! The summary: the last value of each key.

use std::collections::BTreeMap;

use crate::sink::records::{Item, SummaryRecord};

#[derive(Debug, Default)]
pub(super) struct Summary {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    leaves: Vec<Item>,
    /// The leaves that it has on disk.
    on_disk: Vec<Item>,
    /// Not on disk in this form.
    changed: bool,
}

impl Summary {
    /// What the summary of a run holds that goes on: not yet on disk.
    pub(super) fn resumed(leaves: Vec<Item>) -> Self {
        let mut summary = Self::default();
        for leaf in leaves {
            if let [key, ..] = leaf.path()[..] {
                let entry = summary.entries.entry(key.into()).or_default();
                entry.leaves.push(leaf);
                entry.changed = true;
            }
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
    /// longer has.
    pub(super) fn pending(&self) -> SummaryRecord {
        let changed = || self.entries.values().filter(|entry| entry.changed);
        SummaryRecord {
            update: changed().flat_map(|entry| entry.leaves.clone()).collect(),
            remove: changed().flat_map(Entry::stale).collect(),
        }
    }

    /// What was pending is on disk.
    pub(super) fn written(&mut self) {
        for entry in self.entries.values_mut().filter(|entry| entry.changed) {
            entry.on_disk.clone_from(&entry.leaves);
            entry.changed = false;
        }
    }
}

impl Entry {
    /// Leaves that the new ones neither replace nor lie in.
    fn stale(&self) -> impl Iterator<Item = Item> {
        let gone = |old: &&Item| {
            !self
                .leaves
                .iter()
                .any(|new| overlap(&old.path(), &new.path()))
        };
        let removed = |old: &Item| Item {
            value_json: String::new(),
            ..old.clone()
        };
        self.on_disk.iter().filter(gone).map(removed)
    }
}

fn overlap(left: &[&str], right: &[&str]) -> bool {
    left.starts_with(right) || right.starts_with(left)
}

#[cfg(test)]
mod tests {
    use super::super::items::leaves;
    use super::*;

    fn set(summary: &mut Summary, key: &str, value: serde_json::Value) {
        summary.set(key, leaves(key, &value.into()));
    }

    fn check(summary: &mut Summary, remove: &[&str], update: &[&str]) {
        let paths = |items: &[Item]| -> Vec<String> {
            items.iter().map(|item| item.path().join(".")).collect()
        };
        let pending = summary.pending();
        assert_eq!(paths(&pending.remove), remove);
        assert_eq!(paths(&pending.update), update);
        summary.written();
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
        let mut summary = Summary::resumed(old.clone());
        summary.written();
        set(&mut summary, "a", json(r#"{"y": 2}"#));
        check(&mut summary, &["a.x"], &["a.y"]);
        check(&mut Summary::resumed(old), &[], &["a.x", "a.y", "b"]);
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
}
