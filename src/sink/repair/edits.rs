//! Changes of the values in a record; all else in it stays as it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use prost::Message;
use serde_json::{Map, Value};

use crate::image::json::{self, Way};
use crate::sink::logged::{MAX_NESTING, parse_marked, text_of_marked};
use crate::sink::records::Item;
use crate::sink::wire::{self, fields};

/// The field of a row, a summary and a list of files that their items are.
pub(super) const ITEMS: u32 = 1;

/// The content of a message within a record; one that stands there twice is one.
pub(super) fn content(record: &[u8], number: u32) -> Vec<u8> {
    let fields = fields(record).flatten();
    let own = fields.filter(|field| field.number == number);
    own.filter_map(|field| field.content)
        .collect::<Vec<_>>()
        .concat()
}

/// The record with other content of that message, its other fields as they are.
pub(super) fn replaced(record: &[u8], number: u32, content: &[u8]) -> Vec<u8> {
    let mut new = Vec::new();
    for field in fields(record)
        .flatten()
        .filter(|field| field.number != number)
    {
        new.extend(field.raw);
    }
    wire::put(&mut new, number, content);
    new
}

/// The changes of a record's values, by the ways to them; none lies in another.
pub(super) type Edits = BTreeMap<Way, Replaced>;

/// What stands in the place of a value; it is put where the first of its leaves was.
pub(super) struct Replaced {
    value: Option<Value>,
    is_put: bool,
}

impl Replaced {
    fn new(value: Option<Value>) -> Self {
        let is_put = false;
        Self { value, is_put }
    }
}

pub(super) fn replacement((path, value): (Way, Option<Value>)) -> (Way, Replaced) {
    (path, Replaced::new(value))
}

/// The keys with items whose ways lie in one another's, such that a later one overwrites.
pub(super) fn mixed_keys(items: &[Item]) -> BTreeSet<&str> {
    let is_read = |item: &&Item| item.nested_key.len() <= MAX_NESTING;
    let mut ways: Vec<_> = items.iter().filter(is_read).map(Item::path).collect();
    ways.sort_unstable();
    // What a way begins is sorted right behind it.
    let pairs = ways.windows(2).filter(|pair| pair[1].starts_with(&pair[0]));
    pairs.map(|pair| pair[0][0]).collect()
}

/// Takes out all that stands at the step but the step itself, where an edit concerns it.
pub(super) fn take_step(edits: &mut Edits) -> bool {
    let before = edits.len();
    edits.retain(|way, _| &*way[0] != json::STEP);
    let is_edited = edits.len() < before;
    if is_edited {
        edits.extend([replacement((vec![json::STEP.into()], None))]);
    }
    is_edited
}

/// Puts what is left of an item: itself as it stands, where no edit concerns it.
pub(super) fn put_item(to: &mut Vec<u8>, item: &Item, raw: &[u8], edits: &mut Edits) {
    if edits.is_empty() || item.nested_key.len() > MAX_NESTING {
        return to.extend(raw);
    }
    let way: Way = item.path().into_iter().map(Into::into).collect();
    let above = (1..=way.len()).find(|&length| edits.contains_key(&way[..length]));
    if let Some(above) = above {
        return put_replaced(to, &way[..above], edits);
    }
    let from = (Bound::Excluded(&way[..]), Bound::Unbounded);
    let below = edits.range::<[Arc<str>], _>(from);
    let mut below = below
        .take_while(|(path, _)| path.starts_with(&way))
        .peekable();
    match below.peek().and_then(|_| parse_marked(item)) {
        None => to.extend(raw),
        Some(mut value) => {
            for (path, edit) in below {
                apply(&mut value, &path[way.len()..], edit.value.as_ref());
            }
            put_value(to, &way, text_of_marked(&value));
        }
    }
}

fn put_replaced(to: &mut Vec<u8>, path: &[Arc<str>], edits: &mut Edits) {
    let Some(edit) = edits.get_mut(path) else {
        return;
    };
    if !std::mem::replace(&mut edit.is_put, true)
        && let Some(value) = &edit.value
    {
        put_value(to, path, text_of_marked(value));
    }
}

pub(super) fn put_value(to: &mut Vec<u8>, way: &[Arc<str>], value_json: String) {
    let nested_key = way.iter().map(ToString::to_string).collect();
    let item = Item {
        nested_key,
        value_json,
        ..Item::default()
    };
    wire::put(to, ITEMS, &item.encode_to_vec());
}

pub(super) fn apply(value: &mut Value, way: &[Arc<str>], new: Option<&Value>) {
    let Value::Object(map) = value else {
        return;
    };
    match way {
        [] => {}
        [last] => set(map, last, new),
        [first, rest @ ..] => {
            if let Some(child) = map.get_mut(&**first) {
                apply(child, rest, new);
            }
        }
    }
}

fn set(map: &mut Map<String, Value>, key: &str, new: Option<&Value>) {
    match new {
        Some(new) => _ = map.insert(key.into(), new.clone()),
        None => _ = map.remove(key),
    }
}
