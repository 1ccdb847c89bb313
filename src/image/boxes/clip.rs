//! Boxes cut at the edge of their picture.

use super::{BoundingBox, Domain};

type Spans = [(f64, f64); 2];

/// Cuts what reaches over the edge of a picture of this size, and leaves out what lies wholly
/// outside.
pub(super) fn clip(boxes: Vec<BoundingBox>, size: (u32, u32)) -> Vec<BoundingBox> {
    let boxes = boxes.into_iter().filter_map(|whole| {
        let before = whole.position().spans();
        let after = inside(before, limits(&whole, size))?;
        if before == after {
            return Some(whole);
        }
        let position = whole.position().with_spans(after);
        Some(whole.at(position))
    });
    boxes.collect()
}

/// How many lie wholly outside of a picture of this size; none where that isn't known.
pub(super) fn outside(boxes: &[BoundingBox], size: (u32, u32)) -> u64 {
    if size == (0, 0) {
        return 0;
    }
    let is_outside =
        |one: &&BoundingBox| inside(one.position().spans(), limits(one, size)).is_none();
    boxes.iter().filter(is_outside).count() as u64
}

/// The right and the lower edge of the picture.
fn limits(bounding_box: &BoundingBox, (width, height): (u32, u32)) -> [f64; 2] {
    match bounding_box.domain() {
        Domain::Fraction => [1.0, 1.0],
        Domain::Pixel => [width.into(), height.into()],
    }
}

fn inside([x, y]: Spans, [width, height]: [f64; 2]) -> Option<Spans> {
    Some([span_inside(x, width)?, span_inside(y, height)?])
}

/// What of a span lies between 0 and the limit; none where they at most touch. One that has no
/// length is kept on the edge.
fn span_inside((min, max): (f64, f64), limit: f64) -> Option<(f64, f64)> {
    if min >= 0.0 && max <= limit {
        return Some((min, max));
    }
    (max > 0.0 && min < limit).then(|| (min.max(0.0), max.min(limit)))
}

#[cfg(test)]
mod tests {
    use super::super::Position;
    use super::*;

    /// In a picture of 10 × 20 pixels.
    fn check(position: Position, expected: Option<Position>) {
        let whole = BoundingBox::new(Domain::Pixel, position, 3).caption("kept");
        let boxes = expected.map(|position| whole.clone().at(position));
        assert_eq!(
            clip(vec![whole], (10, 20)),
            Vec::from_iter(boxes),
            "{position:?}"
        );
    }

    #[test]
    fn boxes_are_cut_at_the_edge() {
        let corners = Position::corners;
        let inside = corners(1.0, 2.0, 3.0, 4.0);
        check(inside, Some(inside));
        let whole = corners(0.0, 0.0, 10.0, 20.0);
        check(whole, Some(whole));
        check(corners(-5.0, -5.0, 50.0, 50.0), Some(whole));
        check(
            corners(-1.0, 19.0, 2.0, 21.0),
            Some(corners(0.0, 19.0, 2.0, 20.0)),
        );
        check(
            Position::middle(10.0, 10.0, 4.0, 4.0),
            Some(Position::middle(9.0, 10.0, 2.0, 4.0)),
        );
    }

    #[test]
    fn boxes_outside_are_left_out() {
        let corners = Position::corners;
        check(corners(-5.0, 1.0, -1.0, 2.0), None);
        check(corners(11.0, 1.0, 12.0, 2.0), None);
        check(corners(-5.0, 1.0, 0.0, 2.0), None);
        check(corners(1.0, 20.0, 2.0, 25.0), None);
        let on_edge = corners(10.0, 1.0, 10.0, 2.0);
        check(on_edge, Some(on_edge));
    }

    #[test]
    fn fractions_end_at_one() {
        let wide = Position::corners(-0.5, 0.25, 1.5, 0.5);
        let boxes = vec![BoundingBox::new(Domain::Fraction, wide, 0)];
        let clipped = clip(boxes, (10, 20));
        let expected = Position::corners(0.0, 0.25, 1.0, 0.5);
        assert_eq!(clipped[0].position(), expected);
    }
}
