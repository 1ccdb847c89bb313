//! Artifacts read back: those of the real SDK 0.31.0, and those of this crate, which the SDK reads
//! in turn (`tests/tools/read_artifact.py` asks its own `from_json`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, GrayImage, RgbImage};
use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;
use wandb_image::sink::MemorySink;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{ArtifactRecord, RecordType};
use wandb_image::{
    Artifact, BoundingBox, BoundingBoxes2D, BoxFormat, Cell, Classes, Domain, Error, FileType,
    HostTensor, Image, ImageMask, Invalid, Mode, OpenArtifact, Pixels, Position, Row, Run, Table,
    TableReader,
};

use crate::client::{Client, parse, sha256};
use crate::rows::golden_file;

// ---- what is in an artifact, as read_artifact.py tells it ----

fn pixels(pixels: &Pixels) -> Json {
    json!({"mode": pixels.mode().name(), "size": [pixels.width(), pixels.height()],
        "bytes": STANDARD.encode(pixels.as_bytes())})
}

fn position(position: Position) -> Json {
    match position {
        Position::Corners {
            min_x,
            min_y,
            max_x,
            max_y,
        } => json!({"minX": min_x, "minY": min_y, "maxX": max_x, "maxY": max_y}),
        Position::Middle {
            middle,
            width,
            height,
        } => json!({"middle": middle, "width": width, "height": height}),
    }
}

fn bounding_box(one: &BoundingBox) -> Json {
    let domain = (one.domain() == Domain::Pixel).then_some("pixel");
    json!({"class_id": one.class_id(), "domain": domain, "caption": one.caption_text(),
        "position": position(one.position()), "scores": one.scores()})
}

fn told(image: &Image) -> Json {
    let classes = image.class_set().cloned().unwrap_or_default();
    let classes = classes
        .iter()
        .map(|(id, name)| (id.to_string(), name.into()));
    let boxes = image.box_layers().iter().map(|(key, boxes)| {
        let boxes = boxes.boxes_in(image.width(), image.height()).unwrap();
        (key.clone(), boxes.iter().map(bounding_box).collect())
    });
    let masks = image.mask_layers().iter();
    let masks = masks.map(|(key, mask)| (key.clone(), pixels(&mask.ids().unwrap())));
    json!({"caption": image.caption_text(), "grouping": image.grouping_number(),
        "pixels": pixels(&image.pixels().unwrap()), "classes": classes.collect::<Map<_, _>>(),
        "boxes": boxes.collect::<Map<_, _>>(), "masks": masks.collect::<Map<_, _>>()})
}

fn cell(cell: &Cell) -> Json {
    if let Some(image) = cell.image() {
        return json!({"image": told(image)});
    }
    if let Some(values) = cell.as_list() {
        return values.iter().map(self::cell).collect();
    }
    match cell.as_f64() {
        Some(number) if number.is_nan() => json!("NaN"),
        Some(f64::INFINITY) => json!("Infinity"),
        Some(f64::NEG_INFINITY) => json!("-Infinity"),
        Some(number) => json!(number),
        None => match cell.to_json().unwrap() {
            Json::Object(other) if other["_type"] == "html-file" => {
                json!({"other": other["_type"]})
            }
            other => other,
        },
    }
}

fn told_table(table: &TableReader) -> Json {
    let rows = table
        .rows()
        .map(|row| row.unwrap().iter().map(cell).collect());
    let rows: Vec<Json> = rows.collect();
    assert_eq!(rows.len(), table.len());
    let types: Vec<_> = table.column_types().map(|(_, kind)| kind).collect();
    json!({"columns": table.columns(), "types": types, "rows": rows})
}

/// All images and tables of an artifact.
fn told_all(artifact: &OpenArtifact) -> BTreeMap<String, Json> {
    let files = artifact.files().unwrap().into_iter();
    let told = files.filter_map(|file| {
        let told = match file.rsplit_once('.')?.0.rsplit_once('.')?.1 {
            "image-file" => told(&artifact.get(&file).unwrap()),
            "table" => told_table(&artifact.table(&file).unwrap()),
            _ => return None,
        };
        Some((file, told))
    });
    told.collect()
}

/// The same as the SDK reads it.
fn told_by_sdk(client: &Client, artifact: &OpenArtifact, names: &[String]) -> Json {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/read_artifact.py");
    let mut python = client.python();
    let output = python.arg(script).arg(artifact.dir()).args(names).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same with every number as a float.
fn floats(value: &Json) -> Json {
    match value {
        Json::Number(number) => json!(number.as_f64()),
        Json::Array(values) => values.iter().map(floats).collect(),
        Json::Object(entries) => {
            let entries = entries.iter();
            entries
                .map(|(key, value)| (key.clone(), floats(value)))
                .collect()
        }
        other => other.clone(),
    }
}

fn check_told(found: &BTreeMap<String, Json>, expected: &Json) {
    assert_eq!(found.len(), expected.as_object().unwrap().len());
    for (name, found) in found {
        assert_eq!(floats(found), floats(&expected[name]), "{name}");
    }
}

// ---- folders ----

/// Puts the files of an artifact where a download would.
fn put(dir: &TempDir, path: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn open(dir: &TempDir) -> OpenArtifact {
    Artifact::open(dir.path()).unwrap()
}

/// The artifacts in a run's log, each laid out in a folder.
fn laid_out(log: &Path) -> BTreeMap<String, TempDir> {
    let records = LogReader::open(log).unwrap();
    let artifacts = records.filter_map(|record| match record.unwrap().record_type {
        Some(RecordType::Artifact(artifact)) => Some(artifact),
        _ => None,
    });
    let laid_out = |artifact: ArtifactRecord| {
        let dir = tempfile::tempdir().unwrap();
        let files = artifact.manifest.unwrap().contents.into_iter();
        for file in files.filter(|file| file.r#ref.is_empty()) {
            put(&dir, &file.path, fs::read(&file.local_path).unwrap());
        }
        (artifact.name, dir)
    };
    artifacts.map(laid_out).collect()
}

fn logged(log: impl FnOnce(&Run)) -> BTreeMap<String, TempDir> {
    let dir = tempfile::tempdir().unwrap();
    let run = wandb_image::init()
        .dir(dir.path())
        .run_id("reading1")
        .start()
        .unwrap();
    let path = run.dir().unwrap().join("run-reading1.wandb");
    log(&run);
    run.finish().unwrap();
    laid_out(&path)
}

fn golden() -> Json {
    let text = fs::read(golden_file("artifacts_0.31.0.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn entries(artifact: &Json) -> impl Iterator<Item = &Json> {
    artifact["manifest"]["contents"].as_array().unwrap().iter()
}

fn content(entry: &Json) -> Option<Vec<u8>> {
    let text = entry["text"].as_str().map(|text| text.as_bytes().to_vec());
    text.or_else(|| Some(STANDARD.decode(entry["base64"].as_str()?).unwrap()))
}

/// An artifact of the golden file in a folder.
fn golden_folder(golden: &Json, name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = golden["artifacts"].as_array().unwrap();
    let artifact = artifacts.iter().find(|one| one["name"] == name).unwrap();
    for entry in entries(artifact) {
        if let Some(bytes) = content(entry) {
            put(&dir, entry["path"].as_str().unwrap(), bytes);
        }
    }
    dir
}

// ---- what the golden file says of an image, field by field ----

fn decoded(dir: &Path, file: &Json) -> Json {
    let bytes = fs::read(dir.join(file["path"].as_str().unwrap())).unwrap();
    let picture = image::load_from_memory(&bytes).unwrap();
    let mode = if picture.color().has_color() {
        "RGB"
    } else {
        "L"
    };
    json!({"mode": mode, "size": [picture.width(), picture.height()],
        "bytes": STANDARD.encode(picture.as_bytes())})
}

fn expected_image(dir: &Path, json: &Json) -> Json {
    let mapped = |key: &str, of: &dyn Fn(&Json) -> Json| -> Map<String, Json> {
        let layers = json[key].as_object().into_iter().flatten();
        layers
            .map(|(key, layer)| (key.clone(), of(layer)))
            .collect()
    };
    let one_box = |one: &Json| {
        json!({"class_id": one["class_id"], "domain": one["domain"], "caption": one["box_caption"],
            "position": one["position"],
            "scores": one.get("scores").cloned().unwrap_or_else(|| json!({}))})
    };
    let boxes = |layer: &Json| layer.as_array().unwrap().iter().map(one_box).collect();
    let mut classes = Map::new();
    if let Some(path) = json["classes"]["path"].as_str() {
        let file: Json = serde_json::from_slice(&fs::read(dir.join(path)).unwrap()).unwrap();
        for class in file["class_set"].as_array().unwrap() {
            classes.insert(class["id"].to_string(), class["name"].clone());
        }
    }
    json!({"caption": json["caption"], "grouping": json["grouping"], "pixels": decoded(dir, json),
        "classes": classes, "boxes": mapped("boxes", &boxes),
        "masks": mapped("masks", &|mask| decoded(dir, mask))})
}

fn expected_table(dir: &Path, json: &Json) -> Json {
    let type_map = &json["column_types"]["params"]["type_map"];
    let kind = |name: &Json| {
        let kinds = &type_map[name.as_str().unwrap()]["params"]["allowed_types"];
        let mut kinds = kinds
            .as_array()
            .unwrap()
            .iter()
            .map(|kind| &kind["wb_type"]);
        kinds.find(|kind| *kind != "none").unwrap().clone()
    };
    let types: Vec<Json> = json["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(kind)
        .collect();
    let cell = |value: &Json| match value.is_object() {
        true => json!({"image": expected_image(dir, value)}),
        false => value.clone(),
    };
    let rows = json["data"].as_array().unwrap().iter();
    let rows = rows.map(|row| row.as_array().unwrap().iter().map(cell).collect());
    json!({"columns": json["columns"], "types": types, "rows": rows.collect::<Vec<Json>>()})
}

#[test]
fn every_image_and_table_of_the_golden_file_is_read_back() {
    let golden = golden();
    let mut seen = 0;
    for artifact in golden["artifacts"].as_array().unwrap() {
        let name = artifact["name"].as_str().unwrap();
        if name == "referring" {
            continue;
        }
        let dir = golden_folder(&golden, name);
        for (file, found) in told_all(&open(&dir)) {
            let json = parse(&fs::read_to_string(dir.path().join(&file)).unwrap());
            let expected = match file.ends_with(".table.json") {
                true => expected_table(dir.path(), &json),
                false => expected_image(dir.path(), &json),
            };
            assert_eq!(floats(&found), floats(&expected), "{file}");
            seen += 1;
        }
    }
    assert_eq!(seen, 18);
}

#[test]
fn an_image_that_stays_elsewhere_is_read_where_its_file_is_put() {
    let golden = golden();
    let dir = golden_folder(&golden, "referring");
    let artifact = open(&dir);
    let error = artifact.get("dog").unwrap_err().to_string();
    assert!(
        error.contains("dog.jpeg?size=2") && error.contains("where it is a reference"),
        "{error}"
    );
    let cat = png(RgbImage::new(6, 4));
    put(&dir, "media/images/2aa7c276438b147f5516/cat.png", cat);
    let cat = artifact.get("deep/cat").unwrap();
    assert_eq!((cat.width(), cat.height()), (6, 4));
    assert_eq!(cat.box_layers()["p"].boxes_in(6, 4).unwrap().len(), 1);
}

#[test]
fn classes_are_checked_by_xxh128_where_the_artifact_has_it() {
    let golden = golden();
    let dir = golden_folder(&golden, "hashed");
    let artifact = open(&dir);
    let image = artifact.get("classed").unwrap();
    assert_eq!(image.class_set().unwrap().get(1), Some("cat"));
    let files = artifact.files().unwrap();
    let classes = files.iter().find(|file| file.ends_with(".classes.json"));
    let path = dir.path().join(classes.unwrap());
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("cat", "dog")).unwrap();
    let error = artifact.get("classed").unwrap_err().to_string();
    assert!(
        error.contains("its MD5 is ") && error.contains(" and its XXH128 is "),
        "{error}"
    );
}

#[test]
fn the_masks_of_the_golden_file_are_those_that_were_given() {
    let golden = golden();
    let dir = golden_folder(&golden, "made");
    let made = open(&dir);
    for (name, key, mask) in [
        ("masked", "m", "one"),
        ("all", "m", "two"),
        ("all", "n", "three"),
    ] {
        let given = golden["inputs"]["masks"][mask]["base64"].as_str().unwrap();
        let image = made.get(name).unwrap();
        let ids = image.mask_layers()[key].ids().unwrap();
        assert_eq!(STANDARD.encode(ids.as_bytes()), given, "{name} {key}");
    }
    let given = golden["inputs"]["pixels"]["pixels"]["base64"]
        .as_str()
        .unwrap();
    let image = made.get("pixels").unwrap();
    assert_eq!(STANDARD.encode(image.pixels().unwrap().as_bytes()), given);
}

#[test]
fn files_are_found_under_their_paths_and_references_are_not() {
    let dir = golden_folder(&golden(), "files");
    let files = open(&dir);
    let expected = [
        "data/a.txt",
        "data/sub/b c.txt",
        "data/sub/é.txt",
        "deep/er/nothing.bin",
        "notes.txt",
    ];
    assert_eq!(files.files().unwrap(), expected);
    for file in expected {
        let path = files.path(file).unwrap();
        assert_eq!(path, dir.path().join(file));
        assert!(path.is_file());
    }
    assert_eq!(
        files.path("./deep//er/nothing.bin").unwrap(),
        files.path("deep/er/nothing.bin").unwrap()
    );
    let error = files.path("pictures/y.png").unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "\"pictures/y.png\" of the artifact in {} can't be read: there is no file of this name, \
             but the files \"notes.txt\", \"data/a.txt\", \"data/sub/é.txt\", \"data/sub/b c.txt\" \
             and 1 more (OpenArtifact::files)",
            dir.path().display()
        )
    );
}

// ---- both ways ----

fn picture(seed: u8) -> Image {
    let values = (0..48).map(|at: u8| at.wrapping_mul(37).wrapping_add(seed));
    Pixels::new(4, 4, Mode::Rgb, values.collect())
        .unwrap()
        .into()
}

fn mask(seed: u8) -> ImageMask {
    let ids = (0..16).map(|at: u8| (at.wrapping_mul(7) ^ seed) % 3);
    ImageMask::new(4, 4, ids.collect()).unwrap()
}

fn names() -> Classes {
    Classes::new([(0, "nothing"), (1, "it's \"é\""), (2, "dog")]).unwrap()
}

fn boxes() -> BoundingBoxes2D {
    let fraction = Position::corners(0.125, 0.25, 0.5, 1.0);
    let middle = Position::middle(2.0, 1.5, 1.0, 0.5);
    BoundingBoxes2D::new([
        BoundingBox::new(Domain::Fraction, fraction, 2)
            .caption("dog 漢")
            .score("confidence", 0.1)
            .score("tiny", 1e-7),
        BoundingBox::new(Domain::Pixel, middle, 1),
    ])
}

/// Images with all that an artifact holds of one.
fn images() -> Vec<(&'static str, Image)> {
    let overlaid = picture(3)
        .classes(names())
        .grouping(-4)
        .caption("all\nof it");
    let overlaid = overlaid
        .masks("truth", mask(1))
        .unwrap()
        .masks("prediction", mask(2));
    let overlaid = overlaid.unwrap().boxes("found", boxes()).unwrap();
    let none = BoundingBoxes2D::new([]);
    vec![
        ("plain", picture(1)),
        ("deep/er/captioned", picture(2).caption("")),
        ("overlaid", overlaid),
        (
            "none",
            picture(4).classes(names()).boxes("none", none).unwrap(),
        ),
        ("bmp", picture(5).file_type(FileType::Bmp)),
    ]
}

fn table() -> Table {
    let mut table = Table::new(["picture", "n", "x", "word", "sure", "scores", "never"]).unwrap();
    for (row, (_, image)) in (0..).zip(images()) {
        let x = [0.5, f64::INFINITY, -0.0, 1e22, f64::NEG_INFINITY][row];
        let word = (row != 1).then(|| format!("word {row} \"é\""));
        let picture = (row != 3).then_some(image);
        let scores = vec![Some(0.25), None, Some(row as f64)];
        table
            .add_row((
                picture,
                row as u64,
                x,
                word,
                row % 2 == 0,
                scores,
                Cell::NONE,
            ))
            .unwrap();
    }
    table
}

fn ours() -> BTreeMap<String, TempDir> {
    logged(|run| {
        let mut artifact = Artifact::new("all", "dataset").unwrap();
        for (name, image) in images() {
            artifact.add(image, name).unwrap();
        }
        artifact.add(table(), "sub/both").unwrap();
        run.log_artifact(artifact).unwrap();
        run.log(Row::new().with("val/table", table())).unwrap();
    })
}

#[test]
fn what_was_written_here_is_read_back_equal() {
    let folders = ours();
    let all = open(&folders["all"]);
    for (name, image) in images() {
        assert_eq!(all.get(name).unwrap(), image, "{name}");
        assert_eq!(all.get(&format!("{name}.image-file.json")).unwrap(), image);
    }
    let of_run = folders
        .keys()
        .find(|name| name.starts_with("run-"))
        .unwrap();
    let tables = [
        all.table("sub/both").unwrap(),
        open(&folders[of_run]).table("val/table").unwrap(),
    ];
    for table in tables {
        assert_eq!(table.len(), 5);
        for (row, (cells, (name, image))) in table.rows().zip(images()).enumerate() {
            let cells = cells.unwrap();
            match row {
                3 => assert!(cells[0].is_none()),
                _ => assert_eq!(cells[0].image(), Some(&image), "{name}"),
            }
            assert_eq!(cells[1].as_i64(), Some(row as i64));
            assert_eq!(cells[3].as_str().is_none(), row == 1);
            assert_eq!(cells[4].as_bool(), Some(row % 2 == 0));
            let scores = cells[5].as_list().unwrap();
            assert!(scores[1].is_none() && scores[2].as_f64() == Some(row as f64));
            assert!(cells[6].is_none());
        }
        let floats: Vec<_> = table
            .rows()
            .map(|row| row.unwrap()[2].as_f64().unwrap())
            .collect();
        assert_eq!(floats, [0.5, f64::INFINITY, -0.0, 1e22, f64::NEG_INFINITY]);
        let types: Vec<_> = table
            .column_types()
            .map(|(_, kind)| kind.unwrap())
            .collect();
        assert_eq!(
            types,
            [
                "image-file",
                "number",
                "number",
                "string",
                "boolean",
                "list",
                "unknown"
            ]
        );
    }
}

#[test]
fn an_image_that_was_read_keeps_its_bytes_and_its_name() {
    let dir = golden_folder(&golden(), "as-given");
    let image = open(&dir).get("sub/captioned").unwrap();
    let again = logged(|run| {
        let mut artifact = Artifact::new("again", "dataset").unwrap();
        artifact.add(&image, "sub/captioned").unwrap();
        run.log_artifact(artifact).unwrap();
    });
    let again = open(&again["again"]);
    let path = "media/images/4b5ee0a1e242388d3004/first.png";
    assert_eq!(
        again.files().unwrap(),
        [path, "sub/captioned.image-file.json"]
    );
    let bytes =
        |artifact: &OpenArtifact, path: &str| fs::read(artifact.path(path).unwrap()).unwrap();
    for file in again.files().unwrap() {
        assert_eq!(bytes(&again, &file), bytes(&open(&dir), &file), "{file}");
    }
}

#[test]
fn the_sdk_reads_what_was_written_here() {
    let Some(client) = Client::find() else { return };
    for (name, dir) in ours() {
        let artifact = open(&dir);
        let told = told_all(&artifact);
        assert_eq!(told.len(), if name == "all" { 6 } else { 1 });
        let names: Vec<String> = told.keys().cloned().collect();
        check_told(&told, &told_by_sdk(&client, &artifact, &names));
    }
}

/// Boxes of nothing, and boxes of which none can be drawn: without any names of classes.
fn without_detections() -> [Image; 2] {
    let nan = HostTensor::new([1, 4], vec![f32::NAN; 4]).unwrap();
    let skipped = BoundingBoxes2D::from_tensor(&nan, BoxFormat::Xyxy, Domain::Pixel).unwrap();
    let layers = [BoundingBoxes2D::new([]), skipped.invalid(Invalid::Skip)];
    let mut seed = 0;
    layers.map(|layer| {
        seed += 1;
        picture(seed).boxes("prediction", layer).unwrap()
    })
}

fn folders_without_detections() -> BTreeMap<String, TempDir> {
    logged(|run| {
        let mut artifact = Artifact::new("none", "dataset").unwrap();
        let mut table = Table::new(["picture"]).unwrap();
        for (name, image) in ["first", "second"].into_iter().zip(without_detections()) {
            artifact.add(&image, name).unwrap();
            table.add_row((image,)).unwrap();
        }
        let found = picture(3).boxes("prediction", boxes()).unwrap();
        table.add_row((found.classes(names()),)).unwrap();
        artifact.add(table, "table").unwrap();
        run.log_artifact(artifact).unwrap();
        let mut table = Table::new(["picture"]).unwrap();
        table.add_row((&without_detections()[0],)).unwrap();
        run.log(Row::new().with("val", table)).unwrap();
    })
}

#[test]
fn pictures_without_detections_are_kept_with_their_empty_layers() {
    let folders = folders_without_detections();
    let all = open(&folders["none"]);
    for (name, given) in ["first", "second"].into_iter().zip(without_detections()) {
        let image = all.get(name).unwrap();
        assert_eq!(image, given);
        assert_eq!(image.box_layers()["prediction"].boxes_in(4, 4).unwrap(), []);
        assert_eq!(image.class_set(), None);
    }
    let table = all.table("table").unwrap();
    let boxes = |row: Vec<Cell>| {
        let layers = row[0].image().unwrap().box_layers();
        layers["prediction"].boxes_in(4, 4).unwrap().len()
    };
    let boxes: Vec<_> = table.rows().map(|row| boxes(row.unwrap())).collect();
    assert_eq!(boxes, [0, 0, 2]);
}

#[test]
fn the_sdk_reads_pictures_without_detections() {
    let Some(client) = Client::find() else { return };
    for (name, dir) in folders_without_detections() {
        let artifact = open(&dir);
        let told = told_all(&artifact);
        assert_eq!(told.len(), if name == "none" { 3 } else { 1 });
        let names: Vec<String> = told.keys().cloned().collect();
        check_told(&told, &told_by_sdk(&client, &artifact, &names));
    }
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let folders = ours();
    let all = open(&folders["all"]);
    assert_eq!(
        all.images().unwrap(),
        ["bmp", "deep/er/captioned", "none", "overlaid", "plain"]
    );
    assert_eq!(all.tables().unwrap(), ["sub/both"]);
    let said = |error: Error| error.to_string();
    let error = said(all.get("plan").unwrap_err());
    assert!(error.contains("the images \"plain\", "), "{error}");
    let error = said(all.get("sub/both").unwrap_err());
    assert!(error.contains("use table(\"sub/both\")"), "{error}");
    let error = said(all.table("plain").unwrap_err());
    assert!(error.contains("use get(\"plain\")"), "{error}");
    let error = said(all.path("plain").unwrap_err());
    assert!(error.contains("use get(\"plain\")"), "{error}");
    let error = said(all.path("plain.image-file").unwrap_err());
    assert!(error.contains("\"plain.image-file.json\""), "{error}");
}

/// Images and tables with what this crate itself doesn't write. The JPEG file is of one grey, since
/// decoders differ by a little in others.
const OF_THE_SDK: &str = r#"
import sys, datetime, numpy as np, wandb
from PIL import Image as PILImage
work = sys.argv[1]
run = wandb.init(mode='offline', project='p', id='sdk2', dir=work)
rng = np.random.default_rng(7)
def picture(*shape):
    return rng.integers(0, 256, shape or (4, 6, 3), dtype=np.uint8)
labels = {0: 'sky', 1: 'é "sea"', 255: 'ignored'}
classes = [{'id': str(key), 'name': name} for key, name in labels.items()]
ids = np.array([[0, 1, 255, 7, 128, 0]] * 4, dtype=np.uint8)
PILImage.fromarray(ids).save(work + '/ids.png')
PILImage.fromarray(picture()).save(work + '/own name.bmp')
boxes = {'p': {'box_data': [
    {'position': {'minX': 0, 'minY': 0, 'maxX': 1, 'maxY': 0.5}, 'class_id': 1, 'scores': {'n': 3}, 'box_caption': ''},
    {'position': {'middle': [3, 2.5], 'width': 2, 'height': 1}, 'domain': 'pixel', 'class_id': 0}], 'class_labels': labels}}
def images():
    return {
        'gray': wandb.Image(picture(4, 6), caption='one', grouping=2),
        'deep/rgba': wandb.Image(picture(4, 6, 4)),
        'jpeg': wandb.Image(np.full((4, 6), 120, np.uint8), file_type='jpg'),
        'bmp': wandb.Image(work + '/own name.bmp', caption='b'),
        'masks': wandb.Image(picture(), classes=classes, masks={
            'made': {'mask_data': ids, 'class_labels': labels}, 'file': {'path': work + '/ids.png'}}),
        'boxes': wandb.Image(picture(), boxes=boxes),
        'number': wandb.Image(picture(), caption=7, classes=[{'id': 3, 'name': 4}]),
        'nan': wandb.Image(picture(), caption=float('nan')),
    }
data = wandb.Artifact('data', 'dataset')
for name, image in images().items():
    data.add(image, name)
table = wandb.Table(columns=['picture', 'i', 'x', 'when', 'html', 'map', 'array'], log_mode='MUTABLE')
when = datetime.datetime(2026, 11, 29, 12, 0, 0, tzinfo=datetime.timezone.utc)
for index, image in enumerate(images().values()):
    x = [0.5, float('inf'), -float('inf'), 1e300, 2, None, -0.0, 5e-5][index]
    table.add_data(image, index, x, when, wandb.Html('<p>'), {'_type': 'own', 'k': index}, [index, 0.5])
data.add(table, 'table')
run.log_artifact(data)
arrays = wandb.Artifact('arrays', 'dataset')
arrays.add(wandb.Table(columns=['a'], data=[[np.zeros(200)], [np.ones(200)]]), 'arrays')
run.log_artifact(arrays)
rows = wandb.Table(columns=['a'], log_mode='INCREMENTAL')
rows.add_data(1)
parts = wandb.Artifact('parts', 'dataset')
parts.add(rows, 'parts')
run.log_artifact(parts)
run.finish()
"#;

fn of_the_sdk(client: &Client) -> BTreeMap<String, TempDir> {
    let work = tempfile::tempdir().unwrap();
    let mut python = client.python();
    let ran = python
        .args(["-c", OF_THE_SDK])
        .arg(work.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    let run = fs::canonicalize(work.path().join("wandb/latest-run")).unwrap();
    laid_out(&run.join("run-sdk2.wandb"))
}

#[test]
fn what_the_sdk_writes_is_read_as_the_sdk_reads_it() {
    let Some(client) = Client::find() else { return };
    let folders = of_the_sdk(&client);
    let data = open(&folders["data"]);
    let told = told_all(&data);
    assert_eq!(told.len(), 9);
    let names: Vec<String> = told.keys().cloned().collect();
    check_told(&told, &told_by_sdk(&client, &data, &names));

    let masks = data.get("masks").unwrap();
    let ids = [0, 1, 255, 7, 128, 0].repeat(4);
    for key in ["made", "file"] {
        assert_eq!(masks.mask_layers()[key].ids().unwrap().as_bytes(), ids);
    }
    assert_eq!(masks.class_set().unwrap().get(255), Some("ignored"));
    let table = data.table("table").unwrap();
    let row = table.rows().next().unwrap().unwrap();
    assert_eq!(row[3].as_f64(), Some(1_795_953_600_000.0));
    assert_eq!(row[4].to_json().unwrap()["_type"], "html-file");

    let error = open(&folders["arrays"])
        .table("arrays")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the arrays of its column \"a\" lie in a file of NumPy's"),
        "{error}"
    );
    let error = open(&folders["parts"])
        .table("parts")
        .unwrap_err()
        .to_string();
    assert!(error.contains("its log_mode is INCREMENTAL"), "{error}");
}

// ---- what is wrong ----

fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .into()
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// A folder of a picture, a mask and classes, and the JSON that names them.
fn whole() -> (TempDir, Json) {
    let dir = tempfile::tempdir().unwrap();
    let (picture, mask) = (png(RgbImage::new(3, 2)), png(GrayImage::new(3, 2)));
    let classes = r#"{"_type": "classes", "class_set": [{"id": 0, "name": "sky"}]}"#;
    put(&dir, "media/a.png", &picture);
    put(&dir, "media/m.png", &mask);
    put(&dir, "media/c.classes.json", classes);
    let json = json!({"_type": "image-file", "path": "media/a.png", "sha256": sha256(&picture),
        "width": 3, "height": 2,
        "classes": {"type": "classes-file", "path": "media/c.classes.json",
            "digest": "dKP6cPMjPL44q170IowtEA=="},
        "masks": {"m": {"_type": "mask", "path": "media/m.png", "sha256": sha256(&mask)}},
        "boxes": {"b": [{"class_id": 0,
            "position": {"minX": 0, "minY": 0, "maxX": 1, "maxY": 1}}]}});
    (dir, json)
}

/// The image with another value somewhere in its JSON.
fn refused(way: &str, value: Json) -> String {
    let (dir, mut json) = whole();
    *json.pointer_mut(way).unwrap() = value;
    Image::from_json(&json, &open(&dir))
        .unwrap_err()
        .to_string()
}

#[test]
fn an_image_is_read_with_all_that_is_right() {
    let (dir, mut json) = whole();
    let artifact = open(&dir);
    let image = Image::from_json(&json, &artifact).unwrap();
    assert_eq!(image.class_set(), Some(&Classes::from_names(["sky"])));
    assert_eq!(
        (image.mask_layers().len(), image.box_layers().len()),
        (1, 1)
    );
    for way in ["/sha256", "/masks/m/sha256", "/classes/digest"] {
        *json.pointer_mut(way).unwrap() = Json::Null;
    }
    assert_eq!(Image::from_json(&json, &artifact).unwrap(), image);
    put(&dir, "x.image-file.json", json.to_string());
    assert_eq!(artifact.get("x").unwrap(), image);
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    let leaving = [
        ("../a.png", "it holds `..`"),
        ("media/../../a.png", "it holds `..`"),
        ("media\\..\\..\\a.png", "it holds `..`"),
        ("/etc/hostname", "it begins at the root of a disk"),
        ("\\\\server\\share", "it begins at the root of a disk"),
        ("C:\\a.png", "it begins at the root of a disk"),
        ("c:a.png", "it begins at the root of a disk"),
        ("a\0.png", "it holds NUL"),
        ("", "it is empty"),
    ];
    for (path, expected) in leaving {
        for way in ["/path", "/masks/m/path", "/classes/path"] {
            let error = refused(way, path.into());
            assert!(error.contains(expected), "{path}: {error}");
            assert!(error.contains("the path "), "{error}");
        }
        let (dir, _) = whole();
        let error = open(&dir).path(path).unwrap_err().to_string();
        assert!(error.contains(expected), "{path}: {error}");
    }
    let (dir, _) = whole();
    for name in ["../x", "/x", "C:x", "a/../../x"] {
        let errors = [
            open(&dir).get(name).unwrap_err(),
            open(&dir).table(name).unwrap_err(),
        ];
        for error in errors.map(|error| error.to_string()) {
            assert!(
                error.starts_with("the path ") && error.contains("can't be"),
                "{error}"
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn links_that_leave_the_folder_are_refused_and_those_within_are_followed() {
    use std::os::unix::fs::symlink;

    let (dir, mut json) = whole();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("a.png"), png(RgbImage::new(3, 2))).unwrap();
    symlink(outside.path(), dir.path().join("out")).unwrap();
    symlink(outside.path().join("a.png"), dir.path().join("file.png")).unwrap();
    symlink("../../../../../etc", dir.path().join("media/up")).unwrap();
    symlink("media/a.png", dir.path().join("within.png")).unwrap();
    symlink("no/such.png", dir.path().join("dangling.png")).unwrap();
    let artifact = open(&dir);
    json["path"] = "within.png".into();
    drop(Image::from_json(&json, &artifact).unwrap());
    for path in ["out/a.png", "file.png", "media/up/hostname"] {
        json["path"] = path.into();
        let errors = [
            Image::from_json(&json, &artifact).unwrap_err(),
            artifact.path(path).unwrap_err(),
        ];
        for error in errors.map(|error| error.to_string()) {
            assert!(error.contains("a link leads out of the folder"), "{error}");
            assert!(error.contains(path), "{error}");
        }
    }
    let error = artifact.path("dangling.png").unwrap_err().to_string();
    assert!(error.contains("it isn't there"), "{error}");
    let expected = ["media/a.png", "media/c.classes.json", "media/m.png"];
    assert_eq!(artifact.files().unwrap(), expected);
}

#[test]
fn files_that_are_missing_are_named() {
    for (way, path) in [
        ("/path", "media/b.png"),
        ("/masks/m/path", "b.png"),
        ("/classes/path", "media/c.json"),
    ] {
        let error = refused(way, path.into());
        assert!(
            error.contains(&format!("{path:?} of the artifact in")),
            "{error}"
        );
        assert!(
            error.contains("it isn't there") && error.contains("a reference"),
            "{error}"
        );
    }
    let error = refused("/path", "media".into());
    assert!(error.contains("it is a folder or a device"), "{error}");
    let error = refused("/path", "media/a.png/b.png".into());
    assert!(error.contains("it isn't there"), "{error}");
}

#[test]
fn files_of_another_hash_are_refused() {
    let check = |way: &str, name: &str, path: &str| {
        let error = refused(way, "0".repeat(64).into());
        let expected = format!("{path:?} of the artifact in");
        assert!(
            error.contains(&expected) && error.contains(&format!("its {name} is ")),
            "{error}"
        );
        assert!(
            error.contains("but 00000") && error.contains("download it again"),
            "{error}"
        );
    };
    check("/sha256", "SHA-256", "media/a.png");
    check("/masks/m/sha256", "SHA-256", "media/m.png");
    check("/classes/digest", "MD5", "media/c.classes.json");
    let (dir, json) = whole();
    put(&dir, "media/a.png", png(RgbImage::new(3, 3)));
    let error = Image::from_json(&json, &open(&dir))
        .unwrap_err()
        .to_string();
    assert!(error.contains("it was changed or damaged"), "{error}");
}

#[test]
fn json_that_is_no_image_is_refused() {
    let error = refused("/_type", "table".into());
    assert_eq!(
        error,
        "the JSON of an artifact can't be read: its _type is \"table\", but \"image-file\" was \
         expected"
    );
    let get = |text: &[u8]| {
        let (dir, _) = whole();
        put(&dir, "x.image-file.json", text);
        let error = open(&dir).get("x").unwrap_err().to_string();
        assert!(
            error.starts_with("\"x.image-file.json\" of the artifact in"),
            "{error}"
        );
        error
    };
    let check = |text: &[u8], expected: &str| {
        let error = get(text);
        assert!(error.contains(expected), "{error}");
    };
    check(b"", "it ends in the middle");
    check(b"{\"_type\": ", "it ends in the middle");
    check(b"{]", "it is no JSON");
    check(b"{\"a\": \xff}", "it is no text from byte 6 on");
    check(b"{}", "it has no _type");
    check(&b"[".repeat(5_000_000), "nested over 64 levels deep");
    let many = [b"[0".to_vec(), b",0".repeat(4_200_000), b"]".to_vec()].concat();
    check(
        &many,
        "it is too large: it takes over 256 MiB once it is read",
    );
    let small = [
        b"[{\"\":0}".to_vec(),
        b",{\"\":0}".repeat(400_000),
        b"]".to_vec(),
    ]
    .concat();
    check(
        &small,
        "it is too large: it takes over 256 MiB once it is read",
    );
}

#[test]
fn a_file_that_is_longer_than_is_read_is_refused() {
    let (dir, json) = whole();
    let sparse = |path: &str, len: u64| {
        let file = fs::File::create(dir.path().join(path)).unwrap();
        file.set_len(len).unwrap();
    };
    sparse("x.image-file.json", (256 << 20) + 1);
    sparse("x.table.json", (1 << 30) + 1);
    sparse("media/a.png", (256 << 20) + 1);
    let artifact = open(&dir);
    let errors = [
        artifact.get("x").unwrap_err(),
        artifact.table("x").unwrap_err(),
        Image::from_json(&json, &artifact).unwrap_err(),
    ];
    for (error, limit) in errors.iter().zip([256 << 20, 1 << 30, 256 << 20]) {
        let error = error.to_string();
        assert!(
            error.contains(&format!("it is over {limit} bytes long")),
            "{error}"
        );
    }
}

/// What is left out of an image with another value somewhere in its JSON, in whose layers nothing
/// else changes.
fn left_out(way: &str, value: Json) -> String {
    let (dir, mut json) = whole();
    *json.pointer_mut(way).unwrap() = value;
    only_line(&Image::from_json(&json, &open(&dir)).unwrap())
}

fn only_line(image: &Image) -> String {
    assert_eq!(image.width(), 3);
    let [line] = &image.left_out()[..] else {
        panic!("{:?}", image.left_out());
    };
    line.clone()
}

#[test]
fn masks_that_do_not_fit_are_left_out() {
    let with_mask = |bytes: Vec<u8>| {
        let (dir, mut json) = whole();
        put(&dir, "media/m.png", &bytes);
        json["masks"]["m"]["sha256"] = Json::Null;
        let image = Image::from_json(&json, &open(&dir)).unwrap();
        assert!(image.mask_layers().is_empty() && image.box_layers().len() == 1);
        only_line(&image)
    };
    let line = with_mask(png(GrayImage::new(2, 3)));
    let expected = "mask \"m\": it has 2×3 pixels, but its image has 3×2";
    assert!(line.starts_with(expected), "{line}");
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::new(3, 2);
    let line = with_mask(png(deep));
    let expected = "mask \"m\": media/m.png can't be read as a mask: it is grey of 16 bits";
    assert!(line.starts_with(expected), "{line}");
    let line = with_mask(png(RgbImage::new(3, 2)));
    assert!(line.contains("it is RGB of 8 bits"), "{line}");
    let line = with_mask(b"GIF89a".to_vec());
    assert!(
        line.contains("media/m.png can't be read as a mask"),
        "{line}"
    );
}

#[test]
fn boxes_that_can_not_be_drawn_are_left_out() {
    let position = |value: Json| left_out("/boxes/b/0/position", value);
    let line = position(json!({"minX": 0.5, "minY": 0, "maxX": 0.25, "maxY": 1}));
    let expected = "a box of \"b\": box 0: it has a max_x of 0.25 below its min_x of 0.5, but max_x \
                    must be at least min_x";
    assert_eq!(line, expected);
    let line = position(json!({"minX": 0, "minY": 0, "maxX": 100, "maxY": 1}));
    assert!(line.ends_with("and -1 to 2 is allowed"), "{line}");
    let line = left_out("/boxes/b/0/class_id", "cat".into());
    let expected = "a box of \"b\": box 0: its class_id is the text \"cat\"";
    assert!(line.starts_with(expected), "{line}");

    let (dir, mut json) = whole();
    let whole_box = json["boxes"]["b"][0].clone();
    json["boxes"]["b"] = json!([{}, whole_box, {"class_id": 1}, 7]);
    json["boxes"][""] = json!([]);
    let image = Image::from_json(&json, &open(&dir)).unwrap();
    assert_eq!(image.box_layers().keys().collect::<Vec<_>>(), ["b"]);
    let read = image.box_layers()["b"].boxes_in(3, 2).unwrap();
    assert_eq!(read.len(), 1);
    let lines = image.left_out();
    assert_eq!(
        lines[0],
        "3 boxes of \"b\", the first: box 0: it has no class_id"
    );
    assert!(
        lines[1].starts_with("boxes \"\": its key is empty"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 2);
}

#[test]
fn what_an_image_lacks_is_said_when_it_is_logged() {
    let (dir, mut json) = whole();
    json["boxes"]["b"] = json!([{}, {}]);
    json["grouping"] = "first".into();
    put(&dir, "media/m.png", png(GrayImage::new(2, 3)));
    json["masks"]["m"]["sha256"] = Json::Null;
    let image = Image::from_json(&json, &open(&dir)).unwrap();
    let told = crate::run::listening::Told::default();
    tracing::subscriber::with_default(told.clone(), || {
        let run = wandb_image::init().start_on(MemorySink::new()).unwrap();
        run.log([("read", &image)]).unwrap();
        run.log([("read", &image)]).unwrap();
        let table = || {
            let mut table = Table::new(["image"]).unwrap();
            table.add_row([&image]).unwrap();
            table
        };
        run.log(Row::new().with("table", table())).unwrap();
        let mut artifact = Artifact::new("data", "dataset").unwrap();
        artifact.add(&image, "one").unwrap();
        artifact.add(table(), "rows").unwrap();
        run.log_artifact(artifact).unwrap();
        run.finish().unwrap();
    });
    let lines = told.lines();
    let check = |expected: &str| {
        let said = lines.iter().filter(|line| line.contains(expected));
        assert_eq!(said.count(), 1, "{expected}: {lines:?}");
    };
    for place in ["\"read\"", "\"table\""] {
        check(&format!(
            "an image of {place} lacks 4 parts that could not be read from its artifact: \
             Image::left_out says which and why; this is said once per key, with totals"
        ));
    }
    check("an image of the artifact \"data\" lacks 4 parts");
    check("\"read\", in all 2 images logged: 8 parts not read from their artifacts");
    check("\"table\", in all 1 image logged: 4 parts not");
    check("the artifact \"data\", in all 2 images logged: 8 parts not");
    let of_boxes = |line: &&String| line.contains("can't be drawn");
    assert_eq!(lines.iter().filter(of_boxes).count(), 0, "{lines:?}");

    let copy = Image::from_image(&image).left_out();
    let expected = "the grouping: it is the text \"first\", which is no whole number";
    assert_eq!(copy, [expected]);
}

#[test]
fn a_mask_whose_file_is_missing_or_another_is_named() {
    let (dir, mut json) = whole();
    let reason = |json: &Json| match Image::from_json(json, &open(&dir)).unwrap_err() {
        Error::Layer { layer, source, .. } => (layer, source),
        other => panic!("{other}"),
    };
    put(&dir, "media/m.png", "another");
    let (layer, source) = reason(&json);
    assert_eq!(layer, "m");
    assert!(matches!(*source, Error::ArtifactFile { .. }), "{source}");
    json["masks"]["m"]["path"] = "media/none.png".into();
    let (_, source) = reason(&json);
    assert!(matches!(*source, Error::ArtifactFile { .. }), "{source}");
    json["masks"]["m"]["path"] = "../m.png".into();
    let (_, source) = reason(&json);
    assert!(matches!(*source, Error::ArtifactPath { .. }), "{source}");
}

#[test]
fn bare_tokens_are_read_and_named() {
    let (dir, mut json) = whole();
    json["caption"] = "\0wandb-image nan".into();
    json["boxes"]["b"][0]["box_caption"] = 7.into();
    let image = |from: &str, to: &str| {
        put(
            &dir,
            "x.image-file.json",
            json.to_string().replace(from, to),
        );
        open(&dir).get("x").unwrap()
    };
    let line = only_line(&image("\"maxX\":1", "\"maxX\":NaN"));
    let expected = "a box of \"b\": box 0: it has a max_x of NaN";
    assert!(line.starts_with(expected), "{line}");
    let captioned = image("\"box_caption\":7", "\"box_caption\":NaN");
    assert_eq!(captioned.caption_text(), Some("\0wandb-image nan"));
    let read = captioned.box_layers()["b"].boxes_in(3, 2).unwrap();
    assert_eq!(read[0].caption_text(), Some("NaN"));
}

#[test]
fn a_picture_of_another_kind_is_named_by_its_path() {
    let (dir, mut json) = whole();
    put(&dir, "media/a.gif", "GIF89a");
    (json["path"], json["sha256"]) = ("media/a.gif".into(), Json::Null);
    let error = Image::from_json(&json, &open(&dir))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("media/a.gif can't be read as a picture"),
        "{error}"
    );
}

#[test]
fn a_class_whose_id_is_no_number_is_left_out() {
    let (dir, mut json) = whole();
    let classes = r#"{"_type": "classes", "class_set": [{"id": "cat", "name": "cat"},
        {"id": 1, "name": 7}]}"#;
    put(&dir, "media/c.classes.json", classes);
    json["classes"]["digest"] = Json::Null;
    let image = Image::from_json(&json, &open(&dir)).unwrap();
    let expected = Classes::new([(1, "7")]).unwrap();
    assert_eq!(image.class_set(), Some(&expected));
    let line = only_line(&image);
    assert!(
        line.starts_with("a class: its id is the text \"cat\""),
        "{line}"
    );
}

#[test]
fn a_row_that_can_not_be_read_keeps_no_other_from_being_read() {
    let (dir, json) = whole();
    let mut missing = json.clone();
    missing["path"] = "media/none.png".into();
    let data = json!([[json, 1], [missing, 2], [null, 3], [4], 5, [null, 6]]);
    let text = json!({"_type": "table", "columns": ["picture", "n"], "data": data}).to_string();
    let text = text.replace("[null,3]", "[null,oh]");
    let table = TableReader::from_json(text, &open(&dir)).unwrap();
    assert_eq!((table.len(), table.is_empty()), (6, false));
    let rows: Vec<_> = table.into_iter().collect();
    assert!(rows[0].as_ref().unwrap()[0].image().is_some());
    let check = |row: usize, expected: &str| {
        let error = rows[row].as_ref().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check(
        1,
        "row 1 of the table, column \"picture\": \"media/none.png\" of the artifact in",
    );
    check(
        2,
        "the JSON of an artifact can't be read: row 2: it is no JSON",
    );
    check(
        3,
        "the JSON of an artifact can't be read: row 3: it has 1 values, but the table has 2 columns",
    );
    check(
        4,
        "the JSON of an artifact can't be read: row 4: it is 5, but a list was expected",
    );
    assert_eq!(rows[5].as_ref().unwrap()[1].as_i64(), Some(6));
}

#[test]
fn json_that_is_no_table_is_refused() {
    let (dir, _) = whole();
    let check = |text: &str, expected: &str| {
        let error = TableReader::from_json(text, &open(&dir))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        put(&dir, "t.table.json", text);
        let error = open(&dir).table("t").unwrap_err().to_string();
        assert!(
            error.starts_with("\"t.table.json\" of the artifact in"),
            "{error}"
        );
        assert!(error.contains(expected), "{error}");
    };
    check("", "it ends in the middle");
    check(
        r#"{"_type": "partitioned-table"}"#,
        "its _type is \"partitioned-table\", but \"table\"",
    );
    check(r#"{"_type": "table"}"#, "it has no list as columns");
    check(
        r#"{"_type": "table", "columns": ["a"]}"#,
        "it has no list as data",
    );
    check(
        r#"{"_type": "table", "columns": [null], "data": []}"#,
        "the name of a column is null",
    );
    check(
        r#"{"_type": "table", "columns": ["a"], "data": [[1], [2"#,
        "it ends in the middle",
    );
    let error = open(&dir).table("none").unwrap_err().to_string();
    assert!(
        error.contains("\"none.table.json\"") && error.contains("there is no table of this name"),
        "{error}"
    );
}

#[test]
fn a_folder_that_is_none_is_refused() {
    let (dir, _) = whole();
    for path in ["none", "media/a.png"] {
        let path = dir.path().join(path);
        let error = Artifact::open(&path).unwrap_err().to_string();
        let expected = format!("could not open the artifact in {}", path.display());
        assert!(error.starts_with(&expected), "{error}");
    }
}
