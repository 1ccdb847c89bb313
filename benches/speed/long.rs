//! A long run: memory, open files, and the time of each block of pictures. For a process of its
//! own, since the peak of memory is the process's.

use serde_json::{Value, json};
use wandb_image::{FileType, Run};

use crate::inputs::Input;
use crate::process::{open_files, peak_bytes, resident_bytes, timed};
use crate::sampling::{end, sampler, start_blocking};
use crate::{Folders, PATIENCE, Result};

/// A block ends when all of it is on disk. `block` and `pictures` are rounded down to whole rows
/// and blocks.
pub(crate) fn measure(
    folders: &Folders,
    kind: &str,
    file_type: FileType,
    pictures: u64,
    block: u64,
) -> Result<Value> {
    let input = Input::load(&folders.inputs, kind)?;
    let (tensor, mut numbers) = (input.tensor()?, input.numbers());
    let per_row = input.pictures();
    drop(input);
    let before = resident_bytes()?;
    let run = start_blocking(&folders.work)?;
    let samples = sampler(&run, 1, file_type);
    let rows = block / per_row;
    let mut blocks = Vec::new();
    for index in 0..pictures / block {
        let steps = index * rows..(index + 1) * rows;
        let (seconds, done) = timed(|| {
            for step in steps {
                numbers.draw(&tensor, step)?;
                samples.tick(step, || &tensor)?;
            }
            written(&run)
        });
        done?;
        blocks.push(json!({
            "pictures": rows * per_row,
            "seconds": seconds,
            "peak_bytes": peak_bytes()?,
            "open_files": open_files()?,
        }));
    }
    let logged = blocks.len() as u64 * rows * per_row;
    let left = end(&run)?.check(logged)?;
    let bytes = left.bytes;
    left.remove()?;
    Ok(json!({ "before_bytes": before, "blocks": blocks, "bytes": bytes }))
}

fn written(run: &Run) -> Result<()> {
    Ok(run.flush(PATIENCE)?)
}
