//! A small convolutional autoencoder learns to remove noise from handwritten digits, in candle.
//!
//! ```text
//! cargo run --release --features candle-example --example candle_digits [-- STEPS]
//! ```
//!
//! It trains for 1000 steps, or for STEPS. Every step logs the loss; every 100 steps log the same
//! 16 digits as noisy input, output and target. No account and no network is needed: see where the
//! run lies on the last lines.

mod digits;

use std::error::Error;

use candle_core::{D, DType, Device, Tensor};
use candle_nn::{
    AdamW, Conv2d, Conv2dConfig, Module, Optimizer, VarBuilder, VarMap, conv2d, loss, ops,
};
use digits::{BATCH, Digits, LEARNING_RATE, Pairs, SAMPLE_EVERY, SAMPLES, SIDE};
use wandb_image::{Every, Row, SampleLogger, Samples};

struct Denoiser {
    encode: Conv2d,
    squeeze: Conv2d,
    expand: Conv2d,
    decode: Conv2d,
}

impl Denoiser {
    fn new(vb: VarBuilder) -> candle_core::Result<Self> {
        let same = Conv2dConfig {
            padding: 1,
            ..Default::default()
        };
        let halved = Conv2dConfig { stride: 2, ..same };
        Ok(Self {
            encode: conv2d(1, 16, 3, same, vb.pp("encode"))?,
            squeeze: conv2d(16, 32, 3, halved, vb.pp("squeeze"))?,
            expand: conv2d(32, 16, 3, same, vb.pp("expand"))?,
            decode: conv2d(16, 1, 3, same, vb.pp("decode"))?,
        })
    }
}

impl Module for Denoiser {
    fn forward(&self, noisy: &Tensor) -> candle_core::Result<Tensor> {
        let features = self.encode.forward(noisy)?.relu()?;
        let code = self.squeeze.forward(&features)?.relu()?;
        let wide = code.upsample_nearest2d(SIDE, SIDE)?;
        let features = self.expand.forward(&wide)?.relu()?;
        ops::sigmoid(&self.decode.forward(&features)?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::Cpu;
    let steps = digits::steps()?;
    let mut digits = Digits::load()?;
    let Pairs { clean, noisy } = digits.samples();
    let shown = [
        tensor(noisy, SAMPLES, &device)?,
        tensor(clean, SAMPLES, &device)?,
    ];

    let weights = VarMap::new();
    let model = Denoiser::new(VarBuilder::from_varmap(&weights, DType::F32, &device))?;
    let mut optimizer = AdamW::new_lr(weights.all_vars(), LEARNING_RATE)?;

    let run = wandb_image::init()
        .project("digits")
        .name("candle denoiser")
        .config(&serde_json::json!({
            "framework": "candle",
            "learning_rate": LEARNING_RATE,
            "batch": BATCH,
        }))?
        .start()?;
    let samples = SampleLogger::new(&run, "samples")
        .every(Every::steps(SAMPLE_EVERY))
        .options(digits::enlarged());
    for step in 0..=steps {
        let Pairs { clean, noisy } = digits.batch();
        let output = model.forward(&tensor(noisy, BATCH, &device)?)?;
        let loss = loss::mse(&output, &tensor(clean, BATCH, &device)?)?;
        optimizer.backward_step(&loss)?;

        let loss: f32 = loss.to_scalar()?;
        run.log_at(step, Row::new().with("loss", loss))?;
        if samples.tick(step, || sample(&model, &shown))? {
            digits::progress(step, steps, loss);
        }
    }
    run.finish()?;
    Ok(())
}

fn tensor(values: Vec<f32>, digits: usize, device: &Device) -> candle_core::Result<Tensor> {
    Tensor::from_vec(values, (digits, 1, SIDE, SIDE), device)
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
