//! [`BoundingBox`]: where it lies, and what it says.

use std::collections::BTreeMap;

/// What the numbers of a box count. There is no default: a fraction taken for pixels, or pixels
/// for a fraction, can't be seen in the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Parts of the picture: 0 is its left or upper edge, 1 its right or lower one.
    Fraction,
    /// Pixels of the picture, from its upper left corner.
    Pixel,
}

/// Where a box lies, in the units of its [`Domain`]; x goes right, y goes down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Position {
    /// By its upper left and its lower right corner.
    Corners {
        /// Of the left edge.
        min_x: f64,
        /// Of the upper edge.
        min_y: f64,
        /// Of the right edge, at least `min_x`.
        max_x: f64,
        /// Of the lower edge, at least `min_y`.
        max_y: f64,
    },
    /// By its middle and its size.
    Middle {
        /// x and y.
        middle: [f64; 2],
        /// At least 0.
        width: f64,
        /// At least 0.
        height: f64,
    },
}

impl Position {
    /// A box from its upper left to its lower right corner: `xyxy`.
    pub const fn corners(min_x: f64, min_y: f64, max_x: f64, max_y: f64) -> Self {
        Position::Corners {
            min_x,
            min_y,
            max_x,
            max_y,
        }
    }

    /// A box of this width and height around (`x`, `y`): `cxcywh`.
    pub const fn middle(x: f64, y: f64, width: f64, height: f64) -> Self {
        Position::Middle {
            middle: [x, y],
            width,
            height,
        }
    }

    /// From the left to the right edge, and from the upper to the lower one.
    pub(in crate::image) fn spans(&self) -> [(f64, f64); 2] {
        match *self {
            Position::Corners {
                min_x,
                min_y,
                max_x,
                max_y,
            } => [(min_x, max_x), (min_y, max_y)],
            Position::Middle {
                middle: [x, y],
                width,
                height,
            } => [
                (x - width / 2.0, x + width / 2.0),
                (y - height / 2.0, y + height / 2.0),
            ],
        }
    }

    /// The position with these edges, given in the way that this one is.
    pub(super) fn with_spans(&self, [(min_x, max_x), (min_y, max_y)]: [(f64, f64); 2]) -> Self {
        match self {
            Position::Corners { .. } => Position::corners(min_x, min_y, max_x, max_y),
            Position::Middle { .. } => Position::middle(
                min_x / 2.0 + max_x / 2.0,
                min_y / 2.0 + max_y / 2.0,
                max_x - min_x,
                max_y - min_y,
            ),
        }
    }
}

/// A box over a picture, with the class of what is in it.
///
/// It is checked when its layer is given to a picture, not here: an error then names the layer and
/// the box.
///
/// ```
/// use wandb_image::{BoundingBox, Domain, Position};
///
/// let cat = BoundingBox::new(Domain::Pixel, Position::corners(10.0, 20.0, 90.0, 70.0), 7)
///     .caption("cat 0.98")
///     .score("confidence", 0.98);
/// assert_eq!(cat.class_id(), 7);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct BoundingBox {
    domain: Domain,
    position: Position,
    class_id: i64,
    caption: Option<String>,
    scores: BTreeMap<String, f64>,
}

impl BoundingBox {
    /// A box of this class, without caption and scores.
    pub fn new(domain: Domain, position: Position, class_id: i64) -> Self {
        Self {
            domain,
            position,
            class_id,
            caption: None,
            scores: BTreeMap::new(),
        }
    }

    /// The text that W&B shows with the box. By default the name of its class.
    pub fn caption(mut self, text: impl Into<String>) -> Self {
        self.caption = Some(text.into());
        self
    }

    /// A number by which W&B can hide boxes, such as a confidence; finite, under a name that isn't
    /// empty. May be called for many names; of two scores of the same name the later counts. None by default.
    pub fn score(mut self, name: impl Into<String>, value: f64) -> Self {
        self.scores.insert(name.into(), value);
        self
    }

    /// Where it lies, in the units of its domain.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What its numbers count.
    pub fn domain(&self) -> Domain {
        self.domain
    }

    /// The class of what is in it.
    pub fn class_id(&self) -> i64 {
        self.class_id
    }

    /// The caption, where there is one.
    pub fn caption_text(&self) -> Option<&str> {
        self.caption.as_deref()
    }

    /// The scores by their names.
    pub fn scores(&self) -> &BTreeMap<String, f64> {
        &self.scores
    }

    pub(in crate::image) fn at(self, position: Position) -> Self {
        Self { position, ..self }
    }

    pub(super) fn of_class(self, class_id: i64) -> Self {
        Self { class_id, ..self }
    }

    /// Bytes in memory.
    pub(super) fn size_bytes(&self) -> usize {
        let names = self.scores.keys().map(|name| name.len() + size_of::<f64>());
        let caption = self.caption.as_ref().map_or(0, String::len);
        size_of::<Self>() + caption + names.sum::<usize>()
    }
}
