//! JSON as text, byte by byte as W&B's client writes it: the names and hashes of files follow from
//! their bytes.

use std::fmt::Write;

use super::Json;

/// Who writes the text.
#[derive(Clone, Copy)]
enum Form {
    /// `pydantic_core.to_json`: the records of a run and its files.
    Run,
    /// Python's `json.dump(value, file, sort_keys=True)`: the files in artifacts.
    Artifact,
}

impl Json {
    /// The text as a run has it: no spaces, and W&B's tokens for the floats that JSON has not.
    pub(crate) fn to_text(&self) -> String {
        Form::Run.text(self)
    }

    /// The text as artifacts have it: ASCII alone, the keys of maps sorted.
    pub(crate) fn to_python_text(&self) -> String {
        Form::Artifact.text(self)
    }
}

impl Form {
    fn text(self, value: &Json) -> String {
        let mut text = String::new();
        self.write(&mut text, value);
        text
    }

    fn write(self, text: &mut String, value: &Json) {
        match value {
            Json::Null => text.push_str("null"),
            Json::Bool(value) => put(text, format_args!("{value}")),
            Json::I64(value) => put(text, format_args!("{value}")),
            Json::U64(value) => put(text, format_args!("{value}")),
            Json::F64(value) => self.write_float(text, *value),
            Json::String(value) => self.write_text(text, value),
            Json::List(values) => self.write_joined(text, ['[', ']'], values, |text, value| {
                self.write(text, value);
            }),
            Json::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                if let Form::Artifact = self {
                    entries.sort_by(|one, other| one.0.cmp(&other.0));
                }
                self.write_joined(text, ['{', '}'], entries, |text, (key, value)| {
                    self.write_text(text, key);
                    text.push_str(self.of([":", ": "]));
                    self.write(text, value);
                });
            }
        }
    }

    fn of<T>(self, [in_run, in_artifact]: [T; 2]) -> T {
        match self {
            Form::Run => in_run,
            Form::Artifact => in_artifact,
        }
    }

    fn write_joined<T>(
        self,
        text: &mut String,
        [open, close]: [char; 2],
        items: impl IntoIterator<Item = T>,
        write_item: impl Fn(&mut String, T),
    ) {
        text.push(open);
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                text.push_str(self.of([",", ", "]));
            }
            write_item(text, item);
        }
        text.push(close);
    }

    fn write_float(self, text: &mut String, value: f64) {
        if value.is_nan() {
            return text.push_str("NaN");
        }
        if value.is_sign_negative() {
            text.push('-');
        }
        let shortest = shortest(value.abs());
        // Python has an exponent from 1e-4 downwards already.
        let small = shortest
            .strip_prefix("0.0000")
            .filter(|_| self.of([false, true]));
        match (
            small.and_then(|digits| digits.split_at_checked(1)),
            shortest.split_once('e'),
        ) {
            (Some((first, "")), _) => put(text, format_args!("{first}e-05")),
            (Some((first, rest)), _) => put(text, format_args!("{first}.{rest}e-05")),
            (None, Some((digits, exponent))) => {
                let exponent: i32 = exponent.parse().unwrap_or_default();
                match self {
                    Form::Run => put(text, format_args!("{digits}e{exponent:+}")),
                    Form::Artifact => put(text, format_args!("{digits}e{exponent:+03}")),
                }
            }
            (None, None) => text.push_str(&shortest),
        }
    }

    fn write_text(self, text: &mut String, value: &str) {
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
                '\u{7f}'.. if matches!(self, Form::Run) => text.push(c),
                _ => write_escaped(text, c),
            }
        }
        text.push('"');
    }
}

/// The fewest digits that name a number that isn't negative; of two that are as near, the even
/// one, which `std` does otherwise. An exponent stands below 1e-5 and from 1e16 on.
fn shortest(value: f64) -> String {
    let number = serde_json::Number::from_f64(value);
    number.map_or_else(|| "Infinity".into(), |number| number.to_string())
}

fn write_escaped(text: &mut String, c: char) {
    let mut units = [0; 2];
    for unit in c.encode_utf16(&mut units) {
        put(text, format_args!("\\u{unit:04x}"));
    }
}

fn put(text: &mut String, value: std::fmt::Arguments) {
    // A String takes everything.
    let _ = text.write_fmt(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64, in_run: &str, in_artifact: &str) {
        let json = Json::F64(value);
        assert_eq!(
            [json.to_text(), json.to_python_text()],
            [in_run, in_artifact]
        );
    }

    /// As `pydantic_core.to_json` and `json.dumps` write them; the golden file has one of each
    /// exponent.
    #[test]
    fn floats_are_written_as_the_client_does() {
        let same = |value: f64, expected: &str| check(value, expected, expected);
        same(1.0, "1.0");
        same(-0.0, "-0.0");
        same(0.1, "0.1");
        same(0.1_f32.into(), "0.10000000149011612");
        same(0.0001, "0.0001");
        same(-0.00012, "-0.00012");
        check(
            9.999999999999999e-5,
            "0.00009999999999999999",
            "9.999999999999999e-05",
        );
        check(0.00001, "0.00001", "1e-05");
        check(-5e-5, "-0.00005", "-5e-05");
        check(
            9.999999999999999e-6,
            "9.999999999999999e-6",
            "9.999999999999999e-06",
        );
        check(1.5e-7, "1.5e-7", "1.5e-07");
        same(1e-10, "1e-10");
        same(123_456_789_012_345_680.0, "1.2345678901234568e+17");
        same(1_801_514_316_094_494.0 + 0.25, "1801514316094494.2");
        same(1e15, "1000000000000000.0");
        same(9_999_999_999_999_998.0, "9999999999999998.0");
        same(-1e16, "-1e+16");
        same(1e22, "1e+22");
        same(1e300, "1e+300");
        same(5e-324, "5e-324");
        same(f64::MAX, "1.7976931348623157e+308");
        same(f64::NAN, "NaN");
        same(f64::INFINITY, "Infinity");
        same(f64::NEG_INFINITY, "-Infinity");
    }

    #[test]
    fn lists_maps_and_texts_are_written_as_the_client_does() {
        let text = Json::String("é🙂\"\\/\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}".into());
        let list = Json::List(vec![
            Json::U64(1),
            Json::Null,
            Json::Bool(true),
            Json::Map(vec![]),
        ]);
        let none = Json::List(Vec::new());
        let map = [("b", list), ("a", text), ("B", none)];
        let map = Json::Map(map.map(|(key, value)| (key.into(), value)).into());
        assert_eq!(
            map.to_text(),
            "{\"b\":[1,null,true,{}],\"a\":\"é🙂\\\"\\\\/\\n\\r\\t\\b\\f\\u0000\\u001f\u{7f}\",\"B\":[]}"
        );
        assert_eq!(
            map.to_python_text(),
            r#"{"B": [], "a": "\u00e9\ud83d\ude42\"\\/\n\r\t\b\f\u0000\u001f\u007f", "b": [1, null, true, {}]}"#
        );
    }
}
