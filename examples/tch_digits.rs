//! A small convolutional autoencoder learns to remove noise from handwritten digits, in tch.
//!
//! ```text
//! cargo run --release --features tch --example tch_digits [-- STEPS]
//! ```
//!
//! Needs libtorch (see README.md). It trains for 1000 steps, or for STEPS. Every step logs the
//! loss; every 100 steps log the same 16 digits as noisy input, output and target. No account and
//! no network is needed: see where the run lies on the last lines.

mod digits;

use std::error::Error;

use digits::{BATCH, Digits, LEARNING_RATE, Pairs, SAMPLE_EVERY, SAMPLES, SIDE};
use tch::nn::{self, ConvConfig, Module, OptimizerConfig, VarStore};
use tch::{Device, Kind, Reduction, TchError, Tensor};
use wandb_image::{Every, Row, SampleLogger, Samples};

#[derive(Debug)]
struct Denoiser {
    encode: nn::Conv2D,
    squeeze: nn::Conv2D,
    expand: nn::Conv2D,
    decode: nn::Conv2D,
}

impl Denoiser {
    fn new(path: &nn::Path) -> Self {
        let same = ConvConfig {
            padding: 1,
            ..Default::default()
        };
        let halved = ConvConfig { stride: 2, ..same };
        Self {
            encode: nn::conv2d(path / "encode", 1, 16, 3, same),
            squeeze: nn::conv2d(path / "squeeze", 16, 32, 3, halved),
            expand: nn::conv2d(path / "expand", 32, 16, 3, same),
            decode: nn::conv2d(path / "decode", 16, 1, 3, same),
        }
    }
}

impl Module for Denoiser {
    fn forward(&self, noisy: &Tensor) -> Tensor {
        let side = SIDE as i64;
        let code = noisy.apply(&self.encode).relu().apply(&self.squeeze).relu();
        let wide = code.upsample_nearest2d([side, side], None, None);
        wide.apply(&self.expand)
            .relu()
            .apply(&self.decode)
            .sigmoid()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let steps = digits::steps()?;
    let mut digits = Digits::load()?;
    let Pairs { clean, noisy } = digits.samples();

    tch::manual_seed(7);
    let weights = VarStore::new(Device::cuda_if_available());
    let model = Denoiser::new(&weights.root());
    let mut optimizer = nn::AdamW::default().build(&weights, LEARNING_RATE)?;
    let shown = [
        tensor(&noisy, SAMPLES, weights.device()),
        tensor(&clean, SAMPLES, weights.device()),
    ];

    let run = wandb_image::init()
        .project("digits")
        .name("tch denoiser")
        .config(&serde_json::json!({
            "framework": "tch",
            "learning_rate": LEARNING_RATE,
            "batch": BATCH,
        }))?
        .start()?;
    let samples = SampleLogger::new(&run, "samples")
        .every(Every::steps(SAMPLE_EVERY))
        .options(digits::enlarged());
    for step in 0..=steps {
        let Pairs { clean, noisy } = digits.batch();
        let output = model.forward(&tensor(&noisy, BATCH, weights.device()));
        let target = tensor(&clean, BATCH, weights.device());
        let loss = output.mse_loss(&target, Reduction::Mean);
        optimizer.backward_step(&loss);

        let loss = loss.double_value(&[]) as f32;
        run.log_at(step, Row::new().with("loss", loss))?;
        if samples.tick(step, || sample(&model, &shown))? {
            digits::progress(step, steps, loss);
        }
    }
    run.finish()?;
    Ok(())
}

fn tensor(values: &[f32], digits: usize, device: Device) -> Tensor {
    let side = SIDE as i64;
    let tensor = Tensor::from_slice(values).view([digits as i64, 1, side, side]);
    tensor.to_device(device)
}

/// The digits that are followed, each as one picture: noisy input, output and target.
fn sample<'a>(model: &Denoiser, [noisy, target]: &'a [Tensor; 2]) -> Result<Samples<'a>, TchError> {
    let output = tch::no_grad(|| model.forward(noisy));
    let losses = (&output - target).square();
    let losses = losses.mean_dim([1_i64, 2, 3].as_slice(), false, Kind::Float);
    let losses = Vec::<f32>::try_from(&losses)?;
    Ok(Samples::new()
        .column("noisy", noisy)
        .column("output", output)
        .column("target", target)
        .captions(move |i| format!("loss {:.4}", losses[i]))
        .joined(digits::side_by_side()))
}
