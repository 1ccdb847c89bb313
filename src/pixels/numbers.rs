//! The elements of any dtype as numbers: as integers, exactly, or as floats.

use super::sample::Sample;
use crate::tensor::{DType, HostTensor, each_dtype};

/// What a dtype's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Integer,
    Float,
}

impl Kind {
    pub(crate) fn of(dtype: DType) -> Self {
        match dtype {
            DType::Bool => Kind::Bool,
            DType::F16 | DType::BF16 | DType::F32 | DType::F64 => Kind::Float,
            DType::U8 | DType::I8 | DType::U16 | DType::I16 => Kind::Integer,
            DType::U32 | DType::I32 | DType::U64 | DType::I64 => Kind::Integer,
        }
    }
}

/// The elements as f64: exact but for 64-bit integers over 2⁵³.
pub(crate) fn floats(tensor: &HostTensor) -> Vec<f64> {
    each_dtype!(tensor.elements(), values => values.iter().map(|value| value.to_f64()).collect())
}

/// The elements as integers, exactly. None of floats.
pub(crate) fn integers(tensor: &HostTensor) -> Option<Vec<i128>> {
    fn wide<T: Integer>(values: &[T]) -> Option<Vec<i128>> {
        Some(values.iter().map(|value| value.wide()).collect())
    }
    each_integer!(tensor.elements(), values => wide(values), _floats => None)
}

/// As short as its type allows: an f32 isn't told with an f64's digits.
pub(crate) fn told(value: f64) -> String {
    let single = value as f32;
    match f64::from(single) == value {
        true => single.to_string(),
        false => value.to_string(),
    }
}

/// A dtype without fractions.
pub(super) trait Integer: Copy {
    /// Where it fits into a byte.
    fn byte(self) -> Option<u8>;

    fn wide(self) -> i128;
}

impl Integer for bool {
    #[inline(always)]
    fn byte(self) -> Option<u8> {
        Some(u8::from(self))
    }
    fn wide(self) -> i128 {
        self.into()
    }
}

macro_rules! integer {
    ($($t:ty),*) => {$(
        impl Integer for $t {
            #[inline(always)]
            fn byte(self) -> Option<u8> {
                u8::try_from(self).ok()
            }
            fn wide(self) -> i128 {
                self.into()
            }
        }
    )*};
}

integer!(u8, i8, u16, i16, u32, i32, u64, i64);

/// Runs the first body on the vector of a dtype without fractions, the second on one of floats.
macro_rules! each_integer {
    ($elements:expr, $v:ident => $integers:expr, $f:pat => $floats:expr) => {
        match $elements {
            $crate::tensor::Elements::Bool($v) => $integers,
            $crate::tensor::Elements::U8($v) => $integers,
            $crate::tensor::Elements::I8($v) => $integers,
            $crate::tensor::Elements::U16($v) => $integers,
            $crate::tensor::Elements::I16($v) => $integers,
            $crate::tensor::Elements::U32($v) => $integers,
            $crate::tensor::Elements::I32($v) => $integers,
            $crate::tensor::Elements::U64($v) => $integers,
            $crate::tensor::Elements::I64($v) => $integers,
            $crate::tensor::Elements::F16($f) => $floats,
            $crate::tensor::Elements::BF16($f) => $floats,
            $crate::tensor::Elements::F32($f) => $floats,
            $crate::tensor::Elements::F64($f) => $floats,
        }
    };
}
pub(super) use each_integer;

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::tensor::Element;

    fn check<T: Element>(value: T, kind: Kind, float: f64, integer: Option<i128>) {
        let tensor = HostTensor::new([1], vec![value]).unwrap();
        assert_eq!(Kind::of(T::DTYPE), kind);
        assert_eq!(floats(&tensor), [float], "{}", T::DTYPE);
        assert_eq!(integers(&tensor), integer.map(|i| vec![i]), "{}", T::DTYPE);
    }

    #[test]
    fn every_dtype_has_its_numbers() {
        use Kind::{Bool, Float, Integer};
        check(true, Bool, 1.0, Some(1));
        check(u8::MAX, Integer, 255.0, Some(255));
        check(i8::MIN, Integer, -128.0, Some(-128));
        check(u16::MAX, Integer, 65_535.0, Some(65_535));
        check(i16::MIN, Integer, -32_768.0, Some(-32_768));
        check(u32::MAX, Integer, 4_294_967_295.0, Some(4_294_967_295));
        check(i32::MIN, Integer, -2_147_483_648.0, Some(-2_147_483_648));
        check(u64::MAX, Integer, 2_f64.powi(64), Some((1 << 64) - 1));
        check(i64::MIN, Integer, -(2_f64.powi(63)), Some(-(1 << 63)));
        check(f16::from_f32(1.5), Float, 1.5, None);
        check(bf16::from_f32(-2.5), Float, -2.5, None);
        check(0.1_f32, Float, f64::from(0.1_f32), None);
        check(0.1_f64, Float, 0.1, None);
    }

    #[test]
    fn a_number_is_told_as_short_as_its_type_allows() {
        let check = |value: f64, expected| assert_eq!(told(value), expected);
        check(f64::from(0.1_f32), "0.1");
        check(0.1, "0.1");
        check(1.0 / 3.0, "0.3333333333333333");
        check(3.0, "3");
        check(-1.5, "-1.5");
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "inf");
    }
}
