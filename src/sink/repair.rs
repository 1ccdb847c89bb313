//! Writes a clean run from everything in a damaged one that is whole.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;
use serde::Serialize;
use serde_json::{Map, Value};

use super::directory::{Directory, LOG_PART, remove};
use super::fault::{MAX_TOLD, cut};
use super::log::io_error;
use super::logged::{
    MAX_NESTING, RUNS, Steps, parse_marked, parse_text, step_of, text_of_marked, values_of,
    values_with,
};
use super::records::{
    FILE_TYPE_MEDIA, FilesItem, FilesRecord, Item, Record, RecordType, RunRecord,
};
use super::resumed::{OFFLINE, Upload};
use super::scan::{Damage, Found, Payload, Scanner};
use super::stored::{self, Files, Stored, parent_of};
use super::verify::{
    Class, Fault, FaultKind, Place, Report, Survey, classify, directory_name, is_json,
    is_reference, steps_of, survey,
};
use super::wire::{self, fields};
use super::{Durability, RecordSink};
use crate::error::{Error, Result};
use crate::image::json::{self, NamedFile, Way, each_named, without};

// The fields of `Record`, and of a row or a summary: its items.
const HISTORY: u32 = 2;
const SUMMARY: u32 = 3;
const FILES: u32 = 6;
const RUN: u32 = 17;
const ITEMS: u32 = 1;

/// What [`repair`] wrote, and what it couldn't.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Repaired {
    /// The directory of the clean run.
    pub dir: PathBuf,
    /// Rows in it.
    pub rows: u64,
    /// Records in it.
    pub records: u64,
    /// Files in it, each compared with the hash that its row says.
    pub files: u64,
    /// What the damaged run names or held, and the clean one doesn't: the first 1,000 things.
    pub missing: Vec<Change>,
    /// How many there are of those in all.
    pub missing_in_all: u64,
    /// What is otherwise than in the damaged run: the first 1,000 things.
    pub changed: Vec<Change>,
    /// How many there are of those in all.
    pub changed_in_all: u64,
    /// Media files that nothing names, and that stay in the damaged run; none where there are none.
    pub left_behind: Option<String>,
    /// What W&B may have of the run already, and what to do before the clean one is synced; none
    /// where no sync began.
    pub uploaded: Option<String>,
    /// What was wrong with the damaged run.
    pub source: Report,
}

/// What is missing or otherwise in a repaired run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// Where in the damaged run.
    #[serde(flatten)]
    pub place: Place,
    /// What, and why.
    pub message: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.to_string() {
            place if place.is_empty() => f.write_str(&self.message),
            place => write!(f, "{place}: {}", self.message),
        }
    }
}

/// Writes a clean run from everything in `run` that is whole, and says what is missing.
///
/// `run` is the directory of a run, or the `.wandb` file in it, and is left as it is. `out` is the
/// directory of the clean run where its name begins with `offline-run-`; else that is made in it,
/// with the name of the damaged one. There must be no directory of that name yet.
///
/// - Records in which nothing has to change are copied as they are, also of types that this crate
///   doesn't know. Those in the middle that can't be read are passed over.
/// - An image, mask or media file that is missing, or that is not what its row says, is taken out
///   of its row, and the rest of the row stays. Of a list of images the others stay.
/// - A file that no `files` record names gets one, so that `wandb sync` uploads it.
/// - A lost run record is made anew, with the run id that the log's name says; then the project
///   and the config are gone, unless later records say them.
/// - Rows keep their steps; one whose step is missing or doesn't rise gets what `wandb sync`
///   would give it.
/// - Rows behind an exit record are kept, since `wandb sync` would lose them: the last exit record
///   comes last. Where there is none, none is made: nobody knows how the run ended, W&B takes it
///   for failed, and it can be resumed.
/// - Links aren't followed out of the run.
/// - Where an image is taken out of a value, `NaN` and the infinities beside it stay.
/// - A file that only the summary names, and that isn't there, stays in the summary: a run that was
///   resumed after a sync has it in its earlier directory.
/// - A record that [`LogReader`](super::reader::LogReader) doesn't read, since it would take too
///   much memory, is left out.
///
/// Where a sync of the damaged run began, W&B has rows of it already, and appends those of the
/// clean one: [`Repaired::uploaded`] says so, and what to do.
///
/// ```
/// use wandb_image::sink::{logged::find_log, repair::repair, verify::verify};
/// # let dir = tempfile::tempdir()?;
///
/// let run = wandb_image::init()
/// #   .dir(dir.path())
///     .start()?;
/// for step in 0..3 {
///     run.log([("loss", 0.5 / f64::from(step + 1))])?;
/// }
/// run.finish()?;
/// let run = run.dir().unwrap();
///
/// let log = find_log(run)?;
/// let mut bytes = std::fs::read(&log)?;
/// let middle = bytes.len() / 2;
/// bytes[middle] ^= 0xFF;
/// std::fs::write(&log, bytes)?;
/// assert!(!verify(run)?.is_sound());
///
/// let repaired = repair(run, dir.path().join("repaired"))?;
/// assert_eq!(repaired.missing.len(), 1);
/// assert!(verify(&repaired.dir)?.is_sound());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Unrepairable`] when nothing is whole, or the clean run would lie in the damaged one,
/// [`Error::RunExists`] when its directory is there, [`Error::Io`] when the system refuses to read
/// or write. What was written by then is removed.
pub fn repair(run: impl AsRef<Path>, out: impl AsRef<Path>) -> Result<Repaired> {
    let (run, out) = (run.as_ref(), out.as_ref());
    let survey = survey(run)?;
    let Some(log) = survey.report.log.clone() else {
        let is_begun = |fault: &Fault| fault.kind == FaultKind::BegunLog;
        let begun = survey.report.faults.iter().any(is_begun);
        return Err(unrepairable(run, if begun { BEGUN_LOG } else { NO_LOG }));
    };
    let target = Target::new(&survey, &log, out);
    target.refuse_inside(run, &survey)?;
    let directory = Directory::create(
        &target.parent,
        &target.name,
        &target.log_id,
        Durability::Process,
    )?;
    let path = directory.path().to_path_buf();
    let repair = Repair::new(survey, directory);
    let repaired = repair.run(&log, &target);
    repaired.inspect_err(|_| remove(&path))
}

/// What is to be said where a sync of the damaged run began.
fn uploaded(log: &Path) -> Option<String> {
    let begun = match Upload::of(log) {
        Upload::Nothing => return None,
        Upload::Part => "a sync of the damaged run began, and has uploaded rows of it",
        Upload::All { .. } => "the damaged run was synced, up to its damage at least",
    };
    Some(format!(
        "{begun}: delete the run on the server before the clean one is synced, since W&B appends \
         rows to those it has, and they would be there twice"
    ))
}

fn left_behind(report: &Report) -> Option<String> {
    let mut faults = report.faults.iter();
    let unnamed = faults.find(|fault| fault.kind == FaultKind::UnnamedFiles)?;
    Some(format!("{}; they stay in the damaged run", unnamed.message))
}

const NO_LOG: &str = "it has no .wandb file: give the directory offline-run-… of a run, or its log";
const BEGUN_LOG: &str = "its log has its temporary name still: give that file, run-….wandb.part";
const NOTHING: &str = "its log holds nothing that is whole, but for its header";

fn unrepairable(run: &Path, reason: &'static str) -> Error {
    Error::Unrepairable {
        path: run.into(),
        reason,
    }
}

/// Where the clean run goes.
struct Target {
    parent: PathBuf,
    name: String,
    /// The run's id as the names of files take it.
    log_id: String,
    run_id: String,
}

impl Target {
    fn new(survey: &Survey, log: &Path, out: &Path) -> Self {
        let named = id_in_name(log);
        let recorded = survey.report.run_id.clone();
        let is_name = |id: &String| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            !id.is_empty() && id.chars().all(is_plain)
        };
        let safe = recorded.clone().filter(is_name);
        let log_id = named.or(safe).unwrap_or_else(|| "repaired".into());
        let run_id = recorded.unwrap_or_else(|| log_id.clone());
        let own = out.file_name().unwrap_or_default().to_string_lossy();
        let (parent, name) = match own.starts_with(OFFLINE) {
            true => (parent_of(out), own.into_owned()),
            false => (out.to_path_buf(), run_name(survey, log, &log_id)),
        };
        Self {
            parent,
            name,
            log_id,
            run_id,
        }
    }

    /// The damaged run is never touched.
    fn refuse_inside(&self, run: &Path, survey: &Survey) -> Result<()> {
        let folder = parent_of(run);
        let is_of_run = |name: String| RUNS.iter().any(|run| name.starts_with(run));
        let place = match run.is_dir() {
            true => run,
            false if is_of_run(directory_name(&folder)) => &folder,
            false => survey.files.dir(),
        };
        let existing = self
            .parent
            .ancestors()
            .find_map(|at| parent_or_dot(at).canonicalize().ok());
        let is_inside = match (existing, place.canonicalize()) {
            (Some(existing), Ok(place)) => existing.starts_with(place),
            _ => false,
        };
        match is_inside {
            true => Err(unrepairable(
                run,
                "the clean run would lie in it: choose another directory",
            )),
            false => Ok(()),
        }
    }
}

/// The id that the name of a log says, also of one that never got its own name.
fn id_in_name(log: &Path) -> Option<String> {
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(LOG_PART).or(name.strip_suffix(".wandb"));
    let id = stem.unwrap_or(&name).strip_prefix("run-")?;
    (!id.is_empty()).then(|| id.into())
}

fn parent_or_dot(path: &Path) -> &Path {
    match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    }
}

fn run_name(survey: &Survey, log: &Path, log_id: &str) -> String {
    let folder = directory_name(&parent_of(log));
    if folder.starts_with(OFFLINE) {
        return folder;
    }
    match folder.strip_prefix("run-") {
        Some(rest) if !rest.is_empty() => format!("{OFFLINE}{rest}"),
        _ => format!("{OFFLINE}{}-{log_id}", started(survey)),
    }
}

/// When the run started, as the names of directories say it; in UTC.
fn started(survey: &Survey) -> String {
    let start = match survey.run.as_deref().map(classify) {
        Some(Class::Known(record)) => match *record {
            RecordType::Run(run) => run.start_time,
            _ => None,
        },
        _ => None,
    };
    let start = start.and_then(|time| jiff::Timestamp::from_second(time.seconds).ok());
    start
        .unwrap_or_default()
        .strftime("%Y%m%d_%H%M%S")
        .to_string()
}

struct Repair {
    survey: Survey,
    directory: Directory,
    repaired: Repaired,
    steps: Steps,
    /// The files that were copied.
    copied: BTreeSet<String>,
    /// Those that the clean run's `files` records name.
    listed: BTreeSet<String>,
    added: u64,
    /// How many records say something that W&B takes.
    usable: u64,
    has_header: bool,
    has_run: bool,
}

impl Repair {
    fn new(survey: Survey, directory: Directory) -> Self {
        let repaired = Repaired {
            dir: directory.path().into(),
            source: survey.report.clone(),
            uploaded: survey.report.log.as_deref().and_then(uploaded),
            left_behind: left_behind(&survey.report),
            ..Repaired::default()
        };
        Self {
            steps: steps_of(survey.run.as_deref()),
            survey,
            directory,
            repaired,
            copied: BTreeSet::new(),
            listed: BTreeSet::new(),
            added: 0,
            usable: 0,
            has_header: false,
            has_run: false,
        }
    }

    fn run(mut self, log: &Path, target: &Target) -> Result<Repaired> {
        self.files()?;
        self.head(target)?;
        self.records(log)?;
        self.tail()?;
        match self.usable {
            0 => Err(unrepairable(&self.survey.report.run, NOTHING)),
            _ => Ok(self.repaired),
        }
    }

    fn missing(&mut self, place: Place, message: impl Into<String>) {
        self.repaired.missing_in_all += 1;
        tell(&mut self.repaired.missing, place, message);
    }

    fn changed(&mut self, place: Place, message: impl Into<String>) {
        self.repaired.changed_in_all += 1;
        tell(&mut self.repaired.changed, place, message);
    }

    fn write(&mut self, record: &[u8]) -> Result<()> {
        self.repaired.records += 1;
        self.directory.append(record)
    }

    fn write_record(&mut self, record: RecordType) -> Result<()> {
        let record = Record {
            record_type: Some(record),
            ..Record::default()
        };
        self.write(&record.encode_to_vec())
    }

    // ---- files ----

    fn files(&mut self) -> Result<()> {
        let survey = &self.survey;
        let only_listed = survey.listed.difference(&survey.broken);
        let wanted: BTreeSet<_> = survey.whole.iter().chain(only_listed).cloned().collect();
        for path in wanted {
            let found = self.survey.files.look(&path).clone();
            match found {
                Stored::File { .. } => self.copy(path, &found)?,
                Stored::Link => self.missing(
                    of_path(path),
                    "the file is a link out of the run, and wasn't followed: copy what it leads to",
                ),
                Stored::Unsafe(reason) => {
                    self.missing(of_path(path), format!("the file, since its path {reason}"));
                }
                _ => self.missing(of_path(path), "the file, since it is not there"),
            }
        }
        self.repaired.files = self.copied.len() as u64;
        Ok(())
    }

    fn copy(&mut self, path: String, expected: &Stored) -> Result<()> {
        let place = self.directory.path().join("files").join(&path);
        let mut to = match create(&place) {
            // Two ways to write one path.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return self.same(path),
            created => created.map_err(|source| io_error("create", &place, source))?,
        };
        let copied = self.survey.files.copy(&path, &mut to);
        if copied == *expected {
            self.copied.insert(path);
            return Ok(());
        }
        fs::remove_file(&place).map_err(|source| io_error("remove", &place, source))?;
        match copied {
            Stored::Unreadable(reason) => {
                let source = io::Error::other(reason);
                Err(io_error("copy the file to", &place, source))
            }
            _ => {
                self.missing(
                    of_path(path),
                    "the file, since it changed while it was copied",
                );
                Ok(())
            }
        }
    }

    /// A file that another path led to already, if it is the same.
    fn same(&mut self, path: String) -> Result<()> {
        let mut clean = Files::new(self.directory.path().join("files"));
        match self.survey.files.known(&path) == Some(clean.look(&path)) {
            true => _ = self.copied.insert(path),
            false => self.missing(of_path(path), "the file, since another has its name here"),
        }
        Ok(())
    }

    // ---- the log ----

    /// The header record, and the run record, before all that needs it.
    fn head(&mut self, target: &Target) -> Result<()> {
        if let Some(header) = self.survey.header.take() {
            self.write(&header)?;
        }
        let run = self.survey.run.take();
        let Some(mut run) = run else {
            let message = format!(
                "a run record was made, with the run id {:?}; what the lost one said of project, \
                 name and config is gone",
                target.run_id
            );
            self.changed(Place::default(), message);
            return self.write_record(RecordType::Run(RunRecord {
                run_id: target.run_id.clone(),
                ..RunRecord::default()
            }));
        };
        if self.repaired.source.run_id.is_none() {
            let message = format!("the run record got the run id {:?}", target.run_id);
            self.changed(Place::default(), message);
            let mut id = Vec::new();
            wire::put(&mut id, 1, target.run_id.as_bytes());
            // Fields that stand twice are merged.
            wire::put(&mut run, RUN, &id);
        }
        self.write(&run)
    }

    fn records(&mut self, log: &Path) -> Result<()> {
        let failed = |source| io_error("read", log, source);
        let file = File::open(log).map_err(failed)?;
        let mut scanner = Scanner::new(file.take(self.survey.len)).map_err(failed)?;
        let mut whole = 0;
        while let Some(found) = scanner.next().map_err(failed)? {
            match found {
                Found::Record(payload) => {
                    whole += 1;
                    self.one(payload, whole)?;
                }
                Found::Damage(damage) => {
                    let bytes = damage.to - damage.from;
                    let message = format!("{bytes} bytes of the log: {}", damage.reason);
                    self.missing(self.place_of(&damage), message);
                }
            }
        }
        Ok(())
    }

    /// As the survey told it; beyond what it tells, the bytes alone.
    fn place_of(&self, damage: &Damage) -> Place {
        let bytes = (Some(damage.from), Some(damage.to));
        let mut places = self.repaired.source.faults.iter().map(|fault| &fault.place);
        let told = places.find(|place| (place.byte, place.to) == bytes);
        told.cloned().unwrap_or(Place {
            byte: bytes.0,
            to: bytes.1,
            ..Place::default()
        })
    }

    fn one(&mut self, payload: Payload, number: u64) -> Result<()> {
        let place = Place {
            byte: Some(payload.start),
            record: Some(number),
            ..Place::default()
        };
        match classify(&payload.bytes) {
            Class::NotProtobuf(reason) => {
                self.missing(place, format!("a record that is none of W&B's: {reason}"));
                Ok(())
            }
            Class::NoType => {
                self.missing(place, "a record without a type");
                Ok(())
            }
            Class::TooLarge(reason) => {
                self.missing(place, format!("a record that isn't read, since {reason}"));
                Ok(())
            }
            Class::Other(_) => self.kept(&payload.bytes),
            Class::Known(record) => self.known(*record, &payload.bytes, place),
        }
    }

    fn kept(&mut self, record: &[u8]) -> Result<()> {
        self.usable += 1;
        self.write(record)
    }

    fn known(&mut self, record: RecordType, bytes: &[u8], place: Place) -> Result<()> {
        match record {
            RecordType::Header(_) if !std::mem::replace(&mut self.has_header, true) => Ok(()),
            RecordType::Run(run) => self.run_record(&run, bytes, place),
            // The last one is written at the end.
            RecordType::Exit(_) => {
                self.usable += 1;
                Ok(())
            }
            RecordType::History(row) => self.row(&row.item, bytes, place),
            RecordType::Summary(summary) => self.summary(&summary.update, bytes, &place),
            RecordType::Files(_) => self.files_record(bytes),
            _ => self.kept(bytes),
        }
    }

    /// The first is written already, those of the same run are updates.
    fn run_record(&mut self, run: &RunRecord, bytes: &[u8], place: Place) -> Result<()> {
        if !std::mem::replace(&mut self.has_run, true) {
            self.usable += 1;
            return Ok(());
        }
        match &self.repaired.source.run_id {
            Some(id) if *id != run.run_id => {
                let message = format!("a run record of another run, {:?}", cut(run.run_id.clone()));
                self.missing(place, message);
                Ok(())
            }
            _ => self.kept(bytes),
        }
    }

    fn row(&mut self, items: &[Item], bytes: &[u8], mut place: Place) -> Result<()> {
        self.repaired.rows += 1;
        let given = step_of(items);
        let step = self.steps.next(given);
        place.step = given.or(Some(step));
        let new_step = (given != Some(step)).then_some(step);
        if new_step.is_some() {
            let message = format!("the row got step {step}, as `wandb sync` would give it");
            self.changed(place.clone(), message);
        }
        self.list(items)?;
        let mut edits = self.edits(items, &place);
        self.told(items, &place, Self::is_gone);
        let step = new_step.or_else(|| take_step(&mut edits).then_some(step));
        if step.is_none() && edits.is_empty() && items.iter().all(is_json) {
            return self.kept(bytes);
        }
        let edited = self.edited(bytes, HISTORY, &mut edits, step, &place);
        self.kept(&edited)
    }

    fn summary(&mut self, items: &[Item], bytes: &[u8], place: &Place) -> Result<()> {
        self.list(items)?;
        let mut edits = self.edits(items, place);
        // What rows name was told with them.
        self.told(items, place, |repair, file| {
            repair.survey.broken_in_summary.contains(&file.path) && repair.is_gone(file)
        });
        if edits.is_empty() && items.iter().all(is_json) {
            return self.kept(bytes);
        }
        let edited = self.edited(bytes, SUMMARY, &mut edits, None, place);
        self.kept(&edited)
    }

    /// Tells which of the files that items name are missing.
    fn told(&mut self, items: &[Item], place: &Place, is_told: impl Fn(&Self, &NamedFile) -> bool) {
        for (key, value) in values_of(items) {
            each_named(&key, &value, &mut |file| {
                if is_told(self, &file) {
                    self.gone(file, place);
                }
            });
        }
    }

    /// Names the row's files for upload, those that aren't.
    fn list(&mut self, items: &[Item]) -> Result<()> {
        let listed = &self.survey.listed;
        let mut paths = BTreeSet::new();
        for (key, value) in values_of(items) {
            each_named(&key, &value, &mut |NamedFile { path, .. }| {
                let is_wanted = self.copied.contains(&path) && !listed.contains(&path);
                paths.extend(is_wanted.then_some(path));
            });
        }
        let new: Vec<_> = paths.difference(&self.listed).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.added += new.len() as u64;
        self.listed.extend(new.iter().cloned());
        let item = |path| FilesItem {
            path,
            policy: 0,
            r#type: FILE_TYPE_MEDIA,
        };
        let files = new.into_iter().map(item).collect();
        self.write_record(RecordType::Files(FilesRecord { files }))
    }

    /// What takes the files that weren't copied out of the items.
    fn edits(&mut self, items: &[Item], place: &Place) -> Edits {
        let mut edits = Edits::new();
        let mixed = LazyCell::new(|| mixed_keys(items));
        for (key, value) in values_with(items, parse_marked) {
            let of_key = without(&key, &value, &|file| self.is_gone(file));
            let of_key = of_key.into_iter().map(|edit| (edit.path, edit.value));
            let of_key: Vec<_> = of_key.collect();
            match !of_key.is_empty() && mixed.contains(&*key) {
                true => self.merged(&key, value, of_key, &mut edits, place),
                false => edits.extend(of_key.into_iter().map(replacement)),
            }
        }
        edits
    }

    /// What is left of a key whose items overwrite one another, in one item: else one that was
    /// overwritten would come back, with the files it names.
    fn merged(
        &mut self,
        key: &str,
        mut value: Value,
        of_key: Vec<(Way, Option<Value>)>,
        edits: &mut Edits,
        place: &Place,
    ) {
        let mut left = true;
        for (path, new) in of_key {
            match (&path[1..], new) {
                ([], Some(new)) => value = new,
                ([], None) => left = false,
                (rest, new) => apply(&mut value, rest, new.as_ref()),
            }
        }
        if left && parse_text(&text_of_marked(&value)).is_none() {
            left = false;
            let place = Place {
                key: Some(key.into()),
                ..place.clone()
            };
            self.missing(place, "a value that is nested too deep");
        }
        edits.extend([replacement((vec![key.into()], left.then_some(value)))]);
    }

    fn is_gone(&self, file: &NamedFile) -> bool {
        if is_reference(&file.path) || self.survey.of_summary.contains(&file.path) {
            return false;
        }
        match self.survey.files.known(&file.path) {
            Some(Stored::File { size, sha256 }) if self.copied.contains(&file.path) => {
                stored::mismatch(file, *size, sha256).is_some()
            }
            Some(_) => true,
            // The survey looked at every file that a value names.
            None => false,
        }
    }

    fn gone(&mut self, file: NamedFile, place: &Place) {
        let why = match self.survey.files.known(&file.path) {
            Some(Stored::File { .. }) => "holds other bytes than its row says",
            Some(Stored::Unsafe(_) | Stored::Link) => "lies outside of the run",
            _ => "is not there",
        };
        let whose = if place.step.is_some() {
            "row"
        } else {
            "summary"
        };
        let place = Place {
            key: Some(file.key),
            path: Some(file.path),
            ..place.clone()
        };
        self.missing(
            place,
            format!("the media file, which {why}; the {whose} keeps its other values"),
        );
    }

    /// The record with the items that are left of its field `number`.
    fn edited(
        &mut self,
        record: &[u8],
        number: u32,
        edits: &mut Edits,
        step: Option<i64>,
        place: &Place,
    ) -> Vec<u8> {
        let message = content(record, number);
        let mut edited = Vec::new();
        for field in fields(&message).flatten() {
            let item = field.content.filter(|_| field.number == ITEMS);
            match item.and_then(|item| Item::decode(item).ok()) {
                None => edited.extend(field.raw),
                Some(item) if step.is_some() && item.path() == [json::STEP] => {}
                Some(item) if !is_json(&item) => self.no_json(&item, place),
                Some(item) => put_item(&mut edited, &item, field.raw, edits),
            }
        }
        if let Some(step) = step {
            put_value(&mut edited, &[json::STEP.into()], step.to_string());
        }
        replaced(record, number, &edited)
    }

    fn no_json(&mut self, item: &Item, place: &Place) {
        let place = Place {
            key: Some(item.path().join(".")),
            ..place.clone()
        };
        self.missing(place, "a value that is no JSON");
    }

    fn files_record(&mut self, bytes: &[u8]) -> Result<()> {
        let message = content(bytes, FILES);
        let is_kept = |field: &wire::Field| {
            let item = field.content.filter(|_| field.number == ITEMS);
            let item = item.and_then(|item| FilesItem::decode(item).ok());
            item.is_none_or(|item| self.copied.contains(&item.path))
        };
        let all: Vec<_> = fields(&message).flatten().collect();
        let kept: Vec<_> = all.iter().filter(|field| is_kept(field)).collect();
        if kept.is_empty() {
            self.usable += 1;
            return Ok(());
        }
        if kept.len() == all.len() {
            return self.kept(bytes);
        }
        let raw: Vec<&[u8]> = kept.iter().map(|field| field.raw).collect();
        self.kept(&replaced(bytes, FILES, &raw.concat()))
    }

    fn tail(&mut self) -> Result<()> {
        if self.added > 0 {
            let message = format!(
                "`files` records were added for {} files, which `wandb sync` uploads now",
                self.added
            );
            self.changed(Place::default(), message);
        }
        for fault in &self.repaired.source.faults {
            let message = match fault.kind {
                FaultKind::BeforeRun => "the run record was put first",
                FaultKind::AfterExit => "the exit record was put last",
                _ => continue,
            };
            let place = fault.place.clone();
            self.repaired.changed_in_all += 1;
            tell(&mut self.repaired.changed, place, message);
        }
        if let Some(exit) = self.survey.exit.take() {
            self.write(&exit)?;
        }
        self.directory.flush()
    }
}

fn tell(told: &mut Vec<Change>, place: Place, message: impl Into<String>) {
    if told.len() < MAX_TOLD {
        let (place, message) = (place.cut(), message.into());
        told.push(Change { place, message });
    }
}

fn of_path(path: String) -> Place {
    Place {
        path: Some(path),
        ..Place::default()
    }
}

fn create(place: &Path) -> io::Result<File> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(place)
}

/// The content of a message within a record; one that stands there twice is one.
fn content(record: &[u8], number: u32) -> Vec<u8> {
    let fields = fields(record).flatten();
    let own = fields.filter(|field| field.number == number);
    own.filter_map(|field| field.content)
        .collect::<Vec<_>>()
        .concat()
}

/// The record with other content of that message, its other fields as they are.
fn replaced(record: &[u8], number: u32, content: &[u8]) -> Vec<u8> {
    let mut new = Vec::new();
    for field in fields(record)
        .flatten()
        .filter(|field| field.number != number)
    {
        new.extend(field.raw);
    }
    wire::put(&mut new, number, content);
    new
}

/// The changes of a record's values, by the ways to them; none lies in another.
type Edits = BTreeMap<Way, Replaced>;

/// What stands in the place of a value; it is put where the first of its leaves was.
struct Replaced {
    value: Option<Value>,
    is_put: bool,
}

impl Replaced {
    fn new(value: Option<Value>) -> Self {
        let is_put = false;
        Self { value, is_put }
    }
}

fn replacement((path, value): (Way, Option<Value>)) -> (Way, Replaced) {
    (path, Replaced::new(value))
}

/// The keys with items whose ways lie in one another's, such that a later one overwrites.
fn mixed_keys(items: &[Item]) -> BTreeSet<&str> {
    let is_read = |item: &&Item| item.nested_key.len() <= MAX_NESTING;
    let mut ways: Vec<_> = items.iter().filter(is_read).map(Item::path).collect();
    ways.sort_unstable();
    // What a way begins is sorted right behind it.
    let pairs = ways.windows(2).filter(|pair| pair[1].starts_with(&pair[0]));
    pairs.map(|pair| pair[0][0]).collect()
}

/// Takes out all that stands at the step but the step itself, where an edit concerns it.
fn take_step(edits: &mut Edits) -> bool {
    let before = edits.len();
    edits.retain(|way, _| &*way[0] != json::STEP);
    let is_edited = edits.len() < before;
    if is_edited {
        edits.extend([replacement((vec![json::STEP.into()], None))]);
    }
    is_edited
}

/// Puts what is left of an item: itself as it stands, where no edit concerns it.
fn put_item(to: &mut Vec<u8>, item: &Item, raw: &[u8], edits: &mut Edits) {
    if edits.is_empty() || item.nested_key.len() > MAX_NESTING {
        return to.extend(raw);
    }
    let way: Way = item.path().into_iter().map(Into::into).collect();
    let above = (1..=way.len()).find(|&length| edits.contains_key(&way[..length]));
    if let Some(above) = above {
        return put_replaced(to, &way[..above], edits);
    }
    let from = (Bound::Excluded(&way[..]), Bound::Unbounded);
    let below = edits.range::<[Arc<str>], _>(from);
    let mut below = below
        .take_while(|(path, _)| path.starts_with(&way))
        .peekable();
    match below.peek().and_then(|_| parse_marked(item)) {
        None => to.extend(raw),
        Some(mut value) => {
            for (path, edit) in below {
                apply(&mut value, &path[way.len()..], edit.value.as_ref());
            }
            put_value(to, &way, text_of_marked(&value));
        }
    }
}

fn put_replaced(to: &mut Vec<u8>, path: &[Arc<str>], edits: &mut Edits) {
    let Some(edit) = edits.get_mut(path) else {
        return;
    };
    if !std::mem::replace(&mut edit.is_put, true)
        && let Some(value) = &edit.value
    {
        put_value(to, path, text_of_marked(value));
    }
}

fn put_value(to: &mut Vec<u8>, way: &[Arc<str>], value_json: String) {
    let nested_key = way.iter().map(ToString::to_string).collect();
    let item = Item {
        nested_key,
        value_json,
        ..Item::default()
    };
    wire::put(to, ITEMS, &item.encode_to_vec());
}

fn apply(value: &mut Value, way: &[Arc<str>], new: Option<&Value>) {
    let Value::Object(map) = value else {
        return;
    };
    match way {
        [] => {}
        [last] => set(map, last, new),
        [first, rest @ ..] => {
            if let Some(child) = map.get_mut(&**first) {
                apply(child, rest, new);
            }
        }
    }
}

fn set(map: &mut Map<String, Value>, key: &str, new: Option<&Value>) {
    match new {
        Some(new) => _ = map.insert(key.into(), new.clone()),
        None => _ = map.remove(key),
    }
}
