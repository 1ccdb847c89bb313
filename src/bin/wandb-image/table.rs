//! Columns of text for a person.

#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A line of headings, then one per row; none where there is no row. Control characters are shown
/// escaped, so that a row stays a line and no text speaks to the terminal.
///
/// The rows are gone through twice, and not kept.
pub(crate) fn table<const N: usize>(
    columns: [(&str, Align); N],
    rows: impl Iterator<Item = [String; N]> + Clone,
) -> impl Iterator<Item = String> {
    let headings = columns.map(|(heading, _)| heading.to_string());
    let headings = rows.clone().next().map(|_| headings);
    let shown = rows.map(|row| row.map(|cell| visible(&cell)));
    let rows = headings.into_iter().chain(shown);
    let widths = rows.clone().fold([0; N], |widths: [usize; N], row| {
        std::array::from_fn(|column| widths[column].max(row[column].chars().count()))
    });
    rows.map(move |row| line(&row, columns, widths))
}

fn line<const N: usize>(
    row: &[String; N],
    columns: [(&str, Align); N],
    widths: [usize; N],
) -> String {
    let cells = row.iter().zip(columns).zip(widths);
    let cells = cells.map(|((cell, (_, align)), width)| match align {
        Align::Left => format!("{cell:<width$}"),
        Align::Right => format!("{cell:>width$}"),
    });
    let line = cells.collect::<Vec<_>>().join("  ");
    format!("{}\n", line.trim_end())
}

/// Control characters are shown escaped.
pub(crate) fn visible(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_rows_stay_lines() {
        let columns = [
            ("NAME", Align::Left),
            ("N", Align::Right),
            ("TEXT", Align::Left),
        ];
        let row = |cells: [&str; 3]| cells.map(String::from);
        let rows = [row(["é", "10", "a\nb\u{1b}[31m"]), row(["longer", "7", ""])];
        assert_eq!(
            table(columns, rows.into_iter()).collect::<String>(),
            "NAME     N  TEXT\n\
             é       10  a\\nb\\u{1b}[31m\n\
             longer   7\n"
        );
        assert_eq!(table(columns, std::iter::empty()).next(), None);
    }
}
