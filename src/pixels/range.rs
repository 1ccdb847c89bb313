//! What the values of a tensor are: their range, and those that have no place in one.

use super::normalize::Map;
use super::sample::{Sample, Wide};

/// What was seen of a tensor's values on the way to pixels.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Observed {
    /// The least finite value; 0 where there is none.
    pub min: f64,
    /// The greatest finite value; 0 where there is none.
    pub max: f64,
    /// The number of values.
    pub count: u64,
    /// Values that are not a number. They become 0.
    pub nan: u64,
    /// Values that are +Inf or −Inf. They become the greatest or the least pixel.
    pub infinite: u64,
    /// Finite values that saturate: over half a pixel level outside what the rule expects.
    pub outside: u64,
    /// The values that become black and white.
    pub expected: (f64, f64),
}

impl Observed {
    pub(super) fn new(range: &Range, maps: &[Map], outside: u64) -> Self {
        let expected = maps.iter().map(|map| map.expected());
        let expected = expected
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            .unwrap_or_default();
        Self {
            min: range.min,
            max: range.max,
            count: range.count,
            nan: range.nan,
            infinite: range.infinite,
            outside,
            expected,
        }
    }

    /// What was seen of two parts of a tensor.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            count: self.count + other.count,
            nan: self.nan + other.nan,
            infinite: self.infinite + other.infinite,
            outside: self.outside + other.outside,
            expected: (
                self.expected.0.min(other.expected.0),
                self.expected.1.max(other.expected.1),
            ),
        }
    }
}

/// The range of the finite values, and a count of the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) count: u64,
    pub(super) nan: u64,
    pub(super) infinite: u64,
}

impl Range {
    /// What is known of a part of `len` values without another pass: that all are finite, and
    /// within this range.
    pub(super) fn of_part(&self, len: usize) -> Option<Self> {
        let all_finite = self.nan == 0 && self.infinite == 0;
        all_finite.then(|| Self {
            count: len as u64,
            ..self.clone()
        })
    }
}

/// Values are compared this many at a time, so that the compiler can use wide registers.
const LANES: usize = 16;

/// One pass over the values; a second only where some aren't finite.
pub(super) fn scan<T: Sample>(values: &[T]) -> Range {
    let mut low = [T::Wide::INFINITY; LANES];
    let mut high = [T::Wide::NEG_INFINITY; LANES];
    let mut all_finite = true;
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            observe(
                chunk[lane],
                &mut low[lane],
                &mut high[lane],
                &mut all_finite,
            );
        }
    }
    for &value in rest {
        observe(value, &mut low[0], &mut high[0], &mut all_finite);
    }
    let mut range = Range {
        min: low
            .into_iter()
            .map(Wide::to_f64)
            .fold(f64::INFINITY, f64::min),
        max: high
            .into_iter()
            .map(Wide::to_f64)
            .fold(f64::NEG_INFINITY, f64::max),
        count: values.len() as u64,
        nan: 0,
        infinite: 0,
    };
    if !all_finite {
        count_special(values, &mut range);
    }
    if range.min > range.max {
        (range.min, range.max) = (0.0, 0.0);
    }
    if let Some(fixed) = T::FIXED_RANGE {
        (range.min, range.max) = fixed;
    }
    range
}

#[inline(always)]
fn observe<T: Sample>(value: T, low: &mut T::Wide, high: &mut T::Wide, all_finite: &mut bool) {
    let x = value.widen();
    let finite = x.is_finite();
    *low = if finite & (x < *low) { x } else { *low };
    *high = if finite & (x > *high) { x } else { *high };
    *all_finite &= finite;
}

fn count_special<T: Sample>(values: &[T], range: &mut Range) {
    for value in values {
        let x = value.to_f64();
        range.nan += u64::from(x.is_nan());
        range.infinite += u64::from(x.is_infinite());
    }
}

/// The finite values that saturate under these maps (one for all channels, or one for each;
/// `channel` tells the channel of a value by its index).
pub(super) fn count_outside<T: Sample>(
    values: &[T],
    range: &Range,
    maps: &[Map],
    channel: impl Fn(usize) -> usize,
) -> u64 {
    let inside = |map: &Map| !saturates(map.level(range.min)) && !saturates(map.level(range.max));
    if maps.iter().all(inside) {
        return 0;
    }
    let outside = values.iter().enumerate().filter(|&(i, value)| {
        let x = value.to_f64();
        let map = maps[channel(i).min(maps.len() - 1)];
        x.is_finite() && saturates(map.level(x))
    });
    outside.count() as u64
}

fn saturates(level: f64) -> bool {
    !(-0.5..=255.5).contains(&level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f32], expected: (f64, f64, u64, u64)) {
        let seen = scan(values);
        assert_eq!(
            (seen.min, seen.max, seen.nan, seen.infinite),
            expected,
            "{values:?}"
        );
    }

    #[test]
    fn the_range_is_that_of_the_finite_values() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        check(&[3.0, -1.0, 2.0], (-1.0, 3.0, 0, 0));
        check(&[nan, 2.0, inf, -inf, 1.0], (1.0, 2.0, 1, 2));
        check(&[nan, nan], (0.0, 0.0, 2, 0));
        let mut many: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        check(&many, (0.0, 999.0, 0, 0));
        many[500] = -7.0;
        many[999] = nan;
        check(&many, (-7.0, 998.0, 1, 0));
    }

    #[test]
    fn a_boolean_tensor_ranges_from_false_to_true() {
        let seen = scan(&[true, true]);
        assert_eq!((seen.min, seen.max), (0.0, 1.0));
    }

    #[test]
    fn what_rounds_to_white_is_not_outside() {
        let values = [0.0_f32, 1.000_1, 1.5, -3.0];
        let outside = count_outside(&values, &scan(&values), &[Map::Unit], |_| 0);
        assert_eq!(outside, 2);
    }
}
