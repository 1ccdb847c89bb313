//! The artifacts of a run, those of its tables too, as the log has them.

use std::path::Path;

use serde::Serialize;
use wandb_image::sink::logged::find_log;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{ArtifactManifestEntry, ArtifactRecord, RecordType};

use crate::failure::Result;
use crate::table::{Align, table};

/// It says what it is, as media files do.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "artifact")]
pub(crate) struct LoggedArtifact {
    name: String,
    r#type: String,
    digest: String,
    aliases: Vec<String>,
    tags: Vec<String>,
    /// None of these four where the manifest is in a file of its own, as the Python SDK has it for
    /// many files.
    #[serde(flatten)]
    contents: Option<Contents>,
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

/// Those before the first damage, which whoever lists the media files tells.
pub(crate) fn artifacts(run: &Path) -> Result<Vec<LoggedArtifact>> {
    let records = LogReader::open(find_log(run)?)?.map_while(std::result::Result::ok);
    let artifacts = records.filter_map(|record| match record.record_type? {
        RecordType::Artifact(artifact) => Some(LoggedArtifact::from(artifact)),
        _ => None,
    });
    Ok(artifacts.collect())
}

impl From<ArtifactRecord> for LoggedArtifact {
    fn from(artifact: ArtifactRecord) -> Self {
        let manifest = artifact.manifest.unwrap_or_default();
        let is_here = manifest.manifest_file_path.is_empty();
        Self {
            name: artifact.name,
            r#type: artifact.r#type,
            digest: artifact.digest,
            aliases: artifact.aliases,
            tags: artifact.tags,
            contents: is_here.then(|| Contents::of(&manifest.contents)),
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

pub(crate) fn lines(artifacts: &[LoggedArtifact]) -> String {
    let columns = [
        ("ARTIFACT", Align::Left),
        ("TYPE", Align::Left),
        ("FILES", Align::Right),
        ("REFERENCES", Align::Right),
        ("BYTES", Align::Right),
        ("ALIASES", Align::Left),
    ];
    match artifacts {
        [] => String::new(),
        artifacts => table(columns, &artifacts.iter().map(row).collect::<Vec<_>>()),
    }
}

fn row(artifact: &LoggedArtifact) -> [String; 6] {
    let contents = artifact.contents.as_ref();
    let said = |number: fn(&Contents) -> String| contents.map_or_else(|| "?".into(), number);
    [
        artifact.name.clone(),
        artifact.r#type.clone(),
        said(|contents| match contents.missing {
            0 => contents.files.to_string(),
            missing => format!("{} ({missing} missing)", contents.files),
        }),
        said(|contents| contents.references.to_string()),
        said(|contents| contents.size.to_string()),
        artifact.aliases.join(", "),
    ]
}
