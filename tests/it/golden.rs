//! Pixels equal to those that the real SDKs made (`scripts/golden/` makes the files again).

use std::path::PathBuf;

use half::{bf16, f16};
use serde::Deserialize;
use wandb_image::tensor::Elements;
use wandb_image::{Grid, HostTensor, ImageOptions, IntoWandbImage, Layout, Normalize, to_uint8};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    rule: String,
    #[serde(default)]
    args: Args,
    dtype: String,
    shape: Vec<usize>,
    layout: String,
    input: Span,
    grid: Option<GridArgs>,
    output: Output,
}

#[derive(Deserialize, Default)]
struct Args {
    low: Option<f64>,
    high: Option<f64>,
    mean: Option<Vec<f64>>,
    std: Option<Vec<f64>>,
}

#[derive(Deserialize)]
struct GridArgs {
    nrow: usize,
    padding: usize,
    pad_value: f64,
    scale_each: bool,
}

#[derive(Deserialize)]
struct Span {
    offset: usize,
    len: usize,
}

#[derive(Deserialize)]
struct Output {
    offset: usize,
    len: usize,
    width: u32,
    height: u32,
    channels: usize,
}

#[test]
fn pixels_equal_those_of_the_python_sdks() {
    let json = std::fs::read(file("pixels.json")).unwrap();
    let bytes = std::fs::read(file("pixels.bin")).unwrap();
    let golden: Golden = serde_json::from_slice(&json).unwrap();
    assert!(golden.cases.len() > 1000, "{} cases", golden.cases.len());
    let failed: Vec<String> = golden
        .cases
        .iter()
        .filter_map(|case| differs(case, &bytes))
        .collect();
    let (shown, all) = (&failed[..failed.len().min(20)], golden.cases.len());
    assert!(
        failed.is_empty(),
        "{} of {all} differ:\n{}",
        failed.len(),
        shown.join("\n")
    );
}

#[test]
fn to_uint8_gives_the_numbers_of_the_python_sdk() {
    let json = std::fs::read(file("pixels.json")).unwrap();
    let bytes = std::fs::read(file("pixels.bin")).unwrap();
    let golden: Golden = serde_json::from_slice(&json).unwrap();
    let cases = golden.cases.iter().filter(|case| case.rule == "to-uint8");
    let checked = cases.map(|case| {
        let numbers = to_uint8(&tensor(case, &bytes));
        assert_eq!(numbers.shape(), case.shape, "{}", case.name);
        let expected = &bytes[case.output.offset..case.output.offset + case.output.len];
        match numbers.elements() {
            Elements::U8(numbers) => assert_eq!(numbers, expected, "{}", case.name),
            other => panic!("{}: {:?}", case.name, other.dtype()),
        }
    });
    assert!(checked.count() > 300);
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn differs(case: &Case, bytes: &[u8]) -> Option<String> {
    let Output {
        offset,
        len,
        width,
        height,
        channels,
    } = case.output;
    let expected = &bytes[offset..offset + len];
    let image = tensor(case, bytes).to_wandb_image_with(&options(case));
    let pixels = match image.and_then(|image| image.pixels()) {
        Ok(pixels) => pixels,
        Err(error) => return Some(format!("{}: {error}", case.name)),
    };
    let size = (pixels.width(), pixels.height(), pixels.mode().channels());
    if size != (width, height, channels) {
        return Some(format!(
            "{}: {size:?}, not {width}×{height}×{channels}",
            case.name
        ));
    }
    let wrong = pixels
        .as_bytes()
        .iter()
        .zip(expected)
        .filter(|(a, b)| a != b);
    let first: Vec<_> = wrong.clone().take(4).collect();
    (!first.is_empty()).then(|| format!("{}: {} differ, {first:?}", case.name, wrong.count()))
}

fn tensor(case: &Case, bytes: &[u8]) -> HostTensor {
    let bytes = &bytes[case.input.offset..case.input.offset + case.input.len];
    let shape = case.shape.clone();
    match case.dtype.as_str() {
        "u8" => HostTensor::new(shape, bytes.to_vec()),
        "i8" => HostTensor::new(shape, read(bytes, i8::from_le_bytes)),
        "i16" => HostTensor::new(shape, read(bytes, i16::from_le_bytes)),
        "i32" => HostTensor::new(shape, read(bytes, i32::from_le_bytes)),
        "i64" => HostTensor::new(shape, read(bytes, i64::from_le_bytes)),
        "f16" => HostTensor::new(shape, read(bytes, f16::from_le_bytes)),
        "bf16" => HostTensor::new(shape, read(bytes, bf16::from_le_bytes)),
        "f32" => HostTensor::new(shape, read(bytes, f32::from_le_bytes)),
        "f64" => HostTensor::new(shape, read(bytes, f64::from_le_bytes)),
        other => panic!("{}: dtype {other}", case.name),
    }
    .unwrap()
}

fn read<T, const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|&chunk| value(chunk))
        .collect()
}

fn options(case: &Case) -> ImageOptions {
    let layout = match case.layout.as_str() {
        "chw" => Layout::Chw,
        _ => Layout::Hwc,
    };
    let options = ImageOptions::new().layout(layout).normalize(rule(case));
    let Some(GridArgs {
        nrow,
        padding,
        pad_value,
        scale_each,
    }) = case.grid
    else {
        return options;
    };
    options
        .grid(Grid::new().nrow(nrow).padding(padding).pad_value(pad_value))
        .scale_each(scale_each)
}

fn rule(case: &Case) -> Normalize {
    let Args {
        low,
        high,
        mean,
        std,
    } = &case.args;
    match case.rule.as_str() {
        "min-max" => Normalize::MinMax,
        "to-uint8" => Normalize::ToUint8,
        "guess" => Normalize::Guess,
        "off" => Normalize::Off,
        "unit" => Normalize::Unit,
        "signed" => Normalize::Signed,
        "value-range" => Normalize::ValueRange {
            low: low.unwrap(),
            high: high.unwrap(),
        },
        "mean-std" => Normalize::MeanStd {
            mean: mean.clone().unwrap(),
            std: std.clone().unwrap(),
        },
        other => panic!("{}: rule {other}", case.name),
    }
}
