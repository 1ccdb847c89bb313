//! Texts as Python shows them.

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
