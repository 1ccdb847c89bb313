//! A new log, which no other process takes for what a killed one left.

use std::io;
use std::thread;
use std::time::Duration;

use super::disk::{self, DiskFile, Folder};

/// Makes a log and claims it. Until it is claimed, the start of another run may take it for what a
/// killed process left, and remove it: then it is made again.
pub(super) fn create_log<F: Folder>(run: &F, name: &str) -> io::Result<F::File> {
    let file = run.create_log(name)?;
    claim_new(run, name, file).inspect_err(|_| drop(run.remove_file(name)))
}

fn claim_new<F: Folder>(run: &F, name: &str, mut file: F::File) -> io::Result<F::File> {
    for _ in 0..TRIES {
        match file.claim() {
            Err(error) if disk::is_in_use(&error) => thread::sleep(MOMENT),
            Err(error) => return Err(error),
            Ok(()) if !is_missing(run, name) => return Ok(file),
            Ok(()) => file = run.create_log(name)?,
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// One who holds it removes it: that takes no time to speak of.
const TRIES: usize = 100;
const MOMENT: Duration = Duration::from_millis(5);

fn is_missing(run: &impl Folder, name: &str) -> bool {
    let found = run.identity_of(name);
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
