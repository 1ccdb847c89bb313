//! The arithmetic of each dtype: what torch does on the CPU.
//!
//! f32 and f64 compute in their own type. f16 and bf16 compute in f32 and are rounded to their
//! type after each operation. Integers and booleans compute in f64.

use half::{bf16, f16};

use super::deep;
use crate::tensor::Element;

/// A dtype with the type in which it computes.
pub(super) trait Sample: Element {
    type Wide: Wide;

    fn widen(self) -> Self::Wide;

    /// Rounds the result of one operation to what this dtype can hold.
    #[inline(always)]
    fn round(wide: Self::Wide) -> Self::Wide {
        wide
    }

    /// Any value as f64: exact but for 64-bit integers over 2⁵³.
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.widen().to_f64()
    }

    /// The range that the dtype itself has, where it isn't the values' own.
    const FIXED_RANGE: Option<(f64, f64)> = None;
}

/// A float in which samples compute: f32 or f64.
pub(super) trait Wide:
    Copy
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
{
    const ZERO: Self;
    const ONE: Self;
    const WHITE: Self;
    const INFINITY: Self;
    const NEG_INFINITY: Self;
    /// From here to its double, floats are the integers: their low bits are the number's.
    const INTEGERS: Self;

    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn is_finite(self) -> bool;
    fn is_nan(self) -> bool;
    fn low_byte(self) -> u8;
    fn low_u16(self) -> u16;

    /// Between `low` and `high`; NaN stays.
    #[inline(always)]
    fn limit(self, low: Self, high: Self) -> Self {
        let above = if self < low { low } else { self };
        if above > high { high } else { above }
    }

    /// Truncated to 0..=255; what lies outside saturates, NaN becomes 0: what `as u8` does,
    /// which isn't vectorised.
    #[inline(always)]
    fn to_u8(self) -> u8 {
        let above = if self > Self::ZERO { self } else { Self::ZERO };
        let value = if above < Self::WHITE {
            above
        } else {
            Self::WHITE
        };
        let nearest = (value + Self::INTEGERS) - Self::INTEGERS;
        let floor = if nearest > value {
            nearest - Self::ONE
        } else {
            nearest
        };
        (floor + Self::INTEGERS).low_byte()
    }

    /// Of a whole number: what lies outside 0..=65535 saturates.
    #[inline(always)]
    fn to_u16(self) -> u16 {
        let white = Self::from_f64(deep::WHITE);
        (self.limit(Self::ZERO, white) + Self::INTEGERS).low_u16()
    }
}

macro_rules! wide {
    ($t:ident, $mantissa_bits:expr) => {
        impl Wide for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const WHITE: Self = 255.0;
            const INFINITY: Self = $t::INFINITY;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;
            const INTEGERS: Self = (1_u64 << $mantissa_bits) as $t;

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                self.abs() < $t::INFINITY
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
            #[inline(always)]
            fn low_byte(self) -> u8 {
                self.to_bits() as u8
            }
            #[inline(always)]
            fn low_u16(self) -> u16 {
                self.to_bits() as u16
            }
        }
    };
}

wide!(f32, 23);
wide!(f64, 52);

impl Sample for f32 {
    type Wide = f32;
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Sample for f64 {
    type Wide = f64;
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
}

impl Sample for f16 {
    type Wide = f32;
    #[inline(always)]
    fn widen(self) -> f32 {
        f16_to_f32(self.to_bits())
    }
    #[inline(always)]
    fn round(wide: f32) -> f32 {
        round_to_f16(wide)
    }
}

impl Sample for bf16 {
    type Wide = f32;
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn round(wide: f32) -> f32 {
        round_to_bf16(wide)
    }
}

impl Sample for bool {
    type Wide = f64;
    const FIXED_RANGE: Option<(f64, f64)> = Some((0.0, 1.0));
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(u8::from(self))
    }
}

macro_rules! integer {
    ($($t:ty),*) => {$(
        impl Sample for $t {
            type Wide = f64;
            #[inline(always)]
            fn widen(self) -> f64 {
                self as f64
            }
        }
    )*};
}

integer!(u8, i8, u16, i16, u32, i32, u64, i64);

const SIGN: u32 = 0x8000_0000;
const INFINITE: u32 = 0x7f80_0000;

/// As `half` does it, without a branch, so that loops are vectorised. NaN stays NaN.
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    const INFINITE_F16: u32 = 0x0f80_0000;
    const REBIAS: u32 = (127 - 15) << 23;
    const LEAST_NORMAL: u32 = 113 << 23;
    let shifted = u32::from(bits & 0x7fff) << 13;
    let normal = shifted + REBIAS;
    let subnormal = f32::from_bits(shifted + LEAST_NORMAL) - f32::from_bits(LEAST_NORMAL);
    let magnitude = if shifted >= INFINITE_F16 {
        normal + REBIAS
    } else if shifted < 1 << 23 {
        subnormal.to_bits()
    } else {
        normal
    };
    f32::from_bits(magnitude | (u32::from(bits & 0x8000) << 16))
}

/// The nearest f16, ties to even, as f32.
#[inline(always)]
fn round_to_f16(x: f32) -> f32 {
    const LEAST_NORMAL: u32 = 0x3880_0000;
    const OVER: u32 = 0x4780_0000;
    /// Here the last place of f32 is that of f16's subnormal numbers.
    const SUBNORMAL_PLACES: f32 = 0.5;
    let magnitude = x.to_bits() & !SIGN;
    let subnormal = (f32::from_bits(magnitude) + SUBNORMAL_PLACES) - SUBNORMAL_PLACES;
    let normal = round_bits::<13>(magnitude);
    let rounded = if magnitude < LEAST_NORMAL {
        subnormal.to_bits()
    } else if normal >= OVER {
        INFINITE
    } else {
        normal
    };
    keep_nan(x, rounded)
}

/// The nearest bf16, ties to even, as f32.
#[inline(always)]
fn round_to_bf16(x: f32) -> f32 {
    keep_nan(x, round_bits::<16>(x.to_bits() & !SIGN))
}

/// To the nearest multiple of 2ᴮᴵᵀˢ, ties to even.
#[inline(always)]
fn round_bits<const BITS: u32>(magnitude: u32) -> u32 {
    let half = (1 << (BITS - 1)) - 1;
    let is_odd = (magnitude >> BITS) & 1;
    (magnitude + half + is_odd) & !((1 << BITS) - 1)
}

#[inline(always)]
fn keep_nan(x: f32, magnitude: u32) -> f32 {
    let rounded = f32::from_bits(magnitude | (x.to_bits() & SIGN));
    if x.is_nan() { x } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_truncate_as_a_cast_does_it() {
        let edges = [
            0.0,
            -0.0,
            0.5,
            0.999_999_94,
            1.0,
            254.999_98,
            255.0,
            255.5,
            1e30,
            -1.0,
        ];
        let special = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MIN_POSITIVE,
        ];
        let steps = (0..=256_000).map(|i| i as f32 / 1000.0);
        let near = (0..=255_u32).flat_map(|i| {
            let bits = (i as f32).to_bits();
            [
                f32::from_bits(bits.saturating_sub(1)),
                f32::from_bits(bits + 1),
            ]
        });
        for x in edges.into_iter().chain(special).chain(steps).chain(near) {
            assert_eq!(x.to_u8(), x as u8, "{x}");
            assert_eq!(f64::from(x).to_u8(), x as u8, "{x}");
        }
        for i in 0..=256 {
            let whole = f64::from(i);
            for x in [whole.next_down(), whole, whole.next_up()] {
                assert_eq!(x.to_u8(), x as u8, "{x}");
            }
        }
    }

    fn same(ours: f32, halfs: f32) -> bool {
        ours.to_bits() == halfs.to_bits() || (ours.is_nan() && halfs.is_nan())
    }

    #[test]
    fn half_floats_widen_as_the_crate_half_does_it() {
        for bits in 0..=u16::MAX {
            let (x, b) = (f16::from_bits(bits), bf16::from_bits(bits));
            assert!(same(x.widen(), x.to_f32()), "{bits:#x}");
            assert!(same(b.widen(), b.to_f32()), "{bits:#x}");
        }
    }

    /// Each exponent, with mantissas around every tie of both types. All 2³² were compared once.
    #[test]
    fn half_floats_round_as_the_crate_half_does_it() {
        let tops = (0..=u32::MAX >> 12).step_by(3).map(|top| top << 12);
        for bits in tops.flat_map(|top| [top, top + 1, top | 0xfff]) {
            let x = f32::from_bits(bits);
            let (half, brain) = (f16::from_f32(x).to_f32(), bf16::from_f32(x).to_f32());
            assert!(same(f16::round(x), half), "{bits:#x}");
            assert!(same(bf16::round(x), brain), "{bits:#x}");
        }
    }
}
