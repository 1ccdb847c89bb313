//! From rows to records and files, in order.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use super::clock::{Clock, Moment};
use super::items::{leaves, whole};
use super::notice::Notices;
use super::queue::{Failure, Outcome};
use super::row::{Prepared, PreparedImage, PreparedRow};
use super::summary::Summary;
use crate::error::Result;
use crate::image::json::{self, LoggedImage};
use crate::sink::records::{
    ConfigRecord, EnvironmentRecord, FILE_TYPE_MEDIA, FilesItem, FilesRecord, HeaderRecord,
    HistoryRecord, HistoryStep, Item, Record, RecordInfo, RecordType, RunExitRecord, RunRecord,
};
use crate::sink::{MediaKey, RecordSink};
use crate::value::Json;

/// Writes what the queue gives it. Each call leaves it whole, also where it fails.
pub(crate) struct Writer {
    sink: Box<dyn RecordSink>,
    clock: Clock,
    run_id: String,
    /// The number of the last record.
    num: i64,
    summary: Summary,
    notices: Notices,
    last_files: LastFiles,
    bytes_written: u64,
    has_exit: bool,
}

/// The files that the last row with each key names.
type LastFiles = BTreeMap<String, Vec<LoggedImage>>;

impl Writer {
    pub(crate) fn new(sink: Box<dyn RecordSink>, clock: Clock, run_id: String) -> Self {
        Self {
            sink,
            clock,
            run_id,
            num: 0,
            summary: Summary::default(),
            notices: Notices::default(),
            last_files: LastFiles::new(),
            bytes_written: 0,
            has_exit: false,
        }
    }

    pub(crate) fn begin(
        &mut self,
        header: HeaderRecord,
        run: RunRecord,
        environment: EnvironmentRecord,
    ) -> Result<()> {
        self.record(RecordType::Header(header))?;
        self.record(RecordType::Run(run))?;
        self.record(RecordType::Environment(environment))
    }

    /// Writes a row: the files first, then the record that they are there, then the row that
    /// names them. A file that the disk refuses is left out of its row. Also returns what is to
    /// be said of the pictures.
    pub(super) fn row(&mut self, row: &PreparedRow) -> (Outcome, Vec<String>) {
        let before = self.bytes_written;
        // Where the row fails, or panics, no record may have named its files.
        let mut files = Files {
            last: std::mem::take(&mut self.last_files),
            ..Files::default()
        };
        let placed: Vec<_> = row
            .values
            .iter()
            .filter_map(|(key, value)| {
                Some((&**key, self.place(key, value, row.step, &mut files)?))
            })
            .collect();
        let result = self
            .name_files(files.named)
            .and_then(|()| self.history(row, placed));
        if result.is_ok() {
            self.last_files = files.last;
        }
        let outcome = Outcome {
            pictures_failed: files.failed,
            pictures_written: files.written,
            bytes_written: self.bytes_written - before,
            ..result.map_or_else(
                |error| Outcome::failed(row.step, error),
                |()| Outcome::default(),
            )
        };
        let sayings = self.notices.observe(&row.values);
        (outcome, sayings)
    }

    /// The value's JSON, its files written. None where all of them were refused.
    fn place(&mut self, key: &str, value: &Prepared, step: u64, files: &mut Files) -> Option<Json> {
        let (media_key, images) = match value {
            Prepared::Json(json) => return Some(json.clone()),
            Prepared::Image(media_key, image) => (media_key, std::slice::from_ref(image)),
            Prepared::Images(media_key, images) => (media_key, &images[..]),
        };
        let last = files.last.remove(key).unwrap_or_default();
        let mut placed = Vec::new();
        for image in images {
            let logged = logged(media_key, image, step, &last);
            let is_there = last
                .iter()
                .chain(&placed)
                .any(|other| other.path == logged.path);
            match self.file(&logged.path, image, is_there) {
                Ok(()) => {
                    files.written += 1;
                    if !is_there {
                        files.named.insert(logged.path.clone());
                    }
                    placed.push(logged);
                }
                Err(error) => files
                    .failed
                    .push(Failure::of_picture(&key.into(), step, error)),
            }
        }
        let json = match (value, placed.first()) {
            (_, None) => None,
            (Prepared::Image(..), Some(image)) => Some(json::image(image)),
            _ => Some(json::images(&placed)),
        };
        files.last.insert(key.into(), placed);
        json
    }

    fn file(&mut self, path: &str, image: &PreparedImage, is_there: bool) -> Result<()> {
        if is_there {
            return Ok(());
        }
        self.sink.media(path, &image.bytes)?;
        self.bytes_written += image.bytes.len() as u64;
        Ok(())
    }

    fn name_files(&mut self, paths: BTreeSet<String>) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        self.record(RecordType::Files(files_record(paths)))
    }

    fn history(&mut self, row: &PreparedRow, mut values: Vec<(&str, Json)>) -> Result<()> {
        values.extend(own_values(row.step, row.logged));
        let values: Vec<_> = values
            .iter()
            .map(|(key, json)| (*key, leaves(key, json)))
            .collect();
        let item = values
            .iter()
            .flat_map(|(_, leaves)| leaves.clone())
            .collect();
        self.record(RecordType::History(HistoryRecord {
            item,
            step: Some(HistoryStep {
                num: row.step.cast_signed(),
            }),
        }))?;
        for (key, leaves) in values.into_iter().filter(|(_, leaves)| !is_null(leaves)) {
            self.summary.set(key, leaves);
        }
        Ok(())
    }

    pub(super) fn set_summary(&mut self, key: &str, value: &Json) {
        self.summary.set(key, leaves(key, value));
    }

    pub(super) fn set_config(&mut self, key: &str, value: &Json) -> Result<()> {
        self.record(RecordType::Config(ConfigRecord {
            update: vec![whole(key, value)],
            ..ConfigRecord::default()
        }))
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        if self.summary.changed() {
            self.write_summary()?;
        }
        self.sink.flush()
    }

    fn write_summary(&mut self) -> Result<()> {
        let runtime = Json::I64(self.clock.runtime().into());
        let own = Json::Map(vec![(json::WANDB_RUNTIME.into(), runtime)]);
        self.summary.set(json::WANDB, leaves(json::WANDB, &own));
        self.record(RecordType::Summary(self.summary.pending()))?;
        self.summary.written();
        Ok(())
    }

    /// Writes the summary and the exit record. Where either fails, it can be called again.
    pub(super) fn exit(&mut self, exit_code: i32) -> Result<()> {
        if !self.has_exit {
            self.write_summary()?;
            self.record(RecordType::Exit(RunExitRecord {
                exit_code,
                runtime: self.clock.runtime(),
            }))?;
            self.has_exit = true;
        }
        self.sink.flush()
    }

    /// What was noticed in all, to be said at the end.
    pub(super) fn totals(&self) -> Vec<String> {
        self.notices.totals()
    }

    pub(super) fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    fn record(&mut self, record: RecordType) -> Result<()> {
        let num = self.num + 1;
        let record = Record {
            num,
            record_type: Some(record),
            info: Some(RecordInfo {
                stream_id: self.run_id.clone(),
            }),
        };
        self.sink.record(&record)?;
        self.bytes_written += record.encoded_len() as u64;
        self.num = num;
        Ok(())
    }
}

/// What became of a row's files.
#[derive(Default)]
struct Files {
    last: LastFiles,
    /// Paths that are new in this row.
    named: BTreeSet<String>,
    written: u64,
    failed: Vec<Failure>,
}

/// The picture with the name of its file: that of the row before where it is the same.
fn logged(key: &MediaKey, image: &PreparedImage, step: u64, last: &[LoggedImage]) -> LoggedImage {
    let same = |other: &&LoggedImage| other.sha256 == image.sha256 && other.format == image.format;
    let path = last.iter().find(same).map_or_else(
        || key.image_path(step, &image.sha256, image.format),
        |other| other.path.clone(),
    );
    LoggedImage {
        path,
        sha256: image.sha256.clone(),
        size: image.bytes.len() as u64,
        format: image.format,
        width: image.width,
        height: image.height,
        caption: image.caption.clone(),
    }
}

fn own_values(step: u64, logged: Moment) -> [(&'static str, Json); 3] {
    [
        (json::STEP, Json::U64(step)),
        (json::TIMESTAMP, Json::F64(logged.timestamp)),
        (json::RUNTIME, Json::F64(logged.runtime)),
    ]
}

fn files_record(paths: BTreeSet<String>) -> FilesRecord {
    let item = |path| FilesItem {
        path,
        r#type: FILE_TYPE_MEDIA,
        ..FilesItem::default()
    };
    FilesRecord {
        files: paths.into_iter().map(item).collect(),
    }
}

/// As in the SDK, `null` doesn't replace the last value of a key.
fn is_null(leaves: &[Item]) -> bool {
    matches!(leaves, [leaf] if leaf.nested_key.is_empty() && leaf.value_json == "null")
}
