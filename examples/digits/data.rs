//! The handwritten digits themselves.

use std::error::Error;
use std::io::Read;

use flate2::read::GzDecoder;
use wandb_image::{ImageOptions, Normalize, Resize};

/// Width and height of a digit, in pixels.
pub(crate) const SIDE: usize = 8;
/// Values of a digit.
pub(crate) const PIXELS: usize = SIDE * SIDE;
/// Of the 1797 digits, so many are there to train with; the others come after them.
pub(crate) const TRAINING_DIGITS: usize = 1500;

/// All digits, as 64 values each from 0 (paper) to 1 (ink), and which digit each of them is.
pub(crate) fn read() -> Result<(Vec<f32>, Vec<u8>), Box<dyn Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv.gz");
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let numbers: Vec<u8> = line.split(',').map(str::parse).collect::<Result<_, _>>()?;
        values.extend(numbers[..PIXELS].iter().map(|&grey| f32::from(grey) / 16.0));
        labels.push(numbers[PIXELS]);
    }
    Ok((values, labels))
}

/// Every digit large enough to see, its paper black and its ink white.
pub(crate) fn enlarged() -> ImageOptions {
    ImageOptions::new()
        .normalize(Normalize::Unit)
        .resize(Resize::Enlarge(10))
}
