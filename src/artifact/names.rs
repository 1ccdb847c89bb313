//! What artifacts and the files in them may be called.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result, beginning};

const MAX_NAME: usize = 128;
/// The longest path in an artifact, in bytes: what Linux takes for a whole path.
const MAX_PATH: usize = 4096;

/// W&B's own: types that begin so, and names of these types.
const OWN_TYPES: &str = "wandb-";
const OWN_NAMES: [(&str, &str); 3] = [("job", ""), ("run_table", "run-"), ("code", "source-")];

pub(super) fn check_name(name: &str) -> Result<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || !name.chars().all(is_allowed) || name.chars().all(|c| c == '.') {
        return Err(Error::Option {
            option: "the name of an artifact",
            given: format!("{:?}", beginning(name)),
            expected: "it has letters, digits, dashes, underscores and dots, and not dots alone: \
                       rename it"
                .into(),
        });
    }
    check_length("the name of an artifact", name)
}

pub(super) fn check_type(kind: &str, name: &str) -> Result<()> {
    let own = OWN_NAMES.iter();
    let is_own = |(own, begin): &(&str, &str)| kind == *own && name.starts_with(begin);
    if kind.starts_with(OWN_TYPES) || own.into_iter().any(is_own) {
        return Err(Error::Option {
            option: "the type of an artifact",
            given: format!("{:?}", beginning(kind)),
            expected: "W&B keeps it for artifacts of its own: choose another, such as \"dataset\""
                .into(),
        });
    }
    check_word("the type of an artifact", kind)?;
    check_length("the type of an artifact", kind)
}

pub(super) fn check_alias(alias: &str) -> Result<()> {
    check_word("an alias", alias)?;
    check_length("an alias", alias)
}

/// Letters, digits, dashes and underscores, with single spaces between them.
pub(super) fn check_tag(tag: &str) -> Result<()> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let words = tag.split(' ').filter(|word| !word.is_empty());
    let are_words = words.clone().all(|word| word.chars().all(is_word)) && words.count() > 0;
    if !are_words || tag.starts_with(' ') || tag.ends_with(' ') {
        return Err(Error::Option {
            option: "a tag of an artifact",
            given: format!("{:?}", beginning(tag)),
            expected: "it has letters, digits, dashes, underscores, and spaces between them".into(),
        });
    }
    check_length("a tag of an artifact", tag)
}

fn check_word(option: &'static str, text: &str) -> Result<()> {
    if !text.is_empty() && !text.contains(['/', ':']) {
        return Ok(());
    }
    Err(Error::Option {
        option,
        given: format!("{:?}", beginning(text)),
        expected: "it must not be empty, nor hold a slash or a colon".into(),
    })
}

fn check_length(option: &'static str, text: &str) -> Result<()> {
    match text.chars().count() {
        ..=MAX_NAME => Ok(()),
        len => Err(Error::Option {
            option,
            given: format!("{len} characters long"),
            expected: format!("W&B takes at most {MAX_NAME}: shorten it"),
        }),
    }
}

/// A path in an artifact as W&B has it: relative, with slashes, without parts that say nothing.
///
/// # Errors
///
/// [`Error::ArtifactPath`] for one that leads out of the artifact, on Windows too.
pub(crate) fn logical(path: &str) -> Result<String> {
    let refused = |reason| {
        Err(Error::ArtifactPath {
            path: beginning(path),
            reason,
        })
    };
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if path.contains('\0') {
        return refused("it holds NUL");
    }
    if path.starts_with('/') || path.starts_with('\\') || has_drive(path) {
        return refused("it begins at the root of a disk");
    }
    if path.split(['/', '\\']).any(|part| part == "..") {
        return refused("it holds `..`");
    }
    match parts.is_empty() {
        true => refused("it is empty"),
        false if path.len() > MAX_PATH => refused("it is over 4,096 bytes long"),
        false => Ok(parts.join("/")),
    }
}

/// The same of something that is added, which must have that path wherever it is downloaded.
///
/// # Errors
///
/// [`Error::ArtifactPath`] for that of a folder, and for a backslash, which begins a folder on
/// Windows alone.
pub(super) fn added(path: &str) -> Result<String> {
    let logical = logical(path)?;
    let reason = match path {
        _ if path.ends_with('/') => "it ends with a slash, as that of a folder: name the file too",
        _ if path.contains('\\') => {
            "it holds a backslash, which is a letter of a name on some systems and begins a folder \
             on others: write folders with slashes, and rename a file whose own name has one"
        }
        _ => return Ok(logical),
    };
    Err(Error::ArtifactPath {
        path: beginning(path),
        reason,
    })
}

/// Whether Windows takes its beginning for a drive, as `C:`.
fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// Refuses a key under which a table's artifact would have a longer name than W&B takes.
pub(crate) fn check_table_key(run_id: &str, key: &str) -> Result<()> {
    match of_table(run_id, key).len() {
        ..=MAX_NAME => Ok(()),
        _ => Err(Error::Key {
            key: beginning(key),
            reason: "the artifact of a table is called after the run's id and the table's key, and \
                     its name would be over 128 characters long: shorten the key",
        }),
    }
}

/// The name of the artifact of a table that a run logs under a key: as the Python SDK makes one
/// that W&B takes.
pub(crate) fn of_table(run_id: &str, key: &str) -> String {
    let name = format!("run-{run_id}-{key}");
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let allowed: String = name.chars().filter(is_allowed).collect();
    match allowed == name {
        true => name,
        false => {
            let hash = crc32fast::hash(name.as_bytes()).to_be_bytes();
            format!("{allowed}-{}", URL_SAFE_NO_PAD.encode(hash))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_put_in_order_or_refused() {
        let check = |path: &str, expected: &str| assert_eq!(logical(path).unwrap(), expected);
        check("a", "a");
        check("./a//b/./c/", "a/b/c");
        check("a b/..c/d..", "a b/..c/d..");
        let refused = |path: &str, expected: &str| {
            let error = logical(path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused("", "empty");
        refused("./", "empty");
        refused("/etc/passwd", "root");
        refused("\\\\server\\share", "root");
        refused("c:\\x", "root");
        refused("C:x", "root");
        refused("a/../b", "`..`");
        refused("a\\..\\b", "`..`");
        refused("..", "`..`");
        refused("a\0", "NUL");
        refused(&"a/".repeat(3000), "4,096");
    }

    #[test]
    fn what_is_added_has_the_path_of_a_file_on_every_system() {
        assert_eq!(added("./a//b.txt").unwrap(), "a/b.txt");
        for (path, expected) in [
            ("a/", "ends with a slash"),
            ("a\\b.txt", "a backslash"),
            ("", "empty"),
            ("../a", "`..`"),
        ] {
            let error = added(path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn names_and_types_are_those_that_wandb_takes() {
        for name in ["a", "plain.1_x-y", "..."] {
            assert_eq!(check_name(name).is_ok(), name != "...", "{name}");
        }
        for name in ["", "a b", "a/b", "é", &"x".repeat(129)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        let refused = [
            ("job", "x"),
            ("run_table", "run-1"),
            ("code", "source-x"),
            ("wandb-x", "y"),
        ];
        for (kind, name) in refused {
            let error = check_type(kind, name).unwrap_err().to_string();
            assert!(error.contains("of its own"), "{error}");
        }
        for (kind, name) in [("run_table", "x"), ("code", "x"), ("dataset", "run-x")] {
            assert!(check_type(kind, name).is_ok());
        }
        assert!(check_type("a:b", "x").is_err() && check_type("", "x").is_err());
        assert!(check_alias("v1").is_ok() && check_alias("a/b").is_err());
        assert!(check_tag("small one").is_ok());
        assert!(
            ["", " a", "a ", "a.b"]
                .iter()
                .all(|tag| check_tag(tag).is_err())
        );
    }

    #[test]
    fn a_table_has_the_name_that_the_sdk_gives_it() {
        assert_eq!(of_table("1", "preds"), "run-1-preds");
        let name = of_table("golden03", "val/pictures of it!");
        assert_eq!(name, "run-golden03-valpicturesofit-anE-4g");
    }
}
