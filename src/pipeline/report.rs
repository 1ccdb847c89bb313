//! What of that which was logged is not on disk, and why.

use std::sync::Arc;
use std::time::Duration;

use super::stats::Stats;
use crate::error::{Error, Result};

/// What was lost on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    rows_failed: u64,
    pictures_failed: u64,
    artifacts_failed: u64,
    pictures_dropped: u64,
    first: Option<Arc<Error>>,
}

impl Report {
    pub(super) fn drop_pictures(&mut self, n: u64) {
        self.pictures_dropped += n;
    }

    pub(super) fn fail_picture(&mut self, error: &Arc<Error>) {
        self.pictures_failed += 1;
        self.fail(error);
    }

    pub(super) fn fail_row(&mut self) {
        self.rows_failed += 1;
    }

    pub(super) fn fail_pictures(&mut self, pictures: u64, error: &Arc<Error>) {
        self.pictures_failed += pictures;
        self.fail(error);
    }

    pub(super) fn fail_artifact(&mut self, error: &Arc<Error>) {
        self.artifacts_failed += 1;
        self.fail(error);
    }

    /// Something that is neither a row nor a picture.
    pub(super) fn fail(&mut self, error: &Arc<Error>) {
        self.first.get_or_insert_with(|| Arc::clone(error));
    }

    pub(super) fn has_failure(&self) -> bool {
        self.first.is_some()
    }

    pub(super) fn lacks_rows(&self) -> bool {
        self.rows_failed > 0
    }

    /// That nothing was lost; or the first failure.
    pub(super) fn first_failure(self) -> Result<()> {
        match &self.first {
            Some(first) if matches!(**first, Error::Unwritten { .. }) => Err(own(first)),
            _ => self.result(),
        }
    }

    /// That nothing was lost; or all that was.
    pub(super) fn result(self) -> Result<()> {
        match (self.pictures_dropped, &self.first) {
            (0, None) => Ok(()),
            _ => Err(self.error([0; 3], None)),
        }
    }

    /// What was lost, and what was still on its way when the time was up.
    pub(super) fn unfinished(self, stats: &Stats, waited: Duration) -> Error {
        let queued = [stats.rows, stats.pictures, stats.artifacts].map(|counts| counts.queued);
        self.error(queued, Some(waited))
    }

    fn error(self, queued: [u64; 3], waited: Option<Duration>) -> Error {
        let [rows_queued, pictures_queued, artifacts_queued] = queued;
        Error::Incomplete {
            rows_queued,
            pictures_queued,
            artifacts_queued,
            waited,
            rows_failed: self.rows_failed,
            pictures_failed: self.pictures_failed,
            artifacts_failed: self.artifacts_failed,
            pictures_dropped: self.pictures_dropped,
            first: self.first,
        }
    }
}

/// A failure that is told elsewhere too, to be returned.
pub(super) fn own(error: &Arc<Error>) -> Error {
    match &**error {
        Error::Unwritten { what, step, source } => Error::Unwritten {
            what: what.clone(),
            step: *step,
            source: Arc::clone(source),
        },
        _ => Error::Shared(Arc::clone(error)),
    }
}
