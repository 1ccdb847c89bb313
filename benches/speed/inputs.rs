//! The pictures that both sides are given, as `benches/compare/inputs.py` wrote them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::Deserialize;

use crate::Result;

/// A batch (N, C, H, W) of f32 from 0 to 255.
pub(crate) struct Input {
    pub(crate) shape: [usize; 4],
    pub(crate) values: Vec<f32>,
}

/// The side of the two squares that hold a number: what JPEG takes as a whole.
const SQUARE: usize = 8;

#[derive(Deserialize)]
struct Entry {
    file: PathBuf,
    shape: [usize; 4],
}

impl Input {
    pub(crate) fn load(folder: &Path, kind: &str) -> Result<Self> {
        let listed = fs::read(folder.join("inputs.json"))?;
        let mut entries: BTreeMap<String, Entry> = serde_json::from_slice(&listed)?;
        let Entry { file, shape } = entries.remove(kind).ok_or("no such kind of input")?;
        let bytes = fs::read(folder.join(file))?;
        let (numbers, _) = bytes.as_chunks();
        let values = numbers.iter().copied().map(f32::from_le_bytes).collect();
        Ok(Self { shape, values })
    }

    pub(crate) fn tensor(&self) -> Result<Tensor> {
        let tensor = Tensor::from_slice(&self.values, &self.shape, &Device::Cpu)?;
        Ok(tensor)
    }

    /// What numbers batches of this kind.
    pub(crate) fn numbers(&self) -> Numbers {
        let [images, channels, height, width] = self.shape;
        let planes = self.values.chunks_exact(height * width);
        let top = planes.flat_map(|plane| &plane[..SQUARE * width]);
        Numbers {
            shape: [images, channels, SQUARE, width],
            top: top.copied().collect(),
        }
    }

    /// Pictures in the batch.
    pub(crate) fn pictures(&self) -> u64 {
        self.shape[0] as u64
    }
}

/// Numbers a tensor in place, so that no two rows of a run hold the same picture: what is the
/// same is stored once.
pub(crate) struct Numbers {
    shape: [usize; 4],
    /// The upper edge of each channel, as high as the squares.
    top: Vec<f32>,
}

impl Numbers {
    /// Draws the lowest two bytes of the number, as the grey of a square each.
    pub(crate) fn draw(&mut self, tensor: &Tensor, number: u64) -> Result<()> {
        let [low, high, ..] = number.to_le_bytes().map(f32::from);
        let [.., width] = self.shape;
        for line in self.top.chunks_exact_mut(width) {
            line[..SQUARE].fill(low);
            line[SQUARE..2 * SQUARE].fill(high);
        }
        let top = Tensor::from_slice(&self.top, &self.shape, &Device::Cpu)?;
        Ok(tensor.slice_set(&top, 2, 0)?)
    }
}
