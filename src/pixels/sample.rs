//! The arithmetic of each dtype: what torch does on the CPU.
//!
//! f32 and f64 compute in their own type. f16 and bf16 compute in f32 and are rounded to their
//! type after each operation. Integers and booleans compute in f64.

use half::{bf16, f16};

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
    const INFINITY: Self;
    const NEG_INFINITY: Self;

    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn is_finite(self) -> bool;

    /// Truncated to 0..=255; what lies outside saturates, NaN becomes 0.
    fn to_u8(self) -> u8;

    /// Between `low` and `high`; NaN stays.
    #[inline(always)]
    fn limit(self, low: Self, high: Self) -> Self {
        let above = if self < low { low } else { self };
        if above > high { high } else { above }
    }
}

impl Wide for f32 {
    const INFINITY: Self = f32::INFINITY;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        self.abs() < f32::INFINITY
    }

    /// By way of 2²³, at which a float's low bits are its integer: `as u8` isn't vectorised.
    #[inline(always)]
    fn to_u8(self) -> u8 {
        const INTEGERS: f32 = 8_388_608.0;
        let above = if self > 0.0 { self } else { 0.0 };
        let value = if above < 255.0 { above } else { 255.0 };
        let nearest = (value + INTEGERS) - INTEGERS;
        let floor = if nearest > value {
            nearest - 1.0
        } else {
            nearest
        };
        (floor + INTEGERS).to_bits() as u8
    }
}

impl Wide for f64 {
    const INFINITY: Self = f64::INFINITY;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        self.abs() < f64::INFINITY
    }
    #[inline(always)]
    fn to_u8(self) -> u8 {
        self as u8
    }
}

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
        self.to_f32()
    }
    #[inline(always)]
    fn round(wide: f32) -> f32 {
        f16::from_f32(wide).to_f32()
    }
}

impl Sample for bf16 {
    type Wide = f32;
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
    #[inline(always)]
    fn round(wide: f32) -> f32 {
        bf16::from_f32(wide).to_f32()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f32_truncates_like_a_cast_everywhere() {
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
        }
    }
}
