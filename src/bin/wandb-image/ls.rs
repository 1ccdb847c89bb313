//! `wandb-image ls`.

use std::io::{self, Write};

use serde::Serialize;
use wandb_image::sink::logged::{self, LoggedFile};

use crate::args::LsArgs;
use crate::artifacts::{self, LoggedArtifact};
use crate::failure::{Failure, Result};
use crate::print::print_by;
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
    let (artifacts, unlisted) = artifacts::artifacts(&args.run, args.files)?;
    print_by(|stdout| match args.json {
        true => json(&media.files, &artifacts, stdout),
        false => tables(&media.files, &artifacts, stdout),
    })?;
    if let (Some(unlisted), Some(_)) = (&unlisted, &media.damage) {
        let _ = write!(io::stderr(), "{}", unlisted.report());
    }
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
    unlisted.map_or(Ok(()), Err)
}

/// One table or more, with an empty line between them.
fn tables(
    media: &[LoggedFile],
    artifacts: &[LoggedArtifact],
    stdout: &mut dyn Write,
) -> io::Result<()> {
    let tables: [Box<dyn Iterator<Item = String>>; 3] = [
        Box::new(lines(media)),
        Box::new(artifacts::lines(artifacts)),
        Box::new(artifacts::file_lines(artifacts)),
    ];
    let mut between = "";
    for table in tables {
        let mut before = between;
        for line in table {
            write!(stdout, "{before}{line}")?;
            (before, between) = ("", "\n");
        }
    }
    Ok(())
}

/// One list: the media files, then the artifacts.
fn json(
    media: &[LoggedFile],
    artifacts: &[LoggedArtifact],
    stdout: &mut dyn Write,
) -> io::Result<()> {
    let artifacts = artifacts.iter().map(Listed::Artifact);
    let all = media.iter().map(Listed::Media).chain(artifacts);
    serde_json::to_writer_pretty(&mut *stdout, &all.collect::<Vec<_>>())?;
    writeln!(stdout)
}

fn lines(files: &[LoggedFile]) -> impl Iterator<Item = String> {
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
    table(columns, files.iter().map(row))
}
