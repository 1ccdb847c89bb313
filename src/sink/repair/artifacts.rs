//! The artifacts of the clean run, and their files.

use std::path::{Path, PathBuf};

use super::Repair;
use super::edits::{content, replaced};
use crate::error::{Error, Result};
use crate::image::json::artifact::line_with_local_path;
use crate::sink::artifacts::{Named, each_line_of, named_in};
use crate::sink::fault::Place;
use crate::sink::records::ArtifactRecord;
use crate::sink::survey::artifact_name;
use crate::sink::wire::{self, fields};
use crate::sink::{FilePlace, ManifestFile, Md5, RecordSink, StagedFile, Staging};

// The fields of `Record`, of an artifact, of its manifest, and of an entry of that.
pub(super) const ARTIFACT: u32 = 8;
const MANIFEST: u32 = 12;
const CONTENTS: u32 = 4;
const CONTENTS_FILE: u32 = 5;
const LOCAL_PATH: u32 = 6;

impl Repair {
    /// Keeps an artifact whose files are all there. Those that lie in the damaged run are brought to
    /// the clean one.
    pub(super) fn artifact(
        &mut self,
        artifact: &ArtifactRecord,
        bytes: &[u8],
        place: Place,
    ) -> Result<()> {
        let number = place.record.unwrap_or_default();
        if let Some(why) = self.survey.left_out.remove(&number) {
            return self.left_out(artifact, &why, place);
        }
        let manifest = content(&content(bytes, ARTIFACT), MANIFEST);
        let named = artifact.manifest.as_ref();
        let named = named.map_or("", |manifest| &manifest.manifest_file_path);
        let edited = match named.is_empty() {
            true => self.with_own_files(artifact, &manifest),
            false => self.with_own_contents(named, &manifest),
        };
        let edited = match edited {
            Err(Error::Artifact { reason }) => return self.left_out(artifact, &reason, place),
            edited => edited?,
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

    fn left_out(&mut self, artifact: &ArtifactRecord, why: &str, place: Place) -> Result<()> {
        self.usable += 1;
        self.repaired.artifacts_left_out += 1;
        self.missing(place, format!("{}, since {why}", artifact_name(artifact)));
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
    fn with_own_contents(&mut self, named: &str, manifest: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(contents) = self.survey.artifacts.contents(named).place else {
            return Ok(None);
        };
        let staging = Staging::create_in(&self.beside())?;
        let mut file = ManifestFile::begin(&staging)?;
        each_line_of(&contents, &mut |text, line| {
            let place = self.bring(&line.into())?;
            let edited = place.and_then(|place| line_with_local_path(text, &place));
            file.add_line(edited.as_deref().unwrap_or(text))
        })?;
        let name = file.finish(&staging)?;
        let place = self.take(&staging.path_of(&name), &name)?;
        Ok(Some(replaced(manifest, CONTENTS_FILE, place.as_bytes())))
    }

    /// The folder that the clean run is in.
    fn beside(&self) -> PathBuf {
        let path = self.directory.path();
        path.parent().unwrap_or(path).into()
    }

    /// Brings a file that is the damaged run's own to the clean one, and returns where it is.
    fn bring(&mut self, named: &Named) -> Result<Option<String>> {
        if named.local_path.is_empty() {
            return Ok(None);
        }
        let own = self.survey.artifacts.look(named).own;
        let hash = Md5::from_base64(&named.digest).map(Md5::hex);
        own.zip(hash)
            .map(|(own, hash)| self.take(&own, &hash))
            .transpose()
    }

    fn take(&mut self, from: &Path, hash: &str) -> Result<String> {
        let place = self.directory.take_file(&StagedFile {
            from,
            place: FilePlace::Artifact(hash),
            may_move: false,
            stamp: None,
        })?;
        place.into_os_string().into_string().map_err(|path| Error::Artifact {
            reason: format!(
                "the clean run's directory {path:?} isn't UTF-8, and a record can't name a file in \
                 it: choose another"
            ),
        })
    }
}
