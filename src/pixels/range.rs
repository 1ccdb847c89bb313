//! What the values of a tensor are: their range, and those that have no place in one.

use super::layout::Layout;
use super::normalize::Map;
use super::sample::{Sample, Wide};
use super::vectorised::vectorised;

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
        Self::within(range, expected, outside)
    }

    /// Where values of this range are expected to lie between these two.
    pub(super) fn within(range: &Range, expected: (f64, f64), outside: u64) -> Self {
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
    /// The range of the values that fell into lanes; nothing is said of those that aren't finite.
    fn of_lanes<W: Wide>(low: [W; LANES], high: [W; LANES], count: usize) -> Self {
        let low = low.into_iter().map(Wide::to_f64);
        let high = high.into_iter().map(Wide::to_f64);
        Self {
            min: low.fold(f64::INFINITY, f64::min),
            max: high.fold(f64::NEG_INFINITY, f64::max),
            count: count as u64,
            nan: 0,
            infinite: 0,
        }
    }

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
const LANES: usize = 32;

/// One pass over the values; a second only where some aren't finite.
pub(super) fn scan<T: Sample>(values: &[T]) -> Range {
    let finite = vectorised(
        #[inline(always)]
        || finite_range(values),
    );
    let mut range = finite.unwrap_or_else(|| {
        vectorised(
            #[inline(always)]
            || range_of_finite(values),
        )
    });
    if range.min > range.max {
        (range.min, range.max) = (0.0, 0.0);
    }
    if let Some(fixed) = T::FIXED_RANGE {
        (range.min, range.max) = fixed;
    }
    range
}

/// The range, or None where a value isn't finite.
#[inline(always)]
fn finite_range<T: Sample>(values: &[T]) -> Option<Range> {
    let mut low = [T::Wide::INFINITY; LANES];
    let mut high = [T::Wide::NEG_INFINITY; LANES];
    let mut zero = [T::Wide::ZERO; LANES];
    each_lane(
        values,
        #[inline(always)]
        |lane, x| {
            low[lane] = if x < low[lane] { x } else { low[lane] };
            high[lane] = if x > high[lane] { x } else { high[lane] };
            // Inf times 0 is NaN, and NaN stays in a sum.
            zero[lane] = zero[lane] + x * T::Wide::ZERO;
        },
    );
    let is_finite = zero.iter().all(|&zero| zero == T::Wide::ZERO);
    is_finite.then(|| Range::of_lanes(low, high, values.len()))
}

#[inline(always)]
fn range_of_finite<T: Sample>(values: &[T]) -> Range {
    let mut low = [T::Wide::INFINITY; LANES];
    let mut high = [T::Wide::NEG_INFINITY; LANES];
    let (mut nan, mut special) = ([0_u32; LANES], [0_u32; LANES]);
    each_lane(
        values,
        #[inline(always)]
        |lane, x| {
            let is_finite = x.is_finite();
            low[lane] = if is_finite & (x < low[lane]) {
                x
            } else {
                low[lane]
            };
            high[lane] = if is_finite & (x > high[lane]) {
                x
            } else {
                high[lane]
            };
            nan[lane] += u32::from(x.is_nan());
            special[lane] += u32::from(!is_finite);
        },
    );
    let nan = sum(nan);
    Range {
        nan,
        infinite: sum(special) - nan,
        ..Range::of_lanes(low, high, values.len())
    }
}

/// Calls `f` with each value and the lane that it falls into.
#[inline(always)]
fn each_lane<T: Sample>(values: &[T], mut f: impl FnMut(usize, T::Wide)) {
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in chunk.iter().enumerate() {
            f(lane, value.widen());
        }
    }
    for value in rest {
        f(0, value.widen());
    }
}

fn sum(lanes: [u32; LANES]) -> u64 {
    lanes.into_iter().map(u64::from).sum()
}

/// The finite values that saturate under these maps: one for all channels, or one for each.
pub(super) fn count_outside<T: Sample>(
    values: &[T],
    range: &Range,
    maps: &[Map],
    layout: Layout,
) -> u64 {
    let inside = |map: &Map| !saturates(map.level(range.min)) && !saturates(map.level(range.max));
    if maps.iter().all(inside) {
        return 0;
    }
    let limits = Vec::from_iter(maps.iter().map(|map| Limits::of(*map)));
    match layout {
        Layout::Chw => {
            let planes = values.chunks(values.len() / limits.len());
            planes.zip(limits).map(|(plane, l)| l.count(plane)).sum()
        }
        Layout::Hwc => {
            let channels = 0..limits.len();
            let channel = |c| Vec::from_iter(values.iter().copied().skip(c).step_by(limits.len()));
            channels.map(|c| limits[c].count(&channel(c))).sum()
        }
    }
}

/// The finite values that are less than `low` or greater than `high`.
pub(super) fn count_beyond<T: Sample>(values: &[T], range: &Range, (low, high): (f64, f64)) -> u64 {
    match low <= range.min && range.max <= high {
        true => 0,
        false => Limits { low, high }.count(values),
    }
}

fn saturates(level: f64) -> bool {
    !(-0.5..=255.5).contains(&level)
}

/// The least and the greatest value that don't saturate.
#[derive(Clone, Copy, Debug)]
struct Limits {
    low: f64,
    high: f64,
}

impl Limits {
    /// Levels rise with values, rounding included, so that bisection finds where they saturate.
    fn of(map: Map) -> Self {
        Self {
            low: first(|x| map.level(x) >= -0.5),
            high: first(|x| map.level(x) > 255.5).next_down(),
        }
    }

    fn count<T: Sample>(self, values: &[T]) -> u64 {
        vectorised(
            #[inline(always)]
            || self.count_lanes(values),
        )
    }

    #[inline(always)]
    fn count_lanes<T: Sample>(self, values: &[T]) -> u64 {
        let Self { low, high } = self;
        let mut outside = [0_u32; LANES];
        each_lane(
            values,
            #[inline(always)]
            |lane, x| {
                let wide = x.to_f64();
                let is_outside = (wide < low) | (wide > high);
                outside[lane] += u32::from(x.is_finite() & is_outside);
            },
        );
        sum(outside)
    }
}

/// The first float, from the least finite one, for which this holds; infinity where there is none.
fn first(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (ordinal(f64::MIN), ordinal(f64::INFINITY));
    while low < high {
        let middle = low.midpoint(high);
        if holds(of_ordinal(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    of_ordinal(low)
}

/// Floats in their order as integers without gaps.
fn ordinal(x: f64) -> u64 {
    let bits = x.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn of_ordinal(ordinal: u64) -> f64 {
    f64::from_bits(if ordinal & SIGN == 0 {
        !ordinal
    } else {
        ordinal & !SIGN
    })
}

const SIGN: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::super::vectorised::check_every_path;
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
    fn every_processor_sees_the_same() {
        let values = Vec::from_iter((0..=u16::MAX).map(half::f16::from_bits));
        let floats = Vec::from_iter(values.iter().map(|x| f32::from(*x)));
        let limits = Limits::of(Map::Signed);
        for len in [0, 1, 31, 32, 33, 1000, 65_536] {
            check_every_path(|| finite_range(&values[..len]));
            check_every_path(|| range_of_finite(&values[..len]));
            check_every_path(|| limits.count_lanes(&values[..len]));
            check_every_path(|| finite_range(&floats[..len]));
            check_every_path(|| range_of_finite(&floats[..len]));
            check_every_path(|| limits.count_lanes(&floats[..len]));
        }
    }

    #[test]
    fn what_rounds_to_white_is_not_outside() {
        let values = [0.0_f32, 1.000_1, 1.5, -3.0];
        let outside = count_outside(&values, &scan(&values), &[Map::Unit], Layout::Chw);
        assert_eq!(outside, 2);
    }

    fn check_limits(map: Map) {
        let Limits { low, high } = Limits::of(map);
        for (x, expected) in [
            (low.next_down(), true),
            (low, false),
            (low.midpoint(high), false),
            (high, false),
            (high.next_up(), true),
        ] {
            assert_eq!(saturates(map.level(x)), expected, "{map:?} {x}");
        }
    }

    #[test]
    fn limits_are_where_levels_saturate_to_the_last_bit() {
        check_limits(Map::Unit);
        check_limits(Map::Signed);
        check_limits(Map::Keep);
        for (mean, std) in [(0.485, 0.229), (-7.0, 1e-9), (1e9, 12.0)] {
            check_limits(Map::MeanStd { mean, std });
        }
        for (low, high) in [(0.0, 1.0), (-3.3, -3.2), (1e-300, 1e300)] {
            let divisor = high - low;
            check_limits(Map::Stretch { low, high, divisor });
            check_limits(Map::StretchHalves { low, high });
        }
    }

    #[test]
    fn each_channel_has_its_own_limits_in_both_layouts() {
        let maps = [0.0, 10.0, 20.0].map(|mean| Map::MeanStd { mean, std: 1.0 });
        let chw = [0.0_f32, 9.0, -10.0, -9.5, -20.0, -17.0];
        let hwc = [0.0_f32, -10.0, -20.0, 9.0, -9.5, -17.0];
        assert_eq!(count_outside(&chw, &scan(&chw), &maps, Layout::Chw), 2);
        assert_eq!(count_outside(&hwc, &scan(&hwc), &maps, Layout::Hwc), 2);
    }
}
