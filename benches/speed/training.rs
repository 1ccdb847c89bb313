//! The loop of `examples/candle_digits.rs`, with its samples and without.

use std::hint::black_box;

use candle_core::{D, DType, Device, Tensor};
use candle_nn::{AdamW, Module, Optimizer, VarBuilder, VarMap, loss};
use serde::Deserialize;
use serde_json::{Value, json};
use wandb_image::{Every, Row, SampleLogger, Samples};

use crate::denoiser::Denoiser;
use crate::digits::{self, BATCH, Digits, LEARNING_RATE, Pairs, SAMPLES, SIDE};
use crate::process::timed;
use crate::sampling::{end, start};
use crate::{Folders, Result};

/// Samples are taken every so many steps.
const EVERY: u64 = 10;

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sampling {
    /// The loss alone is logged.
    Off,
    /// The sampled tensors are computed as well, and dropped: what sampling costs in any library.
    Computed,
    /// The sampled tensors are logged.
    Logged,
}

pub(crate) fn measure(folders: &Folders, steps: u64, sampling: Sampling) -> Result<Value> {
    let mut digits = Digits::load()?;
    let Pairs { clean, noisy } = digits.samples();
    let shown = [tensor(noisy, SAMPLES)?, tensor(clean, SAMPLES)?];
    let run = start(&folders.work)?;
    let samples = SampleLogger::new(&run, "samples")
        .every(Every::steps(EVERY))
        .options(digits::enlarged());
    let mut trainer = Trainer::new()?;
    let (seconds, done) = timed(|| -> Result<()> {
        for step in 0..steps {
            let loss = trainer.step(digits.batch())?;
            run.log_at(step, Row::new().with("loss", loss))?;
            match sampling {
                Sampling::Computed if step.is_multiple_of(EVERY) => {
                    drop(black_box(sample(&trainer.model, &shown)?));
                }
                Sampling::Off | Sampling::Computed => {}
                Sampling::Logged => {
                    samples.tick(step, || sample(&trainer.model, &shown))?;
                }
            }
        }
        Ok(())
    });
    done?;
    let (finish, left) = timed(|| end(&run));
    left?.remove()?;
    Ok(json!({ "seconds": seconds, "finish_s": finish }))
}

struct Trainer {
    model: Denoiser,
    optimizer: AdamW,
}

impl Trainer {
    fn new() -> Result<Self> {
        let weights = VarMap::new();
        let model = Denoiser::new(VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu))?;
        let optimizer = AdamW::new_lr(weights.all_vars(), LEARNING_RATE)?;
        Ok(Self { model, optimizer })
    }

    fn step(&mut self, Pairs { clean, noisy }: Pairs) -> Result<f32> {
        let output = self.model.forward(&tensor(noisy, BATCH)?)?;
        let loss = loss::mse(&output, &tensor(clean, BATCH)?)?;
        self.optimizer.backward_step(&loss)?;
        Ok(loss.to_scalar()?)
    }
}

fn tensor(values: Vec<f32>, digits: usize) -> candle_core::Result<Tensor> {
    Tensor::from_vec(values, (digits, 1, SIDE, SIDE), &Device::Cpu)
}

/// The digits that are followed, each as one picture: noisy input, output and target.
fn sample<'a>(
    model: &Denoiser,
    [noisy, target]: &'a [Tensor; 2],
) -> candle_core::Result<Samples<'a>> {
    let output = model.forward(noisy)?;
    let losses = (&output - target)?.sqr()?.flatten_from(1)?;
    let losses: Vec<f32> = losses.mean(D::Minus1)?.to_vec1()?;
    Ok(Samples::new()
        .column("noisy", noisy)
        .column("output", output)
        .column("target", target)
        .captions(move |i| format!("loss {:.4}", losses[i]))
        .joined(digits::side_by_side()))
}
