//! Steps, rows and records: what stands between the face and the sink, behind its lock.

use std::collections::BTreeSet;

use super::clock::{Clock, Moment};
use super::items::{leaves, whole};
use super::notice::Notices;
use super::row::{Prepared, PreparedImage, PreparedRow};
use super::summary::Summary;
use crate::error::{Error, Result};
use crate::image::json::{self, LoggedImage};
use crate::sink::records::{
    ConfigRecord, EnvironmentRecord, FILE_TYPE_MEDIA, FilesItem, FilesRecord, HeaderRecord,
    HistoryRecord, HistoryStep, Item, Record, RecordInfo, RecordType, RunExitRecord, RunRecord,
};
use crate::sink::{MediaKey, RecordSink};
use crate::value::Json;

pub(super) struct Writer {
    sink: Box<dyn RecordSink>,
    clock: Clock,
    run_id: String,
    /// The number of the last record.
    num: i64,
    starting_step: u64,
    last_written: Option<u64>,
    open: Option<OpenRow>,
    summary: Summary,
    notices: Notices,
    finished: bool,
}

/// A row that still gathers values.
struct OpenRow {
    step: u64,
    values: PreparedRow,
    logged: Moment,
}

/// Refuses a step that W&B's tools, which count in signed 64 bits, can't hold.
pub(super) fn check_step(step: u64) -> Result<()> {
    if i64::try_from(step).is_ok() {
        return Ok(());
    }
    Err(Error::Option {
        option: "the step",
        given: step.to_string(),
        expected: format!("it must be at most {}", i64::MAX),
    })
}

impl Writer {
    pub(super) fn new(
        sink: Box<dyn RecordSink>,
        clock: Clock,
        run_id: String,
        starting_step: u64,
    ) -> Self {
        Self {
            sink,
            clock,
            run_id,
            num: 0,
            starting_step,
            last_written: None,
            open: None,
            summary: Summary::default(),
            notices: Notices::default(),
            finished: false,
        }
    }

    pub(super) fn begin(
        &mut self,
        header: HeaderRecord,
        run: RunRecord,
        environment: EnvironmentRecord,
    ) -> Result<()> {
        self.record(RecordType::Header(header))?;
        self.record(RecordType::Run(run))?;
        self.record(RecordType::Environment(environment))
    }

    /// The step that the next `log` takes.
    pub(super) fn next_step(&self) -> u64 {
        let last = self.open.as_ref().map(|row| row.step).or(self.last_written);
        last.map_or(self.starting_step, |last| last.saturating_add(1))
    }

    /// Refuses what `log` and `log_at` would, before anything costly is done.
    pub(super) fn check(&self, step: Option<u64>) -> Result<()> {
        self.check_running()?;
        let Some(step) = step else {
            return check_step(self.next_step());
        };
        check_step(step)?;
        match (self.last_written, &self.open) {
            _ if step < self.starting_step => Err(Error::StepBeforeStart {
                step,
                first: self.starting_step,
            }),
            (Some(last), open) if step <= last => Err(Error::StepWritten {
                step,
                last,
                next: open
                    .as_ref()
                    .map_or(last.saturating_add(1), |open| open.step),
            }),
            (_, Some(open)) if step < open.step => Err(Error::Step {
                step,
                last: open.step,
            }),
            _ => Ok(()),
        }
    }

    fn check_running(&self) -> Result<()> {
        if !self.finished {
            return Ok(());
        }
        Err(Error::Finished {
            run_id: self.run_id.clone(),
        })
    }

    /// Writes a row of its own. Returns what is to be said of it.
    pub(super) fn log(&mut self, values: PreparedRow) -> Result<Vec<String>> {
        self.check(None)?;
        self.close_row()?;
        let row = OpenRow {
            step: self.next_step(),
            values,
            logged: self.clock.now(),
        };
        self.write_row(&row)?;
        Ok(self.notices.observe(&row.values))
    }

    /// Adds to the row of `step`. Returns what is to be said of it.
    pub(super) fn log_at(&mut self, step: u64, values: PreparedRow) -> Result<Vec<String>> {
        self.check(Some(step))?;
        if self.open.as_ref().is_some_and(|open| open.step != step) {
            self.close_row()?;
        }
        let sayings = self.notices.observe(&values);
        let logged = self.clock.now();
        let open = self.open.get_or_insert_with(|| OpenRow {
            step,
            values: PreparedRow::new(),
            logged,
        });
        open.values.extend(values);
        open.logged = logged;
        Ok(sayings)
    }

    /// Writes the open row. Where that fails, it stays open.
    fn close_row(&mut self) -> Result<()> {
        let Some(row) = self.open.take() else {
            return Ok(());
        };
        self.write_row(&row).inspect_err(|_| self.open = Some(row))
    }

    /// The files first, then the record that they are there, then the row that names them.
    fn write_row(&mut self, row: &OpenRow) -> Result<()> {
        let mut paths = BTreeSet::new();
        let mut values = Vec::new();
        for (key, value) in &row.values {
            let (json, files) = placed(value, row.step);
            for file in &files {
                self.sink.media(&file.path, file.bytes)?;
            }
            paths.extend(files.into_iter().map(|file| file.path));
            values.push((&**key, json));
        }
        if !paths.is_empty() {
            self.record(RecordType::Files(files_record(paths)))?;
        }
        values.extend(own_values(row));
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
        self.last_written = Some(row.step);
        for (key, leaves) in values.into_iter().filter(|(_, leaves)| !is_null(leaves)) {
            self.summary.set(key, leaves);
        }
        Ok(())
    }

    pub(super) fn set_summary(&mut self, key: &str, value: &Json) -> Result<()> {
        self.check_running()?;
        self.summary.set(key, leaves(key, value));
        Ok(())
    }

    pub(super) fn set_config(&mut self, key: &str, value: &Json) -> Result<()> {
        self.check_running()?;
        self.record(RecordType::Config(ConfigRecord {
            update: vec![whole(key, value)],
            ..ConfigRecord::default()
        }))
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.check_running()?;
        self.close_row()?;
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

    pub(super) fn finished(&self) -> bool {
        self.finished
    }

    /// Ends the run. Where something fails, the run goes on and can be ended again.
    pub(super) fn finish(&mut self, exit_code: i32) -> Result<()> {
        self.close_row()?;
        self.write_summary()?;
        self.write_exit(exit_code)
    }

    /// Ends the run whatever fails, and returns the first failure. A run that lacks something is
    /// no success.
    pub(super) fn finish_anyway(&mut self, exit_code: i32) -> Result<()> {
        let rows = self.close_row().and(self.write_summary());
        let exit_code = match exit_code {
            0 => i32::from(rows.is_err()),
            code => code,
        };
        let exit = self.write_exit(exit_code);
        self.finished = true;
        rows.and(exit)
    }

    fn write_exit(&mut self, exit_code: i32) -> Result<()> {
        self.record(RecordType::Exit(RunExitRecord {
            exit_code,
            runtime: self.clock.runtime(),
        }))?;
        self.finished = true;
        self.sink.flush()
    }

    /// What was noticed in all, to be said at the end.
    pub(super) fn totals(&self) -> Vec<String> {
        self.notices.totals()
    }

    fn record(&mut self, record: RecordType) -> Result<()> {
        let num = self.num + 1;
        self.sink.record(&Record {
            num,
            record_type: Some(record),
            info: Some(RecordInfo {
                stream_id: self.run_id.clone(),
            }),
        })?;
        self.num = num;
        Ok(())
    }
}

/// A media file whose row has a step.
struct NamedFile<'a> {
    path: String,
    bytes: &'a [u8],
}

/// The value's JSON in the row of this step, and the files that it names.
fn placed(value: &Prepared, step: u64) -> (Json, Vec<NamedFile<'_>>) {
    match value {
        Prepared::Json(json) => (json.clone(), Vec::new()),
        Prepared::Image(key, image) => {
            let (logged, file) = placed_image(key, image, step);
            (json::image(&logged), vec![file])
        }
        Prepared::Images(key, images) => {
            let placed = images.iter().map(|image| placed_image(key, image, step));
            let (logged, files): (Vec<_>, Vec<_>) = placed.unzip();
            (json::images(&logged), files)
        }
    }
}

fn placed_image<'a>(
    key: &MediaKey,
    image: &'a PreparedImage,
    step: u64,
) -> (LoggedImage, NamedFile<'a>) {
    let path = key.image_path(step, &image.sha256, image.format);
    let logged = LoggedImage {
        path: path.clone(),
        sha256: image.sha256.clone(),
        size: image.bytes.len() as u64,
        format: image.format,
        width: image.width,
        height: image.height,
        caption: image.caption.clone(),
    };
    let bytes = &image.bytes[..];
    (logged, NamedFile { path, bytes })
}

fn own_values(row: &OpenRow) -> [(&'static str, Json); 3] {
    [
        (json::STEP, Json::U64(row.step)),
        (json::TIMESTAMP, Json::F64(row.logged.timestamp)),
        (json::RUNTIME, Json::F64(row.logged.runtime)),
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
