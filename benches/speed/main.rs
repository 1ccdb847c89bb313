//! The Rust side of `benches/compare.sh`, by the crate's public API alone: takes one command a
//! line on stdin, as JSON, and answers each with one line on stdout.

mod caller;
mod denoiser;
#[path = "../../examples/digits/mod.rs"]
#[expect(dead_code, reason = "the examples need more of it")]
mod digits;
mod idle;
mod inputs;
mod long;
mod pixels;
mod process;
mod sampling;
mod sustained;
mod training;

use std::error::Error;
use std::io::{Write, stdin, stdout};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use wandb_image::FileType;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Longer than anything here takes: what isn't done then is a failure.
const PATIENCE: Duration = Duration::from_secs(600);

/// What can be measured. The fields are counts, except where they say otherwise.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Command {
    Caller {
        kind: String,
        repeats: usize,
        /// Seconds between two ticks; none waits until the picture is on disk.
        pause: Option<f64>,
    },
    Idle {
        ticks: u64,
    },
    Sustained {
        kind: String,
        file_type: Format,
        rows: u64,
        /// The run's directory stays, and the answer names it.
        keep: bool,
    },
    Pixels {
        kind: String,
        repeats: usize,
    },
    Long {
        kind: String,
        file_type: Format,
        pictures: u64,
        block: u64,
    },
    Training {
        steps: u64,
        sampling: training::Sampling,
    },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Png,
    Jpg,
}

impl From<Format> for FileType {
    fn from(format: Format) -> Self {
        match format {
            Format::Png => FileType::Png,
            Format::Jpg => FileType::jpg(),
        }
    }
}

/// Where inputs lie and runs go.
struct Folders {
    inputs: PathBuf,
    work: PathBuf,
}

impl Folders {
    fn from_args() -> Result<Self> {
        let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
        match <[PathBuf; 2]>::try_from(args) {
            Ok([inputs, work]) => Ok(Self { inputs, work }),
            Err(_) => Err("usage: speed INPUTS WORK; benches/compare.sh runs it".into()),
        }
    }
}

fn main() -> Result<()> {
    let folders = Folders::from_args()?;
    for line in stdin().lines() {
        let answer = answer(&folders, &line?).unwrap_or_else(|e| json!({ "error": e.to_string() }));
        let mut out = stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(folders: &Folders, line: &str) -> Result<Value> {
    match serde_json::from_str(line)? {
        Command::Caller {
            kind,
            repeats,
            pause,
        } => caller::measure(folders, &kind, repeats, pause),
        Command::Idle { ticks } => idle::measure(folders, ticks),
        Command::Sustained {
            kind,
            file_type,
            rows,
            keep,
        } => sustained::measure(folders, &kind, file_type.into(), rows, keep),
        Command::Pixels { kind, repeats } => pixels::measure(folders, &kind, repeats),
        Command::Long {
            kind,
            file_type,
            pictures,
            block,
        } => long::measure(folders, &kind, file_type.into(), pictures, block),
        Command::Training { steps, sampling } => training::measure(folders, steps, sampling),
    }
}
