//! Steps and rows: which row a call goes into, and when a row is closed.

use std::collections::BTreeMap;

use super::row::{Checked, CheckedRow};
use crate::error::{Error, Result};
use crate::pipeline::{Clock, Leftovers, Pictures, Pipeline, Queued, QueuedRow};
use crate::value::Json;

/// The rows of a run. One thread at a time goes through it, so that they keep their order.
#[derive(Debug)]
pub(super) struct Ledger {
    clock: Clock,
    run_id: String,
    starting_step: u64,
    /// The step of the last row that was closed.
    last: Option<u64>,
    /// A row that still gathers values.
    open: Option<QueuedRow>,
    /// Values of the summary that were set since: they come after the row.
    summaries: Vec<(String, Json)>,
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

impl Ledger {
    pub(super) fn new(clock: Clock, run_id: String, starting_step: u64) -> Self {
        Self {
            clock,
            run_id,
            starting_step,
            last: None,
            open: None,
            summaries: Vec::new(),
        }
    }

    /// The step that the next `log` takes.
    pub(super) fn next_step(&self) -> u64 {
        let last = self.open.as_ref().map(|row| row.step).or(self.last);
        last.map_or(self.starting_step, |last| last.saturating_add(1))
    }

    fn check(&self, step: Option<u64>) -> Result<()> {
        let Some(step) = step else {
            return check_step(self.next_step());
        };
        check_step(step)?;
        match (self.last, &self.open) {
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

    pub(super) fn check_running(&self, pipeline: &Pipeline) -> Result<()> {
        if pipeline.is_running() {
            return Ok(());
        }
        Err(Error::Finished {
            run_id: self.run_id.clone(),
        })
    }

    /// Takes the values into a row of their own, or into the row of `step`.
    pub(super) fn log(
        &mut self,
        pipeline: &Pipeline,
        step: Option<u64>,
        row: CheckedRow,
        leftovers: &mut Leftovers,
    ) -> Result<()> {
        self.check_running(pipeline)?;
        self.check(step)?;
        match step {
            None => {
                self.close(pipeline);
                self.gather(pipeline, self.next_step(), row, leftovers);
                self.close(pipeline);
            }
            Some(step) => {
                if self.open.as_ref().is_some_and(|open| open.step != step) {
                    self.close(pipeline);
                }
                self.gather(pipeline, step, row, leftovers);
            }
        }
        Ok(())
    }

    fn gather(
        &mut self,
        pipeline: &Pipeline,
        step: u64,
        row: CheckedRow,
        leftovers: &mut Leftovers,
    ) {
        let logged = self.clock.now();
        let open = self.open.get_or_insert_with(|| {
            pipeline.open_row();
            QueuedRow {
                step,
                logged,
                values: BTreeMap::new(),
            }
        });
        open.logged = logged;
        for (key, value) in row.into_values() {
            let Some(value) = accepted(pipeline, step, &key, value, leftovers) else {
                continue;
            };
            if let Some(replaced) = open.values.insert(key, value) {
                pipeline.replace(replaced.pictures(), leftovers);
            }
        }
    }

    /// Sets a value of the summary: after the open row, whose values came before.
    pub(super) fn set_summary(&mut self, pipeline: &Pipeline, key: &str, value: Json) {
        match self.open {
            Some(_) => self.summaries.push((key.into(), value)),
            None => pipeline.set_summary(key, value),
        }
    }

    /// Gives the open row to the writer.
    pub(super) fn close(&mut self, pipeline: &Pipeline) {
        if let Some(row) = self.open.take() {
            self.last = Some(row.step);
            pipeline.close_row(row);
        }
        for (key, value) in self.summaries.drain(..) {
            pipeline.set_summary(&key, value);
        }
    }
}

/// The value on its way. None where its pictures were dropped.
fn accepted(
    pipeline: &Pipeline,
    step: u64,
    key: &str,
    value: Checked,
    leftovers: &mut Leftovers,
) -> Option<Queued> {
    let (media_key, is_list, images) = match value {
        Checked::Json(json) => return Some(Queued::Json(json)),
        Checked::Image(media_key, image) => (media_key, false, vec![*image]),
        Checked::Images(media_key, images) => (media_key, true, images),
    };
    let ids = pipeline.accept(key, step, images, leftovers);
    let pictures = Pictures {
        key: media_key,
        is_list,
        ids,
    };
    (!pictures.ids.is_empty()).then_some(Queued::Pictures(pictures))
}
