use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::convert::IntoWandbImage;
use crate::pixels::Layout;
use crate::tensor::{DType, Element, HostTensor};

fn tensor<T: Element>(shape: &[usize], values: Vec<T>) -> HostTensor {
    HostTensor::new(shape, values).unwrap()
}

fn ids(mask: &ImageMask) -> Vec<u8> {
    mask.ids().unwrap().as_bytes().to_vec()
}

/// A mask whose one id is out of range, so that it can't be made.
fn unmade() -> ImageMask {
    tensor(&[1, 1], vec![-1_i32]).to_wandb_mask().unwrap()
}

#[test]
fn ids_that_do_not_fill_the_size_are_refused() {
    let check = |size: (u32, u32), len, expected: &str| {
        let mask = ImageMask::new(size.0, size.1, vec![0; len]);
        assert_eq!(mask.unwrap_err().to_string(), expected);
    };
    check(
        (2, 3),
        5,
        "2×3 pixels of mode L are 6 bytes, but 5 were given",
    );
    check(
        (0, 3),
        0,
        "the size of a mask is 0×3 pixels, but it is that of its picture, each side 1 to 65500",
    );
    check(
        (65_501, 1),
        65_501,
        "the size of a mask is 65501×1 pixels, but it is that of its picture, each side 1 to 65500",
    );
}

#[test]
fn a_tensors_mask_has_its_size_before_it_is_made() {
    let mask = tensor(&[3, 2, 5], vec![0_f32; 30]).to_wandb_mask().unwrap();
    assert_eq!((mask.width(), mask.height(), mask.size()), (5, 2, (5, 2)));
    let hwc = MaskOptions::new().layout(Layout::Hwc);
    let mask = tensor(&[3, 2, 5], vec![0_f32; 30]).to_wandb_mask_with(&hwc);
    assert_eq!(mask.unwrap().size(), (2, 3));
}

#[test]
fn pixels_without_a_score_are_counted() {
    let nan = f32::NAN;
    let scores = tensor(&[2, 1, 3], vec![nan, 0.0, nan, nan, 1.0, 2.0]);
    let (ids, unscored) = scores.to_wandb_mask().unwrap().make().unwrap();
    assert_eq!(
        (ids.as_bytes(), ids.mode(), unscored),
        (&[0, 1, 1][..], Mode::L, 1)
    );
    assert_eq!(ImageMask::new(1, 1, vec![3]).unwrap().make().unwrap().1, 0);
}

#[test]
fn masks_of_one_tensor_share_a_snapshot_that_is_read_once() {
    struct Counted(Arc<AtomicUsize>);
    impl IntoWandbImage for Counted {
        fn to_host(&self) -> Result<HostTensor> {
            HostTensor::new([2, 1, 2], vec![1_u8, 2, 3, 4])
        }
        fn snapshot(&self) -> Result<Snapshot> {
            let reads = Arc::clone(&self.0);
            Ok(Snapshot::new([2, 1, 2], DType::U8, move || {
                reads.fetch_add(1, Ordering::Relaxed);
                HostTensor::new([2, 1, 2], vec![1_u8, 2, 3, 4])
            }))
        }
    }
    let reads = Arc::new(AtomicUsize::new(0));
    let masks = Counted(Arc::clone(&reads)).to_wandb_masks().unwrap();
    assert_eq!((masks.len(), reads.load(Ordering::Relaxed)), (2, 0));
    assert_eq!(
        (ids(&masks[1]), ids(&masks[0]), ids(&masks[1])),
        (vec![3, 4], vec![1, 2], vec![3, 4])
    );
    assert_eq!(reads.load(Ordering::Relaxed), 1);
    assert_eq!(masks[0].held(), masks[1].held());
    assert_eq!(masks[0].held()[0].1, 4);
}

#[test]
fn a_failure_to_read_is_everyones() {
    struct Lost;
    impl IntoWandbImage for Lost {
        fn to_host(&self) -> Result<HostTensor> {
            Err(Error::device("lost"))
        }
        fn snapshot(&self) -> Result<Snapshot> {
            Ok(Snapshot::new([2, 1, 1], DType::Bool, || {
                Err(Error::device("lost"))
            }))
        }
    }
    let masks = Lost.to_wandb_masks().unwrap();
    for mask in &masks {
        let text = mask.ids().unwrap_err().to_string();
        assert_eq!(text, "the tensor could not be read from its device: lost");
    }
    assert_ne!(masks[0], masks[1]);
    assert_eq!(masks[0], masks[0].clone());
}

#[test]
fn masks_are_equal_by_ids_and_labels() {
    let mask = || ImageMask::new(2, 1, vec![0, 1]).unwrap();
    let labels = || Classes::from_names(["a", "b"]);
    assert_eq!(mask(), mask());
    assert_eq!(
        mask(),
        tensor(&[1, 2], vec![false, true]).to_wandb_mask().unwrap()
    );
    assert_eq!(
        mask(),
        tensor(&[2, 1, 2], vec![1.0_f64, 0.0, 0.0, 1.0])
            .to_wandb_mask()
            .unwrap()
    );
    assert_eq!(mask().class_labels(labels()), mask().class_labels(labels()));
    assert_ne!(mask(), mask().class_labels(labels()));
    assert_ne!(mask(), ImageMask::new(2, 1, vec![0, 2]).unwrap());
    assert_ne!(mask(), ImageMask::new(1, 2, vec![0, 1]).unwrap());
    assert_eq!(mask().class_labels(labels()).labels(), Some(&labels()));
}

#[test]
fn a_mask_that_cannot_be_made_equals_its_clones_alone() {
    let mask = unmade();
    assert_eq!(mask, mask.clone());
    assert_ne!(mask, unmade());
    assert_ne!(mask, mask.clone().class_labels(Classes::default()));
}

#[test]
fn a_reference_to_a_tensor_makes_the_same_mask() {
    let target = tensor(&[1, 2], vec![3_u32, 4]);
    let by_reference = IntoWandbImage::to_wandb_mask(&&target).unwrap();
    assert_eq!(ids(&by_reference), [3, 4]);
    assert_eq!(by_reference, target.to_wandb_mask().unwrap());
}
