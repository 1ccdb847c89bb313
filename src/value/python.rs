//! JSON as Python's `json.dump(value, file, sort_keys=True)` writes it: the bytes of the files in
//! W&B's artifacts, whose names and digests follow from them.

use std::fmt::Write;

use super::{Json, write_display};

impl Json {
    /// The text, ASCII alone, the keys of maps sorted.
    pub(crate) fn to_python_text(&self) -> String {
        let mut text = String::new();
        self.write_python(&mut text);
        text
    }

    fn write_python(&self, text: &mut String) {
        match self {
            Json::Null => text.push_str("null"),
            Json::Bool(value) => write_display(text, value),
            Json::I64(value) => write_display(text, value),
            Json::U64(value) => write_display(text, value),
            Json::F64(value) => text.push_str(&float(*value)),
            Json::String(value) => write_text(text, value),
            Json::List(values) => {
                text.push('[');
                for (index, value) in values.iter().enumerate() {
                    separate(text, index);
                    value.write_python(text);
                }
                text.push(']');
            }
            Json::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by(|one, other| one.0.cmp(&other.0));
                text.push('{');
                for (index, (key, value)) in entries.into_iter().enumerate() {
                    separate(text, index);
                    write_text(text, key);
                    text.push_str(": ");
                    value.write_python(text);
                }
                text.push('}');
            }
        }
    }
}

fn separate(text: &mut String, index: usize) {
    if index > 0 {
        text.push_str(", ");
    }
}

/// As Python's `repr`: the fewest digits that name the number, an exponent below 1e-4 and from
/// 1e16 on.
fn float(value: f64) -> String {
    if !value.is_finite() {
        return match value {
            f64::INFINITY => "Infinity".into(),
            f64::NEG_INFINITY => "-Infinity".into(),
            _ => "NaN".into(),
        };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    match exponent {
        -4..16 => {
            let plain = value.to_string();
            let is_whole = !plain.contains('.');
            plain + if is_whole { ".0" } else { "" }
        }
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

fn write_text(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            ' '..='~' => text.push(c),
            _ => write_escaped(text, c),
        }
    }
    text.push('"');
}

fn write_escaped(text: &mut String, c: char) {
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        // A String takes everything.
        let _ = write!(text, "\\u{unit:04x}");
    }
}

/// A text as Python's `repr` shows it, which is what `str` of a list makes of the texts in it.
pub(crate) fn repr(value: &str) -> String {
    let quote = match value.contains('\'') && !value.contains('"') {
        true => '"',
        false => '\'',
    };
    let mut text = String::from(quote);
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            _ if c == quote => text.extend(['\\', c]),
            _ if is_printable(c) => text.push(c),
            _ => text.push_str(&match u32::from(c) {
                code @ ..0x100 => format!("\\x{code:02x}"),
                code @ ..0x1_0000 => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    text.push(quote);
    text
}

/// What Python and Rust call printable is the same, by the categories of Unicode. A first
/// character that extends the one before it counts as none in Rust, so another stands before it.
fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'') || format!("x{c}").escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        let check = |value: f64, expected: &str| assert_eq!(float(value), expected);
        check(1.0, "1.0");
        check(-0.0, "-0.0");
        check(0.1, "0.1");
        check(0.1_f32.into(), "0.10000000149011612");
        check(0.0001, "0.0001");
        check(0.00012, "0.00012");
        check(0.00001, "1e-05");
        check(1.5e-7, "1.5e-07");
        check(123_456_789_012_345_680.0, "1.2345678901234568e+17");
        check(1e15, "1000000000000000.0");
        check(9_999_999_999_999_998.0, "9999999999999998.0");
        check(1e16, "1e+16");
        check(1e22, "1e+22");
        check(1e300, "1e+300");
        check(5e-324, "5e-324");
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "Infinity");
        check(f64::NEG_INFINITY, "-Infinity");
    }

    #[test]
    fn maps_are_sorted_and_texts_are_ascii() {
        let value =
            serde_json::json!({"b": [1, null, true, {}], "a": "é🙂\"\\\n\u{1}\u{7f}", "B": []});
        assert_eq!(
            Json::from(value).to_python_text(),
            r#"{"B": [], "a": "\u00e9\ud83d\ude42\"\\\n\u0001\u007f", "b": [1, null, true, {}]}"#
        );
    }

    #[test]
    fn texts_are_shown_as_python_does() {
        let check = |text: &str, expected: &str| assert_eq!(repr(text), expected);
        check("", "''");
        check("it's", "\"it's\"");
        check("a \"b\"", "'a \"b\"'");
        check("'\"", "'\\'\"'");
        check("tab\tline\n\\", r"'tab\tline\n\\'");
        check("é 漢 🖼", "'é 漢 🖼'");
        check("\u{301}e\u{301}", "'\u{301}e\u{301}'");
        check("\u{2028}\u{7f}\u{200b}\u{0}", r"'\u2028\x7f\u200b\x00'");
        check("\u{e0001}\u{a0}", r"'\U000e0001\xa0'");
    }
}
