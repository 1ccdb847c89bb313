//! A summary that may be too long for one record, in several.

use prost::Message;

use super::ways::way;
use crate::sink::records::{Item, SummaryRecord};

/// What one record takes.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Part {
    pub(in crate::pipeline) record: SummaryRecord,
    /// Whose leaves it holds.
    pub(in crate::pipeline) keys: Vec<String>,
    /// Those of the last key go on in the next part.
    goes_on: bool,
    size: Size,
}

impl Part {
    /// The keys that are up to date with it, where the parts before it are written.
    pub(in crate::pipeline) fn up_to_date(&self) -> &[String] {
        &self.keys[..self.keys.len() - usize::from(self.goes_on)]
    }

    fn has_room(&self, size: Size) -> bool {
        self.size == Size::default() || self.size.and(size).fits()
    }
}

/// What items take in a record, and no less than they take in a reader's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    record: usize,
    memory: usize,
}

/// The most that a part takes, far below what a log's readers do: 64 MiB, and 512 MiB of memory.
/// One leaf alone may take more.
const MAX_PART: Size = Size {
    record: 8 << 20,
    memory: 128 << 20,
};

// What a reader takes for each thing, at most.
const ITEM: usize = 256;
const KEY: usize = 704;
/// What a value may begin with.
const MARK: usize = 640;

impl Size {
    fn of(item: &Item) -> Self {
        let way = way(item);
        let length: usize = way.iter().map(String::len).sum();
        let is_mark = |byte: &u8| matches!(byte, b'{' | b'[' | b':' | b',');
        let marks = item.value_json.bytes().filter(|byte| is_mark(byte)).count();
        Self {
            record: item.encoded_len() + 8,
            memory: ITEM + KEY * way.len() + marks * (MARK + length),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            record: self.record.saturating_add(other.record),
            memory: self.memory.saturating_add(other.memory),
        }
    }

    fn fits(self) -> bool {
        self.record <= MAX_PART.record && self.memory <= MAX_PART.memory
    }
}

/// Parts in order. What a key has stays together where it can.
#[derive(Debug, Default)]
pub(super) struct Parts {
    full: Vec<Part>,
    last: Part,
}

impl Parts {
    pub(super) fn add(&mut self, key: &str, updated: &[Item], removed: Vec<Item>) {
        let sizes = updated.iter().chain(&removed).map(Size::of);
        if !self.last.has_room(sizes.fold(Size::default(), Size::and)) {
            self.begin();
        }
        self.last.keys.push(key.into());
        for item in removed {
            self.part_for(key, &item).record.remove.push(item);
        }
        for item in updated {
            self.part_for(key, item).record.update.push(item.clone());
        }
    }

    fn part_for(&mut self, key: &str, item: &Item) -> &mut Part {
        let size = Size::of(item);
        if !self.last.has_room(size) {
            self.last.goes_on = true;
            self.begin();
            self.last.keys.push(key.into());
        }
        self.last.size = self.last.size.and(size);
        &mut self.last
    }

    fn begin(&mut self) {
        self.full.push(std::mem::take(&mut self.last));
    }

    pub(super) fn all(mut self) -> Vec<Part> {
        if !self.last.keys.is_empty() {
            self.begin();
        }
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, value_json: &str) -> Item {
        Item {
            key: key.into(),
            value_json: value_json.into(),
            ..Item::default()
        }
    }

    /// The keys of each part, where each key has so many leaves with this text.
    fn check(keys: &[(&str, usize, &str)], expected: &[&[&str]]) {
        let mut parts = Parts::default();
        for (key, leaves, text) in keys {
            parts.add(key, &vec![item(key, text); *leaves], Vec::new());
        }
        let parts = parts.all();
        let found: Vec<_> = parts.iter().map(|part| &part.keys[..]).collect();
        assert_eq!(found, expected);
        let leaves: usize = parts.iter().map(|part| part.record.update.len()).sum();
        assert_eq!(leaves, keys.iter().map(|key| key.1).sum::<usize>());
        assert!(parts.last().is_none_or(|part| !part.goes_on));
    }

    #[test]
    fn a_part_is_short_and_takes_little_memory() {
        let mib = |n: usize| "x".repeat(n << 20);
        let (three, nine) = (mib(3), mib(9));
        check(&[], &[]);
        check(&[("a", 1, "1"), ("b", 2, "1")], &[&["a", "b"]]);
        check(
            &[("a", 1, &three), ("b", 1, &three), ("c", 1, &three)],
            &[&["a", "b"], &["c"]],
        );
        // Together, if it can be, and else over as many as it needs.
        check(&[("a", 1, &three), ("b", 2, &three)], &[&["a"], &["b"]]);
        check(&[("a", 3, &three), ("b", 1, "1")], &[&["a"], &["a", "b"]]);
        // One leaf alone is as long as it is.
        check(
            &[("a", 1, &nine), ("b", 1, "1"), ("c", 1, &nine)],
            &[&["a"], &["b"], &["c"]],
        );
        let objects = format!("[{}{{}}]", "{},".repeat(50_000));
        check(
            &[("a", 1, &objects), ("b", 1, &objects), ("c", 1, &objects)],
            &[&["a", "b"], &["c"]],
        );
    }
}
