//! What the examples that train a denoiser share: the handwritten digits, clean and with noise,
//! and what they log of them.

mod data;

use std::error::Error;
use std::io::IsTerminal;

use wandb_image::Grid;

use data::TRAINING_DIGITS;
pub(crate) use data::{PIXELS, SIDE, enlarged};

/// Digits in a training batch.
pub(crate) const BATCH: usize = 32;
/// How fast the weights change.
pub(crate) const LEARNING_RATE: f64 = 1e-3;
/// Samples are logged every so many steps.
pub(crate) const SAMPLE_EVERY: u64 = 100;
/// The digits that are followed through the whole run.
pub(crate) const SAMPLES: usize = 16;

const NOISE: f32 = 0.3;

/// Digits as rows of 64 values from 0 (paper) to 1 (ink), without noise and with it.
pub(crate) struct Pairs {
    pub(crate) clean: Vec<f32>,
    pub(crate) noisy: Vec<f32>,
}

/// The 1797 digits, split into those to train with and those to look at.
pub(crate) struct Digits {
    train: Vec<f32>,
    validation: Vec<f32>,
    random: fastrand::Rng,
}

impl Digits {
    pub(crate) fn load() -> Result<Self, Box<dyn Error>> {
        let (mut values, _) = data::read()?;
        let validation = values.split_off(TRAINING_DIGITS * PIXELS);
        Ok(Self {
            train: values,
            validation,
            random: fastrand::Rng::with_seed(7),
        })
    }

    /// A batch to train with, drawn at random.
    pub(crate) fn batch(&mut self) -> Pairs {
        let mut clean = Vec::with_capacity(BATCH * PIXELS);
        for _ in 0..BATCH {
            let digit = self.random.usize(..TRAINING_DIGITS) * PIXELS;
            clean.extend_from_slice(&self.train[digit..digit + PIXELS]);
        }
        self.with_noise(clean)
    }

    /// The digits that are shown: the same ones, with the same noise, whenever it is called
    /// first.
    pub(crate) fn samples(&mut self) -> Pairs {
        let clean = self.validation[..SAMPLES * PIXELS].to_vec();
        self.with_noise(clean)
    }

    /// All digits once: to train with, to validate with after each epoch, and to test with at the
    /// end.
    #[allow(dead_code, reason = "for the example that trains in epochs")]
    pub(crate) fn split(mut self) -> [Pairs; 3] {
        let half = self.validation.len() / PIXELS / 2 * PIXELS;
        let test = self.validation.split_off(half);
        [self.train.clone(), self.validation.clone(), test].map(|clean| self.with_noise(clean))
    }

    fn with_noise(&mut self, clean: Vec<f32>) -> Pairs {
        let noise = |value: &f32| (value + NOISE * normal(&mut self.random)).clamp(0.0, 1.0);
        let noisy = clean.iter().map(noise).collect();
        Pairs { clean, noisy }
    }
}

/// A number of the standard normal distribution (Box and Muller's method).
fn normal(random: &mut fastrand::Rng) -> f32 {
    let radius = (-2.0 * (1.0 - random.f32()).ln()).sqrt();
    radius * (std::f32::consts::TAU * random.f32()).cos()
}

/// Noisy input, output and target of one digit, with a grey frame.
pub(crate) fn side_by_side() -> Grid {
    Grid::new().padding(4).pad_value(0.4)
}

/// How many steps to train: 1000, or what the first argument says.
pub(crate) fn steps() -> Result<u64, Box<dyn Error>> {
    let Some(given) = std::env::args().nth(1) else {
        return Ok(1000);
    };
    let steps = given.parse();
    steps.map_err(|_| format!("{given:?} was given for the number of training steps").into())
}

/// A line on stderr, rewritten in a terminal as training goes on.
pub(crate) fn progress(step: u64, steps: u64, loss: f32) {
    let stays = step == steps || !std::io::stderr().is_terminal();
    let end = if stays { '\n' } else { '\r' };
    eprint!("step {step:>4} of {steps}, loss {loss:.4}{end}");
}
