//! What a box must be, and what is said of one that isn't.

use super::{BoundingBox, BoxFormat, Domain, Position};
use crate::pixels::told;

/// Why a box can't be drawn, and what whoever made it may do.
#[derive(Debug, PartialEq)]
pub(in crate::image) struct Unfit {
    /// The text after `box 3`.
    pub(in crate::image) fact: String,
    pub(in crate::image) advice: &'static str,
}

impl From<Unfit> for String {
    fn from(Unfit { fact, advice }: Unfit) -> Self {
        format!("{fact}: {advice}")
    }
}

/// What to do where the numbers themselves can't be helped.
const SKIP: &str =
    "correct it, or leave such boxes out with BoundingBoxes2D::invalid(Invalid::Skip)";

pub(in crate::image) fn check(bounding_box: &BoundingBox) -> Result<(), Unfit> {
    let (format, numbers) = numbers(bounding_box.position());
    check_numbers(format, numbers)?;
    check_domain(bounding_box)?;
    bounding_box
        .scores()
        .iter()
        .try_for_each(|(name, &score)| check_score(name, score))
}

/// The numbers by which the position was given.
fn numbers(position: Position) -> (BoxFormat, [f64; 4]) {
    match position {
        Position::Corners {
            min_x,
            min_y,
            max_x,
            max_y,
        } => (BoxFormat::Xyxy, [min_x, min_y, max_x, max_y]),
        Position::Middle {
            middle: [x, y],
            width,
            height,
        } => (BoxFormat::Cxcywh, [x, y, width, height]),
    }
}

pub(super) fn check_numbers(format: BoxFormat, numbers: [f64; 4]) -> Result<(), Unfit> {
    let names = match format {
        BoxFormat::Xyxy => ["min_x", "min_y", "max_x", "max_y"],
        BoxFormat::Xywh => ["x", "y", "width", "height"],
        BoxFormat::Cxcywh => ["middle x", "middle y", "width", "height"],
    };
    if let Some((name, number)) = names
        .iter()
        .zip(numbers)
        .find(|(_, number)| !number.is_finite())
    {
        return Err(Unfit {
            fact: format!("has a {name} of {number}, but it must be finite"),
            advice: SKIP,
        });
    }
    match format {
        BoxFormat::Xyxy => check_order(names, numbers),
        BoxFormat::Xywh | BoxFormat::Cxcywh => check_size(names, numbers),
    }
}

fn check_order(names: [&str; 4], [min_x, min_y, max_x, max_y]: [f64; 4]) -> Result<(), Unfit> {
    let (axis, min, max) = match (max_x < min_x, max_y < min_y) {
        (true, _) => (0, min_x, max_x),
        (_, true) => (1, min_y, max_y),
        _ => return Ok(()),
    };
    let (low, high) = (names[axis], names[axis + 2]);
    let (min, max) = (told(min), told(max));
    Err(Unfit {
        fact: format!(
            "has a {high} of {max} below its {low} of {min}, but {high} must be at least {low}"
        ),
        advice: "swap them, give width and height as what they are (Position::middle, \
                 BoxFormat::Xywh or BoxFormat::Cxcywh), or leave such boxes out with \
                 BoundingBoxes2D::invalid(Invalid::Skip)",
    })
}

fn check_size(names: [&str; 4], numbers: [f64; 4]) -> Result<(), Unfit> {
    let mut sizes = names.iter().zip(numbers).skip(2);
    match sizes.find(|&(_, size)| size < 0.0) {
        Some((name, size)) => Err(Unfit {
            fact: format!("has a {name} of {}, but it must be at least 0", told(size)),
            advice: "give corners as what they are (Position::corners or BoxFormat::Xyxy), or \
                     leave such boxes out with BoundingBoxes2D::invalid(Invalid::Skip)",
        }),
        None => Ok(()),
    }
}

fn check_domain(bounding_box: &BoundingBox) -> Result<(), Unfit> {
    let spans = bounding_box.position().spans();
    let mut axes = ["x", "y"].into_iter().zip(spans);
    let (limits, domain, advice): ((f64, f64), _, _) = match bounding_box.domain() {
        Domain::Fraction => (
            (-1.0, 2.0),
            "Domain::Fraction, where 0 to 1 is the picture and -1 to 2 is allowed",
            "is it Domain::Pixel?",
        ),
        Domain::Pixel => (
            (f64::MIN, f64::MAX),
            "Domain::Pixel, but its edges must be finite",
            "correct it",
        ),
    };
    match axes.find(|&(_, (min, max))| min < limits.0 || max > limits.1) {
        Some((axis, (min, max))) => {
            let (min, max) = (told(min), told(max));
            let fact = format!("has {axis} from {min} to {max} in {domain}");
            Err(Unfit { fact, advice })
        }
        None => Ok(()),
    }
}

pub(in crate::image) fn check_score(name: &str, score: f64) -> Result<(), Unfit> {
    if name.is_empty() {
        return Err(Unfit {
            fact: "has a score without a name, by which W&B shows it".into(),
            advice: "give it one, such as \"confidence\"",
        });
    }
    if score.is_finite() {
        return Ok(());
    }
    Err(Unfit {
        fact: format!("has a score {name:?} of {score}, but it must be finite"),
        advice: SKIP,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(position: Position, domain: Domain, expected: &str) {
        let unfit = check(&BoundingBox::new(domain, position, 0)).unwrap_err();
        assert_eq!(String::from(unfit), expected);
    }

    #[test]
    fn a_number_that_is_none_is_named() {
        refused(
            Position::corners(0.0, f64::NAN, 1.0, 1.0),
            Domain::Fraction,
            "has a min_y of NaN, but it must be finite: correct it, or leave such boxes out with \
             BoundingBoxes2D::invalid(Invalid::Skip)",
        );
        refused(
            Position::middle(0.0, 0.0, f64::INFINITY, 1.0),
            Domain::Pixel,
            "has a width of inf, but it must be finite: correct it, or leave such boxes out with \
             BoundingBoxes2D::invalid(Invalid::Skip)",
        );
    }

    #[test]
    fn numbers_of_f32_are_told_as_such() {
        let low = [0.1_f32, 0.0, 0.05, 1.0].map(f64::from);
        let reason = check_numbers(BoxFormat::Xyxy, low).unwrap_err().fact;
        assert!(
            reason.starts_with("has a max_x of 0.05 below its min_x of 0.1,"),
            "{reason}"
        );
        let negative = [0.0, 0.0, f64::from(-0.1_f32), 1.0];
        let reason = check_numbers(BoxFormat::Xywh, negative).unwrap_err().fact;
        assert!(reason.starts_with("has a width of -0.1, but"), "{reason}");
        let wide = Position::corners(0.0, 0.0, f64::from(2.1_f32), 1.0);
        let reason = check(&BoundingBox::new(Domain::Fraction, wide, 0))
            .unwrap_err()
            .fact;
        assert!(
            reason.starts_with("has x from 0 to 2.1 in Domain::Fraction"),
            "{reason}"
        );
    }

    #[test]
    fn what_is_the_wrong_way_round_is_named() {
        refused(
            Position::corners(5.0, 0.0, 3.0, 9.0),
            Domain::Pixel,
            "has a max_x of 3 below its min_x of 5, but max_x must be at least min_x: swap them, \
             give width and height as what they are (Position::middle, BoxFormat::Xywh or \
             BoxFormat::Cxcywh), or leave such boxes out with \
             BoundingBoxes2D::invalid(Invalid::Skip)",
        );
        refused(
            Position::middle(5.0, 5.0, 1.0, -0.5),
            Domain::Pixel,
            "has a height of -0.5, but it must be at least 0: give corners as what they are \
             (Position::corners or BoxFormat::Xyxy), or leave such boxes out with \
             BoundingBoxes2D::invalid(Invalid::Skip)",
        );
        let reason = check_numbers(BoxFormat::Xywh, [1.0, 1.0, -2.0, 1.0])
            .unwrap_err()
            .fact;
        assert!(reason.starts_with("has a width of -2, but"), "{reason}");
        let reason = check_numbers(BoxFormat::Xyxy, [0.0, 2.0, 0.0, 1.0])
            .unwrap_err()
            .fact;
        assert!(
            reason.starts_with("has a max_y of 1 below its min_y of 2"),
            "{reason}"
        );
    }

    #[test]
    fn pixels_given_as_fractions_are_found() {
        refused(
            Position::corners(0.5, 10.0, 0.75, 120.0),
            Domain::Fraction,
            "has y from 10 to 120 in Domain::Fraction, where 0 to 1 is the picture and -1 to 2 is \
             allowed: is it Domain::Pixel?",
        );
        refused(
            Position::middle(0.5, 0.5, 4.0, 0.5),
            Domain::Fraction,
            "has x from -1.5 to 2.5 in Domain::Fraction, where 0 to 1 is the picture and -1 to 2 \
             is allowed: is it Domain::Pixel?",
        );
        refused(
            Position::middle(f64::MAX, 0.0, f64::MAX, 0.0),
            Domain::Pixel,
            &format!(
                "has x from {} to inf in Domain::Pixel, but its edges must be finite: correct it",
                f64::MAX / 2.0
            ),
        );
    }

    #[test]
    fn a_score_that_is_no_number_is_named() {
        let whole = Position::corners(0.0, 0.0, 1.0, 1.0);
        let scored = BoundingBox::new(Domain::Fraction, whole, 0)
            .score("a", 1e300)
            .score("b", f64::NEG_INFINITY);
        assert_eq!(
            String::from(check(&scored).unwrap_err()),
            "has a score \"b\" of -inf, but it must be finite: correct it, or leave such boxes out \
             with BoundingBoxes2D::invalid(Invalid::Skip)"
        );
        let nameless = BoundingBox::new(Domain::Fraction, whole, 0).score("", 0.5);
        assert_eq!(
            String::from(check(&nameless).unwrap_err()),
            "has a score without a name, by which W&B shows it: give it one, such as \
             \"confidence\""
        );
    }

    #[test]
    fn boxes_that_detectors_give_are_accepted() {
        let accepted = |position, domain| {
            assert_eq!(check(&BoundingBox::new(domain, position, -1)), Ok(()));
        };
        accepted(Position::corners(-1.0, -1.0, 2.0, 2.0), Domain::Fraction);
        accepted(Position::corners(0.5, 0.5, 0.5, 0.5), Domain::Fraction);
        accepted(Position::middle(0.5, 0.5, 0.0, 3.0), Domain::Fraction);
        accepted(Position::corners(-20.0, 5.5, 1e9, 5.5), Domain::Pixel);
    }
}
