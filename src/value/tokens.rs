//! JSON as Python writes it and serde_json refuses it: with the tokens `NaN`, `Infinity` and
//! `-Infinity`, and with halves of surrogates in its texts.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::Value;

use super::Json;

/// The value of a text, null in the place of the tokens.
pub(crate) fn parse_text(json: &str) -> Option<Value> {
    parse_with(json, || ["null"; 3]).ok()
}

/// The same with strings in the place of the tokens, which [`text_of_marked`] and [`unmarked`] turn
/// back.
pub(crate) fn parse_marked(json: &str) -> Option<Value> {
    try_parse_marked(json).ok()
}

/// The same, with what is wrong with the text.
pub(crate) fn try_parse_marked(json: &str) -> serde_json::Result<Value> {
    parse_with(json, marks)
}

/// The text of a value whose tokens were marked.
pub(crate) fn text_of_marked(value: &Value) -> String {
    let text = value.to_string();
    let tokens = TOKENS.iter().zip(marks());
    tokens.fold(text, |text, (token, mark)| text.replace(mark, token))
}

/// A value whose tokens were marked, with the numbers that they are.
pub(crate) fn unmarked(value: Value) -> Json {
    numbered(value.into())
}

fn numbered(json: Json) -> Json {
    match json {
        Json::String(text) => match marked(&text) {
            Some(number) => Json::F64(number),
            None => Json::String(text),
        },
        Json::List(values) => Json::List(values.into_iter().map(numbered).collect()),
        Json::Map(entries) => {
            let entries = entries.into_iter();
            Json::Map(entries.map(|(key, one)| (key, numbered(one))).collect())
        }
        other => other,
    }
}

/// The number that a value is, marked or not.
pub(crate) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| marked(value.as_str()?))
}

/// The text that a value is, which a token is not.
pub(crate) fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| marked(text).is_none())
}

fn marked(text: &str) -> Option<f64> {
    let name = text.strip_prefix(&*MARKS.start)?;
    let found = NUMBERS.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number)
}

fn parse_with<'r>(json: &str, replaced: impl Fn() -> [&'r str; 3]) -> serde_json::Result<Value> {
    let strict = serde_json::from_str(json);
    strict.or_else(|_| serde_json::from_str(&without_specials(json, replaced())))
}

/// W&B's tokens that are no JSON. The first holds the second.
const TOKENS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
/// What each of them is.
const NUMBERS: [(&str, f64); 3] = [
    ("-inf", f64::NEG_INFINITY),
    ("inf", f64::INFINITY),
    ("nan", f64::NAN),
];

/// Texts that stand for the tokens. Nobody's own text is one of them, by chance or on purpose:
/// each process draws its own.
static MARKS: LazyLock<Marks> = LazyLock::new(|| {
    let name = format!("wandb-image {:032x} ", crate::random::generator().u128(..));
    Marks {
        json: NUMBERS.map(|(number, _)| format!("\"\\u0000{name}{number}\"")),
        start: format!("\0{name}"),
    }
});

struct Marks {
    json: [String; 3],
    /// How they begin once they are read.
    start: String,
}

fn marks() -> [&'static str; 3] {
    MARKS.json.each_ref().map(String::as_str)
}

/// JSON with something else for each of W&B's tokens, which serde_json refuses.
fn without_specials(json: &str, replaced: [&str; 3]) -> String {
    let mut strict = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(quote) = rest.find('"') {
        let (code, quoted) = rest.split_at(quote);
        strict += &code_without_specials(code, replaced);
        let end = string_end(quoted);
        strict += &without_halves(&quoted[..end]);
        rest = &quoted[end..];
    }
    strict + &code_without_specials(rest, replaced)
}

/// A token in the place of a key stays, and is no JSON.
fn code_without_specials(code: &str, replaced: [&str; 3]) -> String {
    let tokens = TOKENS.iter().zip(replaced);
    tokens.fold(code.into(), |code: String, (token, new)| {
        let mut pieces = code.split(token);
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |text, piece| {
            let stays = piece.trim_start().starts_with(':');
            text + (if stays { token } else { new }) + piece
        })
    })
}

/// A JSON string with U+FFFD for each half of a surrogate that is alone: Python has them where a
/// file's name isn't UTF-8.
fn without_halves(string: &str) -> Cow<'_, str> {
    let mut whole = Cow::Borrowed(string);
    let mut at = 0;
    while let Some(found) = string[at..].find('\\') {
        let escape = at + found;
        at = escape
            + match (unit(string, escape), unit(string, escape + ESCAPE)) {
                (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 2 * ESCAPE,
                (Some(0xd800..0xe000), _) => {
                    // As long as what it replaces.
                    whole
                        .to_mut()
                        .replace_range(escape..escape + ESCAPE, "\\ufffd");
                    ESCAPE
                }
                _ => 2,
            };
        if !string.is_char_boundary(at) {
            break;
        }
    }
    whole
}

/// The bytes of an escape of a UTF-16 unit, `\u` with its digits.
const ESCAPE: usize = 6;

fn unit(string: &str, at: usize) -> Option<u16> {
    let digits = string.get(at..at + ESCAPE)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// The bytes of the JSON string at the beginning of `text`, its quotes included.
pub(super) fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NULLS: [&str; 3] = ["null"; 3];

    #[test]
    fn strings_keep_what_looks_like_a_token() {
        let strict = without_specials(r#"{"NaN":NaN,"s":"\\\"Infinity","i":-Infinity}"#, NULLS);
        assert_eq!(strict, r#"{"NaN":null,"s":"\\\"Infinity","i":null}"#);
        assert_eq!(without_specials(r#""open NaN"#, NULLS), r#""open NaN"#);
    }

    #[test]
    fn the_tokens_are_numbers_and_texts_that_spell_them_stay() {
        let value = parse_marked(r#"{"a": [NaN, -Infinity, 1], "b": "NaN", "c": Infinity}"#);
        let value = value.unwrap();
        assert!(number(&value["a"][0]).unwrap().is_nan());
        assert_eq!(number(&value["a"][1]), Some(f64::NEG_INFINITY));
        assert_eq!(number(&value["a"][2]), Some(1.0));
        assert_eq!(number(&value["b"]), None);
        assert_eq!(
            unmarked(value).to_text(),
            r#"{"a":[NaN,-Infinity,1],"b":"NaN","c":Infinity}"#
        );
        let error = try_parse_marked("[NaN, oh]").unwrap_err().to_string();
        assert!(error.contains("expected"), "{error}");
        for key in ["NaN", "Infinity", "-Infinity"] {
            assert!(parse_marked(&format!("{{{key} : 1}}")).is_none());
        }
    }
    #[test]
    fn halves_of_surrogates_are_replaced() {
        let check = |json: &str, expected: &str| {
            assert_eq!(parse_marked(json).unwrap(), expected, "{json}");
        };
        check(r#""a\ud83d\ude42b""#, "a🙂b");
        check(r#""a\udcffb\ud83d""#, "a\u{fffd}b\u{fffd}");
        check(r#""\ud83d\ud83d\ude42\\ud83d""#, "\u{fffd}🙂\\ud83d");
        check(r#""\ud83d\né""#, "\u{fffd}\né");
        assert!(parse_marked(r#""\ud83""#).is_none());
        assert!(parse_marked(r#""\é\ud83d""#).is_none());
        let map = parse_marked(r#"{"\udcff": NaN}"#).unwrap();
        assert!(map.as_object().unwrap().contains_key("\u{fffd}"));
    }

    #[test]
    fn no_text_is_taken_for_a_token() {
        let read = parse_marked(r#"[NaN, "\u0000wandb-image nan"]"#).unwrap();
        assert_eq!(text(&read[0]), None);
        assert_eq!(text(&read[1]), Some("\0wandb-image nan"));
        assert!(number(&read[1]).is_none());
        assert_eq!(text_of_marked(&read), r#"[NaN,"\u0000wandb-image nan"]"#);
        assert_eq!(unmarked(read).to_text(), r#"[NaN,"\u0000wandb-image nan"]"#);
    }
}
