//! The artifacts of a run, those of its tables too, as the log has them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use wandb_image::Error;
use wandb_image::sink::extract::ArtifactLists;
use wandb_image::sink::logged::find_log;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{ArtifactManifestEntry, ArtifactRecord, RecordType};

use crate::failure::{Failure, Result};
use crate::table::{Align, table};

/// It says what it is, as media files do.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "artifact")]
pub(crate) struct LoggedArtifact {
    name: String,
    r#type: String,
    /// Counted in this run alone: one for each digest of the name.
    version: usize,
    digest: String,
    aliases: Vec<String>,
    tags: Vec<String>,
    /// None of these four where the manifest is in a file of its own, as the Python SDK has it for
    /// many files.
    #[serde(flatten)]
    counts: Option<Contents>,
    /// Where they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    contents: Option<Vec<Entry>>,
}

/// A file, or a reference.
#[derive(Serialize)]
struct Entry {
    path: String,
    digest: String,
    /// The address of a reference.
    #[serde(skip_serializing_if = "String::is_empty")]
    r#ref: String,
    /// In bytes.
    size: i64,
}

#[derive(Serialize)]
struct Contents {
    files: usize,
    /// Of the files, in bytes.
    size: u64,
    references: usize,
    /// Files that are to be uploaded, and aren't there.
    missing: usize,
}

/// Those before the first damage, which whoever lists the media files tells; with their files, where
/// they are asked for. And why some are without those.
pub(crate) fn artifacts(
    run: &Path,
    with_files: bool,
) -> Result<(Vec<LoggedArtifact>, Option<Failure>)> {
    let mut lists = ArtifactLists::open(run)?;
    let mut unlisted = Unlisted::default();
    let records = LogReader::open(find_log(run)?)?.map_while(std::result::Result::ok);
    let artifacts = records.filter_map(|record| match record.record_type? {
        RecordType::Artifact(artifact) => Some(artifact),
        _ => None,
    });
    let artifacts = artifacts.map(|artifact| match with_files {
        true => match lists.files_of(&artifact) {
            Ok(files) => LoggedArtifact::with_files(files, artifact),
            Err(error) => {
                unlisted.add(error);
                LoggedArtifact::from(artifact)
            }
        },
        false => LoggedArtifact::from(artifact),
    });
    let mut artifacts: Vec<_> = artifacts.collect();
    count_versions(&mut artifacts);
    Ok((artifacts, unlisted.failure()))
}

fn count_versions(artifacts: &mut [LoggedArtifact]) {
    let mut digests: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for artifact in artifacts {
        let of_name = digests.entry(&artifact.name).or_default();
        let next = of_name.len();
        artifact.version = *of_name.entry(&artifact.digest).or_insert(next);
    }
}

/// Artifacts whose files can't be listed.
#[derive(Default)]
struct Unlisted {
    count: u64,
    first: Option<Error>,
}

impl Unlisted {
    fn add(&mut self, error: Error) {
        self.count += 1;
        self.first.get_or_insert(error);
    }

    fn failure(self) -> Option<Failure> {
        let first = self.first?;
        Some(match self.count {
            1 => Failure::from(first),
            n => Failure::about(format!("the files of {n} artifacts can't be listed"), first),
        })
    }
}

impl LoggedArtifact {
    fn with_files(files: Vec<ArtifactManifestEntry>, artifact: ArtifactRecord) -> Self {
        let counts = Some(Contents::of(&files));
        let contents = files.into_iter().map(Entry::from).collect();
        Self {
            counts,
            contents: Some(contents),
            ..Self::from(artifact)
        }
    }
}

impl From<ArtifactManifestEntry> for Entry {
    fn from(entry: ArtifactManifestEntry) -> Self {
        Self {
            path: entry.path,
            digest: entry.digest,
            r#ref: entry.r#ref,
            size: entry.size,
        }
    }
}

impl From<ArtifactRecord> for LoggedArtifact {
    fn from(artifact: ArtifactRecord) -> Self {
        let manifest = artifact.manifest.unwrap_or_default();
        let is_here = manifest.manifest_file_path.is_empty();
        Self {
            name: artifact.name,
            r#type: artifact.r#type,
            version: 0,
            digest: artifact.digest,
            aliases: artifact.aliases,
            tags: artifact.tags,
            counts: is_here.then(|| Contents::of(&manifest.contents)),
            contents: None,
        }
    }
}

impl Contents {
    fn of(entries: &[ArtifactManifestEntry]) -> Self {
        let files = entries.iter().filter(|entry| entry.r#ref.is_empty());
        let sizes = files.clone().map(|entry| entry.size.max(0).cast_unsigned());
        let missing = files
            .clone()
            .filter(|file| !Path::new(&file.local_path).is_file());
        let n_files = files.clone().count();
        Self {
            files: n_files,
            size: sizes.fold(0, u64::saturating_add),
            references: entries.len() - n_files,
            missing: missing.count(),
        }
    }
}

pub(crate) fn lines(artifacts: &[LoggedArtifact]) -> impl Iterator<Item = String> {
    let columns = [
        ("ARTIFACT", Align::Left),
        ("VERSION", Align::Left),
        ("TYPE", Align::Left),
        ("FILES", Align::Right),
        ("REFERENCES", Align::Right),
        ("BYTES", Align::Right),
        ("ALIASES", Align::Left),
    ];
    let held = held_aliases(artifacts);
    let rows = artifacts.iter().zip(held);
    table(columns, rows.map(|(artifact, held)| row(artifact, &held)))
}

/// The aliases of each: an alias is that of the last that has it, as it is at W&B.
fn held_aliases(artifacts: &[LoggedArtifact]) -> Vec<Vec<&str>> {
    let mut seen = BTreeSet::new();
    let held = artifacts.iter().rev().map(|artifact| {
        let aliases = artifact.aliases.iter().map(|alias| &**alias);
        let held = aliases.filter(|alias| seen.insert((&*artifact.name, *alias)));
        held.collect()
    });
    let mut held: Vec<_> = held.collect();
    held.reverse();
    held
}

fn row(artifact: &LoggedArtifact, held: &[&str]) -> [String; 7] {
    let contents = artifact.counts.as_ref();
    let said = |number: fn(&Contents) -> String| contents.map_or_else(|| "?".into(), number);
    [
        artifact.name.clone(),
        format!("v{}", artifact.version),
        artifact.r#type.clone(),
        said(|contents| match contents.missing {
            0 => contents.files.to_string(),
            missing => format!("{} ({missing} missing)", contents.files),
        }),
        said(|contents| contents.references.to_string()),
        said(|contents| contents.size.to_string()),
        held.join(", "),
    ]
}

/// Nothing where they weren't asked for.
pub(crate) fn file_lines(artifacts: &[LoggedArtifact]) -> impl Iterator<Item = String> {
    let rows = artifacts.iter().flat_map(|artifact| {
        let entries = artifact.contents.iter().flatten();
        entries.map(|entry| entry.row(format!("{}:v{}", artifact.name, artifact.version)))
    });
    let columns = [
        ("ARTIFACT", Align::Left),
        ("FILE", Align::Left),
        ("BYTES", Align::Right),
        ("DIGEST", Align::Left),
    ];
    table(columns, rows)
}

impl Entry {
    fn row(&self, artifact: String) -> [String; 4] {
        let (size, digest) = match self.r#ref.is_empty() {
            true => (self.size.to_string(), &self.digest),
            false => ("?".into(), &self.r#ref),
        };
        [artifact, self.path.clone(), size, digest.clone()]
    }
}
