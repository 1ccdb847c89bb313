//! From tensors to rows on disk, as many and as fast as they go, the end of the run included.

use std::time::Instant;

use serde_json::{Value, json};
use wandb_image::FileType;

use crate::inputs::Input;
use crate::sampling::{end, sampler, start_blocking};
use crate::{Folders, Result};

pub(crate) fn measure(
    folders: &Folders,
    kind: &str,
    file_type: FileType,
    rows: u64,
    keep: bool,
) -> Result<Value> {
    let input = Input::load(&folders.inputs, kind)?;
    let (tensor, mut numbers) = (input.tensor()?, input.numbers());
    let run = start_blocking(&folders.work)?;
    let samples = sampler(&run, 1, file_type);
    let began = Instant::now();
    for step in 0..rows {
        numbers.draw(&tensor, step)?;
        samples.tick(step, || &tensor)?;
    }
    let logged = began.elapsed();
    run.finish()?;
    let finished = began.elapsed();
    let left = end(&run)?.check(rows * input.pictures())?;
    let answer = json!({
        "pictures": left.pictures,
        "bytes": left.bytes,
        "seconds": finished.as_secs_f64(),
        "finish_s": (finished - logged).as_secs_f64(),
        "dir": left.dir,
    });
    if !keep {
        left.remove()?;
    }
    Ok(answer)
}
