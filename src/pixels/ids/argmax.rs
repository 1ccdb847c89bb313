//! The class with the highest score at each pixel: the first maximum, NaN never.

use crate::pixels::sample::{Sample, Wide};

/// The class with the highest score at each pixel.
pub(super) struct Best {
    pub(super) classes: Vec<u32>,
    /// Pixels whose scores are all NaN: they have class 0.
    pub(super) unscored: u64,
}

/// Of scores that lie in one plane per class.
pub(super) fn argmax_planes<T: Sample>(scores: &[T], plane: usize) -> Best {
    let mut planes = scores.chunks_exact(plane);
    let first = planes.next().unwrap_or_default();
    let mut best: Vec<T::Wide> = first.iter().map(|score| score.widen()).collect();
    let mut classes = vec![0; best.len()];
    for (class, plane) in (1..).zip(planes) {
        for ((best, at), score) in best.iter_mut().zip(&mut classes).zip(plane) {
            let score = score.widen();
            let is_better = is_better(score, *best);
            *best = if is_better { score } else { *best };
            *at = if is_better { class } else { *at };
        }
    }
    Best {
        classes,
        unscored: best.iter().filter(|best| best.is_nan()).count() as u64,
    }
}

/// Of scores that lie together at each pixel.
pub(super) fn argmax_pixels<T: Sample>(scores: &[T], channels: usize) -> Best {
    let mut unscored = 0;
    let argmax = |scores: &[T]| {
        let mut wide = (0..).zip(scores.iter().map(|score| score.widen()));
        let first = wide.next()?;
        let better = |best: (u32, T::Wide), next: (u32, T::Wide)| match is_better(next.1, best.1) {
            true => next,
            false => best,
        };
        let (class, score) = wide.fold(first, better);
        unscored += u64::from(score.is_nan());
        Some(class)
    };
    Best {
        classes: scores.chunks_exact(channels).filter_map(argmax).collect(),
        unscored,
    }
}

/// The first maximum stays, and any number is better than NaN.
#[inline(always)]
fn is_better<W: Wide>(score: W, best: W) -> bool {
    score > best || (best.is_nan() & !score.is_nan())
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    /// One pixel, by definition: the highest of what is no NaN, the first of those.
    fn plain(scores: &[f64]) -> (u32, bool) {
        let numbers = scores.iter().copied().filter(|score| !score.is_nan());
        let highest = numbers.reduce(f64::max);
        let class = scores.iter().position(|&score| Some(score) == highest);
        (class.unwrap_or(0) as u32, highest.is_none())
    }

    /// Scores pixel by pixel, of few values, so that there are many ties.
    fn random<T>(random: &mut fastrand::Rng, len: usize, of: fn(f32) -> T) -> Vec<T> {
        let specials = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0];
        let mut value = || match random.u8(..4) {
            0 => specials[random.usize(..4)],
            _ => f32::from(random.i8(-3..4)) / 2.0,
        };
        (0..len).map(|_| of(value())).collect()
    }

    fn in_planes<T: Copy>(pixels: &[T], channels: usize) -> Vec<T> {
        let plane = |c| pixels.iter().skip(c).step_by(channels).copied();
        (0..channels).flat_map(plane).collect()
    }

    fn agrees<T: Sample>(of: fn(f32) -> T) {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let (channels, pixels) = (rng.usize(1..6), rng.usize(1..40));
            let scores = random(&mut rng, channels * pixels, of);
            let wide: Vec<f64> = scores.iter().map(|score| score.to_f64()).collect();
            let expected: Vec<_> = wide.chunks(channels).map(plain).collect();
            let unscored = expected.iter().filter(|(_, unscored)| *unscored).count();
            let classes: Vec<u32> = expected.iter().map(|&(class, _)| class).collect();
            for best in [
                argmax_pixels(&scores, channels),
                argmax_planes(&in_planes(&scores, channels), pixels),
            ] {
                assert_eq!(best.classes, classes, "{wide:?} of {channels}");
                assert_eq!(best.unscored, unscored as u64);
            }
        }
    }

    #[test]
    fn every_dtype_agrees_with_the_definition_in_both_layouts() {
        agrees::<f32>(|score| score);
        agrees::<f64>(f64::from);
        agrees::<f16>(f16::from_f32);
        agrees::<bf16>(bf16::from_f32);
    }

    #[test]
    fn ties_nan_and_infinities() {
        let check = |scores: &[f32], class: u32, unscored: u64| {
            let best = argmax_planes(scores, 1);
            assert_eq!(
                (best.classes[0], best.unscored),
                (class, unscored),
                "{scores:?}"
            );
        };
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        check(&[1.0, 3.0, 3.0], 1, 0);
        check(&[nan, -9.0, nan], 1, 0);
        check(&[5.0, nan, 4.0], 0, 0);
        check(&[-inf, -inf], 0, 0);
        check(&[nan, -inf], 1, 0);
        check(&[1.0, inf, inf], 1, 0);
        check(&[nan, nan, nan], 0, 1);
        check(&[-0.0, 0.0], 0, 0);
    }

    #[test]
    fn a_difference_that_f32_does_not_hold_counts() {
        let scores = [1.0_f64, 1.0 + f64::EPSILON];
        assert_eq!(argmax_pixels(&scores, 2).classes, [1]);
    }
}
