//! The denoiser of `burn_digits`, trained by burn's own loop: metrics and samples go to W&B,
//! log files and checkpoints to burn's directory as ever.
//!
//! ```text
//! cargo run --release --features burn-example --example burn_train_digits [-- DIRECTORY [EPOCHS]]
//! ```
//!
//! It trains for 20 epochs, or for EPOCHS. Every batch logs its loss, every epoch those of training
//! and validation, and the evaluation at the end its own. Samples are logged every 100 batches, and
//! in each validation. burn's files go to DIRECTORY, or to a new one in the system's temporary
//! folder. What is shown meanwhile is burn's own: in a terminal its dashboard, where burn is built
//! with its feature `tui`.

#[allow(dead_code, reason = "the other examples have loops of their own")]
mod digits;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::data::dataset::InMemDataset;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::interpolate::{Interpolate2d, Interpolate2dConfig};
use burn::nn::{PaddingConfig2d, Relu};
use burn::optim::AdamWConfig;
use burn::tensor::{Device, ExecutionError, Tensor, TensorData, activation};
use burn::train::metric::{Adaptor, LearningRateMetric, LossInput, LossMetric};
use burn::train::renderer::default_renderer;
use burn::train::{
    EvaluatorBuilder, InferenceStep, Interrupter, ItemLazy, Learner, SupervisedTraining,
    TrainOutput, TrainStep,
};
use digits::{BATCH, Digits, LEARNING_RATE, PIXELS, Pairs, SAMPLE_EVERY, SIDE};
use wandb_image::integrations::burn_train::{SampleInput, SampleMetric, WandbRenderer};
use wandb_image::{BoxedError, Choose, Every, SampleLogger, Samples};

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

    fn denoise(&self, Batch { noisy, target }: Batch) -> Denoised {
        let output = self.forward(noisy.clone());
        let errors = (output.clone() - target.clone()).powi_scalar(2);
        Denoised {
            losses: errors.mean_dims(&[1, 2, 3]).flatten(0, 3),
            noisy,
            output,
            target,
        }
    }
}

impl TrainStep for Denoiser {
    type Input = Batch;
    type Output = Denoised;

    fn step(&self, batch: Batch) -> TrainOutput<Denoised> {
        let denoised = self.denoise(batch);
        let gradients = denoised.losses.clone().mean().backward();
        TrainOutput::new(self, gradients, denoised)
    }
}

impl InferenceStep for Denoiser {
    type Input = Batch;
    type Output = Denoised;

    fn step(&self, batch: Batch) -> Denoised {
        self.denoise(batch)
    }
}

/// What a step puts out, for all metrics.
struct Denoised {
    /// Of each digit.
    losses: Tensor<1>,
    noisy: Tensor<4>,
    output: Tensor<4>,
    target: Tensor<4>,
}

/// burn calls it on the thread of the metrics; nothing is copied there.
impl ItemLazy for Denoised {
    fn sync(self) -> Result<Self, ExecutionError> {
        self.losses.device().flush()?;
        Ok(Self {
            losses: self.losses.without_autodiff(),
            noisy: self.noisy.without_autodiff(),
            output: self.output.without_autodiff(),
            target: self.target.without_autodiff(),
        })
    }
}

impl Adaptor<LossInput> for Denoised {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.losses.clone())
    }
}

/// Only where a sample is due, its closure runs and the losses are read.
impl Adaptor<SampleInput> for Denoised {
    fn adapt(&self) -> SampleInput {
        let (losses, noisy) = (self.losses.clone(), self.noisy.clone());
        let (output, target) = (self.output.clone(), self.target.clone());
        SampleInput::new(move || {
            let losses: Vec<f32> = losses.try_into_data()?.try_into_vec()?;
            let samples = Samples::new()
                .column("noisy", noisy)
                .column("output", output)
                .column("target", target)
                .captions(move |i| format!("loss {:.4}", losses[i]))
                .joined(digits::side_by_side());
            Ok::<_, BoxedError>(samples)
        })
    }
}

#[derive(Clone, Debug)]
struct Batch {
    noisy: Tensor<4>,
    target: Tensor<4>,
}

/// A digit with noise and without.
#[derive(Clone, Debug)]
struct Pair {
    noisy: Vec<f32>,
    clean: Vec<f32>,
}

struct ToBatch;

impl Batcher<Pair, Batch> for ToBatch {
    fn batch(&self, pairs: Vec<Pair>, device: &Device) -> Batch {
        let tensor = |values: fn(&Pair) -> &[f32]| {
            let values = Vec::from_iter(pairs.iter().flat_map(values).copied());
            Tensor::from_data(
                TensorData::new(values, [pairs.len(), 1, SIDE, SIDE]),
                device,
            )
        };
        Batch {
            noisy: tensor(|pair| &pair.noisy),
            target: tensor(|pair| &pair.clean),
        }
    }
}

fn pairs(Pairs { clean, noisy }: Pairs) -> InMemDataset<Pair> {
    let digits = noisy.chunks(PIXELS).zip(clean.chunks(PIXELS));
    let pair = |(noisy, clean): (&[f32], &[f32])| Pair {
        noisy: noisy.into(),
        clean: clean.into(),
    };
    InMemDataset::new(digits.map(pair).collect())
}

fn in_order(digits: Pairs) -> Arc<dyn DataLoader<Batch>> {
    let loader = DataLoaderBuilder::new(ToBatch).batch_size(BATCH);
    loader.build(pairs(digits))
}

fn shuffled(digits: Pairs) -> Arc<dyn DataLoader<Batch>> {
    let loader = DataLoaderBuilder::new(ToBatch).batch_size(BATCH).shuffle(7);
    loader.build(pairs(digits))
}

/// Where burn keeps its logs and checkpoints.
fn burn_directory() -> PathBuf {
    let new = || std::env::temp_dir().join(format!("burn_train_digits-{}", std::process::id()));
    std::env::args_os().nth(1).map_or_else(new, PathBuf::from)
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = burn_directory();
    let epochs = std::env::args()
        .nth(2)
        .map_or(Ok(20), |given| given.parse())?;
    let [train, valid, test] = Digits::load()?.split();
    let device = Device::flex().autodiff();
    device.seed(7);
    let learner = Learner::new(
        Denoiser::new(&device),
        AdamWConfig::new().init(),
        LEARNING_RATE,
    );

    let run = wandb_image::init()
        .project("digits")
        .name("burn denoiser, SupervisedTraining")
        .config(&serde_json::json!({
            "framework": "burn",
            "learning_rate": LEARNING_RATE,
            "batch": BATCH,
            "epochs": epochs,
        }))?
        .start()?;
    let samples = |key, every| {
        let samples = SampleLogger::new(&run, key).every(every).max_images(8);
        samples.choose(Choose::Even).options(digits::enlarged())
    };
    let interrupter = Interrupter::new();
    let wandb = WandbRenderer::new(&run, default_renderer(interrupter.clone(), None));
    let train_samples = samples("train_samples", Every::steps(SAMPLE_EVERY));
    let valid_samples = samples("valid_samples", Every::epochs(1));
    let test_samples = SampleMetric::valid(&wandb, samples("test_samples", Every::steps(1)));

    let trained = SupervisedTraining::new(&dir, shuffled(train), in_order(valid))
        .with_interrupter(interrupter)
        .metrics((LossMetric::new(),))
        .metric_train_numeric(LearningRateMetric::new())
        .metric_train(SampleMetric::train(&wandb, train_samples))
        .metric_valid(SampleMetric::valid(&wandb, valid_samples))
        .renderer(Box::new(wandb))
        .num_epochs(epochs)
        .with_default_checkpointers()
        .summary()
        .launch(learner);
    if let Some(error) = trained.error {
        run.finish_with(1)?;
        return Err(error.into());
    }
    let tested = EvaluatorBuilder::new(&dir)
        .metrics((LossMetric::new(),))
        .metric(test_samples)
        .renderer(trained.renderer)
        .build(trained.model)
        .eval("test", in_order(test));
    drop(tested);

    eprintln!("burn's logs and checkpoints are in {}", dir.display());
    run.finish()?;
    Ok(())
}
