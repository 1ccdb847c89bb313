//! The three examples of W&B's documentation of `wandb.Image`, line for line: random fields from
//! an array, from a decoded picture, and as JPEG.
//!
//! ```text
//! cargo run --features ndarray --example random_fields
//! ```

use image::{DynamicImage, RgbImage};
use ndarray::Array3;
use wandb_image::{FileType, Image, IntoWandbImage, Row};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    from_an_array()?;
    from_a_picture()?;
    as_jpeg()
}

/// Create a `wandb.Image` from a numpy array.
fn from_an_array() -> Result<()> {
    let run = wandb_image::init().start()?;
    let mut examples = Vec::new();
    for i in 0..3 {
        let pixels = Array3::from_shape_simple_fn((100, 100, 3), || fastrand::i64(0..256));
        let image = pixels
            .to_wandb_image()?
            .caption(format!("random field {i}"));
        examples.push(image);
    }
    run.log(Row::new().with("examples", examples))?;
    Ok(run.finish()?)
}

/// Create a `wandb.Image` from a PILImage.
fn from_a_picture() -> Result<()> {
    let run = wandb_image::init().start()?;
    let mut examples = Vec::new();
    for i in 0..3 {
        let pixels = std::iter::repeat_with(|| fastrand::u8(..))
            .take(100 * 100 * 3)
            .collect();
        let picture = RgbImage::from_raw(100, 100, pixels).ok_or("not 100 × 100 × 3 values")?;
        let image = Image::from(DynamicImage::from(picture)).caption(format!("random field {i}"));
        examples.push(image);
    }
    run.log(Row::new().with("examples", examples))?;
    Ok(run.finish()?)
}

/// Log .jpg rather than .png (default).
fn as_jpeg() -> Result<()> {
    let run = wandb_image::init().start()?;
    let mut examples = Vec::new();
    for i in 0..3 {
        let pixels = Array3::from_shape_simple_fn((100, 100, 3), || fastrand::i64(0..256));
        let image = pixels
            .to_wandb_image()?
            .caption(format!("random field {i}"));
        examples.push(image.file_type(FileType::jpg()));
    }
    run.log(Row::new().with("examples", examples))?;
    Ok(run.finish()?)
}
