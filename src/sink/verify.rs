//! Names what is wrong with a run on disk.

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use super::fault::{Fault, FaultKind, Place};
use super::survey::survey;
use crate::error::Result;

/// What [`verify`] found.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The path that was given.
    pub run: PathBuf,
    /// The log that was read; none where there is none.
    pub log: Option<PathBuf>,
    /// As the run record says.
    pub run_id: Option<String>,
    /// Records that are whole.
    pub records: u64,
    /// Rows of the history that are whole.
    pub rows: u64,
    /// The step of the first of them, as `wandb sync` counts.
    pub first_step: Option<i64>,
    /// The step of the last.
    pub last_step: Option<i64>,
    /// Media files that are there as the rows name them.
    pub media_files: u64,
    /// What is wrong, and what is worth a word: first what concerns the directory, then the log
    /// from its beginning, then what only its end shows.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Whether W&B gets all of the run: there are notes at most.
    pub fn is_sound(&self) -> bool {
        self.faults.iter().all(|fault| fault.is_note)
    }
}

/// Looks a run through: its directory, or the `.wandb` file in it. Changes nothing.
///
/// Whoever wrote the run: this crate or the Python SDK. Reads all of its log and of its media
/// files, one block at a time.
///
/// The files of artifacts are looked at where their records say that they are: as a rule in the
/// run's `artifacts/`, and those of the Python SDK in a folder of its own. They are compared with
/// their MD5, or their XXH128 where the artifact has that. Outside of the run at most 16 GiB are read
/// in all; of files beyond that the size alone is compared. That there are files outside is a note
/// ([`FaultKind::ArtifactOutside`]), since a run that goes to another machine leaves them behind; so is a
/// relative path ([`FaultKind::ArtifactRelative`]), which leads to its file from one folder alone. Of
/// one that isn't what was logged no message tells its length or its digest. Of a run that was
/// synced nothing is said of those that are gone, since the SDK's are deleted then.
///
/// A list of an artifact's files that lies in a file of its own is compared with the MD5 that it is
/// named by, where it is, and read up to 1 GiB, unpacked: this crate writes no longer one, and of
/// another's it is a note that its files aren't known ([`FaultKind::ArtifactUnread`]). Outside of the
/// run, and where a list is named again, at most 4 GiB are read in all, and a list outside is looked
/// into only where it has the digest of its artifact: where there is none to compare it with, that is
/// a note ([`FaultKind::ArtifactUncompared`]), as for an artifact whose digests are of another kind than
/// MD5 and XXH128. The digest of an artifact is
/// compared with that of what it names, where that takes less than 256 MiB of memory.
///
/// Of each kind of fault the first 1,000 are told, and the others counted
/// ([`Fault::count`]). A record over the limits of [`LogReader`](super::reader::LogReader) is a
/// fault, and isn't looked into.
///
/// ```
/// use wandb_image::sink::verify::{FaultKind, verify};
/// use wandb_image::{HostTensor, IntoWandbImage};
/// # let dir = tempfile::tempdir()?;
///
/// let run = wandb_image::init()
/// #   .dir(dir.path())
///     .start()?;
/// run.log([("sample", HostTensor::new([1, 2], vec![0.0_f32, 1.0])?.to_wandb_image()?)])?;
/// run.finish()?;
/// let dir = run.dir().unwrap();
///
/// let report = verify(dir)?;
/// assert!(report.is_sound());
/// assert_eq!((report.rows, report.media_files), (1, 1));
///
/// std::fs::remove_dir_all(dir.join("files/media"))?;
/// let report = verify(dir)?;
/// assert_eq!(report.faults[0].kind, FaultKind::MissingFile);
/// assert_eq!(report.faults[0].place.key.as_deref(), Some("sample"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) when there is nothing of that name, or the system refuses to
/// read the log.
pub fn verify(run: impl AsRef<Path>) -> Result<Report> {
    Ok(survey(run.as_ref())?.report)
}
