//! Steps and rows: which row a call goes into, and when a row is closed.

use std::collections::{BTreeMap, BTreeSet};

use super::row::{Checked, CheckedList, CheckedMedia, CheckedRow, part_is_taken};
use crate::artifact::check_table_key;
use crate::error::{Error, Result};
use crate::image::list;
use crate::pipeline::{Call, Clock, Leftovers, Pictures, Pipeline, Queued, QueuedRow};
use crate::table::Table;
use crate::value::Json;

/// The rows of a run. One thread at a time goes through it, so that they keep their order.
#[derive(Debug)]
pub(super) struct Ledger {
    clock: Clock,
    run_id: String,
    starting_step: u64,
    /// The step after the last row of before, where the run is resumed.
    resumed_at: Option<u64>,
    /// The step of the last row that was closed.
    last: Option<u64>,
    /// A row that still gathers values.
    open: Option<Open>,
    /// Values of the summary that were set since: they come after the row.
    summaries: Vec<(String, Json)>,
    /// Keys whose lists were said to go on under more keys.
    said_parts: BTreeSet<String>,
}

#[derive(Debug)]
struct Open {
    row: QueuedRow,
    /// The keys under which lists go on, each with the list's own.
    parts: BTreeMap<String, String>,
}

/// What a value that goes into a row puts out of it.
#[derive(Debug)]
struct Put {
    /// What it replaces: also what a longer list had under more keys.
    replaced: Vec<Queued>,
    /// A list that had one of its keys, and that nothing replaces, since there was no room for it.
    displaced: Vec<Queued>,
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
            resumed_at: None,
            last: None,
            open: None,
            summaries: Vec::new(),
            said_parts: BTreeSet::new(),
        }
    }

    /// The ledger of a run that goes on after this row.
    pub(super) fn resumed(self, last: Option<u64>) -> Self {
        let resumed_at = last.map(|last| last.saturating_add(1));
        Self {
            last,
            resumed_at,
            ..self
        }
    }

    /// The step that the next `log` takes.
    pub(super) fn next_step(&self) -> u64 {
        let last = self.open_step().or(self.last);
        let next = last.map_or(0, |last| last.saturating_add(1));
        next.max(self.starting_step)
    }

    fn open_step(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.row.step)
    }

    fn check(&self, step: Option<u64>) -> Result<()> {
        let Some(step) = step else {
            return check_step(self.next_step());
        };
        check_step(step)?;
        if let Some(next) = self.resumed_at.filter(|&next| step < next) {
            return Err(Error::StepBeforeResume { step, next });
        }
        match (self.last, self.open_step()) {
            _ if step < self.starting_step => Err(Error::StepBeforeStart {
                step,
                first: self.starting_step,
            }),
            (Some(last), open) if step <= last => Err(Error::StepWritten {
                step,
                last,
                next: open.unwrap_or_else(|| self.next_step()),
            }),
            (_, Some(open)) if step < open => Err(Error::Step { step, last: open }),
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
        let tables = match self.claim(pipeline, step, &row) {
            Ok(tables) => tables,
            Err(error) => {
                leftovers.drop(row);
                return Err(error);
            }
        };
        // From here on nothing is refused.
        match step {
            None => {
                self.close(pipeline);
                self.gather(pipeline, self.next_step(), (row, tables), leftovers);
                self.close(pipeline);
            }
            Some(step) => {
                if self.open_step().is_some_and(|open| open != step) {
                    self.close(pipeline);
                }
                self.gather(pipeline, step, (row, tables), leftovers);
            }
        }
        Ok(())
    }

    /// The tables of a row, once nothing in it is refused.
    fn claim(
        &self,
        pipeline: &Pipeline,
        step: Option<u64>,
        row: &CheckedRow,
    ) -> Result<BTreeMap<String, Table>> {
        self.check_running(pipeline)?;
        self.check(step)?;
        row.keys_of_tables()
            .try_for_each(|key| check_table_key(&self.run_id, key))?;
        let open = self.open.as_ref();
        if let Some(open) = open.filter(|open| step == Some(open.row.step)) {
            open.check(row)?;
        }
        row.claim_tables()
    }

    fn gather(
        &mut self,
        pipeline: &Pipeline,
        step: u64,
        (row, mut tables): (CheckedRow, BTreeMap<String, Table>),
        leftovers: &mut Leftovers,
    ) {
        let logged = self.clock.now();
        let open = self.open.get_or_insert_with(|| {
            pipeline.open_row();
            Open::new(QueuedRow {
                step,
                logged,
                values: BTreeMap::new(),
            })
        });
        open.row.logged = logged;
        for (key, value) in row.into_values() {
            let told = value.told(&key).filter(|_| !self.said_parts.contains(&key));
            let table = tables.remove(&key);
            let values = accepted(pipeline, step, &key, (value, table), leftovers);
            if values.is_empty() {
                continue;
            }
            if let Some(told) = told {
                leftovers.warn(told);
                self.said_parts.insert(key.clone());
            }
            let Put {
                replaced,
                displaced,
            } = open.put(&key, values);
            for old in &replaced {
                pipeline.replace(old.pictures(), leftovers);
                old.table()
                    .into_iter()
                    .for_each(|id| pipeline.replace_table(id));
            }
            displaced
                .iter()
                .for_each(|old| pipeline.drop_pictures(old.pictures(), leftovers));
        }
    }

    /// Takes pictures that go into no row.
    pub(super) fn media(
        &mut self,
        pipeline: &Pipeline,
        step: u64,
        media: CheckedMedia,
        leftovers: &mut Leftovers,
    ) -> Result<Call> {
        if let Err(error) = self.check_running(pipeline) {
            leftovers.drop(media);
            return Err(error);
        }
        let CheckedMedia {
            key,
            media_key,
            is_list,
            images,
        } = media;
        let (call, ids) = pipeline.accept_media(&key, step, images, leftovers)?;
        let pictures = Pictures {
            key: media_key,
            is_list,
            ids,
        };
        let row = QueuedRow {
            step,
            logged: self.clock.now(),
            values: BTreeMap::from([(key, Queued::Pictures(pictures))]),
        };
        pipeline.give_media(call, row);
        Ok(call)
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
        if let Some(Open { row, .. }) = self.open.take() {
            self.last = Some(row.step);
            pipeline.close_row(row);
        }
        for (key, value) in self.summaries.drain(..) {
            pipeline.set_summary(&key, value);
        }
    }
}

impl Open {
    fn new(row: QueuedRow) -> Self {
        Self {
            row,
            parts: BTreeMap::new(),
        }
    }

    /// Refuses values that would meet the parts of a list under one key.
    fn check(&self, row: &CheckedRow) -> Result<()> {
        let is_own =
            |key: &&str| self.row.values.contains_key(*key) && !self.parts.contains_key(*key);
        let is_part = |key: &&str| {
            let list = self.parts.get(*key);
            list.is_some_and(|list| !row.has(list))
        };
        let taken = row.keys_of_parts().find(is_own);
        let taken = taken.or_else(|| row.keys().find(is_part));
        taken.map_or(Ok(()), |key| Err(part_is_taken(key)))
    }

    /// Puts the value, of as many keys as it needs, under its key.
    fn put(&mut self, key: &str, values: Vec<(String, Queued)>) -> Put {
        // A list that has one of the keys still, and isn't this one, is one that nothing replaced.
        let lists = values.iter().filter_map(|(part, _)| self.parts.get(part));
        let lists: BTreeSet<String> = lists.filter(|list| *list != key).cloned().collect();
        let displaced = lists.iter().flat_map(|list| self.take_out(list)).collect();
        let mut replaced = self.take_out(key);
        for (part, value) in values {
            replaced.extend(self.row.values.insert(part.clone(), value));
            if part != key {
                self.parts.insert(part, key.into());
            }
        }
        Put {
            replaced,
            displaced,
        }
    }

    /// Takes out what stands under the key, and under more keys where it is a longer list.
    fn take_out(&mut self, key: &str) -> Vec<Queued> {
        let mut taken = Vec::from_iter(self.row.values.remove(key));
        self.parts.retain(|part, list| {
            let is_of_it = list == key;
            if is_of_it {
                taken.extend(self.row.values.remove(part));
            }
            !is_of_it
        });
        taken
    }
}

impl Checked {
    /// What a person hears of it.
    fn told(&self, key: &str) -> Option<String> {
        match self {
            Checked::Images(images) => list::told(key, images.images.len()),
            Checked::Json(_) | Checked::Image(..) | Checked::Table(..) => None,
        }
    }
}

/// The value on its way, under as many keys as it needs. Empty where its pictures were dropped.
fn accepted(
    pipeline: &Pipeline,
    step: u64,
    key: &str,
    (value, table): (Checked, Option<Table>),
    leftovers: &mut Leftovers,
) -> Vec<(String, Queued)> {
    let (keys, is_list, images) = match value {
        Checked::Json(json) => return vec![(key.into(), Queued::Json(json))],
        Checked::Table(media_key, _) => {
            let id = table.map(|table| pipeline.accept_table(key, step, table));
            let queued = id.map(|id| (key.into(), Queued::Table(media_key, id)));
            return queued.into_iter().collect();
        }
        Checked::Image(media_key, image) => (vec![(key.into(), media_key)], false, vec![*image]),
        Checked::Images(CheckedList { keys, images }) => (keys, true, images),
    };
    let ids = pipeline.accept(key, step, images, leftovers);
    let parts = keys.into_iter().zip(list::parts(&ids));
    let pictures = parts.map(|((part, key), ids)| {
        let ids = ids.to_vec();
        (part, Queued::Pictures(Pictures { key, is_list, ids }))
    });
    pictures.collect()
}
