//! A sink that keeps everything in memory: for tests of code that logs.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::log::io_error;
use super::records::{HistoryRecord, Record, RecordType};
use super::{FilePlace, Md5, RecordSink, StagedFile};
use crate::error::Result;

/// Keeps what a run writes in memory. A clone shares it.
///
/// ```
/// use wandb_image::sink::MemorySink;
///
/// let sink = MemorySink::new();
/// let run = wandb_image::init().start_on(sink.clone())?;
/// run.log([("loss", 0.5)])?;
/// run.finish()?;
///
/// let rows = sink.rows();
/// assert_eq!(rows.len(), 1);
/// assert!(rows[0].item.iter().any(|item| item.key == "loss" && item.value_json == "0.5"));
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    kept: Arc<Mutex<AllKept>>,
}

#[derive(Debug, Default)]
struct AllKept {
    all: Vec<Kept>,
    /// Those of the media files.
    paths: HashSet<String>,
}

/// A media file that a [`MemorySink`] was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaFile {
    /// Relative to the run's `files/`, with slashes.
    pub path: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// What a [`MemorySink`] was given.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there are few, in tests")]
pub enum Kept {
    /// A media file.
    Media(MediaFile),
    /// A record.
    Record(Record),
}

impl MemorySink {
    /// Holds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Files and records, in the order in which they came.
    pub fn kept(&self) -> Vec<Kept> {
        self.lock().all.clone()
    }

    /// The media files.
    pub fn files(&self) -> Vec<MediaFile> {
        let file = |kept: &Kept| match kept {
            Kept::Media(file) => Some(file.clone()),
            Kept::Record(_) => None,
        };
        self.lock().all.iter().filter_map(file).collect()
    }

    /// The records.
    pub fn records(&self) -> Vec<RecordType> {
        let record = |kept: &Kept| match kept {
            Kept::Media(_) => None,
            Kept::Record(record) => record.record_type.clone(),
        };
        self.lock().all.iter().filter_map(record).collect()
    }

    /// The rows of the history.
    pub fn rows(&self) -> Vec<HistoryRecord> {
        let row = |record| match record {
            RecordType::History(row) => Some(row),
            _ => None,
        };
        self.records().into_iter().filter_map(row).collect()
    }

    fn has(&self, path: &str) -> bool {
        self.lock().paths.contains(path)
    }

    fn lock(&self) -> MutexGuard<'_, AllKept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordSink for MemorySink {
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut kept = self.lock();
        if kept.paths.insert(path.into()) {
            let (path, bytes) = (path.into(), bytes.into());
            kept.all.push(Kept::Media(MediaFile { path, bytes }));
        }
        Ok(())
    }

    /// Keeps its bytes: those of a media file as such, those of an artifact's under the path that
    /// it would have in a run's directory.
    fn take_file(&mut self, file: &StagedFile<'_>) -> Result<PathBuf> {
        let path = match file.place {
            FilePlace::Media(path) => path.into(),
            place => place.path(),
        };
        file.check()?;
        if !self.has(&path) {
            let bytes = std::fs::read(file.from);
            let bytes = bytes.map_err(|source| io_error("read", file.from, source))?;
            file.compare(Md5::of(&bytes))?;
            self.media(&path, &bytes)?;
        }
        Ok(path.into())
    }

    fn record(&mut self, record: &Record) -> Result<()> {
        self.lock().all.push(Kept::Record(record.clone()));
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
