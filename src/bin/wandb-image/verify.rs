//! `wandb-image verify`.

use std::io::{self, Write};
use std::path::Path;

use wandb_image::sink::verify::{Fault, Report, verify};

use crate::args::VerifyArgs;
use crate::failure::{Failure, Result};
use crate::print::{counted, print};
use crate::table::visible;

pub(crate) fn run(args: &VerifyArgs) -> Result<()> {
    if let [run] = &args.runs[..] {
        return show(&[verify(run)?], args.json, 1);
    }
    let mut reports = Vec::new();
    for run in &args.runs {
        match verify(run) {
            Ok(report) => reports.push(report),
            Err(error) => tell(&Failure::from(error)),
        }
    }
    show(&reports, args.json, args.runs.len())
}

fn show(reports: &[Report], as_json: bool, all: usize) -> Result<()> {
    let text = match as_json {
        true => json(reports)?,
        false => reports.iter().map(lines).collect(),
    };
    print(&text)?;
    let sound = reports.iter().filter(|report| report.is_sound()).count();
    match all - sound {
        0 => Ok(()),
        faulty => Err(Failure::new(summary(faulty, all))),
    }
}

fn summary(faulty: usize, all: usize) -> String {
    match all {
        1 => "the run is not sound".into(),
        all => format!("{faulty} of {all} runs are not sound"),
    }
}

/// A run that can't be read keeps none of the others back.
fn tell(failure: &Failure) {
    // A closed stderr leaves the exit code.
    let _ = write!(io::stderr(), "{}", failure.report());
}

fn json(reports: &[Report]) -> Result<String> {
    let json = serde_json::to_string_pretty(reports);
    let json = json.map_err(|error| Failure::new(format!("the report is no JSON: {error}")))?;
    Ok(json + "\n")
}

fn lines(report: &Report) -> String {
    let line = |fault: &Fault| {
        let kind = if fault.is_note { "note" } else { "fault" };
        format!("  {kind}: {}\n", visible(&fault.to_string()))
    };
    let faults = report.faults.iter().map(line);
    heading(report) + &faults.collect::<String>()
}

fn heading(report: &Report) -> String {
    let faults = report.faults.iter().filter(|fault| !fault.is_note);
    let faults: u64 = faults.map(|fault| fault.count).sum();
    let verdict = match faults {
        0 => "sound".into(),
        faults => counted(faults, "fault"),
    };
    let mut rows = counted(report.rows, "row");
    rows += &match (report.first_step, report.last_step) {
        (Some(first), Some(last)) if first == last => format!(" (step {first})"),
        (Some(first), Some(last)) => format!(" (steps {first} to {last})"),
        _ => String::new(),
    };
    let files = counted(report.media_files, "media file");
    format!("{}: {verdict}, {rows}, {files}\n", shown(&report.run))
}

fn shown(path: &Path) -> String {
    visible(&path.display().to_string())
}
