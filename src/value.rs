//! JSON as W&B takes it: `NaN` and `Infinity` included, which serde_json makes null.

pub(crate) mod python;
mod scalar;
pub(crate) mod scan;
mod serialize;
pub(crate) mod tokens;
mod write;

use std::cell::Cell;

pub use scalar::Scalar;
pub(crate) use scalar::sealed::Sealed as IntoJson;
use serde::Serialize;

use crate::error::{Error, Result, beginning};

/// The keys that lead to a value at most, that of its row among them: what the readers of a log
/// follow.
pub(crate) const MAX_NESTING: usize = 64;

/// The bytes of the keys that lead to a value at most, and so those of one key.
pub(crate) const MAX_WAY: usize = 1 << 16;

/// How deep a value may be nested below its key.
const MAX_DEPTH: usize = MAX_NESTING - 1;

/// The texts of one value at most, in bytes of JSON. W&B takes 25 MB for all values of a row.
const MAX_TEXT: usize = 16 << 20;

/// The numbers, texts, lists and maps in one value at most. A value is shorter than a record may
/// be, which is 64 MiB: a number takes up to 25 bytes.
pub(crate) const MAX_VALUES: usize = 2_000_000;

/// A JSON value as W&B's tools take it: floats may be NaN or infinite, maps keep their order.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is the JSON of its name")]
pub enum Json {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    String(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// Any value that serde can describe, with its non-finite floats kept.
    pub(crate) fn from_serialize(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        serialize::to_json(value)
    }

    /// The value, unless it is too deep or too long to be written under this key.
    pub(crate) fn checked(self, key: &str) -> Result<Self> {
        let room = Room::new();
        let fits = self.fits(MAX_DEPTH, &room);
        match fits.and_then(|()| self.ways_fit(Way::default().on(key)?, &room)) {
            Ok(()) => Ok(self),
            Err(reason) => Err(Error::Value {
                reason: format!("under {:?}, {reason}", beginning(key)),
            }),
        }
    }

    /// Takes its texts and values from `room`.
    fn fits(&self, depth: usize, room: &Room) -> Result<(), String> {
        room.take_values(1)?;
        let deeper = || depth.checked_sub(1).ok_or_else(too_deep);
        match self {
            Json::String(value) => room.take_text(value)?,
            Json::List(values) => {
                let depth = deeper()?;
                values
                    .iter()
                    .try_for_each(|value| value.fits(depth, room))?;
            }
            Json::Map(entries) => {
                let depth = deeper()?;
                entries.iter().try_for_each(|(key, value)| {
                    room.take_text(key)?;
                    value.fits(depth, room)
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the keys that lead to each leaf, since a record repeats them for each: as texts and as
    /// values.
    fn ways_fit(&self, way: Way, room: &Room) -> Result<(), String> {
        match self {
            Json::Map(entries) if !entries.is_empty() => entries
                .iter()
                .try_for_each(|(key, value)| value.ways_fit(way.on(key)?, room)),
            _ if way.keys == 1 => Ok(()),
            _ => room.take_way(way),
        }
    }

    /// The same with null for NaN, as the Python SDK has it in artifacts.
    pub(crate) fn without_nan(self) -> Self {
        match self {
            Json::F64(value) if value.is_nan() => Json::Null,
            Json::List(values) => Json::List(values.into_iter().map(Json::without_nan).collect()),
            Json::Map(entries) => {
                let entries = entries.into_iter();
                Json::Map(
                    entries
                        .map(|(key, value)| (key, value.without_nan()))
                        .collect(),
                )
            }
            other => other,
        }
    }

    /// The memory that it holds beyond itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Json::String(text) => text.len(),
            Json::List(values) => {
                let inner = values.iter().map(Json::heap_bytes).sum::<usize>();
                size_of_val(&values[..]) + inner
            }
            Json::Map(entries) => {
                let inner = entries.iter();
                let inner = inner.map(|(key, value)| key.len() + value.heap_bytes());
                size_of_val(&entries[..]) + inner.sum::<usize>()
            }
            Json::Null | Json::Bool(_) | Json::I64(_) | Json::U64(_) | Json::F64(_) => 0,
        }
    }
}

/// What one value may hold still.
struct Room {
    text: Cell<usize>,
    values: Cell<usize>,
}

impl Room {
    fn new() -> Self {
        Self {
            text: Cell::new(MAX_TEXT),
            values: Cell::new(MAX_VALUES),
        }
    }

    fn take_text(&self, text: &str) -> Result<(), String> {
        take(&self.text, written_len(text), TOO_LONG)
    }

    fn take_values(&self, count: usize) -> Result<(), String> {
        take(&self.values, count, TOO_MANY)
    }

    fn take_way(&self, way: Way) -> Result<(), String> {
        take(&self.text, way.bytes, WAYS_TOO_LONG)?;
        take(&self.values, way.keys, WAYS_TOO_MANY)
    }
}

fn take(room: &Cell<usize>, taken: usize, excess: &str) -> Result<(), String> {
    room.set(room.get().checked_sub(taken).ok_or(excess)?);
    Ok(())
}

/// The keys that lead to a value.
#[derive(Clone, Copy, Default)]
struct Way {
    keys: usize,
    bytes: usize,
}

impl Way {
    fn on(self, key: &str) -> Result<Self, String> {
        let bytes = self.bytes.saturating_add(key.len());
        if bytes > MAX_WAY {
            return Err(way_too_long());
        }
        let keys = self.keys + 1;
        Ok(Self { keys, bytes })
    }
}

/// The bytes of a text in JSON, without its quotes.
fn written_len(text: &str) -> usize {
    let len = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        ..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(len).sum()
}

const TOO_LONG: &str = "it holds texts of over 16 MiB: shorten them, or log less of it";

const TOO_MANY: &str = "it holds over 2,000,000 values: log less of it";

const WAYS_TOO_LONG: &str = "it holds texts of over 16 MiB, since each value in a map is written with \
                             all keys that lead to it: shorten the keys, or log less of it";

const WAYS_TOO_MANY: &str = "it holds over 2,000,000 values, since each value in a map counts with \
                             all keys that lead to it: log less of it";

fn way_too_long() -> String {
    "the keys that lead to a value in it take over 65,536 bytes: shorten them".into()
}

fn too_deep() -> String {
    format!("it is nested over {MAX_DEPTH} levels deep: flatten it, or log it as text")
}

/// What is nested too deep for [`checked`](Json::checked) is so afterwards, cut below that.
impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        of_other(value, MAX_DEPTH + 1)
    }
}

fn of_other(value: serde_json::Value, depth: usize) -> Json {
    use serde_json::Value as Other;
    let Some(inner) = depth.checked_sub(1) else {
        return Json::Null;
    };
    match value {
        Other::Null => Json::Null,
        Other::Bool(value) => Json::Bool(value),
        Other::Number(number) => number.into(),
        Other::String(value) => Json::String(value),
        Other::Array(values) => {
            let values = values.into_iter();
            Json::List(values.map(|value| of_other(value, inner)).collect())
        }
        Other::Object(entries) => {
            let entries = entries.into_iter();
            Json::Map(entries.map(|(k, v)| (k, of_other(v, inner))).collect())
        }
    }
}

impl From<serde_json::Number> for Json {
    fn from(number: serde_json::Number) -> Self {
        let integer = number.as_i64().map(Json::I64);
        integer
            .or_else(|| number.as_u64().map(Json::U64))
            .or_else(|| number.as_f64().map(Json::F64))
            .unwrap_or(Json::Null)
    }
}

/// A float that serde_json can't hold becomes null.
impl From<Json> for serde_json::Value {
    fn from(value: Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => value.into(),
            Json::I64(value) => value.into(),
            Json::U64(value) => value.into(),
            Json::F64(value) => value.into(),
            Json::String(value) => value.into(),
            Json::List(values) => values.into_iter().map(Self::from).collect(),
            Json::Map(entries) => {
                let entries = entries.into_iter();
                entries
                    .map(|(key, value)| (key, Self::from(value)))
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> serde_json::Value {
        (0..levels).fold(serde_json::Value::Null, |value, _| vec![value].into())
    }

    fn check_under(key: &str, value: impl Into<Json>, expected: Option<&str>) {
        let refused = value.into().checked(key).err();
        match (refused.map(|error| error.to_string()), expected) {
            (None, None) => {}
            (Some(text), Some(expected)) => assert!(text.contains(expected), "{text}"),
            other => panic!("{other:?}"),
        }
    }

    fn check(value: impl Into<Json>, expected: Option<&str>) {
        check_under("k", value, expected);
    }

    #[test]
    fn values_are_limited() {
        check(nested(63), None);
        check(nested(64), Some("nested over 63 levels deep"));
        check(nested(5000), Some("nested over 63 levels deep"));
        let text = |bytes| serde_json::Value::String("x".repeat(bytes));
        check(text(MAX_TEXT), None);
        check(text(MAX_TEXT + 1), Some("over 16 MiB"));
        check(
            serde_json::Value::from("\n".repeat(MAX_TEXT / 2 + 1)),
            Some("over 16 MiB"),
        );
        let key = serde_json::Map::from_iter([("k".repeat(MAX_TEXT + 1), 1.into())]);
        check(serde_json::Value::from(key), Some("over 16 MiB"));
        check(Json::List(vec![Json::Null; MAX_VALUES - 1]), None);
        check(
            Json::List(vec![Json::Null; MAX_VALUES]),
            Some("over 2,000,000 values"),
        );
    }

    /// A map of one entry.
    fn map(key: &str, value: impl Into<Json>) -> Json {
        Json::Map(vec![(key.into(), value.into())])
    }

    /// A map of this many entries, whose keys are a byte long.
    fn entries(count: usize) -> Json {
        Json::Map(vec![("e".into(), Json::Null); count])
    }

    #[test]
    fn the_keys_that_lead_to_a_value_are_limited() {
        const WAY: Option<&str> = Some("take over 65,536 bytes: shorten them");
        let key = |bytes| "k".repeat(bytes);
        check_under(&key(MAX_WAY), Json::Null, None);
        check_under(&key(MAX_WAY + 1), Json::Null, WAY);
        check_under(&key(MAX_WAY), entries(1), WAY);
        check_under(&key(MAX_WAY - 1), entries(1), None);
        check(map(&key(MAX_WAY - 1), Json::Null), None);
        check(map(&key(MAX_WAY), Json::Null), WAY);
        check(map("a", map(&key(MAX_WAY - 2), Json::Null)), None);
        check(map("a", map(&key(MAX_WAY - 1), Json::Null)), WAY);
        // What lies in a list is one text with it.
        let list = Json::List(vec![map(&key(MAX_WAY), Json::Null)]);
        check(list, None);
    }

    #[test]
    fn the_keys_that_lead_to_each_value_count() {
        let long = "k".repeat(MAX_WAY / 2);
        check(map(&long, entries(500)), None);
        check(map(&long, entries(520)), Some("over 16 MiB"));
        check_under(&long, entries(500), None);
        check_under(&long, entries(520), Some("over 16 MiB"));
        // Each with a value, and two keys or three.
        check(entries(660_000), None);
        check(entries(670_000), Some("over 2,000,000 values"));
        check(map("a", entries(495_000)), None);
        check(map("a", entries(505_000)), Some("over 2,000,000 values"));
    }

    #[test]
    fn the_length_of_a_text_is_known_before_it_is_written() {
        for text in ["", "plain", "tä\"\\\n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}🙂"] {
            let written = Json::String(text.into()).to_text();
            assert_eq!(written_len(text) + 2, written.len(), "{written}");
        }
    }
}
