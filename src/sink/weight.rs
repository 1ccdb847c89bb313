//! How much memory a record takes once it is read: judged before any of it is taken.

use super::wire::{self, fields};
use crate::value::MAX_WAY;

/// The most memory that may be made of one record, in bytes: 512 MiB, as it is judged here. A row
/// may hold over a million leaves, or 700,000 objects, or a list of 8,000,000 numbers.
pub(super) const MAX_MEMORY: u64 = 512 << 20;

// What each thing takes once read, with what the allocator adds.
const FIELD: u64 = 64;
const ITEM: u64 = 64;
const OBJECT: u64 = 640;
const ENTRY: u64 = 96;
const VALUE: u64 = 64;
/// A file of an artifact; the list of them grows by doubling.
const ONE_OF_MANIFEST: u64 = 256;

// The fields of `Record` that are looked into, and of what is in them.
const WITH_ITEMS: [u32; 4] = [2, 3, 5, 6];
const RUN: u32 = 17;
const CONFIG_OF_RUN: u32 = 4;
const ARTIFACT: u32 = 8;
const MANIFEST: u32 = 12;
/// Messages in a manifest: what its policy says, and the files.
const OF_MANIFEST: [u32; 2] = [3, 4];
const KEY: u32 = 1;
const NESTED_KEY: u32 = 2;
const VALUE_JSON: u32 = 16;

/// Why a record isn't read: it would take too much memory, or how much can't be told
/// ([`MALFORMED`]).
pub(super) fn excess(record: &[u8]) -> Option<&'static str> {
    weigh(record).err()
}

const TOO_MUCH: &str = "it would take over 512 MiB of memory";
const TOO_LONG: &str = "a key in it is over 65,536 bytes long";

/// What has fields that no record of W&B has, such as groups, behind which there may be anything.
pub(super) const MALFORMED: &str = "its fields can't be told apart";

type Weighed = Result<u64, &'static str>;

/// The sum of the parts, as far as it is allowed.
fn sum<'a>(message: &'a [u8], mut part: impl FnMut(wire::Field<'a>) -> Weighed) -> Weighed {
    fields(message).try_fold(0_u64, |weight, field| {
        let field = field.map_err(|wire::Malformed| MALFORMED)?;
        let weight = weight + FIELD + part(field)?;
        (weight <= MAX_MEMORY).then_some(weight).ok_or(TOO_MUCH)
    })
}

fn weigh(record: &[u8]) -> Weighed {
    sum(record, |field| match (field.number, field.content) {
        (number, Some(content)) if WITH_ITEMS.contains(&number) => items(content),
        (RUN, Some(run)) => sum(run, |field| match (field.number, field.content) {
            (CONFIG_OF_RUN, Some(config)) => items(config),
            _ => Ok(0),
        }),
        (ARTIFACT, Some(artifact)) => sum(artifact, |field| match (field.number, field.content) {
            (MANIFEST, Some(content)) => manifest(content),
            _ => Ok(0),
        }),
        _ => Ok(0),
    })
}

fn manifest(message: &[u8]) -> Weighed {
    sum(message, |field| match (field.number, field.content) {
        (number, Some(entry)) if OF_MANIFEST.contains(&number) => {
            Ok(ONE_OF_MANIFEST + sum(entry, |_| Ok(0))?)
        }
        _ => Ok(0),
    })
}

fn items(message: &[u8]) -> Weighed {
    let mut before = Vec::new();
    sum(message, |field| match field.content {
        None => Ok(0),
        Some(content) => {
            let (weight, way) = item(content, &before)?;
            before = way;
            Ok(weight)
        }
    })
}

/// The weight of an item, and the way to it. Objects that the one before lies in too are there
/// already.
fn item<'a>(content: &'a [u8], before: &[&[u8]]) -> Result<(u64, Vec<&'a [u8]>), &'static str> {
    let (mut way, mut key, mut json) = (Vec::new(), None, Json::default());
    let fields = sum(content, |field| {
        match (field.number, field.content) {
            (KEY, Some(content)) => key = Some(content),
            (NESTED_KEY, Some(content)) => way.push(content),
            (VALUE_JSON, Some(content)) => json.add(content),
            _ => {}
        }
        Ok(0)
    })?;
    if way.is_empty() {
        way.extend(key);
    }
    let length: usize = way.iter().map(|part| part.len()).sum();
    if length.max(key.map_or(0, <[u8]>::len)) > MAX_WAY {
        return Err(TOO_LONG);
    }
    let last = before.len().saturating_sub(1);
    let above = way.len().saturating_sub(1);
    let pairs = way[..above].iter().zip(&before[..last]);
    let known = pairs.take_while(|(a, b)| a == b).count();
    let objects = (above - known) as u64 * OBJECT;
    let weight = ITEM + fields + objects + json.weight(length as u64);
    Ok((weight, way))
}

/// What a text of JSON makes.
#[derive(Default)]
struct Json {
    objects: u64,
    entries: u64,
    values: u64,
}

impl Json {
    fn add(&mut self, text: &[u8]) {
        let (mut is_quoted, mut is_escaped) = (false, false);
        for &byte in text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = is_quoted,
                b'"' => is_quoted = !is_quoted,
                _ if is_quoted => {}
                b'{' => self.objects += 1,
                b':' => self.entries += 1,
                b'[' | b',' => self.values += 1,
                _ => {}
            }
        }
    }

    /// Each of its entries may get a way of its own.
    fn weight(&self, way: u64) -> u64 {
        self.objects * OBJECT + self.entries * (ENTRY + way) + self.values * VALUE
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::records::{HistoryRecord, Item, Record, RecordType};
    use super::*;

    fn row(item: Vec<Item>) -> Vec<u8> {
        let row = HistoryRecord { item, step: None };
        let record = Record {
            record_type: Some(RecordType::History(row)),
            ..Record::default()
        };
        record.encode_to_vec()
    }

    fn leaf(way: &[&str], value_json: &str) -> Item {
        Item {
            nested_key: way.iter().map(ToString::to_string).collect(),
            value_json: value_json.into(),
            ..Item::default()
        }
    }

    fn check(items: Vec<Item>, expected: Option<&'static str>) {
        assert_eq!(excess(&row(items)), expected);
    }

    /// A thousand times these items are read, or are too much.
    fn check_thousand(items: Vec<Item>, expected: bool) {
        let weight = weigh(&row(items)).unwrap() * 1000;
        assert_eq!(weight <= MAX_MEMORY, expected, "{weight}");
    }

    fn list(one: &str, count: usize) -> String {
        format!("[{}0]", format!("{one},").repeat(count))
    }

    #[test]
    fn what_a_record_makes_is_judged_by_its_fields_and_values() {
        let check = check_thousand;
        check(vec![leaf(&["a"], &list("1", 8_000))], true);
        check(vec![leaf(&["a"], &list("1", 9_000))], false);
        check(vec![leaf(&["a"], &list("{}", 700))], true);
        check(vec![leaf(&["a"], &list("{}", 900))], false);
        let quoted = format!("\"{}\\\"{}\"", "{".repeat(1000), ",".repeat(10_000));
        check(vec![leaf(&["a"], &quoted)], true);
        check(vec![leaf(&["a", "b"], "1"); 1_300], true);
        check(vec![leaf(&["k"; 64], "1"); 20], true);
        let ways = [["k"; 64], ["l"; 64]];
        let deep = (0..20).map(|i| leaf(&ways[i % 2], "1")).collect();
        check(deep, false);
        check(vec![Item::default(); 4_000], true);
        check(vec![Item::default(); 5_000], false);
    }

    #[test]
    fn what_is_too_much_is_not_looked_at_to_its_end() {
        check(vec![leaf(&["a"], &list("{}", 900_000))], Some(TOO_MUCH));
        check(vec![leaf(&["a"], &list("{}", 700_000))], None);
    }

    #[test]
    fn the_files_of_an_artifact_are_judged_by_their_number() {
        let artifact = |count: usize| {
            let manifest: Vec<u8> = [0x22, 0].repeat(count);
            let (mut artifact, mut record) = (Vec::new(), Vec::new());
            wire::put(&mut artifact, MANIFEST, &manifest);
            wire::put(&mut record, ARTIFACT, &artifact);
            record
        };
        assert_eq!(excess(&artifact(1_600_000)), None);
        assert_eq!(excess(&artifact(1_700_000)), Some(TOO_MUCH));
        let record = Record::decode(&*artifact(3)).unwrap();
        let Some(RecordType::Artifact(artifact)) = record.record_type else {
            panic!("{record:?}");
        };
        assert_eq!(artifact.manifest.unwrap().contents.len(), 3);
    }

    #[test]
    fn nothing_hides_behind_what_cannot_be_read() {
        let group = [0x7B, 0x7C];
        let row = [&[0x12, 4], &group[..], &[0x0A, 0]].concat();
        assert_eq!(excess(&row), Some(MALFORMED));
        assert_eq!(excess(&[&group[..], &row].concat()), Some(MALFORMED));
    }

    #[test]
    fn a_way_is_as_long_as_this_crate_takes_it_and_no_entry_repeats_it_too_often() {
        let long = "k".repeat(1 << 16);
        check(vec![leaf(&[&long], "1")], None);
        check(vec![leaf(&[&long, "k"], "1")], Some(TOO_LONG));
        let entries = |count: usize| format!("{{{}}}", "\"a\":0,".repeat(count));
        check(vec![leaf(&[&long], &entries(8_000))], None);
        check(vec![leaf(&[&long], &entries(9_000))], Some(TOO_MUCH));
    }
}
