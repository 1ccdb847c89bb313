//! What goes to stdout.

use std::io::{self, BufWriter, ErrorKind, Write};

use crate::failure::{Failure, Result};

pub(crate) fn print(text: &str) -> Result<()> {
    print_by(|stdout| stdout.write_all(text.as_bytes()))
}

/// Prints piece by piece. A reader that has seen enough, such as `head`, is no failure.
pub(crate) fn print_by(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("could not write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(n: u64, thing: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {thing}{plural}")
}
