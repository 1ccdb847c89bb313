//! What a tick costs that isn't due.

use std::hint::black_box;

use candle_core::Tensor;
use serde_json::{Value, json};
use wandb_image::{FileType, SampleLogger};

use crate::process::timed;
use crate::sampling::{end, sampler, start};
use crate::{Folders, Result};

pub(crate) fn measure(folders: &Folders, ticks: u64) -> Result<Value> {
    let run = start(&folders.work)?;
    let samples = sampler(&run, u64::MAX, FileType::Png);
    let (seconds, done) = timed(|| never_due(&samples, ticks));
    done?;
    end(&run)?.check(0)?.remove()?;
    Ok(json!({ "tick_s": seconds / ticks as f64 }))
}

fn never_due(samples: &SampleLogger, ticks: u64) -> Result<()> {
    for step in 1..=ticks {
        samples.tick(black_box(step), || -> candle_core::Result<Tensor> {
            candle_core::bail!("the tick was due")
        })?;
    }
    Ok(())
}
