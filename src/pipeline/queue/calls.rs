//! Calls that wait for the JSON of their pictures.

use std::sync::Arc;

use super::reports::OF_CALLS;
use super::{Failure, Outcome, Phase, State};
use crate::error::{Error, Result};
use crate::pipeline::row::{PictureId, PreparedRow, QueuedRow};
use crate::value::Json;

/// A call that waits for the JSON of its pictures: the number of the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call(pub(super) PictureId);

/// How far such a call is.
#[derive(Debug)]
pub(super) enum Progress {
    /// Its pictures are on their way. What happened to the first that failed, where one has.
    Making(Option<Arc<Error>>),
    Done(Result<Json, Arc<Error>>),
}

impl Call {
    /// That which waits for these pictures.
    pub(in crate::pipeline) fn of(ids: &[PictureId]) -> Option<Self> {
        ids.first().copied().map(Self)
    }
}

impl State {
    /// Whether nothing more happens to the pictures of a call.
    pub(in crate::pipeline) fn has_answer(&self, call: Call) -> bool {
        !matches!(self.calls.get(&call), Some(Progress::Making(_))) || self.phase == Phase::Ended
    }

    /// What became of the pictures of a call. None where some were dropped.
    pub(in crate::pipeline) fn take_answer(
        &mut self,
        call: Call,
    ) -> Option<Result<Json, Arc<Error>>> {
        match self.calls.remove(&call)? {
            Progress::Making(_) => None,
            Progress::Done(result) => Some(result),
        }
    }

    /// Takes note that a call gets no JSON, where pictures are those of one.
    pub(super) fn lose(&mut self, call: Call, error: &Arc<Error>) {
        if let Some(Progress::Making(lost)) = self.calls.get_mut(&call) {
            lost.get_or_insert_with(|| Arc::clone(error));
        }
    }

    /// The same for a call, which gets no JSON where some are gone.
    pub(super) fn collect_for(&mut self, call: Call, row: QueuedRow) -> PreparedRow {
        let expected = row.values.values().map(|value| value.pictures().len());
        let expected: usize = expected.sum();
        let row = self.collect(row);
        let is_dropped = row.pictures() < expected;
        if is_dropped && matches!(self.calls.get(&call), Some(Progress::Making(None))) {
            self.calls.remove(&call);
        }
        row
    }

    /// The same of the pictures of a call, with their JSON.
    pub(in crate::pipeline) fn media_done(
        &mut self,
        call: Call,
        pictures: u64,
        outcome: Outcome,
        json: Option<Json>,
    ) -> Vec<Failure> {
        let failed = outcome.pictures_failed.iter().map(|failure| &failure.error);
        if let Some(error) = failed.chain(&outcome.failure).next() {
            self.lose(call, error);
        }
        if let Some(Progress::Making(lost)) = self.calls.remove(&call) {
            let result = lost.map(Err).or(json.map(Ok));
            let progress = result.map(|result| (call, Progress::Done(result)));
            self.calls.extend(progress);
        }
        self.pictures_done(OF_CALLS, pictures, outcome)
    }
}
