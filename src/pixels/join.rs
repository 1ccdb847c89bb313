//! Pictures of any size and mode side by side, in the cells of a grid.

use std::borrow::Cow;

use super::deep;
use super::grid::{Grid, Placement};
use super::mode::{self, Mode};
use super::range::Observed;
use super::{Pixels, check_size};
use crate::error::{Error, Result};

/// How pictures of these sizes and modes become one. A join that exists can be carried out.
#[derive(Debug)]
pub(crate) struct Join {
    placement: Placement,
    /// Width and height of a cell: the greatest of the pictures.
    cell: (usize, usize),
    mode: Mode,
    /// A pixel of the padding.
    pad: Vec<u8>,
}

impl Join {
    pub(crate) fn new(parts: &[(u32, u32, Mode)], grid: Grid) -> Result<Self> {
        grid.check()?;
        let Some(mode) = parts.iter().map(|part| part.2).reduce(widest) else {
            return Err(Error::Option {
                option: "the number of images to join",
                given: "0".into(),
                expected: "there must be at least one".into(),
            });
        };
        let cell = parts.iter().fold((0, 0), |(width, height), part| {
            (width.max(part.0 as usize), height.max(part.1 as usize))
        });
        let placement = grid.place(parts.len(), cell);
        check_size(placement.size.0, placement.size.1, mode.bytes_per_pixel())?;
        Ok(Self {
            placement,
            cell,
            mode,
            pad: padding(grid.pad_value, mode),
        })
    }

    /// Width and height, in pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.placement.size.0 as u32, self.placement.size.1 as u32)
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The parts, given in the order and with the sizes and modes of [`new`](Self::new), as one.
    pub(crate) fn render<P: std::ops::Deref<Target = Pixels>>(
        &self,
        parts: impl IntoIterator<Item = P>,
    ) -> Result<Pixels> {
        let (width, height) = self.size();
        let mut data = self.padding(self.placement.size);
        for (index, part) in parts.into_iter().enumerate() {
            let cell = self.centred(&part);
            let bytes_per_pixel = self.mode.bytes_per_pixel();
            self.placement
                .paste(&mut data, index, &cell, self.cell.0, bytes_per_pixel);
        }
        Pixels::new(width, height, self.mode, data)
    }

    /// The part in the middle of a cell.
    fn centred<'p>(&self, part: &'p Pixels) -> Cow<'p, [u8]> {
        let data = match part.mode == self.mode {
            true => Cow::Borrowed(&part.data[..]),
            false => mode::convert(part.data.clone(), part.mode, self.mode).into(),
        };
        let (width, height) = (part.width as usize, part.height as usize);
        if (width, height) == self.cell {
            return data;
        }
        let bytes_per_pixel = self.mode.bytes_per_pixel();
        let left = before(width, self.cell.0);
        let top = before(height, self.cell.1);
        let mut cell = self.padding(self.cell);
        for (y, row) in data.chunks_exact(width * bytes_per_pixel).enumerate() {
            let start = ((top + y) * self.cell.0 + left) * bytes_per_pixel;
            cell[start..start + row.len()].copy_from_slice(row);
        }
        cell.into()
    }

    fn padding(&self, (width, height): (usize, usize)) -> Vec<u8> {
        self.pad.repeat(width * height)
    }
}

/// A pixel of this brightness, from 0 to 1: opaque, also where the mode has alpha.
fn padding(brightness: f64, mode: Mode) -> Vec<u8> {
    match mode {
        Mode::I16 => deep::to_bytes(vec![(brightness * deep::WHITE) as u16]),
        _ => mode::convert(vec![(brightness * 255.0) as u8], Mode::L, mode),
    }
}

/// What lies before something of this length in the middle of something longer.
pub(crate) fn before(length: usize, of: usize) -> usize {
    of.saturating_sub(length) / 2
}

/// The picture in the middle of a frame, black around it.
pub(crate) fn framed(picture: &Pixels, width: u32, height: u32) -> Result<Pixels> {
    let frame = [(width, height, picture.mode())];
    Join::new(&frame, Grid::new())?.render([picture])
}

/// What was seen of the values of all parts.
pub(crate) fn observed(parts: impl IntoIterator<Item = Option<Observed>>) -> Option<Observed> {
    parts.into_iter().flatten().reduce(Observed::and)
}

/// The mode that holds both without loss; 16 bits are kept only beside others.
fn widest(a: Mode, b: Mode) -> Mode {
    if (a, b) == (Mode::I16, Mode::I16) {
        return Mode::I16;
    }
    let has_colour = |mode| matches!(mode, Mode::Rgb | Mode::Rgba);
    let has_alpha = |mode| matches!(mode, Mode::La | Mode::Rgba);
    let colour = has_colour(a) || has_colour(b);
    let alpha = has_alpha(a) || has_alpha(b);
    match (colour, alpha) {
        (false, false) => Mode::L,
        (false, true) => Mode::La,
        (true, false) => Mode::Rgb,
        (true, true) => Mode::Rgba,
    }
}
