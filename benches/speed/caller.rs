//! What a due tick costs the thread that calls it, beside copies of the same bytes.

use std::hint::black_box;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use wandb_image::{FileType, Run};

use crate::inputs::Input;
use crate::process::timed;
use crate::sampling::{end, sampler, start};
use crate::{Folders, PATIENCE, Result};

const WARM_UP: usize = 3;

pub(crate) fn measure(
    folders: &Folders,
    kind: &str,
    repeats: usize,
    pause: Option<f64>,
) -> Result<Value> {
    let input = Input::load(&folders.inputs, kind)?;
    let (tensor, mut numbers) = (input.tensor()?, input.numbers());
    let run = start(&folders.work)?;
    let samples = sampler(&run, 1, FileType::Png);
    let mut warm = input.values.clone();
    let (mut ticks, mut fresh_copies, mut warm_copies) = (vec![], vec![], vec![]);
    for step in 0..WARM_UP + repeats {
        fresh_copies.push(timed(|| input.values.clone()).0);
        settle(&run, pause)?;
        warm_copies.push(timed(|| black_box(&mut warm).copy_from_slice(&input.values)).0);
        settle(&run, pause)?;
        numbers.draw(&tensor, step as u64)?;
        let (seconds, done) = timed(|| samples.tick(step as u64, || &tensor));
        done?;
        ticks.push(seconds);
        settle(&run, pause)?;
    }
    end(&run)?.remove()?;
    Ok(json!({
        "tick_s": ticks[WARM_UP..],
        "fresh_copy_s": fresh_copies[WARM_UP..],
        "warm_copy_s": warm_copies[WARM_UP..],
    }))
}

/// What a training loop does until the next tick: here, nothing.
fn settle(run: &Run, pause: Option<f64>) -> Result<()> {
    match pause {
        Some(seconds) => sleep(Duration::from_secs_f64(seconds)),
        None => run.flush(PATIENCE)?,
    }
    Ok(())
}
