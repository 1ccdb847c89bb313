//! Where a run goes: the transaction log and the media files. Nothing else writes to disk.

mod artifacts;
mod claim;
mod digest;
mod directory;
mod disk;
pub mod extract;
mod fault;
mod files;
mod framing;
mod host;
mod latest;
mod log;
pub mod logged;
mod manifest;
mod media;
mod memory;
mod names;
mod opened;
pub mod reader;
pub mod records;
pub mod repair;
mod resumed;
mod scan;
mod staging;
mod stored;
mod survey;
#[cfg(test)]
mod tests;
pub mod verify;
mod weight;
mod wire;

pub(crate) use digest::{ManifestHasher, Md5, Md5Hasher, Sha256Hasher, xxh128};
pub(crate) use directory::Directory;
pub(crate) use host::host;
pub(crate) use latest::{Made, link_latest};
pub(crate) use manifest::ManifestFile;
pub use media::image_path;
pub(crate) use media::{MediaKey, sha256};
pub use memory::{Kept, MediaFile, MemorySink};
pub(crate) use names::{id_in_name, offline_name};
pub(crate) use opened::OpenDirectory;
pub(crate) use resumed::{PRODUCER, Resumed, Upload, continuation, is_without_log, run_directory};
pub(crate) use staging::{Begun, Staging, Stamp, is_staging, read_whole};
pub(crate) use survey::{begun_log, is_live_log};

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use disk::Folder;
use records::Record;

/// What a run that is on disk outlasts; set by
/// [`RunBuilder::durability`](crate::RunBuilder::durability).
///
/// | | [`Process`](Self::Process) | [`Fsync`](Self::Fsync) |
/// | --- | --- | --- |
/// | the end of this process, by SIGKILL too | every row that is written | every row that is written |
/// | a crash of the system, or a loss of power | what the system wrote back, within half a minute as a rule; a row may name a picture that is empty | every row that `flush` confirmed, with its pictures, and every artifact |
///
/// # The order of `fsync`
///
/// 1. When a run starts: each folder in which one was made on the way to `wandb/`, once that is
///    there; `wandb/` for the run's directory and for the link `latest-run`, which leads to it as
///    soon as it is made; the directory for its `files/`. The log is created
///    under a temporary name and its first records are written; it follows, and gets its own name;
///    `files/`, the run's directory and `wandb/` follow before
///    [`start`](crate::RunBuilder::start) returns.
/// 2. For each picture: the folders on the way to it, from the run's directory down, where they
///    are not open yet; then the file, under a temporary name; it gets its own name, and its
///    folder follows. The record that it is there, and the row that names it, are written after
///    that. The file of a table likewise.
/// 3. For each artifact: each of its files, under a temporary name; it gets its own name. When all
///    have theirs, the folders that they are in follow, and the folders on the way to those; then
///    the record that names the files is written.
/// 4. [`flush`](crate::Run::flush) and the end of the run: the log, and then they return.
///
/// A log that is made again, since the run's directory was deleted, gets all records, follows, and
/// gets its name; then the names as when a run starts.
///
/// Where one fails, so does the picture or the flush: what the log holds since the last one that
/// succeeded is written once more then, before the next.
///
/// So a row and an artifact in the log name whole files at any time, and what `flush` confirmed is there, as far
/// as the disk keeps what it says it has. Windows and some network file systems have no `fsync` of
/// folders: there the names are left to the file system.
///
/// ```
/// use wandb_image::Durability;
///
/// # let dir = tempfile::tempdir()?;
/// let run = wandb_image::init()
///     .durability(Durability::Fsync)
/// #   .dir(dir.path())
///     .start()?;
/// run.log([("loss", 0.5)])?;
/// run.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of this process. Nothing is waited for: the system writes back when it likes.
    #[default]
    Process,
    /// A crash of the system and a loss of power too. Each picture and each flush waits for the
    /// disk, in the background.
    Fsync,
}

impl Durability {
    /// Brings the names in a folder to where they are to be.
    fn sync(self, folder: &impl Folder) -> io::Result<()> {
        match self {
            Durability::Process => Ok(()),
            Durability::Fsync => folder.sync(),
        }
    }
}

/// Takes what a run writes, in order: a media file always before the records that name it.
///
/// The offline directory is one; [`MemorySink`] is another, for tests.
pub trait RecordSink: Send {
    /// Keeps a media file. `path` is relative to the run's `files/`, with slashes. The same path
    /// always comes with the same bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it can't be written; nothing of it stays then.
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()>;

    /// Takes over a file: one that is too large for memory, or that is there already. Returns where
    /// it is from now on, which a record tells `wandb sync`. The same [`StagedFile::place`] always
    /// comes with the same bytes. Between the files of an artifact, before the record that names
    /// them, anything else may come.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it can't be taken. By default
    /// [`Error::Artifact`]: the sink takes no artifacts, nor tables.
    fn take_file(&mut self, file: &StagedFile<'_>) -> Result<PathBuf> {
        let from = file.from.display();
        Err(Error::Artifact {
            reason: format!(
                "this sink takes no artifacts and tables, and not {from}: write them to a run's \
                 directory, or give the sink a take_file"
            ),
        })
    }

    /// Appends a record. When this returns, the operating system has it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it can't be written; the records before it and after
    /// it aren't touched by that.
    fn record(&mut self, record: &Record) -> Result<()>;

    /// Brings what was taken to where it is safe from the end of this process. Comes after the
    /// first records, about a second after anything later, and whenever it is asked for. `Ok` also
    /// covers what an earlier call failed for.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when that fails. A loss that can't be made good is returned
    /// once.
    fn flush(&mut self) -> Result<()>;

    /// Whether files that were taken before are gone since this was last asked, so that a row may
    /// not name them; asked for each row with pictures or tables and for each artifact, when all of
    /// its files were handed over and no record names them yet. Where so, all of them are handed
    /// over once more; those of an artifact also where a row came between them and this was asked
    /// for that. Never, by default.
    fn has_lost(&mut self) -> bool {
        false
    }
}

/// A file that a run takes over: [`RecordSink::take_file`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StagedFile<'a> {
    /// Where it is.
    pub from: &'a Path,
    /// Where it goes.
    pub place: FilePlace<'a>,
    /// Whether it may be moved. A file of the user's stays where it is, and is linked, or copied.
    pub may_move: bool,
    /// What a file of the user's was when it was hashed.
    pub(crate) stamp: Option<Stamp>,
}

impl StagedFile<'_> {
    /// Refuses a file that isn't what it was when it was hashed. Whether nothing was done to it
    /// since, as far as the system says.
    fn check(&self) -> Result<bool> {
        let Some(stamp) = self.stamp else {
            return Ok(true);
        };
        let now = stamp.check(self.from)?;
        Ok(now.is_untouched_since(&stamp))
    }

    /// Refuses bytes that aren't those of the file, where its place says which those are.
    fn compare(&self, found: Md5) -> Result<()> {
        match self.place {
            FilePlace::Artifact(hash) if Md5::from_hex(hash) != Some(found) => Err(self.changed()),
            _ => Ok(()),
        }
    }

    fn changed(&self) -> Error {
        match self.may_move {
            true => {
                let source = io::Error::new(io::ErrorKind::InvalidData, TEMPORARY);
                log::io_error("take over", self.from, source)
            }
            false => Error::FileChanged {
                path: self.from.into(),
            },
        }
    }
}

const TEMPORARY: &str = "this temporary file isn't what was written to it: something else writes \
                         to that folder, or its disk fails";

/// Where a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilePlace<'a> {
    /// Into the run's `files/`, at this path, with slashes.
    Media(&'a str),
    /// To the files of artifacts, which are called by their MD5, in hexadecimal digits.
    Artifact(&'a str),
}

impl FilePlace<'_> {
    /// The path in the run's directory, with slashes.
    ///
    /// ```
    /// use wandb_image::sink::FilePlace;
    ///
    /// let hash = "b1946ac92492d2347c6235b4d2611184";
    /// assert_eq!(FilePlace::Artifact(hash).path(), format!("artifacts/b1/{hash}"));
    /// assert_eq!(FilePlace::Media("media/table/t.json").path(), "files/media/table/t.json");
    /// ```
    pub fn path(&self) -> String {
        match self {
            FilePlace::Media(path) => format!("files/{path}"),
            FilePlace::Artifact(hash) => {
                format!("{ARTIFACTS}/{}/{hash}", hash.get(..2).unwrap_or(hash))
            }
        }
    }
}

/// The folder of artifacts' files, in a run's directory.
const ARTIFACTS: &str = "artifacts";

/// Takes everything and keeps nothing: the sink of a disabled run.
pub(crate) struct Discard;

impl RecordSink for Discard {
    fn media(&mut self, _: &str, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn take_file(&mut self, _: &StagedFile<'_>) -> Result<PathBuf> {
        Ok(PathBuf::new())
    }
    fn record(&mut self, _: &Record) -> Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
