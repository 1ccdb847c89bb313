//! What was lost: in all, and for each call that asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Failure;
use crate::error::Error;
use crate::pipeline::report::Report;

/// Kinds of failures that have no key. No key of a picture holds NUL.
pub(super) const OF_ROWS: &str = "\0row";
pub(super) const OF_CALLS: &str = "\0call";
pub(super) const OF_RECORDS: &str = "\0record";

#[derive(Debug, Default)]
pub(in crate::pipeline) struct Reports {
    totals: Report,
    /// What no call was told of.
    unreported: Report,
    /// What each call that will ask is to be told.
    inquiries: BTreeMap<InquiryId, Report>,
    next_inquiry: InquiryId,
    /// The keys, and the kinds, of which a failure was told.
    said: BTreeSet<String>,
    /// Why the end couldn't be written, until it can.
    pub(super) exit_failure: Option<Arc<Error>>,
    /// Why the last flush that was no entry has failed, until one succeeds.
    pub(super) flush_failure: Option<Arc<Error>>,
}

/// The number of a call that will ask what was lost.
pub(in crate::pipeline) type InquiryId = u64;

impl Reports {
    /// Takes note of what is lost.
    pub(super) fn note(&mut self, change: impl Fn(&mut Report)) {
        change(&mut self.totals);
        self.note_once(change);
    }

    /// The same of what doesn't count at the end.
    pub(super) fn note_once(&mut self, change: impl Fn(&mut Report)) {
        change(&mut self.unreported);
        self.inquiries.values_mut().for_each(change);
    }

    /// The same of what counts at the end alone. Whether it is the first failure there.
    pub(super) fn note_at_end(&mut self, error: &Arc<Error>) -> bool {
        let is_first = !self.totals.has_failure();
        self.totals.fail(error);
        is_first
    }

    pub(in crate::pipeline) fn fail(&mut self, error: &Arc<Error>) {
        self.note(|report| report.fail(error));
    }

    /// Whether a failure is the first under this key, or of this kind: no other is told.
    pub(super) fn is_first(&mut self, key: &str) -> bool {
        self.said.insert(key.into())
    }

    /// The failure, where it is the first of its kind.
    pub(super) fn first_of(&mut self, kind: &str, error: Arc<Error>) -> Option<Failure> {
        self.is_first(kind).then(|| Failure::without_key(error))
    }

    /// A run that lacks rows is no success.
    pub(super) fn lacks_rows(&self) -> bool {
        self.totals.lacks_rows()
    }

    /// Begins to take note of what is lost for a call that will ask: from now on, and what no call
    /// was told of yet.
    pub(in crate::pipeline) fn inquire(&mut self) -> InquiryId {
        let id = self.next_inquiry;
        self.next_inquiry += 1;
        self.inquiries.insert(id, self.unreported.clone());
        id
    }

    /// What was lost. A later call isn't told of it, but one that has begun to inquire is.
    pub(in crate::pipeline) fn take_unreported(&mut self, inquiry: InquiryId) -> Report {
        self.unreported = Report::default();
        let report = self.inquiries.get_mut(&inquiry);
        report.map(std::mem::take).unwrap_or_default()
    }

    /// The same, and what the last flush that was no entry couldn't write.
    pub(in crate::pipeline) fn take_unconfirmed(&mut self, inquiry: InquiryId) -> Report {
        let mut report = self.take_unreported(inquiry);
        if let Some(error) = &self.flush_failure {
            report.fail(error);
        }
        report
    }

    /// The call has ended.
    pub(in crate::pipeline) fn end_inquiry(&mut self, inquiry: InquiryId) {
        self.inquiries.remove(&inquiry);
    }

    #[cfg(test)]
    pub(super) fn has_inquiries(&self) -> bool {
        !self.inquiries.is_empty()
    }

    /// What was lost in all, and the end where it couldn't be written.
    pub(in crate::pipeline) fn totals(&self) -> Report {
        let mut report = self.totals.clone();
        if let Some(error) = &self.exit_failure {
            report.fail(error);
        }
        report
    }
}
