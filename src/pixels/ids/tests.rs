use std::fmt::Debug;

use half::{bf16, f16};

use super::*;
use crate::tensor::Element;

fn tensor<T: Element>(shape: &[usize], values: Vec<T>) -> HostTensor {
    HostTensor::new(shape, values).unwrap()
}

fn one(tensor: &HostTensor, layout: Layout, remap: Remap) -> Result<(Vec<u8>, u64)> {
    let plan = MaskPlan::one(tensor.shape(), tensor.dtype(), layout, remap)?;
    let (ids, unscored) = plan.render(tensor, 0)?;
    assert_eq!((ids.width(), ids.height()), plan.size());
    Ok((ids.into_bytes(), unscored))
}

fn each(tensor: &HostTensor, layout: Layout, remap: Remap) -> Result<Vec<Vec<u8>>> {
    let plan = MaskPlan::each(tensor.shape(), tensor.dtype(), layout, remap)?;
    let ids = |index| Ok(plan.render(tensor, index)?.0.into_bytes());
    (0..plan.masks()).map(ids).collect()
}

fn remap(named: &[(i64, u8)], outside: Option<u8>) -> Remap {
    Remap {
        named: named.iter().copied().collect(),
        outside,
    }
}

fn refused<T: Debug>(result: Result<T>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}

/// 0, 1 and the greatest id that the dtype and a mask hold.
fn check_ids<T: Element>(values: [T; 3], greatest: u8) {
    let expected = vec![0, 1, greatest];
    let values = values.to_vec();
    for (shape, layout) in [
        (&[1, 3][..], Layout::Chw),
        (&[3, 1], Layout::Hwc),
        (&[1, 3, 1], Layout::Chw),
        (&[1, 3, 1], Layout::Hwc),
    ] {
        let tensor = tensor(shape, values.clone());
        let ids = one(&tensor, layout, Remap::default()).unwrap();
        assert_eq!(ids, (expected.clone(), 0), "{shape:?} of {}", T::DTYPE);
    }
}

#[test]
fn every_dtype_without_fractions_holds_ids() {
    check_ids([false, true, true], 1);
    check_ids([0_u8, 1, 255], 255);
    check_ids([0_i8, 1, 127], 127);
    check_ids([0_u16, 1, 255], 255);
    check_ids([0_i16, 1, 255], 255);
    check_ids([0_u32, 1, 255], 255);
    check_ids([0_i32, 1, 255], 255);
    check_ids([0_u64, 1, 255], 255);
    check_ids([0_i64, 1, 255], 255);
}

/// Two classes over two pixels.
fn check_scores<T: Element>(of: fn(f32) -> T) {
    let planes = [0.5, f32::NAN, 0.25, f32::NAN].map(of).to_vec();
    let pixels = [0.5, 0.25, f32::NAN, f32::NAN].map(of).to_vec();
    let none = Remap::default;
    let expected = (vec![0, 0], 1);
    let chw = tensor(&[2, 1, 2], planes.clone());
    assert_eq!(one(&chw, Layout::Chw, none()).unwrap(), expected);
    let hwc = tensor(&[1, 2, 2], pixels.clone());
    assert_eq!(one(&hwc, Layout::Hwc, none()).unwrap(), expected);

    let better = [of(0.0), of(1.0), of(2.0), of(1.0)];
    let batch = tensor(&[2, 2, 1, 2], [planes, better.to_vec()].concat());
    let ids = each(&batch, Layout::Chw, none()).unwrap();
    assert_eq!(ids, [vec![0, 0], vec![1, 0]]);
    let batch = tensor(&[2, 1, 2, 2], [pixels, better.to_vec()].concat());
    let ids = each(&batch, Layout::Hwc, none()).unwrap();
    assert_eq!(ids, [vec![0, 0], vec![1, 0]]);
}

#[test]
fn every_float_dtype_holds_scores() {
    check_scores::<f16>(f16::from_f32);
    check_scores::<bf16>(bf16::from_f32);
    check_scores::<f32>(|score| score);
    check_scores::<f64>(f64::from);
}

#[test]
fn a_batch_of_ids_has_a_channel_or_none() {
    let check = |shape: &[usize], layout| {
        let ids = each(
            &tensor(shape, vec![1_i32, 2, 3, 4]),
            layout,
            Remap::default(),
        );
        assert_eq!(ids.unwrap(), [[1, 2], [3, 4]], "{shape:?}");
    };
    check(&[2, 1, 2], Layout::Chw);
    check(&[2, 2, 1], Layout::Hwc);
    check(&[2, 1, 2, 1], Layout::Chw);
    check(&[2, 2, 1, 1], Layout::Hwc);
}

#[test]
fn an_id_that_a_mask_cannot_hold_is_named_with_its_place() {
    let check = |tensor: HostTensor, expected: &str| {
        refused(one(&tensor, Layout::Chw, Remap::default()), expected);
    };
    let mut target = vec![0_i64; 24];
    target[2 * 8 + 5] = -100;
    check(
        tensor(&[3, 8], target),
        "id -100 at row 2, column 5 is outside 0 to 255, which a mask holds: \
         MaskOptions::remap(-100, to) gives it another id, if it is an ignore index, and \
         MaskOptions::remap_outside(to) all such ids",
    );
    check(
        tensor(&[1, 2, 1], vec![255_u16, 256]),
        "id 256 at row 1, column 0 is outside 0 to 255, which a mask holds: \
         MaskOptions::remap(256, to) gives it another id, if it is an ignore index, and \
         MaskOptions::remap_outside(to) all such ids",
    );
    check(
        tensor(&[1, 1], vec![u64::MAX]),
        "id 18446744073709551615 at row 0, column 0 is outside 0 to 255, which a mask holds: \
         MaskOptions::remap_outside(to) gives all such ids another",
    );
    let least = one(
        &tensor(&[1, 1], vec![i64::MIN]),
        Layout::Chw,
        Remap::default(),
    );
    assert!(
        least
            .unwrap_err()
            .to_string()
            .starts_with("id -9223372036854775808 at row 0")
    );
    refused(
        each(
            &tensor(&[2, 1, 2], vec![0_i8, 1, 2, -1]),
            Layout::Chw,
            Remap::default(),
        ),
        "id -1 at row 0, column 1 of mask 1 is outside 0 to 255, which a mask holds: \
         MaskOptions::remap(-1, to) gives it another id, if it is an ignore index, and \
         MaskOptions::remap_outside(to) all such ids",
    );
}

#[test]
fn scores_of_more_classes_than_a_byte_holds_give_ids_that_are_checked() {
    let mut scores = vec![0.0_f32; 300];
    scores[299] = 1.0;
    let scores = tensor(&[300, 1, 1], scores);
    let error = one(&scores, Layout::Chw, Remap::default()).unwrap_err();
    assert!(matches!(
        error,
        Error::MaskId {
            id: 299,
            row: 0,
            column: 0,
            mask: None
        }
    ));
    let (ids, _) = one(&scores, Layout::Chw, remap(&[(299, 9)], None)).unwrap();
    assert_eq!(ids, [9]);
}

#[test]
fn ids_are_remapped_once_and_only_those_asked_for() {
    let check = |ids: Vec<i64>, map: Remap, expected: &[u8]| {
        let given = tensor(&[1, ids.len()], ids);
        assert_eq!(one(&given, Layout::Chw, map).unwrap().0, expected);
    };
    check(
        vec![-100, 7, 0],
        remap(&[(-100, 7), (7, 0), (0, 1)], None),
        &[7, 0, 1],
    );
    check(vec![255, 254], remap(&[(255, 0)], None), &[0, 254]);
    check(
        vec![-1, 256, i64::MIN, i64::MAX, 5],
        remap(&[(256, 2)], Some(3)),
        &[3, 2, 3, 3, 5],
    );
    let huge = tensor(&[1, 1], vec![u64::MAX]);
    assert_eq!(
        one(&huge, Layout::Chw, remap(&[(-1, 1)], Some(2)))
            .unwrap()
            .0,
        [2]
    );
    let nan = tensor(&[2, 1, 1], vec![f32::NAN; 2]);
    assert_eq!(
        one(&nan, Layout::Chw, remap(&[(0, 9)], None)).unwrap(),
        (vec![9], 1)
    );
}

/// As a remap would be written for one id at a time.
fn plain(id: i64, map: &Remap) -> Option<u8> {
    if let Some(&to) = map.named.get(&id) {
        return Some(to);
    }
    if (0..=255).contains(&id) {
        return Some(id as u8);
    }
    map.outside
}

#[test]
fn any_remap_of_any_ids_agrees_with_one_by_one() {
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..300 {
        let named: Vec<_> = (0..rng.usize(..5))
            .map(|_| (rng.i64(-5..300), rng.u8(..)))
            .collect();
        let map = remap(&named, rng.bool().then(|| rng.u8(..)));
        let (width, height) = (rng.usize(1..9), rng.usize(1..9));
        let ids: Vec<i64> = (0..width * height).map(|_| rng.i64(-2..260)).collect();
        let expected: Option<Vec<u8>> = ids.iter().map(|&id| plain(id, &map)).collect();
        let first = ids.iter().position(|&id| plain(id, &map).is_none());
        match one(&tensor(&[height, width], ids.clone()), Layout::Chw, map) {
            Ok((made, _)) => assert_eq!(Some(made), expected),
            Err(Error::MaskId {
                id,
                row,
                column,
                mask: None,
            }) => {
                assert_eq!(Some(row * width + column), first);
                assert_eq!(id, i128::from(ids[row * width + column]));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_tensor_that_is_no_mask_says_what_would_be() {
    let check = |shape: &[usize], dtype, layout, expected: &str| {
        let plan = MaskPlan::one(shape, dtype, layout, Remap::default());
        refused(plan, expected);
    };
    use DType::{Bool, F32, U8};
    use Layout::{Chw, Hwc};
    check(
        &[4, 5],
        F32,
        Chw,
        "a tensor of shape [4, 5] and dtype f32 can't be a mask: floats are the scores of 2 or \
         more classes, (C, H, W): compare a probability with a threshold for a bool tensor, or \
         cast class ids to an integer dtype",
    );
    check(
        &[1, 4, 5],
        F32,
        Chw,
        "a tensor of shape [1, 4, 5] and dtype f32 can't be a mask: read as (C, H, W) (see \
         MaskOptions::layout) it has 1 channel, but floats are the scores of 2 or more classes, \
         (C, H, W): compare a probability with a threshold for a bool tensor, or cast class ids to \
         an integer dtype",
    );
    check(
        &[2, 3, 4, 5],
        F32,
        Hwc,
        "a tensor of shape [2, 3, 4, 5] and dtype f32 can't be a mask: floats are the scores of \
         one picture's classes, (H, W, C): call to_wandb_masks for a batch, or select or reshape \
         it first",
    );
    check(
        &[3, 4, 5],
        U8,
        Hwc,
        "a tensor of shape [3, 4, 5] and dtype u8 can't be a mask: read as (H, W, C) (see \
         MaskOptions::layout) it has 5 channels, but integers and bools are class ids, (H, W) or \
         (H, W, 1): call to_wandb_masks for a batch, or cast one-hot scores to a float dtype",
    );
    check(
        &[7],
        Bool,
        Chw,
        "a tensor of shape [7] and dtype bool can't be a mask: integers and bools are class ids, \
         (H, W) or (1, H, W): call to_wandb_masks for a batch, or select or reshape it first",
    );
}

#[test]
fn a_tensor_that_is_no_batch_of_masks_says_what_would_be() {
    let check = |shape: &[usize], dtype, layout, expected: &str| {
        let plan = MaskPlan::each(shape, dtype, layout, Remap::default());
        refused(plan, expected);
    };
    use DType::{BF16, Bool, F32, I64};
    use Layout::{Chw, Hwc};
    check(
        &[2, 1, 4, 5],
        BF16,
        Chw,
        "a tensor of shape [2, 1, 4, 5] and dtype bf16 can't be a batch of masks: read as \
         (N, C, H, W) (see MaskOptions::layout) it has 1 channel, but floats are the scores of 2 \
         or more classes, (N, C, H, W): compare a probability with a threshold for a bool tensor, \
         or cast class ids to an integer dtype",
    );
    check(
        &[3, 4, 5],
        F32,
        Chw,
        "a tensor of shape [3, 4, 5] and dtype f32 can't be a batch of masks: floats are the \
         scores of 2 or more classes, (N, C, H, W): call to_wandb_mask for the scores of one \
         picture; compare a probability with a threshold for a bool tensor, or cast class ids to \
         an integer dtype",
    );
    check(
        &[2, 3, 4, 5],
        I64,
        Hwc,
        "a tensor of shape [2, 3, 4, 5] and dtype i64 can't be a batch of masks: read as \
         (N, H, W, C) (see MaskOptions::layout) it has 5 channels, but integers and bools are \
         class ids, (N, H, W) or (N, H, W, 1): cast one-hot scores to a float dtype",
    );
    check(
        &[4, 5],
        Bool,
        Chw,
        "a tensor of shape [4, 5] and dtype bool can't be a batch of masks: integers and bools are \
         class ids, (N, H, W) or (N, 1, H, W): call to_wandb_mask for one, or reshape it first",
    );
}

#[test]
fn what_is_empty_or_too_large_is_refused() {
    let plan = |shape: &[usize], dtype| MaskPlan::one(shape, dtype, Layout::Chw, Remap::default());
    for (shape, dtype) in [
        (&[0, 3][..], DType::U8),
        (&[0, 3, 3], DType::U8),
        (&[0, 3, 3], DType::F32),
        (&[2, usize::MAX, 0], DType::F32),
    ] {
        assert!(
            matches!(plan(shape, dtype), Err(Error::Empty { .. })),
            "{shape:?}"
        );
    }
    for shape in [
        &[1, 65_501][..],
        &[usize::MAX, 1],
        &[40_000, 40_000],
        &[1, usize::MAX, usize::MAX],
    ] {
        assert!(
            matches!(plan(shape, DType::I64), Err(Error::TooLarge { .. })),
            "{shape:?}"
        );
    }
    let none = MaskPlan::each(&[0, 3, 3], DType::I64, Layout::Chw, Remap::default());
    assert!(matches!(none, Err(Error::Empty { .. })));
}

#[test]
fn a_tensor_of_another_shape_than_the_plans_is_an_error() {
    let plan = MaskPlan::one(&[2, 2], DType::U8, Layout::Chw, Remap::default()).unwrap();
    for len in [3, 5, 8] {
        let other = tensor(&[1, len], vec![0_u8; len]);
        assert!(plan.render(&other, 0).is_err());
    }
    assert!(plan.render(&tensor(&[2, 2], vec![0_u8; 4]), 1).is_err());
}

#[test]
fn masks_of_another_size_hold_the_ids_that_they_held() {
    let check = |tensor: HostTensor, resize, size: (u32, u32), expected: &[u8]| {
        let plan = MaskPlan::one(
            tensor.shape(),
            tensor.dtype(),
            Layout::Chw,
            remap(&[(-100, 255)], None),
        );
        let plan = plan.unwrap().resized(resize).unwrap();
        let (ids, _) = plan.render(&tensor, 0).unwrap();
        assert_eq!((plan.size(), ids.as_bytes()), (size, expected));
    };
    let ids = || tensor(&[1, 2], vec![-100_i64, 3]);
    let (width, height) = (3, 2);
    check(
        ids(),
        Resize::Enlarge(2),
        (4, 2),
        &[255, 255, 3, 3, 255, 255, 3, 3],
    );
    check(
        ids(),
        Resize::To { width, height },
        (3, 2),
        &[255, 3, 3, 255, 3, 3],
    );
    let scores = tensor(&[2, 2, 1], vec![1.0_f32, 0.0, 0.0, 1.0]);
    check(
        scores,
        Resize::Enlarge(2),
        (2, 4),
        &[0, 0, 0, 0, 1, 1, 1, 1],
    );
    let wide = tensor(&[1, 4], vec![1_u8, 2, 3, 4]);
    check(
        wide,
        Resize::To {
            width: 2,
            height: 1,
        },
        (2, 1),
        &[2, 4],
    );
}

#[test]
fn a_mask_of_a_size_that_cannot_be_is_refused() {
    let plan = || MaskPlan::one(&[2, 2], DType::U8, Layout::Chw, Remap::default()).unwrap();
    refused(
        plan().resized(Resize::Enlarge(0)),
        "resize is Enlarge(0), but the factor, the width and the height must be at least 1",
    );
    let large = plan().resized(Resize::Enlarge(40_000));
    assert!(matches!(large, Err(Error::TooLarge { .. })));
}
