//! What a caller looks for in an artifact, and what is said where it isn't there.

use crate::error::beginning;
use crate::image::json::artifact::{IMAGE_FILE, with_suffix};
use crate::image::json::table::TABLE_FILE;

/// So many names are shown.
const SHOWN: usize = 4;
/// So many are compared, of so many letters.
const COMPARED: usize = 10_000;
const LETTERS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Image,
    Table,
    File,
}

impl Wanted {
    /// The path of the file that a name stands for.
    pub(super) fn path_of(self, name: &str) -> String {
        match self {
            Wanted::Image => with_suffix(name, IMAGE_FILE),
            Wanted::Table => with_suffix(name, TABLE_FILE),
            Wanted::File => name.into(),
        }
    }

    /// What a caller calls a file of this path, where it is such a thing.
    fn name_of(self, path: &str) -> Option<&str> {
        let before = |suffix| path.strip_suffix(suffix)?.strip_suffix('.');
        match self {
            Wanted::Image => before(IMAGE_FILE),
            Wanted::Table => before(TABLE_FILE),
            Wanted::File => Some(path),
        }
    }

    pub(super) fn names_in(self, files: &[String]) -> Vec<String> {
        let names = files.iter().filter_map(|path| self.name_of(path));
        let mut names: Vec<String> = names.map(Into::into).collect();
        names.sort();
        names
    }

    fn shown(self) -> [&'static str; 2] {
        match self {
            Wanted::Image => ["image", "images"],
            Wanted::Table => ["table", "tables"],
            Wanted::File => ["file", "files"],
        }
    }

    /// The method that reads such a thing.
    fn method(self) -> &'static str {
        match self {
            Wanted::Image => "get",
            Wanted::Table => "table",
            Wanted::File => "path",
        }
    }

    /// Why there is no such thing of this name in these files, and what there is instead.
    pub(super) fn missing(self, name: &str, files: &[String]) -> String {
        let [one, many] = self.shown();
        let others = [Wanted::Image, Wanted::Table, Wanted::File];
        let mut others = others.into_iter().filter(|other| *other != self);
        let other = others.find(|other| files.contains(&other.path_of(name)));
        if let Some(other) = other {
            let (name, [kind, _]) = (beginning(name), other.shown());
            let article = if other == Wanted::Image { "an" } else { "a" };
            return format!(
                "{name:?} is {article} {kind}: use {}({name:?})",
                other.method()
            );
        }
        let names = self.names_in(files);
        if names.is_empty() {
            return format!("there is no {one} in it: {}", super::opened::AGAIN);
        }
        let nearest = nearest(name, &names);
        let shown: Vec<String> = nearest
            .map(|name| format!("{:?}", beginning(name)))
            .collect();
        let more = match names.len() - shown.len() {
            0 => String::new(),
            n => format!(" and {n} more ({})", self.lister()),
        };
        format!(
            "there is no {one} of this name, but the {many} {}{more}",
            shown.join(", ")
        )
    }

    /// The method that has all names.
    fn lister(self) -> &'static str {
        match self {
            Wanted::Image => "OpenArtifact::images",
            Wanted::Table => "OpenArtifact::tables",
            Wanted::File => "OpenArtifact::files",
        }
    }
}

/// The names that are most like this one, the nearest first.
fn nearest<'n>(name: &str, names: &'n [String]) -> impl Iterator<Item = &'n str> {
    let compared = names.iter().take(COMPARED);
    let mut compared: Vec<_> = compared
        .map(|other| (distance(name, other), &**other))
        .collect();
    compared.sort();
    compared.into_iter().take(SHOWN).map(|(_, name)| name)
}

/// How many letters have to be put in, taken out or changed to make one of the other, whatever
/// their case.
fn distance(one: &str, other: &str) -> usize {
    let letters = |text: &str| {
        text.to_lowercase()
            .chars()
            .take(LETTERS)
            .collect::<Vec<_>>()
    };
    let (one, other) = (letters(one), letters(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut before = row[0];
        row[0] = at + 1;
        for (to, same) in other.iter().enumerate() {
            let changed = before + usize::from(letter != same);
            before = row[to + 1];
            row[to + 1] = changed.min(before + 1).min(row[to] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: Wanted, name: &str, expected: &str) {
        let files = [
            "labels.csv",
            "media/images/a.png",
            "test/one.image-file.json",
            "test/zero.image-file.json",
            "truth.table.json",
        ];
        let files = files.map(String::from);
        let said = wanted.missing(name, &files);
        assert!(said.starts_with(expected), "{said}");
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        check(
            Wanted::Table,
            "test/one",
            "\"test/one\" is an image: use get(\"test/one\")",
        );
        check(
            Wanted::Image,
            "truth",
            "\"truth\" is a table: use table(\"truth\")",
        );
        check(
            Wanted::Image,
            "labels.csv",
            "\"labels.csv\" is a file: use path(\"labels.csv\")",
        );
        check(Wanted::File, "truth", "\"truth\" is a table");
        check(
            Wanted::Image,
            "Test/Zero",
            "there is no image of this name, but the images \"test/zero\", \"test/one\"",
        );
        check(
            Wanted::File,
            "label.csv",
            "there is no file of this name, but the files \"labels.csv\", ",
        );
        let none = Wanted::Table.missing("x", &["a".into()]);
        assert!(
            none.starts_with("there is no table in it: download"),
            "{none}"
        );
    }

    #[test]
    fn the_distance_is_that_of_letters() {
        for (one, other, expected) in [
            ("", "", 0),
            ("Zero", "zero", 0),
            ("zero", "hero", 1),
            ("zero", "zeros", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }
}
