//! The artifacts of a run that goes on: whether their files are there.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::Upload;
use crate::error::counted;
use crate::sink::artifacts::{MAX_CONTENTS, each_own};
use crate::sink::logged::check_file;
use crate::sink::records::ArtifactRecord;
use crate::sink::survey::artifact_name;

/// The artifacts of a log whose files, those in the run's directory, are gone.
#[derive(Debug, Default)]
pub(crate) struct LostArtifacts {
    run: PathBuf,
    /// `wandb sync` deletes lists of files once it has read them.
    has_sync_begun: bool,
    artifacts: u64,
    files: u64,
    first: Option<String>,
    /// Bytes of lists of files, unpacked, that may still be read.
    room: u64,
}

impl LostArtifacts {
    pub(super) fn of(run: &Path, log: &Path) -> Self {
        Self {
            run: run.into(),
            has_sync_begun: Upload::of(log) != Upload::Nothing,
            room: MAX_CONTENTS,
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, artifact: &ArtifactRecord) {
        let (run, mut files) = (&self.run, 0);
        let open = |path: &str| {
            let path = run.join(path);
            check_file(&path).map_err(io::Error::other)?;
            File::open(path)
        };
        let is_gone = |path: &str| {
            let found = run.join(path).symlink_metadata();
            found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let manifest = artifact.manifest.iter();
        let mut contents = manifest.map(|manifest| &*manifest.manifest_file_path);
        let contents = contents.next().filter(|_| self.has_sync_begun);
        each_own(artifact, open, &mut self.room, &mut |path| {
            let is_contents = contents.is_some_and(|contents| contents.ends_with(path));
            files += u64::from(!is_contents && is_gone(path));
        });
        self.files += files;
        if files > 0 {
            self.artifacts += 1;
            self.first.get_or_insert_with(|| artifact_name(artifact));
        }
    }

    /// What is to be said of them; none where all are there.
    pub(crate) fn told(&self) -> Option<String> {
        let first = self.first.as_deref()?;
        let whose = match self.artifacts {
            1 => format!("of {first}"),
            n => format!("of {}, the first being {first},", counted(n, "artifact")),
        };
        let files = match self.files {
            1 => "1 file is gone".into(),
            n => format!("{n} files are gone"),
        };
        let upload = match self.has_sync_begun {
            true => "W&B has it only where it was uploaded before that",
            false => "`wandb sync` will not upload it",
        };
        Some(format!("{whose} {files}, and {upload}: log it once more"))
    }
}
