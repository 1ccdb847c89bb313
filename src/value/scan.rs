//! Looking over a long JSON text without a value of it all: where its parts begin and end, and
//! whether they are sane.

use std::ops::Range;

use serde_json::{Map, Value};

use super::tokens::{string_end, try_parse_marked};
use super::{MAX_NESTING, tokens};

/// The memory of what is parsed at a time, in values, at most: it is much more than that of the
/// text.
const MAX_AT_ONCE: usize = (256 << 20) / size_of::<Value>();
/// The memory that each sign stands for, in values: lists and maps hold room for what comes.
const LIST: usize = 4;
const MAP: usize = 24;
const NEXT: usize = 2;
/// The letters that begin `NaN`, which has two, and `Infinity`: serde_json reads a marked text in
/// their place.
const NAN: usize = 2;
const INFINITY: usize = 4;

const CUT_SHORT: &str = "it ends in the middle: it is damaged; download it again";

/// A value of a text that is neither too deep nor too long, its tokens marked.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut scan = Scan::new(text);
    scan.value()?;
    tokens::try_parse_marked(text).map_err(damaged)
}

/// A text that is UTF-8.
pub(crate) fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("it is no text from byte {at} on: it is damaged; download it again")
    })
}

/// The entries of a map, but for a list under one key, of which it is said where it stands.
#[derive(Debug)]
pub(crate) struct WithList {
    pub(crate) others: Map<String, Value>,
    pub(crate) list: Option<List>,
}

/// Where the values of a list stand in its text.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) place: Range<usize>,
    pub(crate) len: usize,
}

/// Looks over a map that holds a long list under `list_key`.
pub(crate) fn with_list(text: &str, list_key: &str) -> Result<WithList, String> {
    let mut scan = Scan::new(text);
    let mut found = WithList {
        others: Map::new(),
        list: None,
    };
    let mut entries = scan.open(b'{', "a map")?;
    while entries.next(&mut scan, b'}')? {
        scan.count(NEXT)?;
        let key = try_parse_marked(scan.string()?).map_err(damaged)?;
        let key = key.as_str().unwrap_or_default().to_owned();
        scan.expect(b':', "a colon")?;
        match key == list_key {
            true => found.list = Some(scan.list()?),
            false => {
                let value = try_parse_marked(scan.value()?).map_err(damaged)?;
                found.others.insert(key, value);
            }
        }
    }
    scan.end()?;
    Ok(found)
}

impl List {
    /// The text of the value at the beginning of what is left of the list, which is taken off.
    pub(crate) fn next<'t>(&mut self, text: &'t str) -> Option<Result<&'t str, String>> {
        self.len = self.len.checked_sub(1)?;
        let mut scan = Scan {
            text,
            at: self.place.start,
            values: 0,
            limit: usize::MAX,
        };
        let value = scan.value();
        scan.skip_comma();
        self.place.start = scan.at;
        Some(value)
    }
}

fn damaged(error: serde_json::Error) -> String {
    format!("it is no JSON: {error}; it is damaged: download it again")
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// Of what is parsed at once, and the most of them.
    values: usize,
    limit: usize,
}

/// Where a reader of a list or a map is in it.
struct Entries {
    is_first: bool,
}

impl Entries {
    /// Whether one more comes.
    fn next(&mut self, scan: &mut Scan, close: u8) -> Result<bool, String> {
        let is_first = std::mem::replace(&mut self.is_first, false);
        match scan.peek()? {
            byte if byte == close => {
                scan.at += 1;
                Ok(false)
            }
            _ if is_first => Ok(true),
            _ => scan.expect(b',', "a comma").map(|()| true),
        }
    }
}

impl<'t> Scan<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            values: 0,
            limit: MAX_AT_ONCE,
        }
    }

    fn skip_space(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest.iter().take_while(|byte| is_space(byte)).count();
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Result<u8, String> {
        self.skip_space();
        let byte = self.text.as_bytes().get(self.at);
        byte.copied().ok_or_else(|| CUT_SHORT.into())
    }

    fn skip_comma(&mut self) {
        if self.peek().is_ok_and(|byte| byte == b',') {
            self.at += 1;
        }
    }

    fn expect(&mut self, expected: u8, name: &str) -> Result<(), String> {
        if self.peek()? != expected {
            return Err(self.unexpected(name));
        }
        self.at += 1;
        Ok(())
    }

    fn unexpected(&self, expected: &str) -> String {
        format!(
            "it is no JSON: {expected} was expected at byte {}; it is damaged: download it again",
            self.at
        )
    }

    fn open(&mut self, open: u8, name: &str) -> Result<Entries, String> {
        self.expect(open, name)?;
        Ok(Entries { is_first: true })
    }

    fn end(&mut self) -> Result<(), String> {
        self.skip_space();
        match self.at < self.text.len() {
            true => Err(self.unexpected("its end")),
            false => Ok(()),
        }
    }

    fn string(&mut self) -> Result<&'t str, String> {
        match self.peek()? {
            b'"' => self.take_string(),
            _ => Err(self.unexpected("a key")),
        }
    }

    fn take_string(&mut self) -> Result<&'t str, String> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = string_end(rest);
        let string = rest.get(..len).unwrap_or_default();
        if string.len() < 2 || !string.ends_with('"') {
            return Err(CUT_SHORT.into());
        }
        self.at += len;
        self.count(len.div_ceil(size_of::<Value>()))?;
        Ok(string)
    }

    /// Its values may be of any length: whoever parses one looks it over.
    fn list(&mut self) -> Result<List, String> {
        let mut values = self.open(b'[', "a list")?;
        let (start, mut end, mut len) = (self.at, self.at, 0);
        let (counted, limit) = (self.values, self.limit);
        self.limit = usize::MAX;
        while values.next(self, b']')? {
            self.value()?;
            (end, len) = (self.at, len + 1);
        }
        (self.values, self.limit) = (counted, limit);
        Ok(List {
            place: start..end,
            len,
        })
    }

    /// The text of a value. What is in it is looked at when it is parsed.
    fn value(&mut self) -> Result<&'t str, String> {
        self.skip_space();
        let (start, mut depth) = (self.at, 0_usize);
        loop {
            match self.peek()? {
                b'"' => {
                    self.take_string()?;
                }
                open @ (b'{' | b'[') => {
                    self.count(if open == b'{' { MAP } else { LIST })?;
                    depth = deeper(depth)?;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => {
                    self.count(NEXT)?;
                    self.at += 1;
                    continue;
                }
                b',' | b':' | b'}' | b']' => return Err(self.unexpected("a value")),
                _ => self.skip_word()?,
            }
            if depth == 0 {
                return Ok(self.text.get(start..self.at).unwrap_or_default());
            }
        }
    }

    fn skip_word(&mut self) -> Result<(), String> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let is_part = |byte: &&u8| !b" \t\n\r,:[]{}\"".contains(byte);
        let (mut len, mut values) = (0, 0);
        for byte in rest.iter().take_while(is_part) {
            len += 1;
            values += match byte {
                b'N' => NAN,
                b'I' => INFINITY,
                _ => 0,
            };
        }
        self.at += len;
        self.count(values)
    }

    fn count(&mut self, values: usize) -> Result<(), String> {
        self.values += values;
        match self.values <= self.limit {
            true => Ok(()),
            false => Err("it is too large: it takes over 256 MiB once it is read".into()),
        }
    }
}

fn deeper(depth: usize) -> Result<usize, String> {
    match depth {
        ..MAX_NESTING => Ok(depth + 1),
        _ => Err(format!("it is nested over {MAX_NESTING} levels deep")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<(Map<String, Value>, Vec<String>), String> {
        let found = with_list(text, "data")?;
        let mut values = Vec::new();
        if let Some(mut list) = found.list {
            let len = list.len;
            while let Some(value) = list.next(text) {
                values.push(value?.to_owned());
            }
            assert_eq!(values.len(), len);
        }
        Ok((found.others, values))
    }

    #[test]
    fn a_long_list_is_left_as_text() {
        let text = r#" {"a": {"b":[1,"]"]}, "data" : [ [1, "x\"]"], {"k":[]} ,3,"\\", NaN ] ,"c":Infinity}  "#;
        let (others, list) = values(text).unwrap();
        assert_eq!(others["a"]["b"][1], "]");
        assert_eq!(tokens::number(&others["c"]), Some(f64::INFINITY));
        assert_eq!(
            list,
            [r#"[1, "x\"]"]"#, r#"{"k":[]}"#, "3", r#""\\""#, "NaN"]
        );
        assert_eq!(values("{}").unwrap(), (Map::new(), vec![]));
        assert_eq!(values(r#"{"data":[]}"#).unwrap(), (Map::new(), vec![]));
    }

    #[test]
    fn what_is_no_map_with_a_list_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = values(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("", "ends in the middle");
        check("[]", "a map was expected at byte 0");
        check(r#"{"a":1"#, "ends in the middle");
        check(r#"{"a":"x"#, "ends in the middle");
        check(r#"{"a":"x\""#, "no JSON: EOF");
        check(r#"{"data":[1,2"#, "ends in the middle");
        check(r#"{"data":{}}"#, "a list was expected");
        check(r#"{"data":[1 2]}"#, "a comma was expected");
        check(r#"{"data":[1,]}"#, "a value was expected");
        check(r#"{"data":[1}]}"#, "a comma was expected");
        check(r#"{"a" 1}"#, "a colon was expected");
        check(r#"{a:1}"#, "a key was expected");
        check(r#"{"a":}"#, "a value was expected");
        check(r#"{"a":oh}"#, "no JSON: expected");
        check(r#"{} x"#, "its end was expected");
        let deep = format!(r#"{{"data":[{}]}}"#, "[".repeat(70));
        check(&deep, "nested over 64 levels");
    }

    #[test]
    fn what_would_take_too_much_memory_is_refused_before_it_is_parsed() {
        let refused = |one: &str, count: usize| {
            let many = format!("[{one}{}]", format!(",{one}").repeat(count));
            let error = parse(&many).unwrap_err();
            assert!(error.contains("over 256 MiB"), "{error}");
        };
        refused("0", MAX_AT_ONCE / NEXT);
        refused("[0]", MAX_AT_ONCE / LIST);
        refused(r#"{"":0}"#, MAX_AT_ONCE / MAP);
        refused(&"NaN".repeat(100), MAX_AT_ONCE / (200 * NAN));
        let rows = format!("{{\"data\":[0{}]}}", ",0".repeat(MAX_AT_ONCE / NEXT));
        assert_eq!(values(&rows).unwrap().1.len(), MAX_AT_ONCE / NEXT + 1);
        let long = format!("[{{}}{}]", ",{}".repeat(MAX_AT_ONCE / MAP));
        let (_, list) = values(&format!("{{\"data\":[1,{long},2]}}")).unwrap();
        assert_eq!((&*list[0], list[1] == long, &*list[2]), ("1", true, "2"));
        assert!(parse(&"[".repeat(100)).unwrap_err().contains("64 levels"));
        assert!(parse("{\"a\": [1, NaN]}").is_ok());
        assert!(parse("1 2").unwrap_err().contains("no JSON"));
    }

    #[test]
    fn texts_and_tokens_take_what_they_become() {
        let taken = |text: &str| {
            let mut scan = Scan::new(text);
            assert_eq!(scan.value(), Ok(text));
            scan.values * size_of::<Value>()
        };
        let marked = tokens::parse_marked("-Infinity").unwrap();
        let (in_text, in_value) = (marked.to_string().len(), marked.as_str().unwrap().len());
        for token in ["NaN", "-Infinity", "Infinity"] {
            assert!(taken(token) >= in_text + in_value, "{token}");
            assert!(taken(&format!("[{token}]")) >= taken(token));
        }
        let long = format!("\"{}\"", "x".repeat(1 << 20));
        assert!((1 << 20..(1 << 20) + 100).contains(&taken(&long)));
        assert!(taken(&format!("{{{long}:0}}")) > 1 << 20);
        assert_eq!((taken("-1.5e7"), taken("true")), (0, 0));
    }
}
