use half::{bf16, f16};

use super::*;
use crate::convert::IntoWandbImage;
use crate::tensor::{DType, Element, HostTensor};

fn tensor<T: Element>(shape: &[usize], values: Vec<T>) -> HostTensor {
    HostTensor::new(shape, values).unwrap()
}

fn of_tensor(numbers: &HostTensor, format: BoxFormat) -> BoundingBoxes2D {
    BoundingBoxes2D::from_tensor(numbers, format, Domain::Pixel).unwrap()
}

fn pixel_box(min_x: f64, min_y: f64, max_x: f64, max_y: f64) -> BoundingBox {
    BoundingBox::new(
        Domain::Pixel,
        Position::corners(min_x, min_y, max_x, max_y),
        0,
    )
}

fn refused<T: std::fmt::Debug>(result: Result<T>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}

fn check_dtype<T: Element>(one: T, two: T) {
    let boxes = of_tensor(&tensor(&[1, 4], vec![one, one, two, two]), BoxFormat::Xyxy)
        .scores("s", &tensor(&[1, 1], vec![two]))
        .unwrap();
    let expected = pixel_box(1.0, 1.0, 2.0, 2.0).score("s", 2.0);
    assert_eq!(boxes.boxes_in(9, 9).unwrap(), [expected], "{}", T::DTYPE);
}

#[test]
fn every_number_dtype_holds_boxes_and_scores() {
    check_dtype(1_u8, 2);
    check_dtype(1_i8, 2);
    check_dtype(1_u16, 2);
    check_dtype(1_i16, 2);
    check_dtype(1_u32, 2);
    check_dtype(1_i32, 2);
    check_dtype(1_u64, 2);
    check_dtype(1_i64, 2);
    check_dtype(f16::from_f32(1.0), f16::from_f32(2.0));
    check_dtype(bf16::from_f32(1.0), bf16::from_f32(2.0));
    check_dtype(1_f32, 2.0);
    check_dtype(1_f64, 2.0);
}

/// Coordinates are multiples of a quarter, so that sums are exact.
#[test]
fn the_three_formats_agree() {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut quarters = |range| f64::from(rng.i32(range)) / 4.0;
    for n in 0..40 {
        let rows: Vec<[f64; 4]> = (0..n)
            .map(|_| {
                let (x, y) = (quarters(-99..99), quarters(-99..99));
                [x, y, 2.0 * quarters(0..99), 2.0 * quarters(0..99)]
            })
            .collect();
        let spans = |format, row: fn([f64; 4]) -> [f64; 4]| {
            let numbers = tensor(
                &[n, 4],
                rows.iter().flat_map(|&r| row(r)).collect::<Vec<_>>(),
            );
            let boxes = of_tensor(&numbers, format).boxes_in(20, 20).unwrap();
            Vec::from_iter(boxes.iter().map(|made| made.position().spans()))
        };
        let xywh = spans(BoxFormat::Xywh, |row| row);
        assert_eq!(xywh.len(), n);
        let xyxy = spans(BoxFormat::Xyxy, |[x, y, w, h]| [x, y, x + w, y + h]);
        let cxcywh = spans(BoxFormat::Cxcywh, |[x, y, w, h]| {
            [x + w / 2.0, y + h / 2.0, w, h]
        });
        assert_eq!(xywh, xyxy);
        assert_eq!(xywh, cxcywh);
    }
}

#[test]
fn a_format_is_kept_as_what_it_is() {
    let check = |format, expected| {
        let numbers = tensor(&[1, 4], vec![1_f32, 2.0, 3.0, 4.0]);
        let made = of_tensor(&numbers, format).boxes_in(9, 9).unwrap();
        assert_eq!(made[0].position(), expected);
    };
    check(BoxFormat::Xyxy, Position::corners(1.0, 2.0, 3.0, 4.0));
    check(BoxFormat::Xywh, Position::corners(1.0, 2.0, 4.0, 6.0));
    check(BoxFormat::Cxcywh, Position::middle(1.0, 2.0, 3.0, 4.0));
}

#[test]
fn columns_give_classes_and_scores() {
    let numbers = tensor(&[2, 4], vec![0_i32, 0, 1, 1, 2, 2, 3, 3]);
    let boxes = of_tensor(&numbers, BoxFormat::Xyxy)
        .class_ids(&tensor(&[2], vec![i64::MIN, 5]))
        .unwrap()
        .scores("a", &tensor(&[2, 1], vec![0.5_f32, 0.25]))
        .unwrap()
        .scores("b", &tensor(&[2], vec![1_u8, 2]))
        .unwrap();
    let made = boxes.boxes_in(9, 9).unwrap();
    let seen = |i: usize| {
        (
            made[i].class_id(),
            made[i].scores()["a"],
            made[i].scores()["b"],
        )
    };
    assert_eq!((seen(0), seen(1)), ((i64::MIN, 0.5, 1.0), (5, 0.25, 2.0)));
    let sizes: Vec<u64> = boxes.held().iter().map(|held| held.1).collect();
    assert_eq!(sizes, [32, 16, 8, 2]);

    let listed = BoundingBoxes2D::new([pixel_box(0.0, 0.0, 1.0, 1.0).caption("c")])
        .class_ids(&tensor(&[1, 1], vec![7_u8]));
    let made = listed.unwrap().boxes_in(9, 9).unwrap();
    assert_eq!((made[0].class_id(), made[0].caption_text()), (7, Some("c")));
}

#[test]
fn no_boxes_are_no_error() {
    let none = of_tensor(&tensor(&[0, 4], Vec::<f32>::new()), BoxFormat::Xyxy)
        .class_ids(&tensor(&[0], Vec::<i64>::new()))
        .unwrap()
        .scores("s", &tensor(&[0, 1], Vec::<f32>::new()))
        .unwrap()
        .clip(true);
    assert!(none.boxes_in(0, 0).unwrap().is_empty());
    assert!(BoundingBoxes2D::new([]).boxes_in(1, 1).unwrap().is_empty());
}

#[test]
fn a_tensor_that_holds_no_boxes_says_what_would() {
    let check = |shape: &[usize], dtype, expected: &str| {
        let snapshot = Snapshot::new(shape, dtype, || HostTensor::new([0], Vec::<u8>::new()));
        refused(
            BoundingBoxes2D::from_snapshot(snapshot, BoxFormat::Xyxy, Domain::Pixel),
            expected,
        );
    };
    check(
        &[3, 6],
        DType::F32,
        "a tensor of shape [3, 6] and dtype f32 can't be boxes: their shape is (N, 4): narrow it \
         to the four columns of the coordinates, and give the rest to BoundingBoxes2D::class_ids \
         and BoundingBoxes2D::scores",
    );
    check(
        &[2, 3, 4],
        DType::F16,
        "a tensor of shape [2, 3, 4] and dtype f16 can't be boxes: their shape is (N, 4): select \
         one picture's boxes, each picture has its own",
    );
    check(
        &[4],
        DType::I64,
        "a tensor of shape [4] and dtype i64 can't be boxes: their shape is (N, 4): select or \
         reshape it first",
    );
    check(
        &[2, 4],
        DType::Bool,
        "a tensor of shape [2, 4] and dtype bool can't be boxes: their dtype is an integer or a \
         float one",
    );
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    let boxes = || of_tensor(&tensor(&[2, 4], vec![0_u8; 8]), BoxFormat::Xyxy);
    refused(
        boxes().class_ids(&tensor(&[3], vec![0_i64; 3])),
        "a tensor of shape [3] and dtype i64 can't be the class ids of 2 boxes: their shape is (2) \
         or (2, 1), one for each box",
    );
    refused(
        boxes().class_ids(&tensor(&[2], vec![0_f32; 2])),
        "a tensor of shape [2] and dtype f32 can't be the class ids of 2 boxes: their dtype is an \
         integer one: cast it",
    );
    refused(
        boxes().scores("conf", &tensor(&[2, 2], vec![0_f32; 4])),
        "a tensor of shape [2, 2] and dtype f32 can't be the scores \"conf\" of 2 boxes: their \
         shape is (2) or (2, 1), one for each box",
    );
    refused(
        BoundingBoxes2D::new([pixel_box(0.0, 0.0, 1.0, 1.0)])
            .scores("conf", &tensor(&[1], vec![true])),
        "a tensor of shape [1] and dtype bool can't be the scores \"conf\" of 1 box: their dtype \
         is a float or an integer one: cast it",
    );
}

#[test]
fn an_invalid_box_is_an_error_with_its_index_or_skipped_and_counted() {
    let given = [
        pixel_box(0.0, 0.0, 1.0, 1.0),
        pixel_box(3.0, 0.0, 1.0, 1.0),
        pixel_box(0.0, 0.0, 2.0, 2.0).score("s", f64::NAN),
    ];
    let boxes = BoundingBoxes2D::new(given.clone());
    for error in [
        boxes.check().unwrap_err(),
        boxes.boxes_in(9, 9).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Box { index: 1, .. }));
        let text = error.to_string();
        assert!(
            text.starts_with("box 1 has a max_x of 1 below its min_x of 3, but"),
            "{text}"
        );
    }
    let skipping = boxes.invalid(Invalid::Skip);
    skipping.check().unwrap();
    let made = skipping.make((9, 9)).unwrap();
    assert_eq!((&made.boxes[..], made.skipped), (&given[..1], 2));
}

#[test]
fn numbers_of_a_tensor_are_checked_when_the_boxes_are_made() {
    let numbers = tensor(&[2, 4], vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0, -1.0, 1.0_f32]);
    let boxes = of_tensor(&numbers, BoxFormat::Xywh);
    boxes.check().unwrap();
    let text = boxes.boxes_in(9, 9).unwrap_err().to_string();
    assert!(
        text.starts_with("box 1 has a width of -1, but it must be"),
        "{text}"
    );
    let made = boxes.invalid(Invalid::Skip).make((9, 9)).unwrap();
    assert_eq!((made.boxes.len(), made.skipped), (1, 1));

    let boxes = of_tensor(&tensor(&[1, 4], vec![0_u8; 4]), BoxFormat::Xyxy)
        .class_ids(&tensor(&[1], vec![u64::MAX]))
        .unwrap();
    refused(
        boxes.boxes_in(9, 9),
        "box 0 has the class id 18446744073709551615, but the greatest is 9223372036854775807",
    );
    assert!(
        boxes
            .invalid(Invalid::Skip)
            .boxes_in(9, 9)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn boxes_over_the_edge_are_kept_unless_clipped() {
    let over = pixel_box(-1.0, 0.0, 5.0, 50.0);
    let outside = pixel_box(90.0, 0.0, 95.0, 5.0);
    let boxes = BoundingBoxes2D::new([over.clone(), outside.clone()]);
    let kept = boxes.make((9, 9)).unwrap();
    assert_eq!((kept.boxes, kept.skipped), (vec![over, outside], 0));
    let clipped = boxes.clip(true).make((9, 9)).unwrap();
    assert_eq!(clipped.skipped, 1);
    assert_eq!(clipped.boxes, [pixel_box(0.0, 0.0, 5.0, 9.0)]);
}

#[test]
fn layers_are_equal_by_boxes_and_labels() {
    let listed = || BoundingBoxes2D::new([pixel_box(0.0, 1.0, 2.0, 3.0)]);
    let numbers = tensor(&[1, 4], vec![0_u8, 1, 2, 3]);
    assert_eq!(listed(), listed());
    assert_eq!(listed(), of_tensor(&numbers, BoxFormat::Xyxy));
    assert_ne!(listed(), of_tensor(&numbers, BoxFormat::Cxcywh));
    assert_ne!(listed(), listed().class_labels(Classes::default()));
    assert_ne!(listed(), listed().clip(true));
    assert_ne!(
        listed(),
        listed().class_ids(&tensor(&[1], vec![1_u8])).unwrap()
    );
    let labels = Classes::from_names(["a"]);
    assert_eq!(
        listed().class_labels(labels.clone()).labels(),
        Some(&labels)
    );

    let broken = || BoundingBoxes2D::new([pixel_box(f64::NAN, 1.0, 2.0, 3.0)]);
    let one = broken();
    assert_eq!(one, one.clone());
    assert_ne!(one, broken());
    let broken = || of_tensor(&tensor(&[1, 4], vec![f32::NAN; 4]), BoxFormat::Xywh);
    let one = broken();
    assert_eq!(one, one.clone());
    assert_ne!(one, broken());
    assert_ne!(one, one.clone().invalid(Invalid::Skip));
}

#[test]
fn a_tensor_that_cannot_be_read_is_an_error() {
    struct Lost;
    impl IntoWandbImage for Lost {
        fn to_host(&self) -> Result<HostTensor> {
            Err(Error::device("lost"))
        }
        fn snapshot(&self) -> Result<Snapshot> {
            Ok(Snapshot::new([1, 4], DType::F32, || {
                Err(Error::device("lost"))
            }))
        }
    }
    let boxes = BoundingBoxes2D::from_tensor(&Lost, BoxFormat::Xyxy, Domain::Pixel).unwrap();
    let skipping = boxes.invalid(Invalid::Skip);
    refused(
        skipping.boxes_in(9, 9),
        "the tensor could not be read from its device: lost",
    );
}
