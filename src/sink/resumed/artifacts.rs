//! The artifacts of a run that goes on: whether their files are there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::Upload;
use crate::error::counted;
use crate::sink::Md5;
use crate::sink::artifacts::{MAX_CONTENTS, an_own, each_own};
use crate::sink::logged::check_file;
use crate::sink::manifest::hash_of;
use crate::sink::records::ArtifactRecord;
use crate::sink::survey::artifact_name;

/// The artifacts of a log whose files, those in the run's directory, are gone.
#[derive(Debug, Default)]
pub(crate) struct LostArtifacts {
    run: PathBuf,
    look_ups: LookUps,
    /// `wandb sync` deletes lists of files once it has read them.
    has_sync_begun: bool,
    artifacts: u64,
    files: u64,
    first: Option<String>,
    moved: Moved,
    /// Bytes of lists of files that may still be read.
    room: u64,
}

/// Artifacts whose files are here, but named by where the run was before.
#[derive(Debug, Default)]
struct Moved {
    /// Of so many artifacts it was looked up.
    looked: usize,
    artifacts: u64,
    first: Option<String>,
}

impl Moved {
    fn take(&mut self, run: &Path, artifact: &ArtifactRecord) {
        if self.looked == MAX_LOOK_UPS / 2 {
            return;
        }
        self.looked += 1;
        let is_moved = an_own(artifact).is_some_and(|(named, own)| {
            let found = Path::new(named).symlink_metadata();
            let is_gone = found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            is_gone && run.join(own).is_file()
        });
        if is_moved {
            self.artifacts += 1;
            self.first.get_or_insert_with(|| artifact_name(artifact));
        }
    }

    fn told(&self) -> Option<String> {
        let first = self.first.as_deref()?;
        let (whose, verb) = match self.artifacts {
            1 => (first.to_owned(), "names"),
            n => (
                format!("{}, the first being {first},", counted(n, "artifact")),
                "name",
            ),
        };
        Some(format!(
            "{whose} {verb} files by where the run was before it was moved, and `wandb sync` will not \
             upload them from here: run `wandb-image repair` when this run has ended, and sync what \
             it writes"
        ))
    }
}

/// The most files that are looked up: a start waits for them, also on a disk of a network.
const MAX_LOOK_UPS: usize = 20_000;

/// Files that were looked up, each once.
#[derive(Debug, Default)]
struct LookUps {
    most: usize,
    is_gone: BTreeMap<Md5, bool>,
    /// Whether there were more of them.
    has_stopped: bool,
}

impl LookUps {
    fn is_gone(&mut self, run: &Path, path: &str) -> bool {
        let Some(hash) = hash_of(path) else {
            return false;
        };
        if let Some(is_gone) = self.is_gone.get(&hash) {
            return *is_gone;
        }
        self.has_stopped |= self.is_gone.len() == self.most;
        if self.has_stopped {
            return false;
        }
        let found = run.join(path).symlink_metadata();
        let is_gone = found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        self.is_gone.insert(hash, is_gone);
        is_gone
    }
}

impl LostArtifacts {
    pub(super) fn of(run: &Path, log: &Path) -> Self {
        Self {
            run: run.into(),
            look_ups: LookUps {
                most: MAX_LOOK_UPS,
                ..LookUps::default()
            },
            has_sync_begun: Upload::of(log) != Upload::Nothing,
            room: MAX_CONTENTS,
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, artifact: &ArtifactRecord) {
        if self.look_ups.has_stopped {
            return;
        }
        if !self.has_sync_begun {
            self.moved.take(&self.run, artifact);
        }
        let (run, look_ups, mut files) = (&self.run, &mut self.look_ups, 0);
        let open = |path: &str| {
            let path = run.join(path);
            check_file(&path).map_err(io::Error::other)?;
            File::open(path)
        };
        let manifest = artifact.manifest.iter();
        let mut contents = manifest.map(|manifest| &*manifest.manifest_file_path);
        let contents = contents.next().filter(|_| self.has_sync_begun);
        each_own(artifact, open, &mut self.room, &mut |path| {
            let is_contents = contents.is_some_and(|contents| contents.ends_with(path));
            files += u64::from(!is_contents && look_ups.is_gone(run, path));
        });
        self.files += files;
        if files > 0 {
            self.artifacts += 1;
            self.first.get_or_insert_with(|| artifact_name(artifact));
        }
    }

    /// What is to be said of them; nothing where all are where they were logged.
    pub(crate) fn told(&self) -> impl Iterator<Item = String> + use<> {
        self.told_of_lost().into_iter().chain(self.moved.told())
    }

    fn told_of_lost(&self) -> Option<String> {
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
        let at_least = match self.look_ups.has_stopped {
            true => "at least ",
            false => "",
        };
        Some(format!(
            "{whose} {at_least}{files}, and {upload}: log it once more"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::FilePlace;
    use crate::sink::records::{ArtifactManifest, ArtifactManifestEntry};

    /// An artifact of files that are gone, some of them named before.
    fn artifact(files: std::ops::Range<u8>) -> ArtifactRecord {
        let entry = |file: u8| {
            let place = FilePlace::Artifact(&Md5::of(&[file]).hex()).path();
            ArtifactManifestEntry {
                local_path: format!("/before/{place}"),
                ..ArtifactManifestEntry::default()
            }
        };
        ArtifactRecord {
            name: "data".into(),
            manifest: Some(ArtifactManifest {
                contents: files.map(entry).collect(),
                ..ArtifactManifest::default()
            }),
            ..ArtifactRecord::default()
        }
    }

    fn told(all: &[ArtifactRecord]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let mut lost = LostArtifacts::of(dir.path(), &dir.path().join("run-a.wandb"));
        lost.look_ups.most = 3;
        all.iter().for_each(|artifact| lost.take(artifact));
        lost.told_of_lost().unwrap()
    }

    #[test]
    fn a_file_is_looked_up_once_and_of_many_the_first_alone() {
        let text = told(&[artifact(0..3), artifact(0..3), artifact(1..2)]);
        let expected = "of 3 artifacts, the first being the artifact \"data\", 7 files are gone";
        assert!(text.starts_with(expected), "{text}");
        let text = told(&[artifact(0..2), artifact(0..9), artifact(0..2)]);
        let expected =
            "of 2 artifacts, the first being the artifact \"data\", at least 5 files are gone";
        assert!(text.starts_with(expected), "{text}");
    }
}
