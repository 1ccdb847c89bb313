//! What is said of a tensor that is no mask.

use std::fmt::Display;

use crate::error::Error;
use crate::pixels::Layout;
use crate::pixels::numbers::Kind;
use crate::tensor::DType;

pub(super) fn refused(shape: &[usize], dtype: DType, what: &str, hint: impl Display) -> Error {
    Error::LayerTensor {
        shape: shape.to_vec(),
        dtype: dtype.name(),
        reason: format!("{what}: {hint}"),
    }
}

/// What to do with a float tensor that holds no scores.
const NO_SCORES: &str = "compare a probability with a threshold for a bool tensor, or cast class \
                         ids to an integer dtype";

pub(super) fn one_hint(shape: &[usize], dtype: DType, layout: Layout) -> String {
    let read = read_as(shape, layout);
    let (scores, ids) = match layout {
        Layout::Chw => ("(C, H, W)", "(1, H, W)"),
        Layout::Hwc => ("(H, W, C)", "(H, W, 1)"),
    };
    match (Kind::of(dtype), shape.len()) {
        (Kind::Float, 2 | 3) => {
            format!("{read}floats are the scores of 2 or more classes, {scores}: {NO_SCORES}")
        }
        (Kind::Float, _) => format!(
            "floats are the scores of one picture's classes, {scores}: call to_wandb_masks for a \
             batch, or select or reshape it first"
        ),
        (_, 3) => format!(
            "{read}integers and bools are class ids, (H, W) or {ids}: call to_wandb_masks for a \
             batch, or cast one-hot scores to a float dtype"
        ),
        _ => format!(
            "integers and bools are class ids, (H, W) or {ids}: call to_wandb_masks for a batch, \
             or select or reshape it first"
        ),
    }
}

pub(super) fn each_hint(shape: &[usize], dtype: DType, layout: Layout) -> String {
    let read = read_as(shape, layout);
    let (scores, ids) = match layout {
        Layout::Chw => ("(N, C, H, W)", "(N, 1, H, W)"),
        Layout::Hwc => ("(N, H, W, C)", "(N, H, W, 1)"),
    };
    match (Kind::of(dtype), shape.len()) {
        (Kind::Float, 4) => {
            format!("{read}floats are the scores of 2 or more classes, {scores}: {NO_SCORES}")
        }
        (Kind::Float, _) => format!(
            "floats are the scores of 2 or more classes, {scores}: call to_wandb_mask for the \
             scores of one picture; {NO_SCORES}"
        ),
        (_, 4) => format!(
            "{read}integers and bools are class ids, (N, H, W) or {ids}: cast one-hot scores to a \
             float dtype"
        ),
        _ => format!(
            "integers and bools are class ids, (N, H, W) or {ids}: call to_wandb_mask for one, or \
             reshape it first"
        ),
    }
}

/// How the dimensions were read, where the layout decides it.
fn read_as(shape: &[usize], layout: Layout) -> String {
    let (channels, dimensions) = match (shape, layout) {
        (&[.., c, _, _], Layout::Chw) | (&[.., _, _, c], Layout::Hwc) => {
            (c, layout.dimensions(shape.len()))
        }
        _ => return String::new(),
    };
    let s = if channels == 1 { "" } else { "s" };
    format!("read as {dimensions} (see MaskOptions::layout) it has {channels} channel{s}, but ")
}
