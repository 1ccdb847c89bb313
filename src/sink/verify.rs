//! Looks a run on disk through, and names what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};

use prost::Message;
use serde::Serialize;

use super::directory::LOG_PART;
pub use super::fault::{Fault, FaultKind, Place};
use super::fault::{MAX_NAME, MAX_TOLD, cut, cut_to};
use super::files;
use super::log::io_error;
use super::logged::{self, Steps, check_file, logs_of, named_as, parse, step_of, values_of};
use super::records::{FilesRecord, HistoryRecord, Item, Record, RecordType, RunRecord};
use super::resumed::{OFFLINE, Upload, may_come_first};
use super::scan::{Damage, Found, NO_HEADER, Payload, Scanner};
use super::stored::{self, Files, Mismatch, Stored, parent_of};
use super::{weight, wire};
use crate::error::{Result, counted};
use crate::image::json::{NamedFile, each_named, label_key, label_keys};

/// The types of records that wandb 0.31.0 knows, by the numbers of their fields.
const KNOWN: [u32; 22] = [
    2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27,
];
/// A request, which is a record type too.
const REQUEST: u32 = 100;

/// What [`verify`] found.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The path that was given.
    pub run: PathBuf,
    /// The log that was read; none where there is none.
    pub log: Option<PathBuf>,
    /// As the run record says.
    pub run_id: Option<String>,
    /// Records that are whole.
    pub records: u64,
    /// Rows of the history that are whole.
    pub rows: u64,
    /// Media files that are there as the rows name them.
    pub media_files: u64,
    /// What is wrong, and what is worth a word: first what concerns the directory, then the log
    /// from its beginning, then what only its end shows.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether W&B gets all of the run: there are notes at most.
    pub fn is_sound(&self) -> bool {
        self.faults.iter().all(|fault| fault.is_note)
    }
}

/// Looks a run through: its directory, or the `.wandb` file in it. Changes nothing.
///
/// Whoever wrote the run: this crate or the Python SDK. Reads all of its log and of its media
/// files, one block at a time.
///
/// Of each kind of fault the first 1,000 are told, and the others counted
/// ([`Fault::count`]). A record over the limits of [`LogReader`](super::reader::LogReader) is a
/// fault, and isn't looked into.
///
/// ```
/// use wandb_image::sink::verify::{FaultKind, verify};
/// use wandb_image::{HostTensor, IntoWandbImage};
/// # let dir = tempfile::tempdir()?;
///
/// let run = wandb_image::init()
/// #   .dir(dir.path())
///     .start()?;
/// run.log([("sample", HostTensor::new([1, 2], vec![0.0_f32, 1.0])?.to_wandb_image()?)])?;
/// run.finish()?;
/// let dir = run.dir().unwrap();
///
/// let report = verify(dir)?;
/// assert!(report.is_sound());
/// assert_eq!((report.rows, report.media_files), (1, 1));
///
/// std::fs::remove_dir_all(dir.join("files/media"))?;
/// let report = verify(dir)?;
/// assert_eq!(report.faults[0].kind, FaultKind::MissingFile);
/// assert_eq!(report.faults[0].place.key.as_deref(), Some("sample"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) when there is nothing of that name, or the system refuses to
/// read the log.
pub fn verify(run: impl AsRef<Path>) -> Result<Report> {
    Ok(survey(run.as_ref())?.report)
}

/// What a run holds, found on a first way through it.
pub(super) struct Survey {
    pub(super) report: Report,
    pub(super) files: Files,
    /// How much of the log was read: it may be written meanwhile.
    pub(super) len: u64,
    /// The first header record, as it stands.
    pub(super) header: Option<Vec<u8>>,
    /// The first run record that is whole, as it stands.
    pub(super) run: Option<Vec<u8>>,
    /// The last exit record, as it stands.
    pub(super) exit: Option<Vec<u8>>,
    /// The paths that `files` records name.
    pub(super) listed: BTreeSet<String>,
    /// The paths that rows name and that are there as they say.
    pub(super) whole: BTreeSet<String>,
    /// The paths of which a row says what isn't so.
    pub(super) broken: BTreeSet<String>,
    /// The paths that summaries alone name, and that are not there.
    pub(super) of_summary: BTreeSet<String>,
    /// The paths of which summaries alone say what isn't so.
    pub(super) broken_in_summary: BTreeSet<String>,
    steps: Steps,
    /// Which faults are stretches of the log behind which no row was found yet.
    behind: Vec<usize>,
    /// How many of each kind were found.
    counts: BTreeMap<FaultKind, u64>,
    unlisted: Vec<(Place, String)>,
    /// The files that summaries name, which as a rule repeat what a row says.
    summarised: BTreeMap<String, (Place, NamedFile)>,
    labels: BTreeSet<[String; 2]>,
    unlabeled: BTreeMap<[String; 2], Place>,
    before_run: Stray,
    after_exit: Stray,
}

/// Records that stand where nothing reads them.
#[derive(Default)]
struct Stray {
    first: Option<Place>,
    records: u64,
    rows: u64,
}

/// What a whole record is.
pub(super) enum Class {
    NotProtobuf(String),
    NoType,
    /// Why it isn't read.
    TooLarge(&'static str),
    /// A type that isn't looked into here.
    Other(u32),
    Known(Box<RecordType>),
}

pub(super) fn survey(run: &Path) -> Result<Survey> {
    let logs = logs_of(run)?;
    let log = own_log(run, &logs);
    let folder = log.map_or_else(|| run.into(), parent_of);
    let mut survey = Survey::new(run, &folder);
    match begun_log(run, log)? {
        Some(begun) => survey.begun_log(&begun),
        None => survey.log_files(&logs, log),
    }
    if let Some(log) = log {
        survey.report.log = Some(log.into());
        survey.directory(&folder, log);
        survey.read(log)?;
        survey.end();
    }
    survey.count_the_others();
    Ok(survey)
}

/// The log to look into: that which is named as the directory is, else the first.
fn own_log<'a>(run: &Path, logs: &'a [PathBuf]) -> Option<&'a Path> {
    let directory = directory_name(run);
    let is_own = |log: &&PathBuf| {
        let id = log.file_stem().map(|stem| stem.to_string_lossy());
        let id = id.as_deref().and_then(|stem| stem.strip_prefix("run-"));
        id.is_some_and(|id| directory.ends_with(&format!("-{id}")))
    };
    let own = logs.iter().find(is_own).or(logs.first());
    own.map(PathBuf::as_path)
}

/// The log that never got its own name, where there is no other.
fn begun_log(run: &Path, log: Option<&Path>) -> Result<Option<PathBuf>> {
    if log.is_some() {
        return Ok(None);
    }
    let mut begun = named_as(run, "part")?;
    begun.retain(|path| directory_name(path).ends_with(LOG_PART));
    Ok(begun.pop())
}

/// The name of the directory itself, where the path is a link to it.
pub(super) fn directory_name(path: &Path) -> String {
    let real = path.canonicalize().unwrap_or_else(|_| path.into());
    let name = real.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl Survey {
    fn new(run: &Path, folder: &Path) -> Self {
        Self {
            report: Report {
                run: run.into(),
                ..Report::default()
            },
            files: Files::new(folder.join("files")),
            len: 0,
            header: None,
            run: None,
            exit: None,
            listed: BTreeSet::new(),
            whole: BTreeSet::new(),
            broken: BTreeSet::new(),
            of_summary: BTreeSet::new(),
            broken_in_summary: BTreeSet::new(),
            steps: Steps::default(),
            behind: Vec::new(),
            counts: BTreeMap::new(),
            unlisted: Vec::new(),
            summarised: BTreeMap::new(),
            labels: BTreeSet::new(),
            unlabeled: BTreeMap::new(),
            before_run: Stray::default(),
            after_exit: Stray::default(),
        }
    }

    fn fault(&mut self, kind: FaultKind, place: Place, message: impl Into<String>) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= MAX_TOLD as u64 {
            self.report.faults.push(Fault::new(kind, place, message));
        }
    }

    /// Counts those that were too many to be told.
    fn count_the_others(&mut self) {
        let told = MAX_TOLD as u64;
        let many = self.counts.iter().filter(|(_, count)| **count > told);
        let more = many.map(|(kind, count)| Fault::more(*kind, count - told));
        self.report.faults.extend(more);
    }

    // ---- the directory ----

    fn log_files(&mut self, logs: &[PathBuf], own: Option<&Path>) {
        let Some(own) = own else {
            let message = format!(
                "the directory holds no .wandb file, which is a run's log: {}",
                logged::what_to_give(&self.report.run, &logged::RUNS)
            );
            return self.fault(FaultKind::NoLog, Place::default(), message);
        };
        if logs.len() > 1 {
            let names: Vec<_> = logs.iter().map(|log| directory_name(log)).collect();
            let message = format!(
                "the directory holds {} .wandb files ({}), but a run's has one, and `wandb sync` \
                 uploads each: move the others away; what follows is of {}",
                logs.len(),
                names.join(", "),
                directory_name(own),
            );
            self.fault(FaultKind::SeveralLogs, Place::default(), message);
        }
    }

    /// A log that never got its own name.
    fn begun_log(&mut self, part: &Path) {
        let message = format!(
            "the log has its temporary name still: the run was killed while it started, and holds \
             no rows; or its directory was deleted while it was written, and then it may hold all \
             of them: give {} itself to see",
            directory_name(part)
        );
        let place = Place {
            path: Some(directory_name(part)),
            ..Place::default()
        };
        self.fault(FaultKind::BegunLog, place, message);
    }

    fn directory(&mut self, folder: &Path, log: &Path) {
        let name = directory_name(folder);
        if !name.starts_with(OFFLINE) {
            let message = format!(
                "the directory is named {name:?}, and `wandb sync` passes over what isn't named \
                 offline-run-…: rename it, or give `wandb sync` the .wandb file"
            );
            self.fault(FaultKind::NotOffline, Place::default(), message);
        }
        if matches!(Upload::of(log), Upload::All { .. }) {
            let message = "the run was synced before, so `wandb sync` passes over it; with \
                           --include-synced its rows would be appended again";
            self.fault(FaultKind::Synced, Place::default(), message);
        }
        if is_locked(log) {
            let message = "the run is being written: what it lacks at its end may still come";
            self.fault(FaultKind::BeingWritten, Place::default(), message);
        }
    }

    /// The files that nothing names.
    fn left_files(&mut self) {
        let mut unnamed = Vec::new();
        for path in stored::all_below(self.files.dir()) {
            let is_named = [&self.listed, &self.whole, &self.broken];
            let is_named = is_named.iter().any(|named| named.contains(&path));
            match path == files::PART {
                true => self.temporary(path),
                false if !is_named && path.starts_with("media/") => unnamed.push(path),
                false => {}
            }
        }
        if let Some(first) = unnamed.first() {
            let message = format!(
                "no row names {}, the first being {first}: what would have named them was lost, or \
                 never written",
                counted(unnamed.len() as u64, "media file")
            );
            self.fault(FaultKind::UnnamedFiles, Place::default(), message);
        }
    }

    fn temporary(&mut self, path: String) {
        let message = "a temporary file was left when its writer was killed: delete it";
        let place = Place {
            path: Some(path),
            ..Place::default()
        };
        self.fault(FaultKind::TemporaryFile, place, message);
    }

    // ---- the log ----

    fn read(&mut self, log: &Path) -> Result<()> {
        let failed = |source| io_error("read", log, source);
        let file = File::open(log).map_err(failed)?;
        self.len = file.metadata().map_err(failed)?.len();
        let mut scanner = Scanner::new(file.take(self.len)).map_err(failed)?;
        let mut damaged = false;
        while let Some(found) = scanner.next().map_err(failed)? {
            match found {
                Found::Record(payload) => self.record(payload),
                Found::Damage(damage) => {
                    damaged = true;
                    self.damage(&damage);
                }
            }
        }
        if self.report.records == 0 && !damaged {
            let message = "the log holds its 7 bytes of header and no record: its writer was \
                           killed before it wrote any, as the Python SDK's is, which keeps rows \
                           in memory; nothing can be recovered";
            self.fault(FaultKind::EmptyLog, at(0), message);
        }
        Ok(())
    }

    fn damage(&mut self, damage: &Damage) {
        let place = Place {
            byte: Some(damage.from),
            to: Some(damage.to),
            after_step: self.steps.last().filter(|_| self.report.rows > 0),
            ..Place::default()
        };
        let (bytes, reason) = (damage.to - damage.from, &damage.reason);
        let (kind, message) = match (damage.at_end, &**reason == NO_HEADER) {
            (true, true) if damage.to == 0 => (
                FaultKind::EmptyLog,
                "the log is empty: nothing can be recovered".into(),
            ),
            (true, true) => (
                FaultKind::NoHeader,
                format!("{reason}, and holds no whole record: it is no log of a run"),
            ),
            (false, true) => (
                FaultKind::NoHeader,
                format!("{reason}, so `wandb sync` reads none of it; repair keeps what follows"),
            ),
            (true, false) => (
                FaultKind::TornEnd,
                format!(
                    "{reason}: the last {bytes} bytes are no whole record, since the writer was \
                     killed or the power went; `wandb sync` uploads what is before them, and \
                     repair leaves them out"
                ),
            ),
            (false, false) => (
                FaultKind::Unreadable,
                format!(
                    "{reason}: {bytes} bytes can't be read, and `wandb sync` stops here, so that \
                     all behind them is lost to it; repair keeps what follows"
                ),
            ),
        };
        let told = self.report.faults.len();
        self.fault(kind, place, message);
        self.behind.extend(told..self.report.faults.len());
    }

    fn record(&mut self, payload: Payload) {
        self.report.records += 1;
        let place = Place {
            byte: Some(payload.start),
            record: Some(self.report.records),
            ..Place::default()
        };
        match classify(&payload.bytes) {
            Class::NotProtobuf(reason) => {
                let message = format!(
                    "the record is whole, but no record of W&B ({reason}): `wandb sync` stops \
                     here, and repair leaves it out"
                );
                self.fault(FaultKind::NotProtobuf, place, message);
            }
            Class::NoType => {
                let message = "the record has no type, at which `wandb sync` panics, and uploads \
                               nothing: repair leaves it out";
                self.fault(FaultKind::NoType, place, message);
            }
            Class::TooLarge(reason) => {
                let message =
                    format!("the record isn't read, since {reason}: repair leaves it out");
                self.fault(FaultKind::TooLarge, place, message);
            }
            Class::Other(number) => self.other(number, &place),
            Class::Known(record) => self.known(*record, place, payload.bytes),
        }
    }

    fn other(&mut self, number: u32, place: &Place) {
        if !KNOWN.contains(&number) && number != REQUEST {
            let message = format!(
                "the record is of type {number}, which wandb 0.31.0 doesn't know: its `wandb \
                 sync` panics, so sync the run with the wandb that wrote it, or a newer one"
            );
            self.fault(FaultKind::UnknownType, place.clone(), message);
        }
        self.order(place, false);
    }

    /// Counts what stands before the run record or behind the exit record.
    fn order(&mut self, place: &Place, is_row: bool) {
        if self.run.is_none() {
            self.before_run.add(place, is_row);
        }
        if self.exit.is_some() {
            self.after_exit.add(place, is_row);
        }
    }

    fn known(&mut self, record: RecordType, place: Place, bytes: Vec<u8>) {
        let is_row = matches!(record, RecordType::History(_));
        if !may_come_first(Some(&record)) || self.exit.is_some() {
            self.order(&place, is_row);
        }
        match record {
            RecordType::Header(_) => _ = self.header.get_or_insert(bytes),
            RecordType::Run(run) => self.run_record(&run, place, bytes),
            RecordType::Exit(_) => self.exit = Some(bytes),
            RecordType::Config(config) => self.config(&config.update),
            RecordType::Files(files) => self.list(&files),
            RecordType::History(row) => self.row(&row, place),
            RecordType::Summary(summary) => self.items(&summary.update, &place),
            RecordType::Environment(_) | RecordType::Metric(_) => {}
        }
    }

    fn run_record(&mut self, run: &RunRecord, place: Place, bytes: Vec<u8>) {
        if let Some(config) = &run.config {
            self.config(&config.update);
        }
        let known = self.report.run_id.clone().filter(|_| self.run.is_some());
        match known {
            Some(id) if id != run.run_id => {
                let message = format!(
                    "a second run record names the run {:?}, but the log is of {:?}: repair \
                     leaves it out",
                    cut(run.run_id.clone()),
                    cut(id)
                );
                self.fault(FaultKind::OtherRun, place, message);
            }
            Some(_) => {}
            None => self.first_run(run, place, bytes),
        }
    }

    fn first_run(&mut self, run: &RunRecord, place: Place, bytes: Vec<u8>) {
        self.report.run_id = Some(run.run_id.clone()).filter(|id| !id.is_empty());
        self.steps = Steps::from(run.starting_step);
        self.run = Some(bytes);
        if run.run_id.is_empty() {
            let message = "the run record has no run_id, without which `wandb sync` fails and \
                           doesn't say why: repair takes it from the log's name";
            self.fault(FaultKind::NoRunId, place, message);
        }
    }

    fn config(&mut self, update: &[Item]) {
        let config = values_of(update).into_iter().collect();
        self.labels.extend(label_keys(&config));
    }

    fn list(&mut self, files: &FilesRecord) {
        for file in &files.files {
            self.listed.insert(file.path.clone());
        }
    }

    fn row(&mut self, row: &HistoryRecord, mut place: Place) {
        self.report.rows += 1;
        let given = step_of(&row.item);
        let last = self.steps.last();
        let step = self.steps.next(given);
        place.step = given.or(Some(step));
        for damage in self.behind.drain(..) {
            self.report.faults[damage].place.before_step = Some(step);
        }
        match (given, last) {
            (None, _) => {
                let message = format!("the row has no step, so `wandb sync` gives it step {step}");
                self.fault(FaultKind::NoStep, place.clone(), message);
            }
            (Some(given), Some(last)) if given != step => {
                let message = format!(
                    "step {given} comes after step {last}, but steps must rise: `wandb sync` \
                     gives the row step {step}"
                );
                self.fault(FaultKind::StepNotRising, place.clone(), message);
            }
            _ => {}
        }
        self.items(&row.item, &place);
    }

    fn items(&mut self, items: &[Item], place: &Place) {
        for item in items.iter().filter(|item| !is_json(item)) {
            let mut place = place.clone();
            place.key = Some(item.path().join("."));
            let message = "the value is no JSON, so `wandb sync` drops it: repair leaves it out";
            self.fault(FaultKind::InvalidJson, place, message);
        }
        for (key, value) in values_of(items) {
            each_named(&key, &value, &mut |file| self.named(&key, file, place));
        }
    }

    fn named(&mut self, key: &str, file: NamedFile, place: &Place) {
        self.labels_of(key, &file, place);
        match place.step {
            Some(_) => self.media(file, place),
            None => {
                let is_told = self.summarised.len() < MAX_TOLD;
                let named = self.summarised.entry(file.path.clone());
                named.or_insert_with(|| (place.clone(), slim(file, is_told)));
            }
        }
    }

    /// Layers beyond so many without names aren't looked into.
    fn labels_of(&mut self, key: &str, file: &NamedFile, place: &Place) {
        let labels = label_key(key, file).filter(|labels| !self.labels.contains(labels));
        if let Some(labels) = labels.filter(|_| self.unlabeled.len() < MAX_TOLD) {
            self.unlabeled.entry(labels).or_insert_with(|| {
                let place = Place {
                    key: Some(file.key.clone()),
                    step: place.step,
                    ..Place::default()
                };
                place.cut()
            });
        }
    }

    /// Checks a file that a row names.
    fn media(&mut self, file: NamedFile, place: &Place) {
        if is_reference(&file.path) {
            return;
        }
        let place = Place {
            key: Some(file.key.clone()),
            path: Some(file.path.clone()),
            ..place.clone()
        };
        match media_fault(&mut self.files, &file) {
            Some((kind, message)) => {
                self.broken.insert(file.path);
                self.fault(kind, place, message);
            }
            None => self.whole_file(file.path, place),
        }
    }

    fn whole_file(&mut self, path: String, place: Place) {
        if self.whole.insert(path.clone()) && !self.listed.contains(&path) {
            let is_told = self.unlisted.len() < MAX_TOLD;
            let place = if is_told {
                place.cut()
            } else {
                Place::default()
            };
            self.unlisted.push((place, path));
        }
    }

    // ---- what only the end shows ----

    fn end(&mut self) {
        self.run_at_end();
        self.files_at_end();
        for (labels, place) in std::mem::take(&mut self.unlabeled) {
            if !self.labels.contains(&labels) {
                let message = "the config has no names of classes for it, without which W&B's \
                               page can't draw it";
                self.fault(FaultKind::NoClassLabels, place, message);
            }
        }
        self.report.media_files = self.whole.len() as u64;
        self.left_files();
    }

    fn run_at_end(&mut self) {
        if self.report.records == 0 {
            return;
        }
        if self.run.is_none() {
            let message = "the log has no run record, without which `wandb sync` uploads nothing: \
                           repair makes one, with the run id that is in the log's name";
            self.fault(FaultKind::NoRun, Place::default(), message);
        } else if let Some(place) = self.before_run.first.take() {
            let message = format!(
                "{} before the run record, which `wandb sync` drops: repair puts the run record \
                 first",
                self.before_run.told()
            );
            self.fault(FaultKind::BeforeRun, place, message);
        }
        if let Some(place) = self.after_exit.first.take() {
            let message = format!(
                "{} after the exit record, which `wandb sync` doesn't read: repair puts the exit \
                 record last",
                self.after_exit.told()
            );
            self.fault(FaultKind::AfterExit, place, message);
        }
        if self.exit.is_none() {
            let message = "there is no exit record, since the run didn't finish: W&B will take \
                           it for failed";
            self.fault(FaultKind::NoExit, Place::default(), message);
        }
    }

    fn files_at_end(&mut self) {
        for (place, file) in std::mem::take(&mut self.summarised).into_values() {
            match self.files.look(&file.path) {
                Stored::Missing if is_reference(&file.path) => {}
                Stored::Missing if !self.broken.contains(&file.path) => {
                    self.of_summary_alone(file, place);
                }
                _ if !self.broken.contains(&file.path) => {
                    let path = file.path.clone();
                    self.media(file, &place);
                    if self.broken.contains(&path) {
                        self.broken_in_summary.insert(path);
                    }
                }
                _ => {}
            }
        }
        for (place, path) in std::mem::take(&mut self.unlisted) {
            if !self.listed.contains(&path) {
                let message = "no `files` record names the file, so `wandb sync` doesn't upload \
                               it, and doesn't say so: repair adds one";
                self.fault(FaultKind::NotListed, place, message);
            }
        }
        for path in self.listed.clone() {
            self.listed_file(path);
        }
    }

    fn of_summary_alone(&mut self, file: NamedFile, place: Place) {
        let place = Place {
            key: Some(file.key),
            path: Some(file.path.clone()),
            ..place
        };
        let message = "the summary names the file, but it is not there, and no row of this log \
                       names it: a run that was resumed after a sync has it in its earlier \
                       directory, or it is lost; repair keeps the value";
        self.of_summary.insert(file.path);
        self.fault(FaultKind::SummaryFile, place, message);
    }

    fn listed_file(&mut self, path: String) {
        if self.broken.contains(&path) || self.whole.contains(&path) {
            return;
        }
        let found = match self.files.look(&path) {
            Stored::Unsafe(reason) => Some((FaultKind::UnsafePath, unsafe_message(reason))),
            Stored::Missing | Stored::NoFile | Stored::Unreadable(_) => Some((
                FaultKind::ListedMissing,
                "a `files` record names it, but it is not there, nor does a row name it".into(),
            )),
            // A file that was given to the SDK's `save` is a link.
            Stored::Link | Stored::File { .. } => None,
        };
        if let Some((kind, message)) = found {
            let place = Place {
                path: Some(path),
                ..Place::default()
            };
            self.fault(kind, place, message);
        }
    }
}

/// What is needed of a file once its record is gone; one key stands with many files.
fn slim(file: NamedFile, is_told: bool) -> NamedFile {
    let longest = if is_told { MAX_NAME } else { 64 };
    NamedFile {
        key: cut_to(longest, file.key),
        caption: None,
        format: None,
        ..file
    }
}

impl Stray {
    fn add(&mut self, place: &Place, is_row: bool) {
        self.first.get_or_insert_with(|| place.clone());
        self.records += 1;
        self.rows += u64::from(is_row);
    }

    fn told(&self) -> String {
        format!(
            "{} ({}) stand here",
            counted(self.records, "record"),
            counted(self.rows, "row")
        )
    }
}

pub(super) fn steps_of(run: Option<&[u8]>) -> Steps {
    match run.map(classify) {
        Some(Class::Known(record)) => match *record {
            RecordType::Run(run) => Steps::from(run.starting_step),
            _ => Steps::default(),
        },
        _ => Steps::default(),
    }
}

pub(super) fn classify(payload: &[u8]) -> Class {
    let number = match wire::record_type(payload) {
        Err(wire::Malformed) => return Class::NotProtobuf(weight::MALFORMED.into()),
        Ok(None) => return Class::NoType,
        Ok(Some(number)) => number,
    };
    match weight::excess(payload) {
        Some(weight::MALFORMED) => return Class::NotProtobuf(weight::MALFORMED.into()),
        Some(reason) => return Class::TooLarge(reason),
        None => {}
    }
    match Record::decode(payload) {
        Err(error) => Class::NotProtobuf(error.to_string()),
        Ok(record) => match record.record_type {
            Some(record) => Class::Known(Box::new(record)),
            None => Class::Other(number),
        },
    }
}

pub(super) fn is_json(item: &Item) -> bool {
    item.nested_key.len() > super::logged::MAX_NESTING || parse(item).is_some()
}

/// A picture that is elsewhere, on the web or in an artifact.
pub(super) fn is_reference(path: &str) -> bool {
    path.contains("://")
}

/// What is wrong with a file that a row names.
fn media_fault(files: &mut Files, named: &NamedFile) -> Option<(FaultKind, String)> {
    let missing = |what: &str| {
        let message = format!(
            "the media file {what}: `wandb sync` uploads the row without it, and doesn't say so; \
             repair takes it out of the row"
        );
        Some((FaultKind::MissingFile, message))
    };
    match files.look(&named.path) {
        Stored::File { size, sha256 } => wrong_file(stored::mismatch(named, *size, sha256)?),
        Stored::Missing => missing("is not there"),
        Stored::NoFile => missing("is no file, but a folder or a device"),
        Stored::Unreadable(reason) => missing(&format!("can't be read ({reason})")),
        Stored::Unsafe(reason) => Some((FaultKind::UnsafePath, unsafe_message(reason))),
        Stored::Link => {
            let message = "a link leads out of the run's files/, and isn't followed: put the \
                           file itself there";
            Some((FaultKind::Link, message.into()))
        }
    }
}

fn wrong_file(mismatch: Mismatch) -> Option<(FaultKind, String)> {
    Some(match mismatch {
        Mismatch::Size { expected, found } => (
            FaultKind::WrongSize,
            format!(
                "the media file has {found} bytes, but its row says {expected}: it was cut or \
                 changed; repair takes it out of the row"
            ),
        ),
        Mismatch::Hash { expected, found } => (
            FaultKind::WrongHash,
            format!(
                "the media file has SHA-256 {found}, but its row says {expected}: it was changed; \
                 repair takes it out of the row"
            ),
        ),
    })
}

fn unsafe_message(reason: &str) -> String {
    format!(
        "the path {reason}, but is to lead to a file below the run's files/: `wandb sync` passes \
         over it; repair leaves it out"
    )
}

fn at(byte: u64) -> Place {
    Place {
        byte: Some(byte),
        ..Place::default()
    }
}

/// Whether another process holds the log, as one that writes it does.
pub(super) fn is_locked(log: &Path) -> bool {
    let opened = check_file(log).ok().and_then(|()| File::open(log).ok());
    let Some(file) = opened else {
        return false;
    };
    let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    // Closing it takes the lock back too.
    let _ = file.unlock();
    is_held
}
