//! What a run on disk has come to, so that it can go on.

mod artifacts;
mod leaves;
mod upload;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use artifacts::LostArtifacts;
pub(crate) use leaves::Leaves;
pub(crate) use upload::Upload;

use super::fault::cut;
use super::framing::{BLOCK, FILE_HEADER};
use super::log::io_error;
use super::logged::{Steps, check_file, logs_of, step_of, values_of, what_to_give};
use super::names::{LOG_PART, OFFLINE};
use super::reader::LogReader;
use super::records::{HistoryRecord, Item, Record, RecordType, RunRecord, SummaryRecord};
use super::scan::ends_torn;
use super::survey::is_locked;
use crate::error::{Error, Result};
use crate::image::LayerKind;
use crate::image::classes::Classes;
use crate::image::json;

/// What the log of a run says, as far as going on needs it.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    /// None where the run was killed before anything of it was written.
    pub(crate) run: Option<RunRecord>,
    /// The step of the first row, where there is none yet.
    pub(crate) starting_step: u64,
    /// The step of the last row, as `wandb sync` counts.
    pub(crate) last_step: Option<u64>,
    /// Seconds that the run took so far.
    pub(crate) runtime: f64,
    pub(crate) config: Leaves,
    /// What the Python SDK was told of metrics, record by record.
    pub(crate) metrics: Vec<Vec<u8>>,
    /// As it is on disk.
    pub(crate) summary: Leaves,
    /// What the rows after the last record of the summary hold.
    pub(crate) since: BTreeMap<String, Vec<Item>>,
    /// The artifacts whose files are gone.
    pub(crate) lost: LostArtifacts,
    /// The number of the last record that is kept.
    pub(crate) num: i64,
    /// The end of the last record that is kept: what follows is torn, or comes at the end of a
    /// run. Without a run record, where the first record goes.
    pub(crate) len: u64,
    /// How many bytes at the end make no whole record.
    pub(crate) torn_bytes: u64,
    /// The steps as they were counted so far.
    steps: Steps,
    /// Where the first record stands that the run record should come before.
    before_run: Option<u64>,
    /// Whether this crate wrote it: in the Python SDK's logs a row's summary comes before it, and
    /// needn't be its last values.
    is_own: bool,
}

impl Resumed {
    /// Reads the log of the run in that directory.
    ///
    /// # Errors
    ///
    /// [`Error::Resume`] for a log that can't be appended to, [`Error::Log`] for what is none.
    pub(crate) fn read(run: &Path, log: &Path) -> Result<Self> {
        let refused = |reason: String| Error::Resume {
            path: run.into(),
            reason,
        };
        let mendable = |reason: String| refused(format!("{reason}: {}", repair(run, log)));
        if is_begun(log)? {
            return Ok(Self::default());
        }
        let mut reader = LogReader::open(log)?;
        let begin = reader.end();
        let mut past = Self {
            len: begin,
            lost: LostArtifacts::of(run, log),
            ..Self::default()
        };
        let (mut exit, mut failure) = (None, None);
        loop {
            let from = reader.end();
            match reader.next_typed() {
                None => break,
                Some(Ok((_, None))) => return Err(mendable(no_type(from))),
                Some(Ok((record, _))) => past
                    .take(record, from, reader.end(), &mut exit)
                    .map_err(&mendable)?,
                Some(Err(error)) => failure = Some(error),
            }
        }
        match (failure, reader.damage()) {
            (None, _) => {}
            (Some(error), Some(damage)) if damage.at_end => {
                if !is_torn(log, damage.from)? {
                    return Err(mendable(altered(&error)));
                }
                past.torn_bytes = damage.to - damage.from;
            }
            (Some(error), Some(_)) => return Err(mendable(damaged(&error))),
            (Some(error), None) => return Err(error),
        }
        match &past.run {
            Some(run) if run.run_id.is_empty() => Err(refused(NO_ID.into())),
            None if past.len > begin => Err(mendable(NO_RUN.into())),
            _ => match past.before_run {
                Some(from) if past.run.is_some() => Err(mendable(before_run(from))),
                _ => Ok(past),
            },
        }
    }

    /// The step that follows the last row.
    pub(crate) fn next_step(&self) -> u64 {
        let next = |last: u64| last.saturating_add(1);
        self.last_step.map_or(self.starting_step, next)
    }

    /// The names of the classes that the config holds.
    pub(crate) fn class_labels(&self) -> BTreeMap<(LayerKind, String), Classes> {
        let own = values_of(&self.config.of(json::WANDB)).remove(json::WANDB);
        own.as_ref().map(json::class_names).unwrap_or_default()
    }

    /// Takes a record that stands there into account, or says why the log can't go on. `exit` is
    /// where the record of a run's end begins.
    fn take(
        &mut self,
        record: Record,
        from: u64,
        end: u64,
        exit: &mut Option<u64>,
    ) -> std::result::Result<(), String> {
        if let Some(exit) = exit {
            return match record.record_type {
                Some(RecordType::Header(_) | RecordType::Environment(_)) | None => Ok(()),
                Some(_) => Err(after_exit(*exit)),
            };
        }
        if self.run.is_none() && !may_come_first(record.record_type.as_ref()) {
            self.before_run.get_or_insert(from);
        }
        match record.record_type {
            Some(RecordType::Exit(end)) => {
                *exit = Some(self.len);
                self.runtime = self.runtime.max(end.runtime.into());
                return Ok(());
            }
            Some(RecordType::Header(header)) => {
                let producer = header.version_info.map(|version| version.producer);
                self.is_own = producer.is_some_and(|name| name.starts_with(PRODUCER));
                return Ok(());
            }
            Some(RecordType::Run(run)) => self.take_run(run, from)?,
            Some(RecordType::Config(config)) => self.config.apply(&config.update, &config.remove),
            Some(RecordType::Summary(summary)) => self.take_summary(&summary),
            Some(RecordType::History(row)) => self.take_row(row),
            Some(RecordType::Metric(metric)) => self.metrics.push(metric),
            Some(RecordType::Artifact(artifact)) => self.lost.take(&artifact),
            Some(RecordType::Files(_) | RecordType::Environment(_)) | None => {}
        }
        self.num = self.num.max(record.num);
        self.len = end;
        match self.config.bytes() + self.summary.bytes() > MAX_LEAVES {
            true => Err(too_many_leaves(end)),
            false => Ok(()),
        }
    }

    fn take_run(&mut self, run: RunRecord, from: u64) -> std::result::Result<(), String> {
        match &self.run {
            None => {
                self.starting_step = u64::try_from(run.starting_step).unwrap_or_default();
                self.steps = Steps::from(run.starting_step);
            }
            Some(first) if first.run_id != run.run_id => return Err(other_run(first, &run, from)),
            Some(_) => {}
        }
        if let Some(config) = &run.config {
            self.config.apply(&config.update, &config.remove);
        }
        self.run = Some(run);
        Ok(())
    }

    fn take_summary(&mut self, summary: &SummaryRecord) {
        self.summary.apply(&summary.update, &summary.remove);
        self.since.clear();
    }

    fn take_row(&mut self, row: HistoryRecord) {
        let number = |key: &str| {
            let item = row.item.iter().rfind(|item| item.path() == [key]);
            item.map(|item| item.value_json.trim())
        };
        let step = self.steps.next(step_of(&row.item));
        let runtime = number(json::RUNTIME).and_then(|text| text.parse().ok());
        self.last_step = Some(u64::try_from(step).unwrap_or_default());
        self.runtime = self.runtime.max(runtime.unwrap_or(0.0));
        if self.is_own {
            self.summarise(row);
        }
    }

    /// As a row goes into the summary: `null` replaces no value.
    fn summarise(&mut self, row: HistoryRecord) {
        let mut values = BTreeMap::<String, Vec<Item>>::new();
        for item in row.item {
            if let [key, ..] = item.path()[..] {
                values.entry(key.into()).or_default().push(item);
            }
        }
        let is_null = |leaves: &[Item]| matches!(leaves, [leaf] if leaf.path().len() == 1 && leaf.value_json == "null");
        values.retain(|_, leaves| !is_null(leaves));
        self.since.extend(values);
    }
}

/// Whether the header of a log is not whole yet.
fn is_begun(log: &Path) -> Result<bool> {
    let limit = FILE_HEADER.len() as u64;
    let mut beginning = Vec::new();
    let read = fs::File::open(log).and_then(|file| file.take(limit).read_to_end(&mut beginning));
    read.map_err(|source| io_error("read", log, source))?;
    Ok(beginning.len() < FILE_HEADER.len() && FILE_HEADER.starts_with(&beginning))
}

/// The most memory that config and summary take, in bytes.
const MAX_LEAVES: usize = 512 << 20;

/// What the producer of this crate's logs begins with.
pub(crate) const PRODUCER: &str = "wandb-image";

const NO_ID: &str = "its run record names no run id, and `wandb sync` takes no such run: start a \
                     new run";

const NO_RUN: &str = "its log has no run record, and `wandb sync` takes no such run";

/// Whether a record may stand before the run record.
pub(super) fn may_come_first(record: Option<&RecordType>) -> bool {
    use RecordType::{Environment, Header, Run};
    matches!(record, Some(Header(_) | Run(_) | Environment(_)))
}

fn is_torn(log: &Path, from: u64) -> Result<bool> {
    let into_block = from % BLOCK;
    let torn = fs::File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(from - into_block))?;
        ends_torn(file, into_block as usize)
    });
    torn.map_err(|source| io_error("read", log, source))
}

// Why a log can't go on.

fn after_exit(exit: u64) -> String {
    format!(
        "more follows the record of its end, at byte {exit} of its log, which `wandb sync` would \
         never reach"
    )
}

fn too_many_leaves(end: u64) -> String {
    format!(
        "its config and summary up to byte {end} of its log would take over {} MiB of memory",
        MAX_LEAVES >> 20
    )
}

fn other_run(first: &RunRecord, other: &RunRecord, from: u64) -> String {
    format!(
        "a second run record, at byte {from} of its log, names the run {:?}, but the log is of {:?}",
        cut(other.run_id.clone()),
        cut(first.run_id.clone())
    )
}

fn no_type(from: u64) -> String {
    format!(
        "a record without a type stands at byte {from} of its log, at which `wandb sync` panics"
    )
}

fn before_run(from: u64) -> String {
    format!(
        "something stands before its run record, at byte {from} of its log, and `wandb sync` drops \
         it"
    )
}

fn damaged(error: &Error) -> String {
    format!("{error}, and `wandb sync` may not reach what follows")
}

fn altered(error: &Error) -> String {
    format!(
        "{error}, and that isn't how a kill or a power cut ends a log, so that rows may be lost"
    )
}

fn repair(run: &Path, log: &Path) -> String {
    let run = run.display();
    let twice = match Upload::of(log) {
        Upload::Nothing => "",
        _ => {
            "; a sync of this one began, so delete the run on the server before that one is \
             synced, else its rows will be there twice"
        }
    };
    format!(
        "`wandb-image repair {run} --out DIR` writes a run of all that is whole, which can be \
         continued{twice}"
    )
}

/// The directory of a run that was named by it, by a link to it, or by its log.
pub(crate) fn run_directory(given: &Path) -> Result<PathBuf> {
    let refused = |reason: String| Error::Resume {
        path: given.into(),
        reason,
    };
    let path = fs::canonicalize(given).map_err(|source| io_error("find the run", given, source))?;
    let is_log = path.extension().is_some_and(|ending| ending == "wandb");
    let directory = match path.is_dir() {
        true => path,
        false if !is_log => return Err(refused(NO_DIRECTORY.into())),
        false => path.parent().map(Path::to_path_buf).unwrap_or_default(),
    };
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    match name.starts_with(OFFLINE) {
        true => Ok(directory),
        false => Err(refused(format!(
            "{NOT_OFFLINE}: {}",
            what_to_give(&directory, &[OFFLINE])
        ))),
    }
}

/// Whether nothing of the run was written: it has no log, and none is being begun.
pub(crate) fn is_without_log(run: &Path) -> Result<bool> {
    let entries = fs::read_dir(run).map_err(|source| io_error("look into", run, source))?;
    let is_begun = |entry: fs::DirEntry| {
        let is_log = entry.file_name().to_string_lossy().ends_with(LOG_PART);
        is_log && is_locked(&entry.path())
    };
    if entries.filter_map(io::Result::ok).any(is_begun) {
        return Err(Error::RunInUse { path: run.into() });
    }
    logs_of(run).map(|logs| logs.is_empty())
}

const NO_DIRECTORY: &str = "it is neither a directory nor a .wandb file: give the run's directory \
                            offline-run-…, wandb/latest-run, or the run's .wandb file";

const NOT_OFFLINE: &str = "its directory isn't called offline-run-…, and `wandb sync` takes no \
                           other for that of an offline run";

/// The directory beside this one in which the run goes on already: behind its last row, and where
/// it has none, under a later name.
pub(crate) fn continuation(run: &Path, run_id: &str, past: &Resumed) -> Option<PathBuf> {
    let (own, next) = (
        past.starting_step.cast_signed(),
        past.next_step().cast_signed(),
    );
    let beside = fs::read_dir(run.parent()?).ok()?;
    let mut paths = beside.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| {
        let is_later =
            |first: i64| first >= next && (first, path.file_name()) > (own, run.file_name());
        path != run && first_step(path, run_id).is_some_and(is_later)
    })
}

/// The starting step of that directory, if it is of this run.
fn first_step(run: &Path, run_id: &str) -> Option<i64> {
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let log = run.join(format!("run-{run_id}.wandb"));
    if !name.starts_with(OFFLINE) || check_file(&log).is_err() {
        return None;
    }
    let records = LogReader::open(log).ok()?;
    let mut first = records.map_while(|record| record.ok()?.record_type).take(3);
    first.find_map(|record| match record {
        RecordType::Run(run) if run.run_id == run_id => Some(run.starting_step),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_step(steps: &[Option<&str>], expected: u64) {
        let mut past = Resumed {
            starting_step: 3,
            steps: Steps::from(3),
            ..Resumed::default()
        };
        for step in steps {
            let item = step.map(|step| Item {
                key: json::STEP.into(),
                value_json: step.into(),
                ..Item::default()
            });
            past.take_row(HistoryRecord {
                item: item.into_iter().collect(),
                step: None,
            });
        }
        assert_eq!(past.next_step(), expected, "{steps:?}");
    }

    #[test]
    fn steps_are_counted_as_sync_counts() {
        check_step(&[], 3);
        check_step(&[Some("7")], 8);
        check_step(&[Some("1")], 4);
        check_step(&[Some("9"), None, Some("2")], 12);
        check_step(&[Some("-9"), Some("\"x\""), Some("6"), Some("6")], 8);
    }
}
