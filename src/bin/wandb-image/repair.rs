//! `wandb-image repair`.

use std::io::{self, Write};

use wandb_image::sink::repair::{self, Change, Repaired};

use crate::args::RepairArgs;
use crate::failure::Result;
use crate::print::{counted, print};
use crate::table::visible;

pub(crate) fn run(args: &RepairArgs) -> Result<()> {
    let repaired = repair::repair(&args.run, &args.out)?;
    // A closed stderr is no reason to fail.
    let _ = write!(io::stderr(), "{}", told(&repaired));
    print(&format!("{}\n", repaired.dir.display()))
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
    let [rows, records, files] = kept;
    let all = match repaired.missing.len() {
        0 => "nothing is missing\n".into(),
        n => format!("{} missing\n", counted(n as u64, "thing")),
    };
    let lines: String = changed.chain(missing).collect();
    format!("{lines}kept: {rows}, {records}, {files}; {all}")
}
