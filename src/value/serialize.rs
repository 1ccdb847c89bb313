//! Any `Serialize` as [`Json`]. serde_json can't be used: it makes NaN and the infinities null.
//!
//! Enums take serde_json's shape: a unit variant is its name, any other a map of one entry.

use std::fmt::Display;

use serde::ser::{self, Serialize};

use super::{Json, MAX_DEPTH, Room, too_deep};
use crate::error::{Error, Result, beginning};

pub(super) fn to_json(value: &(impl Serialize + ?Sized)) -> Result<Json> {
    value
        .serialize(Serializer {
            levels: MAX_DEPTH,
            room: &Room::new(),
        })
        .map_err(|Refused(reason)| Error::Value { reason })
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl ser::Error for Refused {
    fn custom<T: Display>(message: T) -> Self {
        Refused(message.to_string())
    }
}

type Made<T = Json> = std::result::Result<T, Refused>;

#[derive(Clone, Copy)]
struct Serializer<'c> {
    /// How many levels may still stand in this one.
    levels: usize,
    /// What may still be made.
    room: &'c Room,
}

impl Serializer<'_> {
    /// For what stands one level deeper: the call stack is as deep as the value.
    fn inner(self) -> Made<Self> {
        let levels = self.levels.checked_sub(1);
        let levels = levels.ok_or_else(|| Refused(too_deep()))?;
        Ok(Self { levels, ..self })
    }

    /// One of the values in a list or a map.
    fn one<T: Serialize + ?Sized>(self, value: &T) -> Made {
        self.room.take_values(1).map_err(Refused)?;
        value.serialize(self)
    }

    /// A copy of a text, where there is room for it.
    fn text(self, text: &str) -> Made<String> {
        self.room.take_text(text).map_err(Refused)?;
        Ok(text.into())
    }

    /// A value under the name of its variant, where it has one.
    fn tagged(self, variant: Option<&str>, value: Json) -> Made {
        match variant {
            Some(variant) => Ok(Json::Map(vec![(self.text(variant)?, value)])),
            None => Ok(value),
        }
    }
}

impl<'c> ser::Serializer for Serializer<'c> {
    type Ok = Json;
    type Error = Refused;
    type SerializeSeq = List<'c>;
    type SerializeTuple = List<'c>;
    type SerializeTupleStruct = List<'c>;
    type SerializeTupleVariant = List<'c>;
    type SerializeMap = Map<'c>;
    type SerializeStruct = Map<'c>;
    type SerializeStructVariant = Map<'c>;

    fn serialize_bool(self, v: bool) -> Made {
        Ok(Json::Bool(v))
    }
    fn serialize_i8(self, v: i8) -> Made {
        Ok(Json::I64(v.into()))
    }
    fn serialize_i16(self, v: i16) -> Made {
        Ok(Json::I64(v.into()))
    }
    fn serialize_i32(self, v: i32) -> Made {
        Ok(Json::I64(v.into()))
    }
    fn serialize_i64(self, v: i64) -> Made {
        Ok(Json::I64(v))
    }
    fn serialize_i128(self, v: i128) -> Made {
        i64::try_from(v)
            .map(Json::I64)
            .or_else(|_| u64::try_from(v).map(Json::U64))
            .map_err(|_| too_wide(v))
    }
    fn serialize_u8(self, v: u8) -> Made {
        Ok(Json::U64(v.into()))
    }
    fn serialize_u16(self, v: u16) -> Made {
        Ok(Json::U64(v.into()))
    }
    fn serialize_u32(self, v: u32) -> Made {
        Ok(Json::U64(v.into()))
    }
    fn serialize_u64(self, v: u64) -> Made {
        Ok(Json::U64(v))
    }
    fn serialize_u128(self, v: u128) -> Made {
        u64::try_from(v).map(Json::U64).map_err(|_| too_wide(v))
    }
    fn serialize_f32(self, v: f32) -> Made {
        Ok(Json::F64(v.into()))
    }
    fn serialize_f64(self, v: f64) -> Made {
        Ok(Json::F64(v))
    }
    fn serialize_char(self, v: char) -> Made {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, v: &str) -> Made {
        self.text(v).map(Json::String)
    }
    fn serialize_bytes(self, v: &[u8]) -> Made {
        self.collect_seq(v)
    }
    fn serialize_none(self) -> Made {
        Ok(Json::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Made {
        value.serialize(self.inner()?)
    }
    fn serialize_unit(self) -> Made {
        Ok(Json::Null)
    }
    fn serialize_unit_struct(self, _name: &'static str) -> Made {
        Ok(Json::Null)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Made {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Made {
        value.serialize(self.inner()?)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Made {
        self.tagged(Some(variant), value.serialize(self.inner()?)?)
    }
    fn serialize_seq(self, _: Option<usize>) -> Made<List<'c>> {
        List::new(self, None)
    }
    fn serialize_tuple(self, _: usize) -> Made<List<'c>> {
        List::new(self, None)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Made<List<'c>> {
        List::new(self, None)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Made<List<'c>> {
        List::new(self, Some(variant))
    }
    fn serialize_map(self, _: Option<usize>) -> Made<Map<'c>> {
        Map::new(self, None)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Made<Map<'c>> {
        Map::new(self, None)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Made<Map<'c>> {
        Map::new(self, Some(variant))
    }
}

fn too_wide(value: impl Display) -> Refused {
    Refused(format!(
        "the integer {value} does not fit into 64 bits: log it as text or as a float"
    ))
}

struct List<'c> {
    inner: Serializer<'c>,
    variant: Option<&'static str>,
    values: Vec<Json>,
}

impl<'c> List<'c> {
    fn new(serializer: Serializer<'c>, variant: Option<&'static str>) -> Made<Self> {
        Ok(Self {
            inner: serializer.inner()?,
            variant,
            values: Vec::new(),
        })
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Made<()> {
        self.values.push(self.inner.one(value)?);
        Ok(())
    }

    fn finish(self) -> Made {
        self.inner.tagged(self.variant, Json::List(self.values))
    }
}

macro_rules! list {
    ($($serializer:ident::$method:ident),*) => {$(
        impl ser::$serializer for List<'_> {
            type Ok = Json;
            type Error = Refused;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Made<()> {
                self.push(value)
            }
            fn end(self) -> Made {
                self.finish()
            }
        }
    )*};
}

list!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

struct Map<'c> {
    inner: Serializer<'c>,
    variant: Option<&'static str>,
    key: String,
    entries: Vec<(String, Json)>,
}

impl<'c> Map<'c> {
    fn new(serializer: Serializer<'c>, variant: Option<&'static str>) -> Made<Self> {
        Ok(Self {
            inner: serializer.inner()?,
            variant,
            key: String::new(),
            entries: Vec::new(),
        })
    }

    fn push<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Made<()> {
        self.entries.push((key, self.inner.one(value)?));
        Ok(())
    }

    fn finish(self) -> Made {
        self.inner.tagged(self.variant, Json::Map(self.entries))
    }
}

impl ser::SerializeMap for Map<'_> {
    type Ok = Json;
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Made<()> {
        self.key = key_text(key.serialize(self.inner)?)?;
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Made<()> {
        let key = std::mem::take(&mut self.key);
        self.push(key, value)
    }
    fn end(self) -> Made {
        self.finish()
    }
}

fn key_text(key: Json) -> Made<String> {
    match key {
        Json::String(key) => Ok(key),
        Json::Bool(_) | Json::I64(_) | Json::U64(_) => Ok(key.to_text()),
        other => Err(Refused(format!(
            "a map has the key {}, but a key is a text or an integer",
            beginning(&other.to_text())
        ))),
    }
}

macro_rules! record {
    ($($serializer:ident),*) => {$(
        impl ser::$serializer for Map<'_> {
            type Ok = Json;
            type Error = Refused;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Made<()> {
                let key = self.inner.text(key)?;
                self.push(key, value)
            }
            fn end(self) -> Made {
                self.finish()
            }
        }
    )*};
}

record!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    #[derive(Clone, Serialize)]
    struct Named {
        a_name_of_16_bytes: u8,
    }

    #[derive(Clone, Serialize)]
    enum Variant {
        Unit,
        Newtype(f32),
        Tuple(u8, char),
        Struct { inner: Option<f64> },
    }

    #[derive(Serialize)]
    struct Pair(u8, &'static str);

    #[derive(Serialize)]
    struct Config {
        z_first: f64,
        name: String,
        nested: Pair,
        skipped: (),
    }

    fn check(value: impl Serialize, expected: &str) {
        assert_eq!(to_json(&value).unwrap().to_text(), expected);
    }

    #[test]
    fn structs_keep_their_order_and_their_nan() {
        check(
            Config {
                z_first: f64::NAN,
                name: "a".into(),
                nested: Pair(1, "x"),
                skipped: (),
            },
            r#"{"z_first":NaN,"name":"a","nested":[1,"x"],"skipped":null}"#,
        );
    }

    #[test]
    fn enums_take_serde_jsons_shape() {
        check(Variant::Unit, r#""Unit""#);
        check(
            Variant::Newtype(f32::NEG_INFINITY),
            r#"{"Newtype":-Infinity}"#,
        );
        check(Variant::Tuple(1, 'c'), r#"{"Tuple":[1,"c"]}"#);
        check(
            Variant::Struct { inner: None },
            r#"{"Struct":{"inner":null}}"#,
        );
    }

    #[test]
    fn map_keys_become_text() {
        check(
            BTreeMap::from([(1, "a"), (-2, "b")]),
            r#"{"-2":"b","1":"a"}"#,
        );
        check(BTreeMap::from([(false, 0)]), r#"{"false":0}"#);
        check(BTreeMap::from([('k', 1_i128)]), r#"{"k":1}"#);
    }

    fn check_refused(value: impl Serialize, expected: &str) {
        let error = to_json(&value).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    /// A value in as many others.
    fn nested(levels: usize) -> Deep {
        (0..levels).fold(Deep::End, |deep, _| Deep::In(Box::new(deep)))
    }

    enum Deep {
        End,
        In(Box<Deep>),
    }

    impl Serialize for Deep {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Deep::End => serializer.serialize_unit(),
                Deep::In(deep) => serializer.serialize_some(&[deep]),
            }
        }
    }

    #[test]
    fn values_are_as_deep_as_a_stack_allows() {
        check(nested(2), "[[null]]");
        assert!(to_json(&nested(31)).is_ok());
        check_refused(nested(32), "nested over 63 levels");
        check_refused(nested(2000), "nested over 63 levels");
        check_refused(vec![[0_u8; 9]; 250_000], "over 2,000,000 values");
    }

    #[test]
    fn texts_are_refused_before_they_are_copied() {
        let text = "x".repeat(1 << 20);
        let texts = |count: usize| vec![&text; count];
        assert!(to_json(&texts(16)).is_ok());
        check_refused(texts(17), "texts of over 16 MiB");
        check_refused(texts(2_000_000), "texts of over 16 MiB");
        let keys = |count: usize| vec![BTreeMap::from([(&text, 0)]); count];
        assert!(to_json(&keys(16)).is_ok());
        check_refused(keys(17), "texts of over 16 MiB");
        let variants = vec![Variant::Unit; 1_999_999];
        assert!(to_json(&variants).is_ok());
        check_refused(
            vec![
                Named {
                    a_name_of_16_bytes: 1
                };
                1_000_000
            ],
            "texts of over 16 MiB",
        );
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        check_refused(u128::MAX, "does not fit into 64 bits");
        check_refused(i128::MIN, "does not fit into 64 bits");
        check_refused(BTreeMap::from([((1, 2), 3)]), "a map has the key [1,2]");
    }
}
