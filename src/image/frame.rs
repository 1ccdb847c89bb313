//! Where a picture lies in a larger one.

use std::sync::Arc;

use super::boxes::{BoundingBox, Domain, Position};
use crate::error::Result;
use crate::pixels::{Pixels, before, framed};

/// A picture in the middle of a frame of its size or a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    picture: (u32, u32),
    size: (u32, u32),
}

impl Frame {
    /// A side of the frame that is smaller than the picture's is the picture's.
    pub(super) fn new(picture: (u32, u32), size: Option<(u32, u32)>) -> Self {
        let (width, height) = size.unwrap_or(picture);
        Self {
            picture,
            size: (width.max(picture.0), height.max(picture.1)),
        }
    }

    /// Width and height of the picture in it, in pixels.
    pub(super) fn picture(self) -> (u32, u32) {
        self.picture
    }

    /// Its own width and height, in pixels.
    pub(super) fn size(self) -> (u32, u32) {
        self.size
    }

    /// Whether it is of the picture's size.
    pub(super) fn is_tight(self) -> bool {
        self.picture == self.size
    }

    /// Columns and rows before the picture.
    fn offset(self) -> (u32, u32) {
        let (picture, size) = (self.picture, self.size);
        let before = |length: u32, of: u32| before(length as usize, of as usize) as u32;
        (before(picture.0, size.0), before(picture.1, size.1))
    }

    /// The picture with black around it; around a mask, class 0.
    pub(super) fn around(self, picture: Arc<Pixels>) -> Result<Arc<Pixels>> {
        if self.is_tight() {
            return Ok(picture);
        }
        let (width, height) = self.size;
        Ok(Arc::new(framed(&picture, width, height)?))
    }

    /// A box over the picture, over the frame.
    pub(super) fn moved(self, one: BoundingBox) -> BoundingBox {
        if self.is_tight() {
            return one;
        }
        let (left, top) = self.offset();
        let (picture, size) = (self.picture, self.size);
        let x = Side::new(one.domain(), [left, picture.0, size.0]);
        let y = Side::new(one.domain(), [top, picture.1, size.1]);
        let position = match one.position() {
            Position::Corners {
                min_x,
                min_y,
                max_x,
                max_y,
            } => Position::corners(x.at(min_x), y.at(min_y), x.at(max_x), y.at(max_y)),
            Position::Middle {
                middle,
                width,
                height,
            } => Position::middle(
                x.at(middle[0]),
                y.at(middle[1]),
                x.long(width),
                y.long(height),
            ),
        };
        one.at(position)
    }
}

/// How coordinates along one side of a picture become those of its frame.
#[derive(Clone, Copy)]
struct Side {
    before: f64,
    /// The picture's length and the frame's, in pixels where coordinates are fractions of them.
    lengths: [f64; 2],
}

impl Side {
    /// From what lies before the picture, its length, and the frame's, in pixels.
    fn new(domain: Domain, side: [u32; 3]) -> Self {
        let [before, picture, frame] = side.map(f64::from);
        let lengths = match domain {
            Domain::Pixel => [1.0, 1.0],
            Domain::Fraction => [picture, frame],
        };
        Self { before, lengths }
    }

    fn at(self, coordinate: f64) -> f64 {
        (coordinate * self.lengths[0] + self.before) / self.lengths[1]
    }

    fn long(self, length: f64) -> f64 {
        length * self.lengths[0] / self.lengths[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORNERS: Position = Position::corners(0.0, 0.5, 1.0, 1.0);

    fn check(domain: Domain, frame: Option<(u32, u32)>, expected: Position) {
        let frame = Frame::new((4, 2), frame);
        let one = BoundingBox::new(domain, CORNERS, 1).caption("a box");
        let expected = BoundingBox::new(domain, expected, 1).caption("a box");
        assert_eq!(frame.moved(one), expected);
    }

    #[test]
    fn boxes_stay_where_they_were_over_the_picture() {
        for domain in [Domain::Pixel, Domain::Fraction] {
            check(domain, None, CORNERS);
            check(domain, Some((1, 2)), CORNERS);
        }
        let size = Some((8, 5));
        check(Domain::Pixel, size, Position::corners(2.0, 1.5, 3.0, 2.0));
        check(
            Domain::Fraction,
            size,
            Position::corners(0.25, 0.4, 0.75, 0.6),
        );
    }
}
