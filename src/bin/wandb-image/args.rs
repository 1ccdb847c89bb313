//! The arguments, and what `--help` says of them.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use wandb_image::{FileType, ImageOptions, Layout, Mode, Normalize};

use crate::log::FileKind;
use crate::normalize;

/// Log tensors and pictures from files to a Weights & Biases run on disk, list its pictures, lay out
/// its artifacts, verify and repair it. Needs neither Python nor a network.
#[derive(Parser)]
#[command(name = "wandb-image", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Log(LogArgs),
    Ls(LsArgs),
    Extract(ExtractArgs),
    Verify(VerifyArgs),
    Repair(RepairArgs),
}

/// Log files as images of a new run, which `wandb sync` uploads
///
/// FILE is a .safetensors or .npy file of tensors, or a picture (.png, .jpg, .jpeg, .bmp), which
/// is logged as it is. A tensor of rank 2 (H, W) or 3 is one image; of rank 4, a list of images,
/// or one grid with --grid.
///
/// Without --key, each tensor of a .safetensors file is logged under its own name, and anything
/// else under the name of its file without the extension. What has the same key is logged as one
/// list, in the order given. With --key, everything goes under that key: as one image if it is
/// one, else as one list.
///
/// All files are read before anything is logged: where one can't be, nothing is. The WANDB_*
/// variables are heeded (WANDB_PROJECT, WANDB_DIR, WANDB_NAME, …); the options win over them.
///
/// The last line on stdout is the run's directory, alone. Everything else is said on stderr.
#[derive(Args)]
#[command(after_long_help = LOG_EXAMPLES)]
pub(crate) struct LogArgs {
    /// Log everything under this key [default: the tensor's or the file's name]
    #[arg(long)]
    pub(crate) key: Option<String>,

    /// The step to log at [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) step: Option<u64>,

    /// Log this tensor of the .safetensors files; may be repeated [default: all]
    #[arg(long = "tensor", value_name = "NAME")]
    pub(crate) tensors: Vec<String>,

    /// How values become pixels [default: min-max; for .npy to-uint8]
    ///
    /// min-max: the least value black, the greatest white.
    /// range:LOW,HIGH: LOW black, HIGH white.
    /// unit: 0 black, 1 white.
    /// signed: -1 black, 1 white.
    /// mean-std:M,…/S,…: standardised values are undone, one mean M and deviation S a channel or
    /// one for all.
    /// guess: by the data's range, as wandb 0.20 until 0.31 did.
    /// to-uint8: as wandb documents it for arrays.
    /// off: the values are 0 to 255 already.
    #[arg(long, value_name = "RULE", value_parser = normalize::parse, verbatim_doc_comment)]
    pub(crate) normalize: Option<Normalize>,

    /// How the dimensions are read [default: chw; for .npy hwc]
    #[arg(long, value_parser = layout())]
    pub(crate) layout: Option<Layout>,

    /// The channels of the picture, by PIL's names; I;16 keeps 16 bits of integers [default: by
    /// the tensor's channels]
    #[arg(long, value_parser = mode())]
    pub(crate) mode: Option<Mode>,

    /// The format of the files [default: png; a picture keeps its own]
    #[arg(long, value_name = "TYPE", value_parser = file_type())]
    file_type: Option<FileType>,

    /// The quality of JPEG files, 1 to 100; needs --file-type jpg [default: 75]
    #[arg(long, value_name = "Q", requires = "file_type",
          value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,

    /// Lay the images of a rank-4 tensor out as one, eight a row
    #[arg(long)]
    pub(crate) grid: bool,

    /// Log a rank-4 tensor as a list of images; this is the default
    #[arg(long, conflicts_with = "grid")]
    images: bool,

    /// The text that W&B shows with each image
    #[arg(long, value_name = "TEXT")]
    pub(crate) caption: Option<String>,

    /// The project [default: WANDB_PROJECT, or uncategorized]
    #[arg(long)]
    pub(crate) project: Option<String>,

    /// The folder in which wandb/offline-run-… is made [default: WANDB_DIR, or the current one]
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,

    /// .safetensors, .npy, .png, .jpg, .jpeg or .bmp
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

const LOG_EXAMPLES: &str = "\
Examples:
  Every tensor of a file, each under its own name, tanh outputs:
      wandb-image log --normalize signed samples.safetensors

  One batch as a grid, under a key and a step of its own:
      wandb-image log --tensor output --grid --key val/samples --step 100 batch.safetensors

  An array and pictures as one list, then upload:
      wandb sync \"$(wandb-image log --key compare before.npy after.png | tail -n 1)\"";

/// List the media files and the artifacts of a run
///
/// RUN is the directory of a run (wandb/offline-run-…) or the .wandb file in it, written by this
/// program, its library, or the Python SDK. Paths are relative to the run's files/. A table is a
/// media file of the run, and an artifact of the type run_table.
///
/// A log that is torn or damaged is listed as far as it is whole; then an error names the byte
/// where reading ended, and the exit code is 1. So it is where --files can't list those of an
/// artifact, since the list of them is gone or was changed, or more is named than fits 256 MiB of
/// memory.
#[derive(Args)]
#[command(after_long_help = LS_EXAMPLES)]
pub(crate) struct LsArgs {
    /// The run's directory, or its .wandb file
    pub(crate) run: PathBuf,

    /// Also the files of each artifact: path, size, and MD5 or XXH128 in base64, or the address of a
    /// reference; in JSON as its contents, with path, digest, ref and size
    #[arg(long)]
    pub(crate) files: bool,

    /// A JSON list of objects, the "kind" of which says what they are: media files (kind as W&B's
    /// _type, such as image-file, mask or table-file; key, step, path, size, caption, width, height,
    /// format, present), then artifacts (kind artifact; name, type, version, digest, aliases, tags, files,
    /// size, references, missing)
    #[arg(long)]
    pub(crate) json: bool,
}

const LS_EXAMPLES: &str = "\
Examples:
  The latest run:
      wandb-image ls wandb/latest-run

  The files that are named but missing:
      wandb-image ls --json wandb/latest-run | jq -r '.[] | select(.present == false).path'

  The files of the artifacts:
      wandb-image ls --files wandb/latest-run

  The artifacts of which files are missing:
      wandb-image ls --json wandb/latest-run | jq -r '.[] | select(.missing > 0).name'";

/// Lay out an artifact of a run in a folder, as a download of it would
///
/// RUN is the directory of a run (wandb/offline-run-…) or the .wandb file in it, written by this
/// program, its library, or the Python SDK, and needn't be synced.
///
/// ARTIFACT is a name, for what was logged last under it; or a name with an alias (data:best) or a
/// version (data:v0), which is counted in this run alone: `wandb-image ls` shows all of them. A table
/// that was logged under a key is an artifact too, of the type run_table and the name run-RUNID-KEY,
/// without what a name can't have of the key.
///
/// Each file is copied and compared with its digest, and all with the artifact's; references are left
/// out, since their files are elsewhere. The folder is all that is printed on stdout.
#[derive(Args)]
#[command(after_long_help = EXTRACT_EXAMPLES)]
pub(crate) struct ExtractArgs {
    /// The run's directory, or its .wandb file
    pub(crate) run: PathBuf,

    /// The artifact: NAME, NAME:ALIAS or NAME:vN
    pub(crate) artifact: String,

    /// The folder, which is made, or is empty
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

const EXTRACT_EXAMPLES: &str = "\
Examples:
  The files of an artifact, as logged last:
      wandb-image extract wandb/latest-run digits -o digits

  Of the version that was the best:
      wandb-image extract wandb/latest-run digits:best -o digits";

/// Name what is wrong with runs: each fault with its place, and what to do
///
/// RUN is the directory of a run (wandb/offline-run-…) or the .wandb file in it, written by this
/// program, its library, or the Python SDK. All of the log and of the media files is read, and
/// nothing is changed.
///
/// A fault is what W&B wouldn't get: a damaged log, a picture that is missing or that is not what
/// its row says, a record that `wandb sync` drops or stops at. A note is worth a word, and W&B
/// gets all of the run nevertheless.
///
/// The exit code is 0 where all runs are sound, else 1.
#[derive(Args)]
#[command(after_long_help = VERIFY_EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// The directories of runs, or their .wandb files
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,

    /// A JSON list of objects: run, log, run_id, records, rows, first_step, last_step, media_files, faults; each fault
    /// with kind, is_note, count, byte, to, record, step, after_step, before_step, key, path, message
    #[arg(long)]
    pub(crate) json: bool,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  All runs, before they are synced:
      wandb-image verify wandb/offline-run-*

  The pictures that are gone:
      wandb-image verify --json wandb/latest-run |
          jq -r '.[].faults[] | select(.kind == \"missing-file\").path'";

/// Write a clean run from all of a damaged one that is whole
///
/// The damaged run is left as it is. Bad stretches of its log are passed over, whole records
/// behind them are kept; pictures that are missing or altered are taken out of their rows; what
/// `wandb sync` would drop or stop at is put right. What is missing is said on stderr.
///
/// The directory of the clean run is all that is printed on stdout. The exit code is 0 where one
/// was written, also where something is missing in it, else 1.
#[derive(Args)]
#[command(after_long_help = REPAIR_EXAMPLES)]
pub(crate) struct RepairArgs {
    /// The damaged run's directory, or its .wandb file
    pub(crate) run: PathBuf,

    /// Where the clean run goes: its own directory, if the name begins with offline-run-, else the
    /// folder in which that is made; there must be none of that name yet
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

const REPAIR_EXAMPLES: &str = "\
Examples:
  Repair a run, then upload it:
      wandb sync \"$(wandb-image repair wandb/latest-run -o repaired)\"";

impl LogArgs {
    /// The arguments, or the end of the process with exit code 2 for those that don't go
    /// together.
    pub(crate) fn checked(self) -> Self {
        if let Err((kind, reason)) = self.check() {
            let mut command = Cli::command();
            command.build();
            let log = command.find_subcommand_mut("log");
            log.map_or_else(Cli::command, |log| log.clone())
                .error(kind, reason)
                .exit();
        }
        self
    }

    fn check(&self) -> Result<(), (ErrorKind, &'static str)> {
        let jpg = matches!(self.file_type, Some(FileType::Jpg { .. }));
        if self.quality.is_some() && !jpg {
            return Err((
                ErrorKind::ArgumentConflict,
                "--quality needs --file-type jpg",
            ));
        }
        let is_safetensors = |file| FileKind::of(file) == Some(FileKind::Safetensors);
        if !self.tensors.is_empty() && !self.files.iter().any(|file| is_safetensors(file)) {
            let reason = "--tensor selects from .safetensors files, but none is given";
            return Err((ErrorKind::ArgumentConflict, reason));
        }
        Ok(())
    }

    /// The format asked for, with its quality.
    pub(crate) fn file_type(&self) -> Option<FileType> {
        match (self.file_type, self.quality) {
            (Some(FileType::Jpg { .. }), Some(quality)) => Some(FileType::Jpg { quality }),
            (file_type, _) => file_type,
        }
    }

    /// What is asked for tensors, with these defaults.
    pub(crate) fn image_options(&self, layout: Layout, normalize: Normalize) -> ImageOptions {
        let options = ImageOptions::new()
            .layout(self.layout.unwrap_or(layout))
            .file_type(self.file_type().unwrap_or_default());
        let options = match (&self.normalize, self.mode) {
            (Some(rule), _) => options.normalize(rule.clone()),
            (None, Some(Mode::I16)) => options,
            (None, _) => options.normalize(normalize),
        };
        match self.mode {
            Some(mode) => options.mode(mode),
            None => options,
        }
    }

    /// The options given that say nothing about a picture file.
    pub(crate) fn for_tensors_only(&self) -> Vec<&'static str> {
        let given = [
            (self.normalize.is_some(), "--normalize"),
            (self.layout.is_some(), "--layout"),
            (self.mode.is_some(), "--mode"),
            (self.grid, "--grid"),
        ];
        let given = given.iter().filter(|(given, _)| *given);
        given.map(|(_, name)| *name).collect()
    }
}

fn layout() -> impl TypedValueParser<Value = Layout> {
    PossibleValuesParser::new(["chw", "hwc"]).map(|name| match &*name {
        "hwc" => Layout::Hwc,
        _ => Layout::Chw,
    })
}

fn mode() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(["L", "LA", "RGB", "RGBA", "I;16"]).map(|name| match &*name {
        "I;16" => Mode::I16,
        "L" => Mode::L,
        "LA" => Mode::La,
        "RGBA" => Mode::Rgba,
        _ => Mode::Rgb,
    })
}

fn file_type() -> impl TypedValueParser<Value = FileType> {
    let jpg = PossibleValue::new("jpg").alias("jpeg");
    let values = [PossibleValue::new("png"), jpg, PossibleValue::new("bmp")];
    PossibleValuesParser::new(values).map(|name| match &*name {
        "jpg" | "jpeg" => FileType::jpg(),
        "bmp" => FileType::Bmp,
        _ => FileType::Png,
    })
}
