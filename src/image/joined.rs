//! Several images as one picture: made when the picture is.

use super::Image;
use crate::error::Result;
use crate::pixels::{Grid, Join, Observed, Pixels, join_observed};

#[derive(Debug)]
pub(super) struct Joined {
    images: Vec<Image>,
    join: Join,
}

impl Joined {
    pub(super) fn new(images: Vec<Image>, grid: Grid) -> Result<Self> {
        let part = |image: &Image| (image.width(), image.height(), image.mode());
        let parts: Vec<_> = images.iter().map(part).collect();
        let join = Join::new(&parts, grid)?;
        Ok(Self { images, join })
    }

    pub(super) fn images(&self) -> &[Image] {
        &self.images
    }

    pub(super) fn join(&self) -> &Join {
        &self.join
    }

    pub(super) fn render(&self) -> Result<(Pixels, Option<Observed>)> {
        let parts = self.images.iter().map(Image::render);
        let (pixels, seen): (Vec<_>, Vec<_>) =
            parts.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok((self.join.render(pixels)?, join_observed(seen)))
    }
}
