//! What a run kept, in a form that can be compared with a golden file.

use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};
use wandb_image::sink::records::{HistoryRecord, Item, RecordType};

pub(crate) fn golden_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// The row as one object, with the special numbers as the golden files spell them.
pub(crate) fn nested(row: &HistoryRecord) -> Json {
    let mut object = Json::Object(Map::new());
    row.item.iter().for_each(|item| put(&mut object, item));
    object
}

/// Puts an item where its keys say; objects are merged, as W&B's client does it in a config.
fn put(object: &mut Json, item: &Item) {
    let mut place = object;
    for key in item.path() {
        place = &mut place[key];
    }
    merge(place, parse(&item.value_json));
}

fn merge(place: &mut Json, value: Json) {
    match (place, value) {
        (Json::Object(place), Json::Object(value)) => {
            for (key, value) in value {
                merge(place.entry(key).or_insert(Json::Null), value);
            }
        }
        (place, value) => *place = value,
    }
}

/// The run's config as its records make it.
pub(crate) fn config(records: impl IntoIterator<Item = RecordType>) -> Json {
    let mut config = json!({});
    for record in records {
        let records = match record {
            RecordType::Run(run) => run.config,
            RecordType::Config(config) => Some(config),
            _ => None,
        };
        let items = records.iter().flat_map(|record| &record.update);
        items.for_each(|item| put(&mut config, item));
    }
    config
}

/// The run's summary as its records make it.
pub(crate) fn summary(records: &[RecordType]) -> Json {
    let mut summary = json!({});
    for record in records {
        let RecordType::Summary(record) = record else {
            continue;
        };
        record
            .remove
            .iter()
            .for_each(|item| take(&mut summary, item));
        record
            .update
            .iter()
            .for_each(|item| put(&mut summary, item));
    }
    summary
}

/// Takes an item away from where its keys say.
fn take(object: &mut Json, item: &Item) {
    let path = item.path();
    let (last, above) = path.split_last().unwrap();
    let place = above.iter().fold(object, |place, key| &mut place[*key]);
    place.as_object_mut().unwrap().remove(*last);
}

fn parse(json: &str) -> Json {
    let mut json = json.to_owned();
    if serde_json::from_str::<Json>(&json).is_err() {
        for token in ["-Infinity", "Infinity", "NaN"] {
            let spelt = format!(
                "\"$float\":\"{}\"",
                token.replace("Inf", "I.nf").replace("NaN", "N.aN")
            );
            json = json.replace(token, &format!("{{{spelt}}}"));
        }
        json = json.replace("I.nf", "Inf").replace("N.aN", "NaN");
    }
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Replaces clock values, and hashes and sizes of files, which follow the encoder.
pub(crate) fn forget_files(row: &mut Json) {
    match row {
        Json::Object(object) => {
            for (key, value) in object {
                match key.as_str() {
                    "_runtime" | "_timestamp" | "sha256" | "size" => *value = json!("<varies>"),
                    "path" => *value = json!(without_hash(value.as_str().unwrap())),
                    "filenames" => {
                        let names = value.as_array().unwrap().iter();
                        *value = names
                            .map(|name| without_hash(name.as_str().unwrap()))
                            .collect();
                    }
                    _ => forget_files(value),
                }
            }
        }
        Json::Array(values) => values.iter_mut().for_each(forget_files),
        Json::Number(number) => *row = plain(number),
        _ => {}
    }
}

/// The same, of JSON that names no files.
pub(crate) fn plain_numbers(json: &mut Json) {
    match json {
        Json::Object(object) => object.values_mut().for_each(plain_numbers),
        Json::Array(values) => values.iter_mut().for_each(plain_numbers),
        Json::Number(number) => *json = plain(number),
        _ => {}
    }
}

/// JSON knows no difference between 1 and 1.0, and the SDK writes either.
fn plain(number: &serde_json::Number) -> Json {
    match number.as_f64() {
        Some(whole) if number.is_f64() && whole.fract() == 0.0 && whole.abs() < 1e15 => {
            json!(whole as i64)
        }
        _ => Json::Number(number.clone()),
    }
}

/// `media/images/key_0_<20 hex digits>.png` with the digits replaced.
fn without_hash(path: &str) -> String {
    let (key, file) = path.rsplit_once('_').unwrap();
    let (hash, extension) = file.split_once('.').unwrap();
    assert!(
        hash.len() == 20 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
        "{path}"
    );
    format!("{key}_<hash>.{extension}")
}
