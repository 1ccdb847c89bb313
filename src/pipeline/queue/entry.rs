//! What the writer takes, and what becomes of it.

use std::sync::Arc;

use super::Call;
use crate::artifact::MadeArtifact;
use crate::error::{Error, Result};
use crate::pipeline::row::{PreparedRow, QueuedRow, beyond_scalars, size_of_value};
use crate::value::Json;

/// What the writer takes, in order.
#[derive(Debug)]
pub(in crate::pipeline) enum Entry<R> {
    Row(R),
    /// Pictures of no row, under the one key of this one, for a call that waits for their JSON.
    Media {
        call: Call,
        row: R,
    },
    Summary {
        key: String,
        value: Json,
    },
    Config {
        key: String,
        value: Json,
    },
    Flush,
    Exit(i32),
}

impl Entry<QueuedRow> {
    /// The memory that its values take, pictures aside, beyond that of a few scalars.
    pub(in crate::pipeline) fn size_bytes(&self) -> u64 {
        match self {
            Entry::Row(row) | Entry::Media { row, .. } => row.size_bytes(),
            Entry::Summary { key, value } | Entry::Config { key, value } => {
                beyond_scalars(size_of_value(key, value))
            }
            Entry::Flush | Entry::Exit(_) => 0,
        }
    }
}

/// What the writer does next.
#[derive(Debug)]
pub(in crate::pipeline) enum Work {
    Entry(Entry<PreparedRow>),
    /// An artifact to begin with.
    Artifact(Box<MadeArtifact>),
    /// More files of the artifact that was begun.
    Files,
    Errands(Vec<Errand>),
    /// A flush that is due by itself, or that a caller asked for, whatever waits.
    Flush,
    /// Nothing will come any more.
    End,
}

/// Something for the writer to do beside its entries, which no caller is to wait for: to remove files,
/// or to tell a failure.
pub(in crate::pipeline) struct Errand(Box<dyn FnOnce() + Send>);

impl Errand {
    pub(in crate::pipeline) fn new(work: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(work))
    }

    pub(in crate::pipeline) fn run(self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errand").finish_non_exhaustive()
    }
}

/// What the writer made of an entry.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Outcome {
    /// The row's own failure. Its pictures have failed with it.
    pub(in crate::pipeline) failure: Option<Arc<Error>>,
    pub(in crate::pipeline) pictures_failed: Vec<Failure>,
    pub(in crate::pipeline) pictures_written: u64,
    pub(in crate::pipeline) tables_failed: Vec<Failure>,
    /// Those whose artifacts are written: they stay where the row itself is refused.
    pub(in crate::pipeline) tables_written: u64,
    pub(in crate::pipeline) bytes_written: u64,
}

/// What the writer made of anything else. It may have written some of what has failed.
#[derive(Debug)]
pub(in crate::pipeline) struct Done {
    pub(in crate::pipeline) bytes_written: u64,
    pub(in crate::pipeline) result: Result<(), Arc<Error>>,
}

/// A picture that isn't in its row.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Failure {
    pub(in crate::pipeline) key: Arc<str>,
    pub(in crate::pipeline) error: Arc<Error>,
}

impl Failure {
    pub(super) fn without_key(error: Arc<Error>) -> Self {
        Self {
            key: "".into(),
            error,
        }
    }

    pub(in crate::pipeline) fn of_picture(key: &Arc<str>, step: u64, error: Error) -> Self {
        Self {
            key: Arc::clone(key),
            error: unwritten(format!("a picture of {key:?}"), step, error),
        }
    }
}

impl Outcome {
    /// Of a row that isn't written.
    pub(in crate::pipeline) fn of_row(row: &PreparedRow, error: Error) -> Self {
        Self::failed(unwritten("a row".into(), row.step, error))
    }

    /// Of the pictures of a call, which aren't written.
    pub(in crate::pipeline) fn of_call(row: &PreparedRow, error: Error) -> Self {
        let keys: Vec<&str> = row.values.keys().map(String::as_str).collect();
        let what = format!("the media of {:?}", keys.concat());
        Self::failed(unwritten(what, row.step, error))
    }

    fn failed(failure: Arc<Error>) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }
}

pub(super) fn unwritten(what: String, step: u64, error: Error) -> Arc<Error> {
    Arc::new(Error::Unwritten {
        what,
        step,
        source: Arc::new(error),
    })
}
