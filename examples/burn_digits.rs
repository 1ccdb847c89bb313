//! A small convolutional autoencoder learns to remove noise from handwritten digits, in burn.
//!
//! ```text
//! cargo run --release --features burn-example --example burn_digits [-- STEPS]
//! ```
//!
//! It trains for 1000 steps, or for STEPS. Every step logs the loss; every 100 steps log the same
//! 16 digits as noisy input, output and target. No account and no network is needed: see where the
//! run lies on the last lines.

mod digits;

use std::error::Error;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::interpolate::{Interpolate2d, Interpolate2dConfig};
use burn::nn::loss::{MseLoss, Reduction};
use burn::nn::{PaddingConfig2d, Relu};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData, activation};
use digits::{BATCH, Digits, LEARNING_RATE, Pairs, SAMPLE_EVERY, SAMPLES, SIDE};
use wandb_image::{BoxedError, Every, Row, SampleLogger, Samples};

#[derive(Module, Debug)]
struct Denoiser {
    encode: Conv2d,
    squeeze: Conv2d,
    widen: Interpolate2d,
    expand: Conv2d,
    decode: Conv2d,
    relu: Relu,
}

impl Denoiser {
    fn new(device: &Device) -> Self {
        let conv = |from, to| {
            Conv2dConfig::new([from, to], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        };
        Self {
            encode: conv(1, 16).init(device),
            squeeze: conv(16, 32).with_stride([2, 2]).init(device),
            widen: Interpolate2dConfig::new()
                .with_output_size(Some([SIDE, SIDE]))
                .init(),
            expand: conv(32, 16).init(device),
            decode: conv(16, 1).init(device),
            relu: Relu::new(),
        }
    }

    fn forward(&self, noisy: Tensor<4>) -> Tensor<4> {
        let features = self.relu.forward(self.encode.forward(noisy));
        let code = self.relu.forward(self.squeeze.forward(features));
        let wide = self.widen.forward(code);
        let features = self.relu.forward(self.expand.forward(wide));
        activation::sigmoid(self.decode.forward(features))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    let steps = digits::steps()?;
    let mut digits = Digits::load()?;
    let Pairs { clean, noisy } = digits.samples();
    let shown = [
        tensor(noisy, SAMPLES, &device),
        tensor(clean, SAMPLES, &device),
    ];

    device.seed(7);
    let mut model = Denoiser::new(&device);
    let mut optimizer = AdamWConfig::new().init();

    let run = wandb_image::init()
        .project("digits")
        .name("burn denoiser")
        .config(&serde_json::json!({
            "framework": "burn",
            "learning_rate": LEARNING_RATE,
            "batch": BATCH,
        }))?
        .start()?;
    let samples = SampleLogger::new(&run, "samples")
        .every(Every::steps(SAMPLE_EVERY))
        .options(digits::enlarged());
    for step in 0..=steps {
        let Pairs { clean, noisy } = digits.batch();
        let output = model.forward(tensor(noisy, BATCH, &device));
        let loss = MseLoss::new().forward(output, tensor(clean, BATCH, &device), Reduction::Mean);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(LEARNING_RATE, model, gradients);

        let loss: f32 = loss.try_into_scalar()?;
        run.log_at(step, Row::new().with("loss", loss))?;
        if samples.tick(step, || sample(&model, &shown))? {
            digits::progress(step, steps, loss);
        }
    }
    run.finish()?;
    Ok(())
}

fn tensor(values: Vec<f32>, digits: usize, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, [digits, 1, SIDE, SIDE]), device)
}

/// The digits that are followed, each as one picture: noisy input, output and target.
fn sample<'a>(
    model: &Denoiser,
    [noisy, target]: &'a [Tensor<4>; 2],
) -> Result<Samples<'a>, BoxedError> {
    let output = model.forward(noisy.clone());
    let losses = (output.clone() - target.clone()).powi_scalar(2);
    let losses = losses.mean_dims(&[1, 2, 3]).try_into_data()?;
    let losses: Vec<f32> = losses.try_into_vec()?;
    Ok(Samples::new()
        .column("noisy", noisy)
        .column("output", output)
        .column("target", target)
        .captions(move |i| format!("loss {:.4}", losses[i]))
        .joined(digits::side_by_side()))
}
