//! A small network learns to tell handwritten digits apart, in candle, and a table shows where it
//! is wrong.
//!
//! ```text
//! cargo run --release --features candle-example --example predictions_table
//! ```
//!
//! Every step logs the loss. At the end the digits that it wasn't trained with go into a table:
//! the picture, the truth, the prediction and the score of each class, the worst first. The data
//! set is logged as an artifact. No account and no network is needed: see where the run lies on the
//! last lines.

#[path = "digits/data.rs"]
mod data;

use std::error::Error;

use candle_core::{DType, Device, Tensor};
use candle_nn::{
    AdamW, Linear, Module, Optimizer, Sequential, VarBuilder, VarMap, linear, loss, ops, seq,
};
use data::{PIXELS, SIDE, TRAINING_DIGITS};
use wandb_image::{Artifact, Cell, Image, IntoWandbImage, Row, RunBuilder, Table};

const CLASSES: usize = 10;
const HIDDEN: usize = 32;
const STEPS: u64 = 300;
const BATCH: usize = 64;
const LEARNING_RATE: f64 = 1e-2;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Digits as (N, 1, 8, 8), and which ones they are as (N).
struct Digits {
    pictures: Tensor,
    labels: Tensor,
}

impl Digits {
    fn new(values: &[f32], labels: &[u8], device: &Device) -> candle_core::Result<Self> {
        Ok(Self {
            pictures: Tensor::from_slice(values, (labels.len(), 1, SIDE, SIDE), device)?,
            labels: Tensor::new(labels, device)?,
        })
    }

    fn batch(&self, random: &mut fastrand::Rng) -> candle_core::Result<Self> {
        let chosen: Vec<u32> = (0..BATCH)
            .map(|_| random.u32(..TRAINING_DIGITS as u32))
            .collect();
        let chosen = Tensor::new(chosen, self.labels.device())?;
        Ok(Self {
            pictures: self.pictures.index_select(&chosen, 0)?,
            labels: self.labels.index_select(&chosen, 0)?,
        })
    }

    /// Each with its label as its caption.
    fn images(&self) -> Result<Vec<Image>> {
        let images = self.pictures.to_wandb_images_with(&data::enlarged())?;
        let labels = self.labels.to_vec1::<u8>()?;
        let images = images.into_iter().zip(labels);
        Ok(images
            .map(|(image, label)| image.caption(label.to_string()))
            .collect())
    }
}

/// A digit that was classified.
struct Prediction {
    image: Image,
    truth: u8,
    scores: Vec<f32>,
}

impl Prediction {
    /// What the network thinks of the true class.
    fn score(&self) -> f32 {
        self.scores[usize::from(self.truth)]
    }

    fn class(&self) -> usize {
        let classes = 0..self.scores.len();
        let best = classes.max_by(|&a, &b| self.scores[a].total_cmp(&self.scores[b]));
        best.unwrap_or_default()
    }

    fn is_right(&self) -> bool {
        self.class() == usize::from(self.truth)
    }

    fn into_row(self) -> Vec<Cell> {
        let (truth, class, score) = (self.truth, self.class(), self.score());
        let mut row = vec![self.image.into(), truth.into(), class.into(), score.into()];
        row.extend(self.scores.into_iter().map(Cell::from));
        row
    }
}

fn main() -> Result<()> {
    train(wandb_image::init())
}

pub(crate) fn train(run: RunBuilder) -> Result<()> {
    let device = Device::Cpu;
    let (values, labels) = data::read()?;
    let (train, test) = values.split_at(TRAINING_DIGITS * PIXELS);
    let (train_labels, test_labels) = labels.split_at(TRAINING_DIGITS);
    let train = Digits::new(train, train_labels, &device)?;
    let test = Digits::new(test, test_labels, &device)?;

    let run = run
        .project("digits")
        .name("candle classifier")
        .config(&serde_json::json!({
            "framework": "candle",
            "learning_rate": LEARNING_RATE,
            "batch": BATCH,
        }))?
        .start()?;
    run.log_artifact(data_set(&train, &test)?)?;

    let weights = VarMap::new();
    let model = classifier(VarBuilder::from_varmap(&weights, DType::F32, &device))?;
    let mut optimizer = AdamW::new_lr(weights.all_vars(), LEARNING_RATE)?;
    let mut random = fastrand::Rng::with_seed(7);
    for step in 0..=STEPS {
        let batch = train.batch(&mut random)?;
        let scores = model.forward(&batch.pictures.flatten_from(1)?)?;
        let loss = loss::cross_entropy(&scores, &batch.labels)?;
        optimizer.backward_step(&loss)?;

        let loss: f32 = loss.to_scalar()?;
        run.log_at(step, Row::new().with("loss", loss))?;
        if step % 100 == 0 {
            eprintln!("step {step:>3} of {STEPS}, loss {loss:.4}");
        }
    }

    let mut predictions = predictions(&model, &test)?;
    predictions.sort_by(|a, b| a.score().total_cmp(&b.score()));
    let right = predictions.iter().filter(|digit| digit.is_right()).count();
    eprintln!("{right} of {} test digits are right", predictions.len());
    let accuracy = right as f64 / predictions.len() as f64;
    let logged = Row::new()
        .with("accuracy", accuracy)
        .with("predictions", table(predictions)?);
    run.log_at(STEPS, logged)?;
    run.finish()?;
    eprintln!(
        "once it is synced: the table is on the run's page under \"predictions\", and the data set \
         under Artifacts as \"digits\""
    );
    Ok(())
}

fn classifier(vb: VarBuilder) -> candle_core::Result<Sequential> {
    let hidden: Linear = linear(PIXELS, HIDDEN, vb.pp("hidden"))?;
    let output = linear(HIDDEN, CLASSES, vb.pp("output"))?;
    Ok(seq()
        .add(hidden)
        .add(candle_nn::Activation::Relu)
        .add(output))
}

/// Every digit as a picture with its label, those to train with and those to test with apart.
fn data_set(train: &Digits, test: &Digits) -> Result<Artifact> {
    let mut data = Artifact::new("digits", "dataset")?
        .description("Handwritten digits of 8×8 pixels, from the UCI repository")
        .metadata(&serde_json::json!({ "classes": CLASSES, "side": SIDE }))?;
    for (part, digits) in [("train", train), ("test", test)] {
        for (i, image) in digits.images()?.into_iter().enumerate() {
            data.add(image, &format!("{part}/{i:04}"))?;
        }
    }
    Ok(data)
}

fn predictions(model: &Sequential, digits: &Digits) -> Result<Vec<Prediction>> {
    let scores = model.forward(&digits.pictures.flatten_from(1)?)?;
    let scores = ops::softmax(&scores, 1)?.to_vec2()?;
    let digits = digits.images()?.into_iter().zip(digits.labels.to_vec1()?);
    let predictions = digits.zip(scores);
    Ok(predictions
        .map(|((image, truth), scores)| Prediction {
            image,
            truth,
            scores,
        })
        .collect())
}

/// A column for each class, by which W&B sorts.
fn table(predictions: Vec<Prediction>) -> Result<Table> {
    let names = ["picture", "truth", "prediction", "score of the truth"].map(String::from);
    let classes = (0..CLASSES).map(|class| format!("score {class}"));
    let mut table = Table::new(names.into_iter().chain(classes))?;
    for prediction in predictions {
        table.add_row(prediction.into_row())?;
    }
    Ok(table)
}
