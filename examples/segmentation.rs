//! A small convolutional network learns to segment two photographs, in candle.
//!
//! ```text
//! cargo run --release --features candle-example --example segmentation [-- STEPS]
//! ```
//!
//! It trains for 600 steps, or for STEPS. Every step logs the loss; every 100 steps log the mean
//! IoU and the two photographs, each with the masks and boxes of the ground truth and of the
//! prediction. No account and no network is needed: see where the run lies on the last lines.

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::{
    AdamW, Conv2d, Conv2dConfig, Module, Optimizer, VarBuilder, VarMap, conv2d, loss, ops,
};
use image::imageops::FilterType;
use wandb_image::{
    BoundingBox, BoundingBoxes2D, BoxedError, Classes, Domain, Every, Image, ImageOptions,
    IntoWandbImage, Normalize, Position, Row, SampleLogger,
};

const WIDTH: usize = 320;
const HEIGHT: usize = 214;
/// Training squares are cut from the photographs at random.
const SQUARE: usize = 64;
const SAMPLE_EVERY: u64 = 100;
const LEARNING_RATE: f64 = 1e-2;

const NAMES: [&str; 6] = ["sky", "water", "trees", "building", "leaves", "flower"];
/// The classes of things that can be counted: their segments get a box.
const THINGS: [u32; 3] = [2, 3, 5];

type Result<T> = std::result::Result<T, BoxedError>;

/// A class and a place (x, y) where it is to be seen.
type Seed = (u32, usize, usize);

#[rustfmt::skip]
const CHINA: &[Seed] = &[
    (0, 30, 20), (0, 280, 40), (0, 200, 95),
    (1, 200, 130), (1, 220, 118), (1, 15, 142), (1, 260, 117),
    (2, 10, 190), (2, 100, 205), (2, 200, 180), (2, 300, 120), (2, 8, 110), (2, 245, 165),
    (2, 300, 190), (2, 299, 80), (2, 308, 85), (2, 20, 127),
    (3, 100, 50), (3, 90, 100), (3, 90, 130), (3, 110, 188), (3, 60, 155), (3, 100, 82),
    (3, 60, 140), (3, 95, 70), (3, 150, 147), (2, 158, 195),
];
#[rustfmt::skip]
const FLOWER: &[Seed] = &[
    (4, 30, 100), (4, 250, 60), (4, 100, 20), (4, 280, 180), (4, 20, 190), (4, 75, 180),
    (4, 190, 184), (4, 193, 178),
    (5, 155, 110), (5, 155, 60), (5, 110, 110), (5, 190, 200), (5, 190, 150), (5, 150, 172),
];

const PHOTOS: [(&str, &[Seed]); 2] = [("china.jpg", CHINA), ("flower.jpg", FLOWER)];

struct Segmenter {
    squeeze: Conv2d,
    near: Conv2d,
    far: Conv2d,
    head: Conv2d,
}

impl Segmenter {
    fn new(vb: VarBuilder) -> candle_core::Result<Self> {
        let halved = Conv2dConfig {
            padding: 1,
            stride: 2,
            ..Default::default()
        };
        let dilated = |dilation| Conv2dConfig {
            padding: dilation,
            dilation,
            ..Default::default()
        };
        Ok(Self {
            squeeze: conv2d(5, 16, 3, halved, vb.pp("squeeze"))?,
            near: conv2d(16, 24, 3, dilated(1), vb.pp("near"))?,
            far: conv2d(24, 24, 3, dilated(3), vb.pp("far"))?,
            head: conv2d(24, NAMES.len(), 1, Default::default(), vb.pp("head"))?,
        })
    }
}

impl Module for Segmenter {
    /// Scores of each class: (N, 5, H, W) to (N, classes, H, W), H and W even.
    fn forward(&self, photos: &Tensor) -> candle_core::Result<Tensor> {
        let (height, width) = (photos.dim(2)?, photos.dim(3)?);
        let features = self.squeeze.forward(photos)?.relu()?;
        let features = self.near.forward(&features)?.relu()?;
        let features = self.far.forward(&features)?.relu()?;
        let scores = self.head.forward(&features)?;
        scores.upsample_nearest2d(height, width)
    }
}

fn main() -> Result<()> {
    let steps = std::env::args()
        .nth(1)
        .map_or(Ok(600), |given| given.parse())?;
    let device = Device::Cpu;
    let (mut photos, mut truth) = (Vec::new(), Vec::new());
    for (name, seeds) in PHOTOS {
        let photo = photo(name, &device)?;
        truth.push(ground_truth(&photo, seeds)?);
        photos.push(photo);
    }
    let photos = Tensor::stack(&photos, 0)?;
    let truth = Tensor::stack(&truth, 0)?;

    let weights = VarMap::new();
    let model = Segmenter::new(VarBuilder::from_varmap(&weights, DType::F32, &device))?;
    let mut optimizer = AdamW::new_lr(weights.all_vars(), LEARNING_RATE)?;

    let run = wandb_image::init()
        .project("segmentation")
        .name("candle segmenter")
        .config(&serde_json::json!({ "framework": "candle", "learning_rate": LEARNING_RATE }))?
        .start()?;
    let samples = SampleLogger::new(&run, "samples").every(Every::steps(SAMPLE_EVERY));
    let mut random = fastrand::Rng::with_seed(7);
    for step in 0..=steps {
        optimizer.set_learning_rate(LEARNING_RATE * (1.0 - step as f64 / steps as f64));
        let x = random.usize(..=WIDTH - SQUARE);
        let y = random.usize(..=HEIGHT - SQUARE);
        let square = photos.narrow(2, y, SQUARE)?.narrow(3, x, SQUARE)?;
        let labels = truth.narrow(1, y, SQUARE)?.narrow(2, x, SQUARE)?;
        let scores = model.forward(&square)?.permute((0, 2, 3, 1))?;
        let scores = scores.reshape(((), NAMES.len()))?;
        let loss = loss::cross_entropy(&scores, &labels.flatten_all()?)?;
        optimizer.backward_step(&loss)?;

        let loss: f32 = loss.to_scalar()?;
        run.log_at(step, Row::new().with("loss", loss))?;
        samples.tick(step, || -> Result<_> {
            let scores = model.forward(&photos)?;
            let iou = mean_iou(&scores.argmax(1)?, &truth)?;
            run.log_at(step, Row::new().with("mean IoU", iou))?;
            eprintln!("step {step:>3} of {steps}, loss {loss:.3}, mean IoU {iou:.3}");
            let picture = |(i, (name, _))| -> Result<Image> {
                let picture = picture(&photos.i(i)?, &scores.i(i)?, &truth.i(i)?)?;
                Ok(picture.caption(name))
            };
            let pictures = PHOTOS.into_iter().enumerate().map(picture);
            pictures.collect::<Result<Vec<_>>>()
        })?;
    }
    run.finish()?;
    Ok(())
}

/// What the network sees of a photograph: red, green and blue, from 0 to 1, and how far a pixel is
/// to the right and down, from 0 to ½; (5, H, W).
fn photo(name: &str, device: &Device) -> Result<Tensor> {
    let path = format!("{}/examples/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let (width, height) = (WIDTH as u32, HEIGHT as u32);
    let photo = image::open(path)?.resize_exact(width, height, FilterType::Triangle);
    let photo = Tensor::from_vec(photo.into_rgb8().into_raw(), (HEIGHT, WIDTH, 3), device)?;
    let photo = (photo.permute((2, 0, 1))?.to_dtype(DType::F32)? / 255.0)?;
    let half = |side: usize| {
        Tensor::arange(0, side as u32, device)?.to_dtype(DType::F32)? / (2 * side) as f64
    };
    let x = half(WIDTH)?.broadcast_as((1, HEIGHT, WIDTH))?;
    let y = half(HEIGHT)?
        .reshape((1, HEIGHT, 1))?
        .broadcast_as((1, HEIGHT, WIDTH))?;
    Ok(Tensor::cat(&[photo, x, y], 0)?)
}

/// The photograph with the ground truth and the prediction over it, each as a mask and as boxes.
fn picture(photo: &Tensor, scores: &Tensor, truth: &Tensor) -> Result<Image> {
    let unit = ImageOptions::new().normalize(Normalize::Unit);
    let confidence = ops::softmax(scores, 0)?.max(0)?.to_vec2()?;
    let found = segments(&scores.argmax(0)?.to_vec2()?);
    let found = found.iter().map(|segment| segment.scored_box(&confidence));
    let real = segments(&truth.to_vec2()?);
    let real = real.iter().map(Segment::bounding_box);
    Ok(photo
        .narrow(0, 0, 3)?
        .to_wandb_image_with(&unit)?
        .classes(Classes::from_names(NAMES))
        .masks("ground truth", truth.to_wandb_mask()?)? // class ids: (H, W)
        .masks("prediction", scores.to_wandb_mask()?)? // scores: (classes, H, W)
        .boxes("ground truth", BoundingBoxes2D::new(real))?
        .boxes("prediction", BoundingBoxes2D::new(found))?)
}

/// Pixels of one thing that hang together.
struct Segment {
    class: u32,
    pixels: Vec<(usize, usize)>,
}

impl Segment {
    fn bounding_box(&self) -> BoundingBox {
        let (mut min, mut max) = ((WIDTH, HEIGHT), (0, 0));
        for &(x, y) in &self.pixels {
            min = (min.0.min(x), min.1.min(y));
            max = (max.0.max(x + 1), max.1.max(y + 1));
        }
        let [min_x, min_y, max_x, max_y] = [min.0, min.1, max.0, max.1].map(|edge| edge as f64);
        let corners = Position::corners(min_x, min_y, max_x, max_y);
        BoundingBox::new(Domain::Pixel, corners, i64::from(self.class))
            .caption(NAMES[self.class as usize])
    }

    /// With the mean confidence of its pixels.
    fn scored_box(&self, confidence: &[Vec<f32>]) -> BoundingBox {
        let sum: f32 = self.pixels.iter().map(|&(x, y)| confidence[y][x]).sum();
        let score = f64::from(sum) / self.pixels.len() as f64;
        self.bounding_box()
            .caption(format!("{} {score:.2}", NAMES[self.class as usize]))
            .score("confidence", score)
    }
}

/// The segments of things, of 200 pixels or more.
fn segments(ids: &[Vec<u32>]) -> Vec<Segment> {
    let mut seen = vec![[false; WIDTH]; HEIGHT];
    let mut segments = Vec::new();
    for (x, y) in (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))) {
        let class = ids[y][x];
        let (mut pixels, mut border) = (Vec::new(), vec![(x, y)]);
        while let Some((x, y)) = border.pop() {
            if x >= WIDTH || y >= HEIGHT || seen[y][x] || ids[y][x] != class {
                continue;
            }
            seen[y][x] = true;
            pixels.push((x, y));
            let (left, above) = (x.wrapping_sub(1), y.wrapping_sub(1));
            border.extend([(left, y), (x + 1, y), (x, above), (x, y + 1)]);
        }
        if pixels.len() >= 200 && THINGS.contains(&class) {
            segments.push(Segment { class, pixels });
        }
    }
    segments
}

/// Each pixel has the class of the seed that it is most like, in colour and in place; then the
/// class of most pixels around it.
fn ground_truth(photo: &Tensor, seeds: &[Seed]) -> candle_core::Result<Tensor> {
    let features = mean_filter(photo, 3)?;
    let distance = |&(_, x, y): &Seed| {
        let seed = features.narrow(1, y, 1)?.narrow(2, x, 1)?;
        features.broadcast_sub(&seed)?.sqr()?.sum(0)
    };
    let distances = seeds.iter().map(distance);
    let distances = distances.collect::<candle_core::Result<Vec<_>>>()?;
    let nearest = Tensor::stack(&distances, 0)?.argmin(0)?.flatten_all()?;

    let classes: Vec<u32> = seeds.iter().map(|&(class, ..)| class).collect();
    let ids = Tensor::new(classes, photo.device())?.index_select(&nearest, 0)?;
    let ids = ids.reshape((HEIGHT, WIDTH))?;
    let share = |class| mean_filter(&ids.eq(class)?.to_dtype(DType::F32)?.unsqueeze(0)?, 9);
    let shares = (0..NAMES.len() as u32).map(share);
    let shares = shares.collect::<candle_core::Result<Vec<_>>>()?;
    Tensor::cat(&shares, 0)?.argmax(0)
}

/// The mean over a square around each pixel, its side odd: (C, H, W).
fn mean_filter(values: &Tensor, side: usize) -> candle_core::Result<Tensor> {
    let edge = side / 2;
    let padded = values
        .pad_with_same(1, edge, edge)?
        .pad_with_same(2, edge, edge)?;
    padded
        .unsqueeze(0)?
        .avg_pool2d_with_stride(side, 1)?
        .squeeze(0)
}

/// Intersection over union, the mean over the classes.
fn mean_iou(predicted: &Tensor, truth: &Tensor) -> candle_core::Result<f32> {
    let mut sum = 0.0;
    for class in 0..NAMES.len() as u32 {
        let predicted = predicted.eq(class)?.to_dtype(DType::F32)?;
        let real = truth.eq(class)?.to_dtype(DType::F32)?;
        let both = (&predicted * &real)?.sum_all()?.to_scalar::<f32>()?;
        let either = predicted.maximum(&real)?.sum_all()?.to_scalar::<f32>()?;
        sum += both / either;
    }
    Ok(sum / NAMES.len() as f32)
}
