//! From f32 (C, H, W) to the 8-bit pixels (H, W, C), on one thread, beside a copy of the source.

use std::hint::black_box;

use serde_json::{Value, json};
use wandb_image::{HostTensor, IntoWandbImage};

use crate::inputs::Input;
use crate::process::timed;
use crate::{Folders, Result};

const WARM_UP: usize = 3;

/// The first picture of the kind, with `MinMax`, the default for tensors. A new [`Image`] each
/// time, so that nothing is remembered: its snapshot is taken before the clock starts. What is
/// timed is the range, the pixels, and the memory for them.
///
/// [`Image`]: wandb_image::Image
pub(crate) fn measure(folders: &Folders, kind: &str, repeats: usize) -> Result<Value> {
    let Input { shape, mut values } = Input::load(&folders.inputs, kind)?;
    let [_, channels, height, width] = shape;
    values.truncate(channels * height * width);
    let tensor = HostTensor::new([channels, height, width], values.clone())?;
    let mut warm = values.clone();
    let (mut pixels, mut copies) = (vec![], vec![]);
    for _ in 0..WARM_UP + repeats {
        copies.push(timed(|| black_box(&mut warm).copy_from_slice(&values)).0);
        let image = tensor.to_wandb_image()?;
        let (seconds, made) = timed(|| image.pixels());
        made?;
        pixels.push(seconds);
    }
    Ok(json!({ "pixels_s": pixels[WARM_UP..], "copy_s": copies[WARM_UP..] }))
}
