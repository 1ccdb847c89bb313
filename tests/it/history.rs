//! History rows equal to those of the real SDK 0.31.0 for the same values and pictures, but for
//! the hash and the size of files (`scripts/golden/history.py` makes them again).

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use wandb_image::sink::MemorySink;
use wandb_image::{
    FileType, HostTensor, Image, ImageOptions, IntoWandbImage, Layout, Normalize, Row, Value,
};

use crate::rows::{forget_files, golden_file, nested};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    step: u64,
    key: Option<String>,
    #[serde(default)]
    list: bool,
    #[serde(default)]
    inputs: Vec<Input>,
    #[serde(default)]
    options: Vec<Options>,
    #[serde(default)]
    values: Map<String, Json>,
    row: Json,
}

#[derive(Deserialize)]
struct Input {
    shape: Vec<usize>,
    offset: usize,
    len: usize,
}

#[derive(Deserialize)]
struct Options {
    caption: Option<String>,
    file_type: Option<String>,
    grouping: Option<i64>,
}

/// What differs on purpose, or can't be asked for here.
const ELSEWHERE: &[&str] = &[
    "jpeg",                                    // the format is called jpg
    "leading slash in key",                    // an error
    "dot segments in key",                     // an error
    "list, caption on the second only",        // kept: see below
    "empty object",                            // kept: see below
    "image and scalar of two calls, one step", // more keys than the case tells
];

#[test]
fn rows_equal_those_of_the_python_sdk() {
    let golden = golden();
    let cases = golden
        .cases
        .iter()
        .filter(|case| !ELSEWHERE.contains(&case.name.as_str()));
    let checked = cases.map(check).count();
    assert_eq!(checked, golden.cases.len() - ELSEWHERE.len());
}

#[test]
fn captions_are_kept_when_the_first_image_has_none() {
    let golden = golden();
    let name = "list, caption on the second only";
    let case = golden.cases.iter().find(|case| case.name == name).unwrap();
    let row = logged(case);
    assert_eq!(
        row["list"]["captions"],
        json!([null, case.options[1].caption, null])
    );
}

#[test]
fn an_empty_map_is_kept() {
    let row = row_of(Row::new().with("empty", json!({})).with("x", 1), 0);
    assert_eq!(row["empty"], json!({}));
}

fn check(case: &Case) {
    let (mut row, mut expected) = (logged(case), case.row.clone());
    for row in [&mut row, &mut expected] {
        forget_files(row);
    }
    assert_eq!(row, expected, "{}", case.name);
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(golden_file("history_0.31.0.json")).unwrap()).unwrap()
}

fn logged(case: &Case) -> Json {
    let mut row = Row::new();
    for (key, value) in &case.values {
        row = row.with(key, number(value));
    }
    if let Some(key) = &case.key {
        row = row.with(key, pictures(case));
    }
    row_of(row, case.step)
}

fn row_of(row: Row, step: u64) -> Json {
    let sink = MemorySink::new();
    let run = wandb_image::init().start_on(sink.clone()).unwrap();
    run.log_at(step, row).unwrap();
    run.finish().unwrap();
    let rows = sink.rows();
    assert_eq!(rows.len(), 1);
    nested(&rows[0])
}

/// A golden value, with what JSON lacks put back.
fn number(value: &Json) -> Value {
    match value {
        Json::Array(values) if values.iter().any(Json::is_object) && !is_plain(value) => {
            let values = values.iter().map(|v| special(v).or(v.as_f64()).unwrap());
            values.collect::<Vec<f64>>().into()
        }
        value => match (value.get("$f32"), special(value)) {
            (Some(f32), _) => (f32.as_f64().unwrap() as f32).into(),
            (_, Some(special)) => special.into(),
            _ => value.clone().into(),
        },
    }
}

fn is_plain(value: &Json) -> bool {
    !value.to_string().contains("$float")
}

fn special(value: &Json) -> Option<f64> {
    match value.get("$float")?.as_str()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        other => panic!("{other}"),
    }
}

fn pictures(case: &Case) -> Value {
    let bytes = std::fs::read(golden_file("history.bin")).unwrap();
    let images = case.inputs.iter().zip(&case.options);
    let mut images: Vec<Image> = images
        .map(|(input, options)| picture(input, options, &bytes))
        .collect();
    match case.list {
        true => images.into(),
        false => images.remove(0).into(),
    }
}

fn picture(input: &Input, options: &Options, bytes: &[u8]) -> Image {
    let values = bytes[input.offset..input.offset + input.len].to_vec();
    let tensor = HostTensor::new(input.shape.clone(), values).unwrap();
    let as_it_is = ImageOptions::new()
        .layout(Layout::Hwc)
        .normalize(Normalize::Off);
    let mut image = tensor.to_wandb_image_with(&as_it_is).unwrap();
    if let Some(caption) = &options.caption {
        image = image.caption(caption);
    }
    if let Some(grouping) = options.grouping {
        image = image.grouping(grouping);
    }
    match options.file_type.as_deref() {
        Some("jpg") => image.file_type(FileType::jpg()),
        Some("bmp") => image.file_type(FileType::Bmp),
        _ => image,
    }
}
