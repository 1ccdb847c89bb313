//! The artifacts of the clean run, and their files.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Repair;
use super::edits::{content, replaced};
use crate::error::{Error, Result, counted};
use crate::image::json::artifact::line_with_local_path;
use crate::sink::artifacts::{Named, Source, algorithm_of, each_line_of, named_in};
use crate::sink::digest::{DigestAlgorithm, FileDigest, md5_of};
use crate::sink::fault::{Place, cut};
use crate::sink::log::io_error;
use crate::sink::records::ArtifactRecord;
use crate::sink::survey::{artifact_name, client_of};
use crate::sink::wire::{self, fields};
use crate::sink::{FilePlace, ManifestFile, Md5, RecordSink, StagedFile, Staging, Stamp};

// The fields of `Record`, of an artifact, of its manifest, and of an entry of that.
pub(super) const ARTIFACT: u32 = 8;
const MANIFEST: u32 = 12;
const CONTENTS: u32 = 4;
const CONTENTS_FILE: u32 = 5;
const LOCAL_PATH: u32 = 6;

impl Repair {
    /// Keeps an artifact whose files are all there, and brings them to the clean run.
    pub(super) fn artifact(
        &mut self,
        artifact: &ArtifactRecord,
        bytes: &[u8],
        place: Place,
    ) -> Result<()> {
        let number = place.record.unwrap_or_default();
        if let Some(why) = self.survey.left_out.remove(&number) {
            return self.left_out(artifact, why, place);
        }
        if self.survey.unread_artifacts.contains(&number) {
            self.repaired.artifacts += 1;
            return self.kept(bytes);
        }
        let manifest = content(&content(bytes, ARTIFACT), MANIFEST);
        let named = artifact.manifest.as_ref();
        let named = named.map_or("", |manifest| &manifest.manifest_file_path);
        let edited = match named.is_empty() {
            true => self.with_own_files(artifact, &manifest),
            false => self.with_own_contents(artifact, named, &manifest),
        };
        let edited = match not_brought(edited)? {
            Ok(edited) => edited,
            Err(why) => {
                let own = client_of(artifact);
                self.survey.leave_out_tables(|client| *client == own);
                return self.left_out(artifact, Some(why), place);
            }
        };
        self.repaired.artifacts += 1;
        match edited {
            None => self.kept(bytes),
            Some(manifest) => {
                let artifact = replaced(&content(bytes, ARTIFACT), MANIFEST, &manifest);
                self.kept(&replaced(bytes, ARTIFACT, &artifact))
            }
        }
    }

    /// Says why as far as that is kept: of no more than are told.
    fn left_out(
        &mut self,
        artifact: &ArtifactRecord,
        why: Option<String>,
        place: Place,
    ) -> Result<()> {
        self.usable += 1;
        self.repaired.artifacts_left_out += 1;
        let why = why.map_or_else(String::new, |why| format!(", since {why}"));
        self.missing(place, format!("{}{why}", artifact_name(artifact)));
        Ok(())
    }

    /// The manifest with the clean run's files in it; none where nothing of it changes.
    fn with_own_files(
        &mut self,
        artifact: &ArtifactRecord,
        manifest: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let (mut edited, mut has_changed) = (Vec::new(), false);
        let mut contents = named_in(artifact);
        for field in fields(manifest).flatten() {
            let entry = field.content.filter(|_| field.number == CONTENTS);
            let place = match entry.and_then(|_| contents.next()) {
                Some(named) => self.bring(&named)?,
                None => None,
            };
            match (entry, place) {
                (Some(entry), Some(place)) => {
                    has_changed = true;
                    let entry = replaced(entry, LOCAL_PATH, place.as_bytes());
                    wire::put(&mut edited, CONTENTS, &entry);
                }
                _ => edited.extend(field.raw),
            }
        }
        Ok(has_changed.then_some(edited))
    }

    /// The same of one whose contents are in a file: the clean run gets a file of its own.
    fn with_own_contents(
        &mut self,
        artifact: &ArtifactRecord,
        named: &str,
        manifest: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let Some(contents) = self.survey.artifacts.contents(named).place else {
            return Ok(None);
        };
        let algorithm = algorithm_of(artifact);
        let real = contents.canonicalize().unwrap_or_else(|_| contents.clone());
        let key = (algorithm, real);
        let list = match self.lists.get(&key) {
            Some(known) => known.clone(),
            None => {
                let list = not_brought(self.bring_list(&contents, algorithm))?;
                self.lists.insert(key, list.clone());
                list
            }
        };
        let place = list.map_err(|reason| Error::Artifact { reason })?;
        Ok(Some(replaced(manifest, CONTENTS_FILE, place.as_bytes())))
    }

    /// Brings what a list of files names, and makes one that says where it is.
    fn bring_list(
        &mut self,
        contents: &Path,
        algorithm: Option<DigestAlgorithm>,
    ) -> Result<String> {
        let staging = Staging::create_in(&self.beside())?;
        let mut file = ManifestFile::begin(&staging)?;
        each_line_of(contents, &mut |text, line| {
            let place = self.bring(&Named::of_line(line, algorithm))?;
            let edited = place.and_then(|place| line_with_local_path(text, &place));
            file.add_line(edited.as_deref().unwrap_or(text))
        })?;
        let name = file.finish(&staging)?;
        self.take(&staging.path_of(&name), &name, None)
    }

    /// The folder that the clean run is in.
    fn beside(&self) -> PathBuf {
        let path = self.directory.path();
        path.parent().unwrap_or(path).into()
    }

    /// Brings a file to the clean run, and returns where it is there.
    fn bring(&mut self, named: &Named) -> Result<Option<String>> {
        if named.local_path.is_empty() {
            return Ok(None);
        }
        let looked = self.survey.artifacts.look(named);
        let Some(source) = looked.source else {
            return Ok(None);
        };
        let brought = self.bring_from(named, &source);
        brought
            .map(Some)
            .map_err(|error| match source.path.exists() {
                true => error,
                // It was deleted meanwhile.
                false => changed(&source.path),
            })
    }

    fn bring_from(&mut self, named: &Named, source: &Source) -> Result<String> {
        let digest = named
            .algorithm
            .and_then(|algorithm| FileDigest::from_base64(algorithm, &named.digest));
        let hash = match digest.and_then(FileDigest::md5) {
            Some(md5) => md5,
            None => hashed(source)?,
        };
        if let Some(place) = self.brought.get(&hash) {
            return Ok(place.clone());
        }
        let place = self.take(&source.path, &hash.hex(), Some(source.stamp))?;
        self.brought.insert(hash, place.clone());
        if source.is_outside {
            self.from_outside.add(&source.path);
        }
        Ok(place)
    }

    fn take(&mut self, from: &Path, hash: &str, stamp: Option<Stamp>) -> Result<String> {
        let place = self.directory.take_file(&StagedFile {
            from,
            place: FilePlace::Artifact(hash),
            may_move: false,
            stamp,
        })?;
        place.into_os_string().into_string().map_err(|path| Error::Artifact {
            reason: format!(
                "the clean run's directory {path:?} isn't UTF-8, and a record can't name a file in \
                 it: choose another"
            ),
        })
    }

    /// Says what lies otherwise than before: in the clean run.
    pub(super) fn artifacts_at_end(&mut self) {
        let outside = std::mem::take(&mut self.from_outside);
        if let Some(first) = outside.first {
            let message = format!(
                "{} of artifacts from outside of the run's directory, the first being {}: the \
                 clean run has them in its own",
                counted(outside.files, "file"),
                cut(first.display().to_string())
            );
            self.changed(Place::default(), message);
        }
    }
}

/// The MD5 of a file that is known by another digest.
fn hashed(source: &Source) -> Result<Md5> {
    source.stamp.check(&source.path)?;
    let hash = File::open(&source.path).and_then(md5_of);
    let hash = hash.map_err(|error| io_error("read", &source.path, error))?;
    source.stamp.check(&source.path).map(|_| hash)
}

fn changed(path: &Path) -> Error {
    Error::FileChanged { path: path.into() }
}

/// Why an artifact's files couldn't be brought to the clean run, where that is no failure of the
/// whole repair.
fn not_brought<T>(brought: Result<T>) -> Result<std::result::Result<T, String>> {
    match brought {
        Err(Error::Artifact { reason }) => Ok(Err(reason)),
        Err(Error::FileChanged { path }) => Ok(Err(format!(
            "its file {path:?} changed while it was copied"
        ))),
        brought => brought.map(Ok),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::super::write;
    use crate::sink::survey::survey;
    use crate::sink::verify::verify;
    use crate::{Artifact, Table};

    #[test]
    fn a_file_that_changes_while_it_is_copied_costs_its_artifact_and_its_table_alone() {
        let [dir, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let file = dir.path().join("a");
        fs::write(&file, "hello\n").unwrap();
        let run = crate::init().dir(dir.path()).start().unwrap();
        let mut artifact = Artifact::new("data", "dataset").unwrap();
        artifact.add_file(&file).unwrap();
        run.log_artifact(artifact).unwrap();
        let mut table = Table::new(["n"]).unwrap();
        table.add_row([1_i64]).unwrap();
        run.log([("t", table)]).unwrap();
        run.finish().unwrap();
        let run = run.dir().unwrap();

        let surveyed = survey(run).unwrap();
        let folders = fs::read_dir(run.join("artifacts")).unwrap().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
        for file in files.map(|file| file.path()) {
            let len = fs::metadata(&file).unwrap().len();
            fs::remove_file(&file).unwrap();
            fs::write(file, vec![b'x'; len as usize]).unwrap();
        }
        let repaired = write(surveyed, run, out.path()).unwrap();
        assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (0, 2));
        let missing: Vec<_> = repaired.missing.iter().map(ToString::to_string).collect();
        let has = |text: &str| missing.iter().any(|one| one.contains(text));
        assert!(has("changed while it was copied"), "{missing:?}");
        assert!(
            has("is of a table whose artifact is left out"),
            "{missing:?}"
        );
        assert!(verify(&repaired.dir).unwrap().is_sound());
    }
}
