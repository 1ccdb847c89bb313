//! `wandb-image ls`.

use std::io::{self, Write};

use serde::Serialize;
use wandb_image::sink::logged::{self, LoggedFile};

use crate::args::LsArgs;
use crate::artifacts::{self, LoggedArtifact};
use crate::failure::{Failure, Result};
use crate::print::print;
use crate::table::{Align, table};

#[derive(Serialize)]
struct Listed<'a> {
    media: &'a [LoggedFile],
    artifacts: Vec<LoggedArtifact>,
}

pub(crate) fn run(args: &LsArgs) -> Result<()> {
    let media = logged::media(&args.run)?;
    let listed = Listed {
        media: &media.files,
        artifacts: artifacts::artifacts(&args.run)?,
    };
    let text = match args.json {
        true => json(&listed)?,
        false => listed.lines(),
    };
    print(&text)?;
    if let Some(damage) = media.damage {
        return Err(Failure::about(
            "the list ends early (`wandb-image repair` reads on)",
            damage,
        ));
    }
    if listed.media.is_empty() && listed.artifacts.is_empty() {
        // A closed stderr is no reason to fail.
        let _ = writeln!(io::stderr(), "no media");
    }
    Ok(())
}

impl Listed<'_> {
    /// One table or two, with an empty line between them.
    fn lines(&self) -> String {
        let tables = [lines(self.media), artifacts::lines(&self.artifacts)];
        let tables: Vec<String> = tables
            .into_iter()
            .filter(|table| !table.is_empty())
            .collect();
        tables.join("\n")
    }
}

fn json(listed: &Listed) -> Result<String> {
    let json = serde_json::to_string_pretty(listed);
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
