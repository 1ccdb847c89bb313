//! `wandb-image extract`.

use std::io::{self, Write};

use wandb_image::sink::extract::{Extracted, extract};

use crate::args::ExtractArgs;
use crate::failure::{Failure, Result};
use crate::print::{counted, print};
use crate::table::visible;

pub(crate) fn run(args: &ExtractArgs) -> Result<()> {
    let extracted = extract(&args.run, &args.artifact, &args.out)?;
    // A closed stderr is no reason to fail.
    let _ = write!(io::stderr(), "{}", told(&extracted));
    print(&format!("{}\n", extracted.dir.display()))?;
    match extracted.damage {
        None => Ok(()),
        Some(damage) => Err(Failure::about(
            "a later version may be behind this (`wandb-image repair` reads on)",
            damage,
        )),
    }
}

fn told(extracted: &Extracted) -> String {
    let left_out = match extracted.references {
        0 => String::new(),
        n => format!(
            "; left out: {}, whose files are elsewhere",
            counted(n, "reference")
        ),
    };
    format!(
        "{}:v{} ({}): {}, {}{left_out}\n",
        visible(&extracted.name),
        extracted.version,
        visible(&extracted.kind),
        counted(extracted.files, "file"),
        counted(extracted.size, "byte"),
    )
}
