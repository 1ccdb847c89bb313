//! Writes a clean run from everything in a damaged one that is whole.

mod artifacts;
mod edits;
mod files;
mod rows;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use prost::Message;
use serde::Serialize;

use super::artifacts::Elsewhere;
use super::digest::{DigestAlgorithm, FileDigest};
use super::directory::{Directory, remove};
use super::fault::{Fault, FaultKind, MAX_TOLD, Place, cut, placed};
use super::framing::FILE_HEADER;
use super::log::io_error;
use super::logged::{Steps, what_to_give};
use super::names::RUNS;
use super::records::{FilesItem, Record, RecordType, RunRecord};
use super::resumed::Upload;
use super::scan::{Damage, Found, NO_HEADER, Payload, Scanner};
use super::survey::{Class, Survey, classify, steps_of, survey};
use super::verify::Report;
use super::wire::{self, fields};
use super::{Durability, RecordSink, Staging};
use crate::error::{Error, Result};
use edits::{ITEMS, content, replaced};
use target::Target;

// The fields of `Record`.
const HISTORY: u32 = 2;
const SUMMARY: u32 = 3;
const FILES: u32 = 6;
const RUN: u32 = 17;

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
    /// Artifacts in it, those of tables too.
    pub artifacts: u64,
    /// Artifacts of the damaged run that aren't in it: each is among what is missing.
    pub artifacts_left_out: u64,
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
        placed(f, &self.place, &self.message)
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
/// - The files of artifacts come into the clean run, and its records say where. Those that lie in the
///   damaged run, also where it was moved or copied, are linked where the disk has links; those that
///   lie elsewhere, as the Python SDK's, are copied. Only such are brought as are byte by byte what the
///   log says, by their length and their MD5 or XXH128, and of lists of files elsewhere those that have
///   the digest of their artifact: so a log that somebody else wrote brings no file whose digest its
///   writer didn't know. Beyond the 16 GiB that [`verify`](super::verify::verify) reads outside of the
///   run, files stay where they are, and so do those with relative paths, which the Python SDK has for
///   `policy="immutable"`; that is among what is changed.
/// - An artifact of which a file is gone, can't be read or was changed, or the digest of which isn't
///   that of its files, is left out, and a table of it is taken out of its row; the table's own file
///   stays. So is one whose files, or whose list of them elsewhere, can't be compared, since its
///   digests are of a kind that isn't known here, or since it has none. Where the run was synced and
///   files are gone, the table stays in its row too, since W&B has them.
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
/// [`Error::Unrepairable`] when nothing is whole, when the clean run would lie in the damaged one, or
/// when files of artifacts are to be brought to one whose path isn't UTF-8,
/// [`Error::RunExists`] when its directory is there, [`Error::Io`] when the system refuses to read
/// or write. What was written by then is removed.
pub fn repair(run: impl AsRef<Path>, out: impl AsRef<Path>) -> Result<Repaired> {
    let run = run.as_ref();
    write(survey(run)?, run, out.as_ref())
}

/// Writes the clean run of what was found.
fn write(survey: Survey, run: &Path, out: &Path) -> Result<Repaired> {
    let Some(log) = survey.report.log.clone() else {
        let is_begun = |fault: &Fault| fault.kind == FaultKind::BegunLog;
        let begun = survey.report.faults.iter().any(is_begun);
        return Err(match begun {
            true => unrepairable(run, BEGUN_LOG),
            false => unrepairable(run, no_log(run)),
        });
    };
    let target = Target::new(&survey, &log, out);
    target.refuse_inside(run, &survey)?;
    target.refuse_unnameable(run, &survey)?;
    let is_new = !target.parent.exists();
    let directory = Directory::create(
        &target.parent,
        &target.name,
        &target.log_id,
        Durability::Process,
    )?;
    let path = directory.path().to_path_buf();
    let repair = Repair::new(survey, directory, target.run_id.clone());
    let repaired = repair.run(&log, &target);
    repaired.inspect_err(|_| {
        remove(&path);
        if is_new {
            // One that is not empty is somebody else's by now.
            let _ = fs::remove_dir(&target.parent);
        }
    })
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

const BEGUN_LOG: &str = "its log has its temporary name still: give that file, run-….wandb.part";
const NOTHING: &str = "its log holds no record that is whole";

fn no_log(run: &Path) -> String {
    format!("it has no .wandb file: {}", what_to_give(run, &RUNS))
}

fn unrepairable(run: &Path, reason: impl Into<String>) -> Error {
    Error::Unrepairable {
        path: run.into(),
        reason: reason.into(),
    }
}

struct Repair {
    survey: Survey,
    directory: Directory,
    /// The clean run's.
    run_id: String,
    repaired: Repaired,
    steps: Steps,
    /// The files that were copied.
    copied: BTreeSet<String>,
    /// Where the lists of artifacts' files are in the clean run, by where they were; or why not.
    lists: BTreeMap<(Option<DigestAlgorithm>, PathBuf), std::result::Result<String, String>>,
    /// Where files of artifacts are in the clean run, by their digests.
    brought: BTreeMap<FileDigest, String>,
    /// Those of them that lay outside of the damaged run's directory.
    from_outside: Elsewhere,
    /// Those that the clean run names there.
    left_outside: Elsewhere,
    /// Those that have relative paths.
    relative: Elsewhere,
    /// What is on its way to the clean run, in the folder beside it; none before the first.
    staging: Option<Rc<Staging>>,
    /// Those that the clean run's `files` records name.
    listed: BTreeSet<String>,
    added: u64,
    /// How many records say something that W&B takes.
    usable: u64,
    has_header: bool,
    has_run: bool,
}

impl Repair {
    fn new(mut survey: Survey, directory: Directory, run_id: String) -> Self {
        survey.artifacts.begin_again();
        let repaired = Repaired {
            dir: directory.path().into(),
            source: survey.report.clone(),
            uploaded: survey.report.log.as_deref().and_then(uploaded),
            left_behind: survey.left_behind.clone(),
            ..Repaired::default()
        };
        Self {
            steps: steps_of(survey.run.as_deref()),
            survey,
            directory,
            run_id,
            repaired,
            copied: BTreeSet::new(),
            lists: BTreeMap::new(),
            brought: BTreeMap::new(),
            from_outside: Elsewhere::default(),
            left_outside: Elsewhere::default(),
            relative: Elsewhere::default(),
            staging: None,
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
        if lacks_run_id(&run) {
            let message = format!("the run record got the run id {:?}", target.run_id);
            self.changed(Place::default(), message);
            self.put_run_id(&mut run);
        }
        self.write(&run)
    }

    /// Fields that stand twice are merged.
    fn put_run_id(&self, run: &mut Vec<u8>) {
        let mut id = Vec::new();
        wire::put(&mut id, 1, self.run_id.as_bytes());
        wire::put(run, RUN, &id);
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
                Found::Damage(damage) if is_header(&damage) => {
                    self.changed(self.place_of(&damage), "the log got a new header");
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
        told.cloned()
            .unwrap_or_else(|| Place::of_bytes(damage.from, damage.to))
    }

    fn one(&mut self, payload: Payload, number: u64) -> Result<()> {
        let place = Place::of_record(payload.start, number);
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
            RecordType::Artifact(artifact) => self.artifact(&artifact, bytes, place),
            _ => self.kept(bytes),
        }
    }

    /// The first is written already, those of the same run are updates.
    fn run_record(&mut self, run: &RunRecord, bytes: &[u8], place: Place) -> Result<()> {
        if !std::mem::replace(&mut self.has_run, true) {
            self.usable += 1;
            return Ok(());
        }
        if run.run_id == self.run_id {
            return self.kept(bytes);
        }
        if run.run_id.is_empty() && self.repaired.source.run_id.is_none() {
            let mut update = bytes.to_vec();
            self.put_run_id(&mut update);
            return self.kept(&update);
        }
        let message = format!("a run record of another run, {:?}", cut(run.run_id.clone()));
        self.missing(place, message);
        Ok(())
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
        self.artifacts_at_end();
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

/// Whether nothing but the file's header is damaged.
fn is_header(damage: &Damage) -> bool {
    damage.reason == NO_HEADER && damage.to == FILE_HEADER.len() as u64
}

fn lacks_run_id(record: &[u8]) -> bool {
    let run = RunRecord::decode(&*content(record, RUN));
    run.is_ok_and(|run| run.run_id.is_empty())
}

fn tell(told: &mut Vec<Change>, place: Place, message: impl Into<String>) {
    if told.len() < MAX_TOLD {
        let (place, message) = (place.cut(), message.into());
        told.push(Change { place, message });
    }
}
