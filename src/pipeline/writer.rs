//! From rows to records and files, in order.

mod artifacts;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use prost::Message;

use artifacts::{Owner, Taking};

use super::clock::{Clock, Moment};
use super::items::{at, leaves, whole};
use super::labels::{Labels, LayerId};
use super::notice::Notices;
use super::place::{FileKind, KnownFiles, NamedFile, Namer};
use super::queue::{Failure, Outcome};
use super::row::{Prepared, PreparedImage, PreparedLayer, PreparedRow};
use super::summary::{Part, Summary};
use crate::error::{Error, Result};
use crate::image::classes::Classes;
use crate::image::json::{self, LoggedImage, LoggedLayer};
use crate::sink::records::{
    ArtifactRecord, ConfigRecord, EnvironmentRecord, FILE_TYPE_MEDIA, FilesItem, FilesRecord,
    HeaderRecord, HistoryRecord, HistoryStep, Item, Record, RecordInfo, RecordType, RunExitRecord,
    RunRecord,
};
use crate::sink::{Discard, RecordSink, Resumed};
use crate::value::Json;

/// Writes what the queue gives it. Each call leaves it whole, also where it fails.
pub(crate) struct Writer {
    sink: Box<dyn RecordSink>,
    clock: Clock,
    run_id: String,
    /// What artifacts say of the run: its project and its entity.
    owner: Owner,
    /// The number of the last record.
    num: i64,
    summary: Summary,
    notices: Notices,
    last_files: LastFiles,
    /// The artifact whose files it is at.
    taking: Option<Taking>,
    labels: Labels,
    bytes_written: u64,
    /// Something was taken that no flush has confirmed.
    has_unflushed: bool,
    has_exit: bool,
    /// Values that the sink will never take into the summary, with the first reason, until that
    /// is returned.
    given_up: Option<(BTreeSet<String>, Error)>,
}

/// The files that the last row with each key names.
type LastFiles = BTreeMap<String, KnownFiles>;

impl Writer {
    pub(crate) fn new(sink: Box<dyn RecordSink>, clock: Clock, run_id: String) -> Self {
        Self {
            sink,
            clock,
            run_id,
            owner: Owner::default(),
            num: 0,
            summary: Summary::default(),
            notices: Notices::default(),
            last_files: LastFiles::new(),
            taking: None,
            labels: Labels::default(),
            bytes_written: 0,
            has_unflushed: false,
            has_exit: false,
            given_up: None,
        }
    }

    /// Goes on with a run: in its own log, or in one that nothing stands in yet.
    pub(crate) fn resumed(
        sink: Box<dyn RecordSink>,
        clock: Clock,
        run_id: String,
        past: &Resumed,
        is_own_log: bool,
    ) -> Self {
        let mut summary = Summary::resumed(past.summary.items(), is_own_log);
        for (key, leaves) in &past.since {
            summary.set(key, leaves.clone());
        }
        Self {
            num: if is_own_log { past.num } else { 0 },
            summary,
            labels: Labels::resumed(past.class_labels()),
            has_unflushed: !past.since.is_empty(),
            owner: past.run.as_ref().map(Owner::of).unwrap_or_default(),
            ..Self::new(sink, clock, run_id)
        }
    }

    /// Writes the first records, without which no reader takes the log for one of a run.
    pub(crate) fn begin(
        &mut self,
        header: HeaderRecord,
        run: RunRecord,
        environment: EnvironmentRecord,
    ) -> Result<()> {
        self.owner = Owner::of(&run);
        self.record(RecordType::Header(header))?;
        self.record(RecordType::Run(run))?;
        self.record(RecordType::Environment(environment))?;
        self.flush_all()
    }

    /// Writes a row: the files first, then the record that they are there, then the row that
    /// names them. A file that the disk refuses is left out of its row. Also returns what is to
    /// be said of the pictures.
    pub(super) fn row(&mut self, row: &PreparedRow) -> (Outcome, Vec<String>) {
        let history = |writer: &mut Self, placed: Vec<(&str, Json)>| writer.history(row, placed);
        let (outcome, sayings, _) = self.write(row, Outcome::of_row, history);
        (outcome, sayings)
    }

    /// The same for pictures of no row: their JSON is returned instead.
    pub(super) fn media(&mut self, row: &PreparedRow) -> (Outcome, Vec<String>, Option<Json>) {
        let json = |_: &mut Self, placed: Vec<(&str, Json)>| {
            let mut values = placed.into_iter().map(|(_, json)| json);
            Ok(values.next())
        };
        let (outcome, sayings, json) = self.write(row, Outcome::of_call, json);
        (outcome, sayings, json.flatten())
    }

    /// Writes the files of a row and the record that they are there; `end` makes use of their
    /// JSON.
    fn write<T>(
        &mut self,
        row: &PreparedRow,
        failed: fn(&PreparedRow, Error) -> Outcome,
        end: impl FnOnce(&mut Self, Vec<(&str, Json)>) -> Result<T>,
    ) -> (Outcome, Vec<String>, Option<T>) {
        // Where the row fails, or panics, no record may have named its files.
        let last = std::mem::take(&mut self.last_files);
        let (mut placed, mut files) = self.place_all(row, last);
        if row.has_files() && self.has_lost() {
            (placed, files) = self.place_all(row, LastFiles::new());
        }
        let mut tables_written = 0;
        let result = self
            .name_files(files.named)
            .and_then(|()| self.name_classes(&row.values))
            .and_then(|()| self.name_artifacts(files.artifacts, &mut tables_written))
            .and_then(|()| end(self, placed));
        if result.is_ok() {
            self.last_files = files.last;
        }
        let (end, of_all) = match result {
            Ok(end) => (Some(end), Outcome::default()),
            Err(error) => (None, failed(row, error)),
        };
        let outcome = Outcome {
            pictures_failed: files.failed,
            pictures_written: files.written,
            tables_failed: files.tables_failed,
            tables_written,
            ..of_all
        };
        let sayings = self.notices.observe(&row.values);
        (outcome, sayings, end)
    }

    /// The JSON of the values, their files written.
    fn place_all<'r>(
        &mut self,
        row: &'r PreparedRow,
        last: LastFiles,
    ) -> (Vec<(&'r str, Json)>, Files) {
        let mut files = Files {
            last,
            ..Files::default()
        };
        let values = row.values.iter();
        let placed = values.filter_map(|(key, value)| {
            let json = self.place(key, value, row.step, &mut files)?;
            Some((&**key, json))
        });
        (placed.collect(), files)
    }

    /// The value's JSON, its files written. None where all of them were refused.
    fn place(&mut self, key: &str, value: &Prepared, step: u64, files: &mut Files) -> Option<Json> {
        let (media_key, images) = match value {
            Prepared::Json(json) => return Some(json.clone()),
            Prepared::Image(media_key, image) => (media_key, std::slice::from_ref(image)),
            Prepared::Images(media_key, images) => (media_key, &images[..]),
            Prepared::Table(media_key, table) => {
                return self.place_table(key, media_key, table, step, files);
            }
        };
        let last = files.last.remove(key).unwrap_or_default();
        let mut namer = Namer::new(media_key, step, last);
        let mut placed = Vec::new();
        for image in images {
            match self.image(image, &mut namer, &mut files.named) {
                Ok(logged) => placed.push(logged),
                Err(error) => files
                    .failed
                    .push(Failure::of_picture(&key.into(), step, error)),
            }
        }
        files.written += placed.len() as u64;
        files.last.insert(key.into(), namer.into_known());
        match (value, placed.first()) {
            (_, None) => None,
            (Prepared::Image(..), Some(image)) => Some(json::image(image)),
            _ => Some(json::images(&placed)),
        }
    }

    /// Writes the files of an image: none of them is named where one is refused.
    fn image(
        &mut self,
        image: &PreparedImage,
        namer: &mut Namer<'_>,
        named: &mut BTreeSet<String>,
    ) -> Result<LoggedImage> {
        let kind = FileKind::Picture(image.format);
        let picture = self.file(namer.name(kind, &image.sha256, &[]), &image.bytes)?;
        let mut layers = Vec::new();
        for layer in &image.layers {
            let kind = FileKind::Layer(layer.kind);
            let named = namer.name(kind, &layer.sha256, &layers);
            layers.push(self.file(named, &layer.bytes)?);
        }
        let logged = logged(image, &picture, &layers);
        let files: Vec<_> = std::iter::once(picture).chain(layers).collect();
        let new = files.iter().filter(|file| !file.is_there);
        named.extend(new.map(|file| file.path.clone()));
        namer.keep(files);
        Ok(logged)
    }

    fn file(&mut self, file: NamedFile, bytes: &[u8]) -> Result<NamedFile> {
        if !file.is_there {
            self.sink.media(&file.path, bytes)?;
            self.took(bytes.len());
        }
        Ok(file)
    }

    /// Writes the names of classes that the config doesn't have yet.
    fn name_classes(&mut self, row: &BTreeMap<String, Prepared>) -> Result<()> {
        let changed = self.labels.changed_by(row);
        if changed.is_empty() {
            return Ok(());
        }
        self.add_config(changed.iter().map(label_item).collect())?;
        self.labels.keep(changed);
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
        self.has_unflushed = true;
    }

    pub(super) fn set_config(&mut self, key: &str, value: &Json) -> Result<()> {
        self.add_config(vec![whole(key, value)])
    }

    /// What the Python SDK was told of metrics.
    pub(crate) fn define_metrics(&mut self, metrics: &[Vec<u8>]) -> Result<()> {
        let mut metrics = metrics.iter().cloned();
        metrics.try_for_each(|metric| self.record(RecordType::Metric(metric)))
    }

    pub(crate) fn add_config(&mut self, update: Vec<Item>) -> Result<()> {
        self.record(RecordType::Config(ConfigRecord {
            update,
            ..ConfigRecord::default()
        }))
    }

    /// Whether there is something for [`flush`](Self::flush) to do.
    pub(super) fn has_unflushed(&self) -> bool {
        self.has_unflushed
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.flush_all()?;
        self.tell_given_up()
    }

    fn flush_all(&mut self) -> Result<()> {
        let summary = match self.summary.changed() {
            true => self.write_summary(),
            false => Ok(()),
        };
        // The rows are safe also where the summary can't be written.
        self.flush_sink()?;
        self.has_unflushed = summary.is_err();
        summary
    }

    fn flush_sink(&mut self) -> Result<()> {
        self.sink.flush()?;
        self.has_unflushed = false;
        Ok(())
    }

    /// Writes what has changed, in as many records as it takes.
    fn write_summary(&mut self) -> Result<()> {
        let runtime = Json::I64(self.clock.runtime().into());
        let own = Json::Map(vec![(json::WANDB_RUNTIME.into(), runtime)]);
        self.summary.set(json::WANDB, leaves(json::WANDB, &own));
        let mut parts = self.summary.pending().into_iter();
        parts.try_for_each(|part| self.write_part(part))
    }

    /// A value that the sink will never take keeps no other back.
    fn write_part(&mut self, mut part: Part) -> Result<()> {
        let record = std::mem::take(&mut part.record);
        match self.record(RecordType::Summary(record)) {
            Ok(()) => self.summary.written(part.up_to_date()),
            Err(error) if is_for_good(&error) => {
                self.summary.given_up(part.up_to_date());
                let given_up = self.given_up.get_or_insert((BTreeSet::new(), error));
                given_up.0.extend(part.keys);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn tell_given_up(&mut self) -> Result<()> {
        self.given_up.take().map_or(Ok(()), |(keys, error)| {
            let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
            let reason = format!(
                "the summary keeps what it had under {}, since no record takes the new value: {error}",
                keys.join(", ")
            );
            Err(Error::Value { reason })
        })
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
        self.flush_sink()?;
        // Nothing follows: another run may take what it holds, such as a file.
        self.sink = Box::new(Discard);
        self.tell_given_up()
    }

    /// Whether the exit record is written, after which nothing may follow.
    pub(super) fn has_exit(&self) -> bool {
        self.has_exit
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
        self.took(record.encoded_len());
        self.num = num;
        Ok(())
    }

    /// The sink has taken so many bytes more.
    fn took(&mut self, bytes: usize) {
        self.bytes_written += bytes as u64;
        self.has_unflushed = true;
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
    tables_failed: Vec<Failure>,
    /// The records of the tables' artifacts.
    artifacts: Vec<ArtifactRecord>,
}

fn logged(image: &PreparedImage, file: &NamedFile, layers: &[NamedFile]) -> LoggedImage {
    let layers = image.layers.iter().zip(layers);
    LoggedImage {
        path: file.path.clone(),
        sha256: image.sha256.clone(),
        size: image.bytes.len() as u64,
        format: image.format,
        width: image.width,
        height: image.height,
        caption: image.caption.clone(),
        grouping: image.grouping,
        layers: layers
            .map(|(layer, file)| logged_layer(layer, file))
            .collect(),
    }
}

fn logged_layer(layer: &PreparedLayer, file: &NamedFile) -> LoggedLayer {
    LoggedLayer {
        kind: layer.kind,
        key: layer.key.clone(),
        path: file.path.clone(),
        sha256: layer.sha256.clone(),
        size: layer.bytes.len() as u64,
    }
}

fn label_item(((kind, full_key), classes): (&LayerId, &Classes)) -> Item {
    let (path, value) = json::class_labels(*kind, full_key, classes);
    at(&path, &value)
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

/// Whether the sink refuses a record for what it is: it would refuse it again.
fn is_for_good(error: &Error) -> bool {
    let source = match error {
        Error::Io { source, .. } => source,
        _ => return false,
    };
    source.kind() == io::ErrorKind::InvalidInput && source.raw_os_error().is_none()
}

/// As in the SDK, `null` doesn't replace the last value of a key.
fn is_null(leaves: &[Item]) -> bool {
    matches!(leaves, [leaf] if leaf.nested_key.is_empty() && leaf.value_json == "null")
}
