//! What the writer made of what it took.

use std::sync::Arc;

use super::reports::{OF_RECORDS, OF_ROWS};
use super::{Done, Failure, Outcome, Phase, State};
use crate::error::Error;
use crate::pipeline::report::Report;

impl State {
    /// Takes what the writer made of a row. Failures are returned that are the first of their
    /// kind.
    pub(in crate::pipeline) fn row_done(
        &mut self,
        pictures: u64,
        tables: u64,
        mut outcome: Outcome,
    ) -> Vec<Failure> {
        let of_tables = self.tables_done(tables, &mut outcome);
        match &outcome.failure {
            None => self.stats.rows.write(1),
            Some(_) => {
                self.stats.rows.fail(1);
                self.reports.note(Report::fail_row);
            }
        }
        let mut firsts = self.pictures_done(OF_ROWS, pictures, outcome);
        firsts.extend(of_tables);
        firsts
    }

    /// Takes what became of the tables of a row, which fail with it as far as they aren't written.
    fn tables_done(&mut self, tables: u64, outcome: &mut Outcome) -> Vec<Failure> {
        let mut firsts = std::mem::take(&mut outcome.tables_failed);
        let failed = firsts.len() as u64;
        firsts.retain(|failure| self.fail_artifact(&failure.key, &failure.error));
        self.stats.artifacts.write(outcome.tables_written);
        if let Some(error) = &outcome.failure {
            let lost = tables - failed - outcome.tables_written;
            self.stats.artifacts.fail(lost);
            (0..lost).for_each(|_| self.reports.note(|report| report.fail_artifact(error)));
        }
        firsts
    }

    pub(super) fn pictures_done(
        &mut self,
        kind: &str,
        pictures: u64,
        outcome: Outcome,
    ) -> Vec<Failure> {
        self.entry_done(outcome.bytes_written);
        let failed = outcome.pictures_failed.len() as u64;
        let mut firsts = outcome.pictures_failed;
        firsts.retain(|failure| self.fail_picture(failure));
        match outcome.failure {
            None => self.stats.pictures.write(outcome.pictures_written),
            Some(error) => {
                let lost = pictures - failed;
                self.stats.pictures.fail(lost);
                self.reports
                    .note(|report| report.fail_pictures(lost, &error));
                firsts.extend(self.reports.first_of(kind, error));
            }
        }
        firsts
    }

    /// Takes what became of the config or of a flush. What a flush couldn't write is written by
    /// the next one, which makes up for those before it.
    pub(in crate::pipeline) fn other_done(
        &mut self,
        is_flush: bool,
        done: Done,
    ) -> Option<Failure> {
        let Done {
            bytes_written,
            result,
        } = done;
        self.entry_done(bytes_written);
        if is_flush && result.is_ok() {
            self.reports.flush_failure = None;
        }
        let error = result.err()?;
        match !is_flush || is_lasting(&error) {
            true => self.reports.fail(&error),
            false => self.reports.note_once(|report| report.fail(&error)),
        }
        self.record_failure(error)
    }

    /// What is told of a record or a flush that failed: each time what can't be made good.
    fn record_failure(&mut self, error: Arc<Error>) -> Option<Failure> {
        match is_lasting(&error) {
            true => Some(Failure::without_key(error)),
            false => self.reports.first_of(OF_RECORDS, error),
        }
    }

    /// Takes what became of a flush that is no entry.
    pub(in crate::pipeline) fn flushed(&mut self, done: Done) -> Option<Failure> {
        let Done {
            bytes_written,
            result,
        } = done;
        self.stats.bytes_written += bytes_written;
        self.asked.done = self.asked.begun;
        self.reports.flush_failure = None;
        let error = result.err()?;
        match is_lasting(&error) {
            true => self.reports.fail(&error),
            false => self.reports.flush_failure = Some(Arc::clone(&error)),
        }
        self.record_failure(error)
    }

    /// Ends the run, or lets it go on where its end can't be written: with rows only if the exit
    /// record isn't either, since nothing that follows it would be uploaded. A failure is returned
    /// where nobody is left to ask for it.
    pub(in crate::pipeline) fn exit_done(&mut self, done: Done, has_exit: bool) -> Option<Failure> {
        self.entry_done(done.bytes_written);
        let (mut untold, failure): (Vec<_>, Vec<_>) = done
            .result
            .err()
            .into_iter()
            .partition(|error| is_lasting(error));
        // `finish` returns the first failure alone.
        untold.retain(|error| !self.reports.note_at_end(error));
        self.reports.exit_failure = failure.into_iter().next();
        let Some(error) = self.reports.exit_failure.clone() else {
            self.phase = Phase::Ended;
            let untold = untold.into_iter().next();
            return untold.and_then(|error| self.record_failure(error));
        };
        self.phase = match has_exit {
            true => Phase::Closing,
            false => Phase::Running,
        };
        self.exit = None;
        self.is_orphan.then(|| Failure::without_key(error))
    }

    fn entry_done(&mut self, bytes_written: u64) {
        self.done += 1;
        self.written(bytes_written);
    }

    /// The writer has nothing in hand.
    pub(super) fn written(&mut self, bytes_written: u64) {
        self.is_writing = false;
        self.stats.bytes_written += bytes_written;
        let in_hand = std::mem::take(&mut self.in_hand);
        self.release(in_hand);
        self.rest();
    }
}

/// Whether it is told once, and what it tells can't be made good: files that are gone, and values
/// that no record takes.
fn is_lasting(error: &Error) -> bool {
    matches!(error, Error::RunDirectoryLost { .. } | Error::Value { .. })
}
