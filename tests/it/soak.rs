//! What the long tests share: how long they are, their seeds, and what they report to
//! `scripts/soak.sh`.

use std::fs::OpenOptions;
use std::io::Write;

/// The number that a variable gives, or the default, which takes seconds.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| {
        let number = text.parse();
        number.unwrap_or_else(|error| panic!("{variable} is {text:?}: {error}"))
    })
}

/// That of `WANDB_IMAGE_SEED`, or another one each time.
pub(crate) fn seed() -> u64 {
    number("WANDB_IMAGE_SEED", fastrand::u64(..1 << 32))
}

/// Adds a line to the file that `WANDB_IMAGE_SOAK_REPORT` names, where it does: `SOAK`, then what
/// is known, as `name=value` without spaces.
pub(crate) fn report(facts: &[(&str, u64)]) {
    let facts = facts.iter();
    let facts: Vec<String> = facts
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let line = format!("SOAK {}\n", facts.join(" "));
    print!("{line}");
    if let Some(path) = std::env::var_os("WANDB_IMAGE_SOAK_REPORT") {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
