//! JSON as W&B takes it: `NaN` and `Infinity` included, which serde_json makes null.

mod serialize;

use std::fmt::Write;

use serde::Serialize;

use crate::error::Result;

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

    /// The text that goes into a record.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        match self {
            Json::Null => text.push_str("null"),
            Json::Bool(value) => write_display(text, value),
            Json::I64(value) => write_display(text, value),
            Json::U64(value) => write_display(text, value),
            Json::F64(value) => write_float(text, *value),
            Json::String(value) => write_string(text, value),
            Json::List(values) => write_joined(text, ['[', ']'], values, |text, v| v.write(text)),
            Json::Map(entries) => write_joined(text, ['{', '}'], entries, |text, (key, value)| {
                write_string(text, key);
                text.push(':');
                value.write(text);
            }),
        }
    }
}

fn write_display(text: &mut String, value: impl std::fmt::Display) {
    // Writing to a String can't fail.
    let _ = write!(text, "{value}");
}

/// The shortest decimal that reads back as the same double; W&B's tokens where JSON has none.
fn write_float(text: &mut String, value: f64) {
    match value {
        _ if value.is_nan() => text.push_str("NaN"),
        f64::INFINITY => text.push_str("Infinity"),
        f64::NEG_INFINITY => text.push_str("-Infinity"),
        _ => write_display(text, format_args!("{value:?}")),
    }
}

fn write_string(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                write_display(text, format_args!("\\u{:04x}", u32::from(c)))
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

fn write_joined<T>(
    text: &mut String,
    [open, close]: [char; 2],
    items: &[T],
    write_item: impl Fn(&mut String, &T),
) {
    text.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_item(text, item);
    }
    text.push(close);
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Other;
        match value {
            Other::Null => Json::Null,
            Other::Bool(value) => Json::Bool(value),
            Other::Number(number) => number.into(),
            Other::String(value) => Json::String(value),
            Other::Array(values) => Json::List(values.into_iter().map(Into::into).collect()),
            Other::Object(entries) => {
                Json::Map(entries.into_iter().map(|(k, v)| (k, v.into())).collect())
            }
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
