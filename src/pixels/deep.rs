//! Grey of 16 bits: integers as they are, without a rule.

use super::sample::{Sample, Wide};
use super::vectorised::vectorised;

/// The greatest sample.
pub(super) const WHITE: f64 = 65_535.0;

/// Whole numbers as samples, little-endian; what lies outside 0 to 65,535 saturates.
pub(super) fn pixels<T: Sample>(values: &[T]) -> Vec<u8> {
    let mut pixels = vec![[0; 2]; values.len()];
    vectorised(
        #[inline(always)]
        || fill(values, &mut pixels),
    );
    pixels.into_flattened()
}

#[inline(always)]
fn fill<T: Sample>(values: &[T], pixels: &mut [[u8; 2]]) {
    for (value, pixel) in values.iter().zip(pixels) {
        *pixel = value.widen().to_u16().to_le_bytes();
    }
}

/// As [`Pixels`](super::Pixels) holds them.
pub(super) fn to_bytes(samples: Vec<u16>) -> Vec<u8> {
    Vec::from_iter(samples.into_iter().map(u16::to_le_bytes)).into_flattened()
}

/// What [`to_bytes`] was given.
pub(super) fn from_bytes(bytes: &[u8]) -> Vec<u16> {
    let (samples, _) = bytes.as_chunks();
    samples.iter().copied().map(u16::from_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::super::vectorised::check_every_path;
    use super::*;
    use crate::tensor::Element;

    fn check<T: Sample + Element>(values: &[T], expected: &[u16]) {
        assert_eq!(from_bytes(&pixels(values)), expected, "{:?}", T::DTYPE);
        check_every_path(|| {
            let mut pixels = vec![[0; 2]; values.len()];
            fill(values, &mut pixels);
            pixels
        });
    }

    #[test]
    fn each_number_stays_what_it_is() {
        let all = Vec::from_iter(0..=u16::MAX);
        check(&all, &all);
        check(&Vec::from_iter(all.iter().map(|&x| u32::from(x))), &all);
        check(&Vec::from_iter(all.iter().map(|&x| i64::from(x))), &all);
        check(&[0_u8, 1, 255], &[0, 1, 255]);
        check(&[false, true], &[0, 1]);
    }

    #[test]
    fn what_lies_outside_saturates() {
        check(&[i8::MIN, -1, 0, i8::MAX], &[0, 0, 0, 127]);
        check(&[i16::MIN, -1, i16::MAX], &[0, 0, 32_767]);
        check(
            &[i32::MIN, 65_535, 65_536, i32::MAX],
            &[0, 65_535, 65_535, 65_535],
        );
        check(&[u32::MAX, 65_536], &[65_535, 65_535]);
        check(&[i64::MIN, 65_535, i64::MAX], &[0, 65_535, 65_535]);
        check(&[u64::MAX, 0, 65_536], &[65_535, 0, 65_535]);
    }
}
