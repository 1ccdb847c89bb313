//! What a run on disk holds: its media files, as the history names them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::names::RUNS;
use super::reader::LogReader;
use super::records::{HistoryRecord, Item, RecordType};
use super::stored;
use crate::error::{Error, Result, counted};
use crate::image::json::{self, NamedFile, each_named};
pub(super) use crate::value::MAX_NESTING;
use crate::value::tokens;
pub(super) use crate::value::tokens::{parse_text, text_of_marked};

/// The media files of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoggedMedia {
    /// In the order of the history; within a row by key.
    pub files: Vec<LoggedFile>,
    /// Where the log could not be read on, or where the list would take more than 512 MiB of
    /// memory, as that of about two million files does. `files` holds what comes before it.
    pub damage: Option<Error>,
}

/// A media file that a row of the history names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoggedFile {
    /// What it is, in W&B's words: the `_type` of the value that names it, such as `image-file`,
    /// `images/separated` of one in a list, `mask`, `boxes2D` or `table-file`. None where the value
    /// has none.
    pub kind: Option<String>,
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
    let (mut reader, mut room) = (LogReader::open(&log)?, MAX_LISTED);
    while media.damage.is_none()
        && let Some(record) = reader.next()
    {
        match record.map(|record| record.record_type) {
            Ok(Some(RecordType::History(row))) => {
                media.files.extend(files_of(&row, &files_dir, &mut room));
                media.damage = (room == 0).then(|| too_many(&log, reader.end()));
            }
            Ok(_) => {}
            Err(error) => media.damage = Some(error),
        }
    }
    Ok(media)
}

fn too_many(log: &Path, offset: u64) -> Error {
    Error::Log {
        path: log.into(),
        offset,
        reason: format!(
            "its rows up to here name so many files that their list would take over {} MiB of \
             memory: read it row by row, with LogReader and logged::of_row",
            MAX_LISTED >> 20
        ),
    }
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
                match logs.len() {
                    0 => format!(
                        "the directory holds no .wandb file, which is a run's log: {}",
                        what_to_give(run, &RUNS)
                    ),
                    n => format!(
                        "the directory holds {n} .wandb files, but a run's has one: give the log \
                         itself"
                    ),
                },
            ),
        )),
    }
}

/// What to give instead of a directory that is no run's: of the runs that lie in it, the last.
/// Their names begin with one of these.
pub(super) fn what_to_give(dir: &Path, beginnings: &[&str]) -> String {
    let listed = [dir.to_path_buf(), dir.join("wandb")].map(fs::read_dir);
    let entries = listed.into_iter().flatten().flatten().flatten();
    let paths = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    let dated = paths.filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        let date = beginnings
            .iter()
            .find_map(|beginning| name.strip_prefix(beginning))?;
        Some((date.to_owned(), path))
    });
    let runs: BTreeSet<_> = dated.collect();
    match runs.last() {
        Some((_, last)) => format!(
            "it holds {}: give one, such as {}",
            counted(runs.len() as u64, "run"),
            last.display()
        ),
        None => "give the directory offline-run-… or the file run-….wandb in it".into(),
    }
}

/// The `.wandb` files of a run's directory by name, or the path itself where it is a file.
pub(super) fn logs_of(run: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| cannot_find(run, source);
    let mut logs = match fs::metadata(run).map_err(failed)?.is_dir() {
        true => named_as(run, "wandb")?,
        false => vec![run.into()],
    };
    logs.sort();
    logs.iter().try_for_each(|log| check_file(log))?;
    Ok(logs)
}

/// What a directory holds with that extension.
pub(super) fn named_as(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let failed = |source| cannot_find(dir, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ext| ext == extension) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Refuses what would lead elsewhere, or wait for ever, instead of being read.
pub(super) fn check_file(log: &Path) -> Result<()> {
    let kind = fs::symlink_metadata(log);
    let kind = kind.map_err(|source| cannot_find(log, source))?.file_type();
    let what = match (kind.is_file(), kind.is_symlink(), kind.is_dir()) {
        (true, ..) => return Ok(()),
        (_, true, _) => "a link, which isn't followed: give what it leads to",
        (.., true) => "a directory",
        _ => "a pipe or a device",
    };
    let message = format!("a log is a file, but this is {what}");
    Err(cannot_find(
        log,
        io::Error::new(io::ErrorKind::InvalidInput, message),
    ))
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
///
/// Of a row that names so many files that their list would take over 512 MiB, which isn't one of
/// pictures, those beyond are left out.
pub fn of_row(row: &HistoryRecord, files_dir: impl AsRef<Path>) -> Vec<LoggedFile> {
    files_of(row, files_dir.as_ref(), &mut { MAX_LISTED })
}

/// The most bytes that a list of files takes.
const MAX_LISTED: usize = 512 << 20;

/// The files of a row for which there is room; none is left where there are more.
fn files_of(row: &HistoryRecord, files_dir: &Path, room: &mut usize) -> Vec<LoggedFile> {
    let step = step_of(&row.item).or(row.step.map(|step| step.num));
    let step = step.unwrap_or_default();
    let mut files = Vec::new();
    for (key, value) in values_of(&row.item) {
        each_named(&key, &value, &mut |file| {
            *room = room.saturating_sub(size_of::<LoggedFile>() + file.key.len());
            files.extend((*room > 0).then(|| logged(file, step, files_dir)));
        });
    }
    files
}

fn logged(file: NamedFile, step: i64, files_dir: &Path) -> LoggedFile {
    let found = stored::length(files_dir, &file.path);
    LoggedFile {
        kind: file.kind,
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
}

/// The step that a row's items say, as `wandb sync` reads it.
pub(super) fn step_of(items: &[Item]) -> Option<i64> {
    let mut steps = items.iter().filter(|item| item.path() == [json::STEP]);
    steps.next_back()?.value_json.trim().parse().ok()
}

/// The steps that `wandb sync` gives to rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steps {
    last: Option<i64>,
}

impl Steps {
    pub(super) fn from(starting_step: i64) -> Self {
        let last = (starting_step > 0).then(|| starting_step - 1);
        Self { last }
    }

    /// The last row's, or what comes before the first.
    pub(super) fn last(self) -> Option<i64> {
        self.last
    }

    /// The step of the next row: its own, if that rises.
    pub(super) fn next(&mut self, given: Option<i64>) -> i64 {
        let least = self.last.map_or(0, |last| last.saturating_add(1));
        let step = given.map_or(least, |given| match self.last {
            None => given,
            Some(_) => given.max(least),
        });
        self.last = Some(step);
        step
    }
}

/// Values by their top-level keys, nested ones put together from their leaves.
pub(super) fn values_of(items: &[Item]) -> BTreeMap<String, Value> {
    values_with(items, parse)
}

/// The same where `parse` gives the value of a leaf.
pub(super) fn values_with(
    items: &[Item],
    parse: fn(&Item) -> Option<Value>,
) -> BTreeMap<String, Value> {
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

/// The same with marks in the place of the tokens that serde_json refuses.
pub(super) fn parse_marked(item: &Item) -> Option<Value> {
    let is_sane = item.nested_key.len() <= MAX_NESTING;
    is_sane.then(|| tokens::parse_marked(&item.value_json))?
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
        let files = of_row(&row, "no/such");
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
    fn tokens_come_back_where_they_stood() {
        let text = r#"{"a":[NaN,-Infinity,"NaN",Infinity],"b":"-Infinity"}"#;
        let value = parse_marked(&item(&["k"], text)).unwrap();
        assert_eq!(text_of_marked(&value), text);
    }

    #[test]
    fn a_file_outside_of_the_run_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("files")).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        fs::write(dir.path().join("files/own"), "xy").unwrap();
        let files = dir.path().join("files");
        assert_eq!(stored::length(&files, "own"), Some(2));
        assert_eq!(stored::length(&files, "../secret"), None);
        assert_eq!(stored::length(&files, "/etc/hostname"), None);
    }
}
