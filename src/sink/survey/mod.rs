//! A first way through a run on disk: what it holds, and what is wrong with it.

mod artifacts;
mod directory;
mod log;
mod media;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prost::Message;

pub(super) use artifacts::{client_of, name as artifact_name};
pub(crate) use directory::is_live_log;
pub(super) use directory::is_locked;

use super::artifacts::{ArtifactFiles, Limits};
use super::fault::{Fault, FaultKind, MAX_TOLD, Place};
use super::logged::{Steps, logs_of, named_as, parse};
use super::names::{LOG_PART, id_in_name, parent_of, real_name};
use super::records::{Item, Record, RecordType};
use super::resumed::Upload;
use super::stored::Files;
use super::verify::Report;
use super::{Md5, weight, wire};
use crate::error::Result;
use crate::image::json::NamedFile;

/// What a run holds, found on a first way through it.
pub(super) struct Survey {
    pub(super) report: Report,
    pub(super) files: Files,
    pub(super) artifacts: ArtifactFiles,
    /// What of the run was uploaded.
    upload: Upload,
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
    /// Tables that rows and summaries name, by the paths of their files.
    tables: BTreeMap<String, Table>,
    /// The artifacts that repair leaves out, by the numbers of their records: why, of the first.
    pub(super) left_out: BTreeMap<u64, Option<String>>,
    /// The records of those whose files aren't all known: repair keeps them as they stand.
    pub(super) unread_artifacts: BTreeSet<u64>,
    /// Whether repair brings files of artifacts to the clean run.
    pub(super) brings_artifacts: bool,
    /// The hashes of the client ids of those left out whose tables go with them.
    clients_left_out: BTreeSet<Md5>,
    /// The files of tables that are there, and whose values go with their artifacts.
    pub(super) without_artifact: BTreeSet<String>,
    /// Media files that nothing names.
    pub(super) left_behind: Option<String>,
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

/// A table that a row names, or the summary alone.
struct Table {
    /// The hash of its artifact's client id, which may be as long as a record.
    client: Md5,
    is_in_row: bool,
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
    survey_within(run, Limits::default())
}

pub(super) fn survey_within(run: &Path, limits: Limits) -> Result<Survey> {
    let logs = logs_of(run)?;
    let log = own_log(run, &logs);
    let folder = log.map_or_else(|| run.into(), parent_of);
    let mut survey = Survey::new(run, &folder, limits);
    let begun = log.is_none().then(|| begun_log(run)).transpose()?.flatten();
    match begun {
        Some(begun) => survey.begun_log(&begun),
        None => survey.log_files(&logs, log),
    }
    if let Some(log) = log {
        survey.report.log = Some(log.into());
        survey.upload = Upload::of(log);
        survey.directory(&folder, log);
        survey.read(log)?;
        if survey.report.records == 0 {
            let is_of_run = |fault: &Fault| fault.kind != FaultKind::NotOffline;
            survey.report.faults.retain(is_of_run);
        }
        survey.end();
    }
    survey.count_the_others();
    Ok(survey)
}

/// The log to look into: that which is named as the directory is, else the first.
fn own_log<'a>(run: &Path, logs: &'a [PathBuf]) -> Option<&'a Path> {
    let directory = real_name(run);
    let is_own =
        |log: &&PathBuf| id_in_name(log).is_some_and(|id| directory.ends_with(&format!("-{id}")));
    let own = logs.iter().find(is_own).or(logs.first());
    own.map(PathBuf::as_path)
}

/// A log that never got its own name.
pub(crate) fn begun_log(run: &Path) -> Result<Option<PathBuf>> {
    let mut begun = named_as(run, "part")?;
    begun.retain(|path| real_name(path).ends_with(LOG_PART));
    Ok(begun.pop())
}

impl Survey {
    fn new(run: &Path, folder: &Path, limits: Limits) -> Self {
        Self {
            report: Report {
                run: run.into(),
                ..Report::default()
            },
            files: Files::new(folder.join("files")),
            artifacts: ArtifactFiles::new(folder.into(), limits),
            upload: Upload::Nothing,
            len: 0,
            header: None,
            run: None,
            exit: None,
            listed: BTreeSet::new(),
            whole: BTreeSet::new(),
            broken: BTreeSet::new(),
            of_summary: BTreeSet::new(),
            broken_in_summary: BTreeSet::new(),
            tables: BTreeMap::new(),
            left_out: BTreeMap::new(),
            unread_artifacts: BTreeSet::new(),
            brings_artifacts: false,
            clients_left_out: BTreeSet::new(),
            without_artifact: BTreeSet::new(),
            left_behind: None,
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
        self.artifacts_at_end();
        self.tables_at_end();
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
