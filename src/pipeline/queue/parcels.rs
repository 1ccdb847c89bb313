//! What is finished on threads of its own, and comes whole: artifacts, and the tables of rows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::entry::unwritten;
use super::{Done, Errand, Failure, Phase, State, Waiter, Work};
use crate::artifact::MadeArtifact;
use crate::error::{Error, Result};
use crate::table::MadeTable;

/// The number of a table on its way.
pub(crate) type TableId = u64;

/// The number of an artifact on its way. A later one is greater.
pub(crate) type ArtifactId = u64;

/// The most entries that go before the next files of an artifact, so that a queue that stays long
/// keeps none from its end.
pub(super) const MOST_FIRST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Parcels {
    /// Artifacts that are neither written nor lost, with their names.
    artifacts: BTreeMap<ArtifactId, Arc<str>>,
    next_artifact: ArtifactId,
    /// The same by their names: each name's are written in the order in which they were logged, since
    /// the last of them is W&B's latest version.
    of_name: BTreeMap<Arc<str>, BTreeSet<ArtifactId>>,
    /// Those of them that are made, and whose turn it is, but that the writer hasn't begun.
    ready: VecDeque<(ArtifactId, Box<MadeArtifact>)>,
    /// Those that are made before an earlier one of their name is written or lost.
    early: BTreeMap<ArtifactId, Box<MadeArtifact>>,
    /// The one that it has, and its name.
    begun: Option<(ArtifactId, String)>,
    /// How many entries go before the next files of an artifact.
    pub(super) entries_first: usize,
    tables: BTreeMap<TableId, OnItsWay>,
    next_id: TableId,
}

/// A table of a row.
#[derive(Debug)]
struct OnItsWay {
    key: Arc<str>,
    step: u64,
    making: Making,
}

#[derive(Debug)]
enum Making {
    Working,
    /// Being made, though another has taken its place.
    Unwanted,
    Made(Box<MadeTable>),
}

impl Parcels {
    /// Whether anything is made, or waits to be written.
    pub(super) fn any(&self) -> bool {
        self.any_artifact() || self.any_table()
    }

    /// Whether a table is made.
    pub(super) fn any_table(&self) -> bool {
        let is_made = |table: &OnItsWay| matches!(table.making, Making::Made(_));
        !self.tables.values().all(is_made)
    }

    pub(super) fn any_artifact(&self) -> bool {
        !self.artifacts.is_empty()
    }

    /// Whether there is an artifact to begin, or to go on with.
    pub(super) fn has_files(&self) -> bool {
        self.begun.is_some() || !self.ready.is_empty()
    }

    pub(super) fn next_files(&mut self) -> Option<Work> {
        if self.begun.is_some() {
            return Some(Work::Files);
        }
        let (id, artifact) = self.ready.pop_front()?;
        self.begun = Some((id, artifact.heading.name.clone()));
        Some(Work::Artifact(artifact))
    }

    fn accept(&mut self, name: &str) -> ArtifactId {
        let (id, name) = (self.next_artifact, Arc::from(name));
        self.next_artifact += 1;
        let of_name = self.of_name.entry(Arc::clone(&name)).or_default();
        of_name.insert(id);
        self.artifacts.insert(id, name);
        id
    }

    fn made(&mut self, id: ArtifactId, artifact: Box<MadeArtifact>) {
        match self.is_first_of_name(id) {
            true => self.ready.push_back((id, artifact)),
            false => drop(self.early.insert(id, artifact)),
        }
    }

    fn is_first_of_name(&self, id: ArtifactId) -> bool {
        let of_name = self.artifacts.get(&id);
        let of_name = of_name.and_then(|name| self.of_name.get(name));
        of_name.and_then(BTreeSet::first) == Some(&id)
    }

    /// Forgets one that was written or lost, which may have kept the next of its name.
    fn forget(&mut self, id: ArtifactId) {
        let Some(name) = self.artifacts.remove(&id) else {
            return;
        };
        let Some(of_name) = self.of_name.get_mut(&name) else {
            return;
        };
        of_name.remove(&id);
        match of_name.first() {
            Some(next) => {
                let next = self.early.remove_entry(next);
                self.ready.extend(next);
            }
            None => drop(self.of_name.remove(&name)),
        }
    }

    /// The table, where it could be made.
    pub(super) fn take_table(&mut self, id: TableId) -> Option<Box<MadeTable>> {
        match self.tables.remove(&id)?.making {
            Making::Made(table) => Some(table),
            Making::Working | Making::Unwanted => None,
        }
    }
}

impl State {
    pub(in crate::pipeline) fn accept_artifact(&mut self, name: &str) -> ArtifactId {
        self.stats.artifacts.accept(1);
        self.parcels.accept(name)
    }

    /// The last artifact on its way, where there is any: a flush that begins now waits for those up
    /// to it.
    pub(in crate::pipeline) fn last_artifact(&self) -> Option<ArtifactId> {
        let last = self.parcels.artifacts.keys().next_back().copied();
        last.filter(|_| self.phase != Phase::Ended)
    }

    /// Whether any up to this one is made, or waits to be written.
    pub(in crate::pipeline) fn has_artifact_up_to(&self, last: ArtifactId) -> bool {
        let first = self.parcels.artifacts.keys().next();
        first.is_some_and(|first| *first <= last) && self.phase != Phase::Ended
    }

    /// The row of its step waits for it.
    pub(in crate::pipeline) fn accept_table(&mut self, key: &str, step: u64) -> TableId {
        self.stats.artifacts.accept(1);
        *self.awaited.entry(Waiter::Row(step)).or_default() += 1;
        let id = self.parcels.next_id;
        self.parcels.next_id += 1;
        let table = OnItsWay {
            key: key.into(),
            step,
            making: Making::Working,
        };
        self.parcels.tables.insert(id, table);
        id
    }

    /// Forgets a table that a later call of the same step has replaced. The writer removes its files.
    pub(in crate::pipeline) fn replace_table(&mut self, id: TableId) {
        let Some(table) = self.parcels.tables.get_mut(&id) else {
            return;
        };
        self.stats.artifacts.take_back(1);
        match std::mem::replace(&mut table.making, Making::Unwanted) {
            Making::Made(made) => {
                self.parcels.tables.remove(&id);
                self.leave(Errand::new(move || drop(made)));
            }
            Making::Working => {
                let waiter = Waiter::Row(table.step);
                self.await_no_longer(waiter);
            }
            Making::Unwanted => {}
        }
    }

    /// A failure that is returned is to be told, and then [`told`](Self::told).
    pub(in crate::pipeline) fn artifact_made(
        &mut self,
        id: ArtifactId,
        name: &str,
        result: Result<MadeArtifact>,
    ) -> Option<Failure> {
        let failure = match result {
            Ok(artifact) => {
                self.parcels.made(id, Box::new(artifact));
                None
            }
            Err(error) => Some(self.artifact_lost(id, name, error)),
        };
        self.telling += usize::from(failure.is_some());
        self.rest();
        failure
    }

    /// The writer has taken some files of an artifact, and more are left.
    pub(in crate::pipeline) fn artifact_goes_on(&mut self, bytes_written: u64) {
        self.written(bytes_written);
        self.parcels.entries_first = self.entries.len().min(MOST_FIRST);
    }

    /// Takes what became of the artifact that the writer has begun.
    pub(in crate::pipeline) fn artifact_done(&mut self, done: Done) -> Option<Failure> {
        self.artifact_goes_on(done.bytes_written);
        let (id, name) = self.parcels.begun.take()?;
        match done.result {
            Ok(()) => {
                self.parcels.forget(id);
                self.stats.artifacts.write(1);
                None
            }
            Err(error) => Some(self.artifact_lost(id, &name, Error::Shared(error))),
        }
    }

    /// Each is told.
    fn artifact_lost(&mut self, id: ArtifactId, name: &str, error: Error) -> Failure {
        let error = Arc::new(Error::ArtifactUnwritten {
            name: name.into(),
            source: Arc::new(error),
        });
        self.parcels.forget(id);
        self.stats.artifacts.fail(1);
        self.reports.note(|report| report.fail_artifact(&error));
        Failure::without_key(error)
    }

    /// Takes a table, and what of it couldn't be made. Returned is what is to be told, and
    /// then [`told`](Self::told), and a table that nothing takes, whose files go with it.
    pub(in crate::pipeline) fn table_made(
        &mut self,
        id: TableId,
        result: Result<MadeTable>,
    ) -> (Vec<Failure>, Option<MadeTable>) {
        let Some(table) = self.parcels.tables.get_mut(&id) else {
            return (Vec::new(), result.ok());
        };
        let mut unwanted = None;
        let (key, step) = (Arc::clone(&table.key), table.step);
        let mut failures = Vec::new();
        match (&table.making, result) {
            (Making::Working, Ok(made)) => {
                if let Some(first) = &made.lost.first {
                    let failure = Failure {
                        key: Arc::clone(&key),
                        error: lost(&key, step, first),
                    };
                    failures.push((made.lost.pictures, failure));
                }
                table.making = Making::Made(Box::new(made));
                self.await_no_longer(Waiter::Row(step));
            }
            (Making::Working, Err(error)) => {
                self.parcels.tables.remove(&id);
                self.await_no_longer(Waiter::Row(step));
                let failure = Failure::of_table(&key, step, error);
                failures.push((0, failure));
            }
            (_, result) => {
                self.parcels.tables.remove(&id);
                unwanted = result.ok();
            }
        }
        self.rest();
        let told = failures
            .into_iter()
            .filter(|(pictures, failure)| match pictures {
                0 => self.fail_artifact(&failure.key, &failure.error),
                _ => self.fail_pictures_of_table(*pictures, failure),
            });
        let told: Vec<_> = told.map(|(_, failure)| failure).collect();
        self.telling += told.len();
        (told, unwanted)
    }

    /// Counts a table as failed. Whether it is the first under its key.
    pub(super) fn fail_artifact(&mut self, key: &Arc<str>, error: &Arc<Error>) -> bool {
        self.stats.artifacts.fail(1);
        self.reports.note(|report| report.fail_artifact(error));
        self.reports.is_first(key)
    }

    fn fail_pictures_of_table(&mut self, pictures: u64, failure: &Failure) -> bool {
        self.stats.pictures.accept(pictures);
        self.stats.pictures.fail(pictures);
        self.reports
            .note(|report| report.fail_pictures(pictures, &failure.error));
        self.reports.is_first(&failure.key)
    }
}

impl Failure {
    /// Of a table that isn't in its row.
    pub(in crate::pipeline) fn of_table(key: &Arc<str>, step: u64, error: Error) -> Self {
        Self {
            key: Arc::clone(key),
            error: unwritten(format!("the table {key:?}"), step, error),
        }
    }
}

/// Of pictures that aren't in their table.
fn lost(key: &str, step: u64, first: &Arc<Error>) -> Arc<Error> {
    let what = format!("a picture of the table {key:?}");
    unwritten(what, step, Error::Shared(Arc::clone(first)))
}
