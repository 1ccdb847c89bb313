//! Artifacts and tables: their files first, then the records that name them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Files, LastFiles, Writer};
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
                files.tables += 1;
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
        let artifact = self.artifact_record(&heading, &table.entries)?;
        Ok((artifact, logged))
    }

    pub(super) fn name_artifacts(&mut self, artifacts: Vec<ArtifactRecord>) -> Result<()> {
        let mut artifacts = artifacts.into_iter();
        artifacts.try_for_each(|artifact| self.record(RecordType::Artifact(artifact)))
    }

    /// Writes an artifact: its files first, then the record that names them.
    pub(in crate::pipeline) fn artifact(&mut self, artifact: &MadeArtifact) -> Result<()> {
        let mut record = self.artifact_record(&artifact.heading, &artifact.entries);
        if self.sink.has_lost() {
            // The pictures of the next row are handed over once more.
            self.last_files = LastFiles::new();
            record = self.artifact_record(&artifact.heading, &artifact.entries);
        }
        self.record(RecordType::Artifact(record?))
    }

    /// What is to be said of its pictures.
    pub(in crate::pipeline) fn notice_artifact(&mut self, artifact: &MadeArtifact) -> Vec<String> {
        let name = &artifact.heading.name;
        self.notices.observe_artifact(name, &artifact.seen)
    }

    fn artifact_record(
        &mut self,
        heading: &Heading,
        entries: &BTreeMap<String, Entry>,
    ) -> Result<ArtifactRecord> {
        let manifest = match entries.len() <= MAX_IN_RECORD {
            true => self.manifest(entries)?,
            false => self.manifest_file(entries)?,
        };
        let Owner { project, entity } = self.owner.clone();
        Ok(ArtifactRecord {
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
        })
    }

    /// The contents in the record itself.
    fn manifest(&mut self, entries: &BTreeMap<String, Entry>) -> Result<ArtifactManifest> {
        let contents = entries
            .iter()
            .map(|(path, entry)| self.manifest_entry(path, entry));
        Ok(ArtifactManifest::of(contents.collect::<Result<_>>()?))
    }

    /// The contents in a file that the record names.
    fn manifest_file(&mut self, entries: &BTreeMap<String, Entry>) -> Result<ArtifactManifest> {
        let staging = Staging::create()?;
        let mut file = ManifestFile::begin(&staging)?;
        for (path, entry) in entries {
            file.add(&self.manifest_entry(path, entry)?)?;
        }
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

/// The most files that a record names itself: the Python SDK's number.
const MAX_IN_RECORD: usize = 100_000;
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
