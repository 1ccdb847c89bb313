//! Where a run goes: the transaction log and the media files. Nothing else writes to disk.

mod directory;
mod framing;
mod log;
pub mod logged;
mod media;
mod memory;
pub mod reader;
pub mod records;

pub(crate) use directory::{Directory, link_latest, remove};
pub(crate) use media::{MediaKey, sha256};
pub use memory::{Kept, MediaFile, MemorySink};

use crate::error::Result;
use records::Record;

/// Takes what a run writes, in order: a media file always before the records that name it.
///
/// The offline directory is one; [`MemorySink`] is another, for tests.
pub trait RecordSink: Send {
    /// Keeps a media file. `path` is relative to the run's `files/`, with slashes. The same path
    /// always comes with the same bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when it can't be written; nothing of it stays then.
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()>;

    /// Appends a record. When this returns, the operating system has it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when it can't be written; the records before it and after
    /// it aren't touched by that.
    fn record(&mut self, record: &Record) -> Result<()>;

    /// Brings what was taken to where it is safe from the end of this process.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when that fails.
    fn flush(&mut self) -> Result<()>;
}

/// Takes everything and keeps nothing: the sink of a disabled run.
pub(crate) struct Discard;

impl RecordSink for Discard {
    fn media(&mut self, _: &str, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn record(&mut self, _: &Record) -> Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
