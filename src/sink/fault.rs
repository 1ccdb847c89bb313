//! What can be wrong with a run on disk.

use std::fmt;

use serde::Serialize;

/// What is wrong with a run, or worth a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The directory has no `.wandb` file.
    NoLog,
    /// There is no log but one that never got its own name.
    BegunLog,
    /// The directory has more than one `.wandb` file.
    SeveralLogs,
    /// The log has no record.
    EmptyLog,
    /// The log doesn't begin as W&B's do.
    NoHeader,
    /// The log ends within a record.
    TornEnd,
    /// A stretch in the middle of the log can't be read.
    Unreadable,
    /// A record whose checksum is right is no protobuf message of W&B's.
    NotProtobuf,
    /// A record has no type.
    NoType,
    /// A record would take too much memory, or a key in it is too long: see
    /// [`LogReader`](super::reader::LogReader), under "Limits".
    TooLarge,
    /// A record of a type that wandb 0.31.0 doesn't know, and at which its `wandb sync` panics. A
    /// note, since whichever wandb wrote it knows it.
    UnknownType,
    /// There is no run record.
    NoRun,
    /// The run record has no run id.
    NoRunId,
    /// A second run record names another run.
    OtherRun,
    /// Something stands before the run record.
    BeforeRun,
    /// Something follows the exit record.
    AfterExit,
    /// There is no exit record. A note.
    NoExit,
    /// A row has no step.
    NoStep,
    /// The step of a row doesn't rise.
    StepNotRising,
    /// A value of a row is no JSON.
    InvalidJson,
    /// A media file is not there.
    MissingFile,
    /// A media file can't be read, or is no file.
    UnreadableFile,
    /// A media file that the summary alone names is not there. A note.
    SummaryFile,
    /// A media file is longer or shorter than its row says.
    WrongSize,
    /// A media file holds other bytes than its row says.
    WrongHash,
    /// The path of a file leads out of the run.
    UnsafePath,
    /// A link leads out of the run.
    Link,
    /// No `files` record names a media file.
    NotListed,
    /// A `files` record names a file that is not there, or can't be read. A note.
    ListedMissing,
    /// Masks or boxes have no names of classes. A note.
    NoClassLabels,
    /// A file of an artifact is not there.
    ArtifactMissing,
    /// A file of an artifact can't be read, or is no file.
    ArtifactUnreadable,
    /// A file of an artifact isn't what it was when it was logged.
    ArtifactChanged,
    /// The list of an artifact's files is longer than is read, so that nothing is known of them. A
    /// note.
    ArtifactUnread,
    /// There is nothing to compare the files of an artifact with, or the list of them that lies
    /// outside of the run's directory: repair leaves it out. A note.
    ArtifactUncompared,
    /// The digest of an artifact isn't that of the files that it names.
    ArtifactDigest,
    /// The files of an artifact lie in the run, but its record says where the run was before.
    ArtifactMoved,
    /// Files of artifacts that lie outside of the run's directory. A note.
    ArtifactOutside,
    /// Files of artifacts with relative paths, which lead to them from one folder alone. A note.
    ArtifactRelative,
    /// A temporary file was left. A note.
    TemporaryFile,
    /// Media files that no row names. A note.
    UnnamedFiles,
    /// The run was synced already. A note.
    Synced,
    /// The run is being written. A note.
    BeingWritten,
    /// `wandb sync` takes the directory for that of an online run. A note.
    NotOffline,
}

impl FaultKind {
    /// Whether W&B gets all of the run nevertheless.
    pub fn is_note(self) -> bool {
        matches!(
            self,
            Self::UnknownType
                | Self::NoExit
                | Self::SummaryFile
                | Self::ListedMissing
                | Self::NoClassLabels
                | Self::ArtifactUnread
                | Self::ArtifactUncompared
                | Self::ArtifactOutside
                | Self::ArtifactRelative
                | Self::TemporaryFile
                | Self::UnnamedFiles
                | Self::Synced
                | Self::BeingWritten
                | Self::NotOffline
        )
    }
}

/// Where in a run something is, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// The first byte in the log.
    pub byte: Option<u64>,
    /// The byte after the last.
    pub to: Option<u64>,
    /// Which of the whole records it is, the first being 1.
    pub record: Option<u64>,
    /// The step of the row.
    pub step: Option<i64>,
    /// The step of the last row before a stretch of the log that can't be read.
    pub after_step: Option<i64>,
    /// The step of the first row behind it.
    pub before_step: Option<i64>,
    /// The key in the row. That of a mask or boxes goes on after its image's, joined by dots.
    pub key: Option<String>,
    /// The file, relative to the run's `files/`.
    pub path: Option<String>,
}

/// Something that is wrong with a run, or worth a word.
///
/// Its text, from `Display`, says where it is, what was expected, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// What it is.
    pub kind: FaultKind,
    /// Whether W&B gets all of the run nevertheless.
    pub is_note: bool,
    /// How many it stands for: 1, but for the last of a kind that is found over 1,000 times.
    pub count: u64,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// What was found, what was expected, and what to do.
    pub message: String,
}

impl Fault {
    pub(super) fn new(kind: FaultKind, place: Place, message: impl Into<String>) -> Self {
        Self {
            kind,
            is_note: kind.is_note(),
            count: 1,
            place: place.cut(),
            message: message.into(),
        }
    }

    /// What stands for those of a kind that aren't told.
    pub(super) fn more(kind: FaultKind, count: u64) -> Self {
        let message = format!("and {count} more of this kind, which are not told each");
        let more = Self::new(kind, Place::default(), message);
        Self { count, ..more }
    }
}

/// How many things of a kind are told; the others are counted.
pub(super) const MAX_TOLD: usize = 1000;

/// The longest key and path of a place, in bytes.
pub(super) const MAX_NAME: usize = 1024;

impl Place {
    pub(super) fn of_bytes(from: u64, to: u64) -> Self {
        Self {
            byte: Some(from),
            to: Some(to),
            ..Self::default()
        }
    }

    pub(super) fn of_record(byte: u64, record: u64) -> Self {
        Self {
            byte: Some(byte),
            record: Some(record),
            ..Self::default()
        }
    }

    pub(super) fn of_path(path: String) -> Self {
        Self {
            path: Some(path),
            ..Self::default()
        }
    }

    /// The same with names that can be shown, and kept.
    pub(super) fn cut(self) -> Self {
        Self {
            key: self.key.map(cut),
            path: self.path.map(cut),
            ..self
        }
    }
}

/// The beginning of a name that is too long.
pub(super) fn cut(name: String) -> String {
    cut_to(MAX_NAME, name)
}

pub(super) fn cut_to(length: usize, name: String) -> String {
    if name.len() <= length {
        return name;
    }
    let whole = (0..=length).rev().find(|&at| name.is_char_boundary(at));
    format!("{}…", &name[..whole.unwrap_or_default()])
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match (self.byte, self.to) {
            (Some(from), Some(to)) => Some(format!("bytes {from} to {to}")),
            (Some(at), None) => Some(format!("byte {at}")),
            _ => None,
        };
        let around = match (self.after_step, self.before_step) {
            (Some(after), Some(before)) if before == after.saturating_add(1) => Some(format!(
                "between steps {after} and {before}, which follow one another"
            )),
            (Some(after), Some(before)) => Some(format!("between steps {after} and {before}")),
            (Some(after), None) => Some(format!("after step {after}")),
            (None, Some(before)) => Some(format!("before step {before}")),
            (None, None) => None,
        };
        let parts = [
            self.step.map(|step| format!("step {step}")),
            around,
            self.key.as_ref().map(|key| format!("{key:?}")),
            self.path.clone(),
            self.record.map(|record| format!("record {record}")),
            bytes,
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        placed(f, &self.place, &self.message)
    }
}

/// A message behind its place, where one is known.
pub(super) fn placed(f: &mut fmt::Formatter<'_>, place: &Place, message: &str) -> fmt::Result {
    match place.to_string() {
        place if place.is_empty() => f.write_str(message),
        place => write!(f, "{place}: {message}"),
    }
}
