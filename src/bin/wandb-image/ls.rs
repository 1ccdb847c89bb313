//! `wandb-image ls`.

use std::io::{self, Write};

use serde::Serialize;
use wandb_image::sink::logged::{self, LoggedFile};

use crate::args::LsArgs;
use crate::artifacts::{self, LoggedArtifact};
use crate::failure::{Failure, Result};
use crate::print::print;
use crate::table::{Align, table};

/// One of the things that a run holds.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed<'a> {
    Media(&'a LoggedFile),
    Artifact(&'a LoggedArtifact),
}

pub(crate) fn run(args: &LsArgs) -> Result<()> {
    let media = logged::media(&args.run)?;
    let artifacts = artifacts::artifacts(&args.run, args.files)?;
    let text = match args.json {
        true => json(&media.files, &artifacts)?,
        false => tables(&media.files, &artifacts),
    };
    print(&text)?;
    if let Some(damage) = media.damage {
        return Err(Failure::about(
            "the list ends early (`wandb-image repair` reads on)",
            damage,
        ));
    }
    if media.files.is_empty() && artifacts.is_empty() {
        // A closed stderr is no reason to fail.
        let _ = writeln!(io::stderr(), "no media");
    }
    Ok(())
}

/// One table or more, with an empty line between them.
fn tables(media: &[LoggedFile], artifacts: &[LoggedArtifact]) -> String {
    let tables = [
        lines(media),
        artifacts::lines(artifacts),
        artifacts::file_lines(artifacts),
    ];
    let tables: Vec<String> = tables
        .into_iter()
        .filter(|table| !table.is_empty())
        .collect();
    tables.join("\n")
}

/// One list: the media files, then the artifacts.
fn json(media: &[LoggedFile], artifacts: &[LoggedArtifact]) -> Result<String> {
    let artifacts = artifacts.iter().map(Listed::Artifact);
    let all = media.iter().map(Listed::Media).chain(artifacts);
    let json = serde_json::to_string_pretty(&all.collect::<Vec<_>>());
    let json = json.map_err(|error| Failure::new(format!("the list is no JSON: {error}")))?;
    Ok(json + "\n")
}

fn lines(files: &[LoggedFile]) -> String {
    let row = |file: &LoggedFile| {
        let size = file
            .size
            .map_or_else(|| "?".into(), |size| size.to_string());
        let missing = if file.present { "" } else { " (missing)" };
        [
            file.key.clone(),
            file.step.to_string(),
            format!("{}{missing}", file.path),
            size,
            file.caption.clone().unwrap_or_default(),
        ]
    };
    let columns = [
        ("KEY", Align::Left),
        ("STEP", Align::Right),
        ("PATH", Align::Left),
        ("BYTES", Align::Right),
        ("CAPTION", Align::Left),
    ];
    match files {
        [] => String::new(),
        files => table(columns, &files.iter().map(row).collect::<Vec<_>>()),
    }
}
