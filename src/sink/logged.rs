//! What a run on disk holds: its media files, as the history names them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::reader::LogReader;
use super::records::{HistoryRecord, Item, RecordType};
use crate::error::{Error, Result};
use crate::image::json::{self, named_files};

/// How deep a value may be nested; deeper ones hold no media that W&B shows.
pub(super) const MAX_NESTING: usize = 64;

/// The media files of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoggedMedia {
    /// In the order of the history; within a row by key.
    pub files: Vec<LoggedFile>,
    /// Where the log could not be read on. `files` holds what was whole before it.
    pub damage: Option<Error>,
}

/// A media file that a row of the history names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoggedFile {
    /// The key it was logged under. That of a mask or boxes goes on after its image's, joined by
    /// dots.
    pub key: String,
    /// The step of its row.
    pub step: i64,
    /// Relative to the run's `files/`, with slashes.
    pub path: String,
    /// In bytes: as the row says, else of the file. None where neither is there.
    pub size: Option<u64>,
    /// The text that W&B shows with it.
    pub caption: Option<String>,
    /// In pixels; in a list of images, that of the first.
    pub width: Option<u64>,
    /// In pixels; in a list of images, that of the first.
    pub height: Option<u64>,
    /// The name of the file format, such as `png`.
    pub format: Option<String>,
    /// Whether the file is there.
    pub present: bool,
}

/// Every media file in the history of a run: its directory, or the `.wandb` file in it.
///
/// Whoever wrote the run: this crate or the Python SDK.
///
/// ```
/// use wandb_image::{HostTensor, IntoWandbImage, sink::logged};
/// # let dir = tempfile::tempdir()?;
///
/// let run = wandb_image::init()
/// #   .dir(dir.path())
///     .start()?;
/// let image = HostTensor::new([1, 2], vec![0.0_f32, 1.0])?.to_wandb_image()?;
/// run.log([("sample", image.caption("black and white"))])?;
/// run.finish()?;
///
/// let media = logged::media(run.dir().unwrap())?;
/// assert!(media.damage.is_none());
/// assert_eq!(media.files[0].key, "sample");
/// assert_eq!(media.files[0].caption.as_deref(), Some("black and white"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`] when there is no log or it can't be opened, [`Error::Log`] when it is no
/// transaction log. Damage further on is no error, but [`LoggedMedia::damage`].
pub fn media(run: impl AsRef<Path>) -> Result<LoggedMedia> {
    let log = find_log(run)?;
    let files_dir = log.with_file_name("files");
    let mut media = LoggedMedia {
        files: Vec::new(),
        damage: None,
    };
    for record in LogReader::open(&log)? {
        match record.map(|record| record.record_type) {
            Ok(Some(RecordType::History(row))) => media.files.extend(files_of(&row, &files_dir)),
            Ok(_) => {}
            Err(error) => media.damage = Some(error),
        }
    }
    Ok(media)
}

/// The log of a run: the `.wandb` file of its directory, or the path itself where it is a file.
///
/// # Errors
///
/// [`Error::Io`] when there is none, or more than one.
pub fn find_log(run: impl AsRef<Path>) -> Result<PathBuf> {
    let run = run.as_ref();
    match <[PathBuf; 1]>::try_from(logs_of(run)?) {
        Ok([log]) => Ok(log),
        Err(logs) => Err(cannot_find(
            run,
            io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "the directory holds {} .wandb files, but a run's has one: give the directory \
                     offline-run-… or the file run-….wandb",
                    logs.len()
                ),
            ),
        )),
    }
}

/// The `.wandb` files of a run's directory by name, or the path itself where it is a file.
pub(super) fn logs_of(run: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| cannot_find(run, source);
    if !fs::metadata(run).map_err(failed)?.is_dir() {
        return Ok(vec![run.into()]);
    }
    let mut logs = Vec::new();
    for entry in fs::read_dir(run).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ext| ext == "wandb") {
            logs.push(path);
        }
    }
    logs.sort();
    Ok(logs)
}

fn cannot_find(run: &Path, source: io::Error) -> Error {
    Error::Io {
        action: "find the log of the run",
        path: run.into(),
        source,
    }
}

/// The media files that a row of the history names; they are looked for below `files_dir`.
///
/// ```
/// use wandb_image::sink::{MemorySink, logged};
/// use wandb_image::{HostTensor, IntoWandbImage};
///
/// let sink = MemorySink::new();
/// let run = wandb_image::init().start_on(sink.clone())?;
/// run.log([("sample", HostTensor::new([1, 2], vec![0_u8, 9])?.to_wandb_image()?)])?;
/// run.finish()?;
///
/// let named = logged::of_row(&sink.rows()[0], "no/such/folder");
/// assert_eq!(named[0].path, sink.files()[0].path);
/// assert!(!named[0].present);
/// # Ok::<(), wandb_image::Error>(())
/// ```
pub fn of_row(row: &HistoryRecord, files_dir: impl AsRef<Path>) -> Vec<LoggedFile> {
    files_of(row, files_dir.as_ref())
}

fn files_of(row: &HistoryRecord, files_dir: &Path) -> Vec<LoggedFile> {
    let values = values_of(&row.item);
    let recorded = row.step.map(|step| step.num);
    let step = values.get(json::STEP).and_then(Value::as_i64);
    let step = step.or(recorded).unwrap_or_default();
    let named = values
        .iter()
        .flat_map(|(key, value)| named_files(key, value));
    let logged = named.map(|file| {
        let found = length(files_dir, &file.path);
        LoggedFile {
            key: file.key,
            step,
            size: file.size.or(found),
            path: file.path,
            caption: file.caption,
            width: file.width,
            height: file.height,
            format: file.format,
            present: found.is_some(),
        }
    });
    logged.collect()
}

/// The bytes of a file below `dir`, where it is there.
fn length(dir: &Path, path: &str) -> Option<u64> {
    let path = Path::new(path);
    let below = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let found = fs::metadata(dir.join(path)).ok()?;
    (below && found.is_file()).then_some(found.len())
}

/// Values by their top-level keys, nested ones put together from their leaves.
pub(super) fn values_of(items: &[Item]) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for item in items {
        if let (Some(value), [key, rest @ ..]) = (parse(item), &item.path()[..]) {
            let top = values.entry(key.to_string()).or_insert(Value::Null);
            *leaf(top, rest) = value;
        }
    }
    values
}

pub(super) fn parse(item: &Item) -> Option<Value> {
    if item.nested_key.len() > MAX_NESTING {
        return None;
    }
    parse_text(&item.value_json)
}

/// The value that the text of a record gives.
pub(super) fn parse_text(json: &str) -> Option<Value> {
    let strict = serde_json::from_str(json);
    strict
        .or_else(|_| serde_json::from_str(&without_specials(json)))
        .ok()
}

fn leaf<'a>(mut at: &'a mut Value, path: &[&str]) -> &'a mut Value {
    for key in path {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[*key];
    }
    at
}

/// JSON with `null` for W&B's tokens `NaN`, `Infinity` and `-Infinity`, which serde_json refuses.
fn without_specials(json: &str) -> String {
    let mut strict = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(quote) = rest.find('"') {
        let (code, quoted) = rest.split_at(quote);
        strict += &code_without_specials(code);
        let end = string_end(quoted);
        strict += &quoted[..end];
        rest = &quoted[end..];
    }
    strict + &code_without_specials(rest)
}

fn code_without_specials(code: &str) -> String {
    code.replace("-Infinity", "null")
        .replace("Infinity", "null")
        .replace("NaN", "null")
}

/// The bytes of the JSON string at the beginning of `text`, its quotes included.
fn string_end(text: &str) -> usize {
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

    fn item(path: &[&str], json: &str) -> Item {
        Item {
            nested_key: path.iter().map(ToString::to_string).collect(),
            value_json: json.into(),
            ..Item::default()
        }
    }

    fn check(items: Vec<Item>, expected: &[(&str, i64, &str)]) {
        let row = HistoryRecord {
            item: items,
            step: None,
        };
        let files = files_of(&row, Path::new("no/such"));
        let found: Vec<_> = files.iter().map(|f| (&*f.key, f.step, &*f.path)).collect();
        assert_eq!(found, expected);
        assert!(files.iter().all(|file| !file.present));
    }

    #[test]
    fn images_are_found_flattened_and_whole() {
        let image = r#"{"_type":"image-file","path":"a.png"}"#;
        check(
            vec![item(&["_step"], "7"), item(&["a"], image)],
            &[("a", 7, "a.png")],
        );
        let leaves = vec![
            item(&["b", "_type"], r#""image-file""#),
            item(&["b", "path"], r#""b.png""#),
            item(&["_step"], "8"),
        ];
        check(leaves, &[("b", 8, "b.png")]);
        let nested = format!(r#"{{"loss":NaN,"x":[-Infinity,"\"NaN"],"image":{image}}}"#);
        check(vec![item(&["c"], &nested)], &[("c.image", 0, "a.png")]);
    }

    #[test]
    fn values_that_make_no_sense_are_passed_over() {
        check(
            vec![
                item(&["a"], "{"),
                item(&["a", "b"], "1"),
                item(&["a"], "\"x"),
            ],
            &[],
        );
        check(vec![item(&vec!["k"; 100_000], "1")], &[]);
        check(vec![item(&["_step"], "\"seven\"")], &[]);
    }

    #[test]
    fn strings_keep_what_looks_like_a_token() {
        let strict = without_specials(r#"{"NaN":NaN,"s":"\\\"Infinity","i":-Infinity}"#);
        assert_eq!(strict, r#"{"NaN":null,"s":"\\\"Infinity","i":null}"#);
        assert_eq!(without_specials(r#""open NaN"#), r#""open NaN"#);
    }

    #[test]
    fn a_file_outside_of_the_run_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("files")).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        fs::write(dir.path().join("files/own"), "xy").unwrap();
        let files = dir.path().join("files");
        assert_eq!(length(&files, "own"), Some(2));
        assert_eq!(length(&files, "../secret"), None);
        assert_eq!(length(&files, "/etc/hostname"), None);
    }
}
