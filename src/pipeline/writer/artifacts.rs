//! Artifacts and tables: their files first, then the records that name them.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::path::PathBuf;

use prost::Message;

use super::{Files, Writer};
use crate::artifact::{Digest, Entry, Heading, MadeArtifact, Source, manifest_digest, of_table};
use crate::error::{Error, Result};
use crate::image::json;
use crate::image::json::artifact::with_suffix;
use crate::image::json::table::{LoggedTable, TABLE_FILE};
use crate::pipeline::queue::Failure;
use crate::sink::records::{
    ArtifactManifest, ArtifactManifestEntry, ArtifactRecord, RecordType, RunRecord,
    StoragePolicyConfigItem,
};
use crate::sink::{FilePlace, ManifestFile, MediaKey, StagedFile, Staging};
use crate::table::MadeTable;
use crate::value::Json;

impl Writer {
    /// The JSON of a table, whose files are taken. None where that is refused.
    pub(super) fn place_table(
        &mut self,
        key: &str,
        media_key: &MediaKey,
        table: &MadeTable,
        step: u64,
        files: &mut Files,
    ) -> Option<Json> {
        match self.table(key, media_key, table, step) {
            Ok((artifact, logged)) => {
                files.named.insert(logged.path.clone());
                files.artifacts.push(artifact);
                Some(json::table::table(&logged))
            }
            Err(error) => {
                let failure = Failure::of_table(&key.into(), step, error);
                files.tables_failed.push(failure);
                None
            }
        }
    }

    fn table(
        &mut self,
        key: &str,
        media_key: &MediaKey,
        table: &MadeTable,
        step: u64,
    ) -> Result<(ArtifactRecord, LoggedTable)> {
        let file = &table.run_file;
        let path = media_key.table_path(step, &file.sha256);
        self.sink.take_file(&StagedFile {
            from: &file.staging.path_of(&file.name),
            place: FilePlace::Media(&path),
            may_move: true,
            stamp: None,
        })?;
        self.took(file.size as usize);
        let heading = Heading::new(of_table(&self.run_id, key), TABLES.into());
        let logged = LoggedTable {
            path,
            sha256: file.sha256.clone(),
            size: file.size,
            columns: table.columns,
            rows: table.rows,
            artifact_path: with_suffix(key, TABLE_FILE),
            client_id: heading.client_id.clone(),
            sequence_client_id: heading.sequence_client_id.clone(),
        };
        let artifact = self.artifact_of_table(&heading, &table.entries)?;
        Ok((artifact, logged))
    }

    /// Counts those that are written.
    pub(super) fn name_artifacts(
        &mut self,
        artifacts: Vec<ArtifactRecord>,
        written: &mut u64,
    ) -> Result<()> {
        let mut artifacts = artifacts.into_iter();
        artifacts.try_for_each(|artifact| {
            self.record(RecordType::Artifact(artifact))?;
            *written += 1;
            Ok(())
        })
    }

    /// Begins with an artifact, whose files [`take_files`](Self::take_files) takes. Returned is what
    /// is to be said of its pictures.
    pub(in crate::pipeline) fn begin_artifact(
        &mut self,
        mut artifact: MadeArtifact,
    ) -> Vec<String> {
        let notices = &mut self.notices;
        let mut sayings = notices.observe_artifact(&artifact.heading, &artifact.seen);
        sayings.append(&mut artifact.sayings);
        self.taking = Some(Taking::new(artifact));
        sayings
    }

    /// Takes the next files of the artifact that was begun, and after the last of them writes the
    /// record that names them. Whether that is written.
    pub(in crate::pipeline) fn take_files(&mut self) -> Result<bool> {
        let Some(mut taking) = self.taking.take() else {
            return Ok(true);
        };
        let record = match self.take_some(&mut taking) {
            Ok(Some(manifest)) => Ok(self.artifact_record(
                &taking.artifact.heading,
                &taking.artifact.entries,
                manifest,
            )),
            Ok(None) => {
                self.taking = Some(taking);
                return Ok(false);
            }
            Err(error) => Err(error),
        };
        let has_lost = self.has_lost() || taking.has_lost;
        if has_lost && taking.tries_left > 0 {
            self.taking = Some(taking.again());
            return Ok(false);
        }
        self.record(RecordType::Artifact(record?))?;
        Ok(true)
    }

    /// Whether files are gone that were taken before: an artifact that was begun begins anew then,
    /// and the pictures of the next row are handed over once more.
    pub(super) fn has_lost(&mut self) -> bool {
        let has_lost = self.sink.has_lost();
        if has_lost {
            self.last_files.clear();
            self.taking
                .iter_mut()
                .for_each(|taking| taking.has_lost = true);
        }
        has_lost
    }

    /// Takes files until others have waited long enough. What the record says of them, once all
    /// are taken.
    fn take_some(&mut self, taking: &mut Taking) -> Result<Option<ArtifactManifest>> {
        let entries = &taking.artifact.entries;
        let mut contents = match taking.contents.take() {
            Some(contents) => contents,
            None => Contents::of(entries.len())?,
        };
        let after = taking.last.as_deref().map_or(Unbounded, Excluded);
        let (mut files, mut bytes) = (0, 0);
        for (path, entry) in entries.range::<str, _>((after, Unbounded)) {
            contents.add(self.manifest_entry(path, entry)?)?;
            files += 1;
            bytes += entry.size;
            if files == FILES_AT_A_TIME || bytes >= BYTES_AT_A_TIME {
                taking.last = Some(path.clone());
                taking.contents = Some(contents);
                return Ok(None);
            }
        }
        self.manifest(contents).map(Some)
    }

    /// All of it in one go, since its row waits for that.
    fn artifact_of_table(
        &mut self,
        heading: &Heading,
        entries: &BTreeMap<String, Entry>,
    ) -> Result<ArtifactRecord> {
        let mut contents = Contents::of(entries.len())?;
        for (path, entry) in entries {
            contents.add(self.manifest_entry(path, entry)?)?;
        }
        let manifest = self.manifest(contents)?;
        Ok(self.artifact_record(heading, entries, manifest))
    }

    fn artifact_record(
        &self,
        heading: &Heading,
        entries: &BTreeMap<String, Entry>,
        manifest: ArtifactManifest,
    ) -> ArtifactRecord {
        let Owner { project, entity } = self.owner.clone();
        ArtifactRecord {
            run_id: self.run_id.clone(),
            project,
            entity,
            r#type: heading.kind.clone(),
            name: heading.name.clone(),
            digest: manifest_digest(entries),
            description: heading.description.clone(),
            metadata: heading.metadata.clone(),
            aliases: heading.aliases.clone(),
            manifest: Some(manifest),
            finalize: true,
            client_id: heading.client_id.clone(),
            sequence_client_id: heading.sequence_client_id.clone(),
            tags: heading.tags.clone(),
            digest_algorithm: MD5_MANIFEST.into(),
        }
    }

    /// What a record says of the contents.
    fn manifest(&mut self, contents: Contents) -> Result<ArtifactManifest> {
        let (staging, file) = match contents {
            Contents::InRecord { entries, .. } => return Ok(ArtifactManifest::of(entries)),
            Contents::InFile(staging, file) => (staging, file),
        };
        let name = file.finish(&staging)?;
        let path = self.sink.take_file(&StagedFile {
            from: &staging.path_of(&name),
            place: FilePlace::Artifact(&name),
            may_move: true,
            stamp: None,
        })?;
        Ok(ArtifactManifest {
            manifest_file_path: named_by_record(path)?,
            ..ArtifactManifest::of(Vec::new())
        })
    }

    fn manifest_entry(&mut self, path: &str, entry: &Entry) -> Result<ArtifactManifestEntry> {
        Ok(ArtifactManifestEntry {
            path: path.into(),
            digest: entry.digest.text(),
            r#ref: entry.address().unwrap_or_default().into(),
            size: entry.size.cast_signed(),
            local_path: self.take_entry(entry)?,
        })
    }

    /// Takes a file of an artifact, and returns where it is; nothing for a reference.
    fn take_entry(&mut self, entry: &Entry) -> Result<String> {
        let Digest::Md5(digest) = &entry.digest else {
            return Ok(String::new());
        };
        let hash = digest.hex();
        let place = FilePlace::Artifact(&hash);
        let taken = match &entry.source {
            Source::Reference => return Ok(String::new()),
            Source::Staged(staging, name) => self.sink.take_file(&StagedFile {
                from: &staging.path_of(name),
                place,
                may_move: true,
                stamp: None,
            })?,
            Source::User { path, stamp } => self.sink.take_file(&StagedFile {
                from: path,
                place,
                may_move: false,
                stamp: Some(*stamp),
            })?,
        };
        self.took(entry.size as usize);
        named_by_record(taken)
    }
}

/// A path as a record has it.
fn named_by_record(path: PathBuf) -> Result<String> {
    path.into_os_string()
        .into_string()
        .map_err(|path| Error::Artifact {
            reason: format!(
                "the run's directory {path:?} isn't UTF-8, and a record can't name a file in it: \
             choose another by RunBuilder::dir"
            ),
        })
}

/// An artifact whose files are taken a few at a time: what else is ready is written in between.
pub(super) struct Taking {
    artifact: MadeArtifact,
    /// The path of the last file that was taken.
    last: Option<String>,
    /// Of the files so far, where there are any.
    contents: Option<Contents>,
    /// Some of those may be gone.
    has_lost: bool,
    /// How often it may still begin anew.
    tries_left: u8,
}

/// After how many files, or bytes of files, others have their turn: a few milliseconds where files
/// are linked, and where they are copied or synced about a tenth of a second.
const FILES_AT_A_TIME: usize = 32;
const BYTES_AT_A_TIME: u64 = 16 << 20;

impl Taking {
    fn new(artifact: MadeArtifact) -> Self {
        /// What goes on being lost, the sink tells when it is flushed.
        const TRIES: u8 = 2;
        Self {
            artifact,
            last: None,
            contents: None,
            has_lost: false,
            tries_left: TRIES,
        }
    }

    fn again(self) -> Self {
        Self {
            tries_left: self.tries_left - 1,
            ..Self::new(self.artifact)
        }
    }
}

/// What an artifact holds: in its record, or in a file that the record names, since it would be too
/// long.
enum Contents {
    InRecord {
        entries: Vec<ArtifactManifestEntry>,
        /// What they take there.
        bytes: usize,
    },
    InFile(Staging, Box<ManifestFile>),
}

/// The most files that a record names itself: the Python SDK's number.
const MAX_IN_RECORD: usize = 100_000;
/// The most bytes that it names them with, far below what a log's readers take: 64 MiB.
const MAX_BYTES_IN_RECORD: usize = 32 << 20;

impl Contents {
    /// Of so many files.
    fn of(files: usize) -> Result<Self> {
        match files <= MAX_IN_RECORD {
            true => Ok(Self::InRecord {
                entries: Vec::with_capacity(files),
                bytes: 0,
            }),
            false => Self::in_file(&[]),
        }
    }

    fn in_file(entries: &[ArtifactManifestEntry]) -> Result<Self> {
        let staging = Staging::create()?;
        let mut file = ManifestFile::begin(&staging)?;
        entries.iter().try_for_each(|entry| file.add(entry))?;
        Ok(Self::InFile(staging, Box::new(file)))
    }

    fn add(&mut self, entry: ArtifactManifestEntry) -> Result<()> {
        match self {
            Contents::InFile(_, file) => file.add(&entry),
            Contents::InRecord { entries, bytes } => {
                *bytes += entry.encoded_len();
                entries.push(entry);
                if *bytes > MAX_BYTES_IN_RECORD {
                    *self = Self::in_file(entries)?;
                }
                Ok(())
            }
        }
    }
}

/// The type of the artifacts of tables.
const TABLES: &str = "run_table";
const MD5_MANIFEST: &str = "MANIFEST_MD5";

/// Whose run it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Owner {
    project: String,
    entity: String,
}

impl Owner {
    pub(super) fn of(run: &RunRecord) -> Self {
        let (project, entity) = (run.project.clone(), run.entity.clone());
        Self { project, entity }
    }
}

impl ArtifactManifest {
    /// As the Python SDK has it.
    fn of(contents: Vec<ArtifactManifestEntry>) -> Self {
        let layout = StoragePolicyConfigItem {
            key: "storageLayout".into(),
            value_json: "\"V2\"".into(),
        };
        Self {
            version: 1,
            storage_policy: "wandb-storage-policy-v1".into(),
            storage_policy_config: vec![layout],
            contents,
            manifest_file_path: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
