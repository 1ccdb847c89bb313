//! The log: its records, and how they stand.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Class, Stray, Survey, classify};
use crate::error::{Result, counted};
use crate::image::json::label_keys;
use crate::sink::fault::{FaultKind, Place, cut};
use crate::sink::log::io_error;
use crate::sink::logged::{Steps, step_of, values_of};
use crate::sink::records::{FilesRecord, HistoryRecord, Item, RecordType, RunRecord};
use crate::sink::resumed::may_come_first;
use crate::sink::scan::{Damage, Found, NO_HEADER, Payload, Scanner};

/// The types of records that wandb 0.31.0 knows, by the numbers of their fields.
const KNOWN: [u32; 22] = [
    2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27,
];
/// A request, which is a record type too.
const REQUEST: u32 = 100;

impl Survey {
    pub(super) fn read(&mut self, log: &Path) -> Result<()> {
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
            after_step: self.steps.last().filter(|_| self.report.rows > 0),
            ..Place::of_bytes(damage.from, damage.to)
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
                    "{reason}: the last {bytes} bytes are no whole record, as a kill or a power \
                     cut leaves them; `wandb sync` uploads what is before them, resume cuts them \
                     off and goes on, and repair leaves them out"
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
        let place = Place::of_record(payload.start, self.report.records);
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
            RecordType::Artifact(artifact) => self.artifact(&artifact, place),
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
        if self.run.is_none() {
            self.steps = Steps::from(run.starting_step);
            self.run = Some(bytes);
        }
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
        self.report.first_step.get_or_insert(step);
        self.report.last_step = Some(step);
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

    pub(super) fn run_at_end(&mut self) {
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
        if self.exit.is_none() && !self.counts.contains_key(&FaultKind::BeingWritten) {
            let message = "there is no exit record, since the run didn't finish: W&B will take \
                           it for failed";
            self.fault(FaultKind::NoExit, Place::default(), message);
        }
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

fn at(byte: u64) -> Place {
    Place {
        byte: Some(byte),
        ..Place::default()
    }
}
