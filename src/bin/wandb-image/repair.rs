//! `wandb-image repair`.

use std::io::{self, Write};

use wandb_image::Error;
use wandb_image::sink::repair::{self, Change, Repaired};
use wandb_image::sink::verify::FaultKind;

use crate::args::RepairArgs;
use crate::failure::{Failure, Result};
use crate::print::{counted, print};
use crate::table::visible;

pub(crate) fn run(args: &RepairArgs) -> Result<()> {
    let repaired = repair::repair(&args.run, &args.out).map_err(failure)?;
    // A closed stderr is no reason to fail.
    let _ = write!(io::stderr(), "{}{}", told(&repaired), next(&repaired));
    print(&format!("{}\n", repaired.dir.display()))
}

/// What the library says of a new run's directory is of `--out` here.
fn failure(error: Error) -> Failure {
    let out = match &error {
        Error::RunExists { path } => format!(
            "{} exists already, and nothing is overwritten: choose another --out",
            path.display()
        ),
        Error::RunDirectory { path, source } => format!(
            "could not create {}: {source}; choose an --out that can be written",
            path.display()
        ),
        _ => return error.into(),
    };
    Failure::new(out)
}

fn next(repaired: &Repaired) -> String {
    let dir = repaired.dir.display().to_string();
    let other = match repaired.source.is_sound() {
        true => "the run that it was made of",
        false => "the damaged one",
    };
    format!(
        "next: `wandb sync {}`, or resume it, and not {other} too, since both have the same run \
         id\n",
        visible(&dir)
    )
}

fn told(repaired: &Repaired) -> String {
    let line = |kind: &str, change: &Change| format!("{kind}: {}\n", visible(&change.to_string()));
    let changed = repaired
        .changed
        .iter()
        .map(|change| line("changed", change));
    let missing = repaired
        .missing
        .iter()
        .map(|change| line("missing", change));
    let kept = [
        counted(repaired.rows, "row"),
        counted(repaired.records, "record"),
        counted(repaired.files, "file"),
    ];
    let kept = kept.join(", ") + &artifacts(repaired);
    let all = match repaired.missing_in_all {
        0 => "nothing is missing\n".into(),
        n => format!("{} missing\n", counted(n, "thing")),
    };
    let lines: String = changed
        .chain(more(
            "changed",
            repaired.changed.len(),
            repaired.changed_in_all,
        ))
        .chain(missing)
        .chain(more(
            "missing",
            repaired.missing.len(),
            repaired.missing_in_all,
        ))
        .collect();
    let left = repaired.left_behind.iter();
    let left: String = left
        .map(|text| format!("left: {}\n", visible(text)))
        .collect();
    let warnings = repaired.uploaded.iter().map(String::as_str);
    let warnings = warnings.chain(is_being_written(repaired).then_some(UNFINISHED));
    let warnings: String = warnings.map(|text| format!("warning: {text}\n")).collect();
    let is_as_before = repaired.missing_in_all == 0 && repaired.changed_in_all == 0;
    let verdict = match is_as_before && repaired.source.is_sound() {
        true => format!("nothing to repair: the copy has all {kept}\n"),
        false => format!("kept: {kept}; {all}"),
    };
    format!("{lines}{left}{verdict}{warnings}")
}

/// Nothing of a run that has none.
fn artifacts(repaired: &Repaired) -> String {
    let kept = counted(repaired.artifacts, "artifact");
    match (repaired.artifacts, repaired.artifacts_left_out) {
        (0, 0) => String::new(),
        (_, 0) => format!(", {kept}"),
        (_, left_out) => format!(", {kept} ({left_out} left out)"),
    }
}

const UNFINISHED: &str = "the run is being written: what comes later is not in the repaired one, and \
                          both have the same run id, so sync one of them alone";

fn is_being_written(repaired: &Repaired) -> bool {
    let faults = &repaired.source.faults;
    faults
        .iter()
        .any(|fault| fault.kind == FaultKind::BeingWritten)
}

/// How many things there are beyond those that are told.
fn more(kind: &str, told: usize, all: u64) -> Option<String> {
    let more = all.saturating_sub(told as u64);
    (more > 0).then(|| format!("{kind}: and {more} more\n"))
}
