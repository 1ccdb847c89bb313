//! Artifacts and tables equal to those of the real SDK 0.31.0: records, manifests, digests and the
//! JSON in them (`scripts/golden/artifacts.py` makes them again). Where a picture is encoded, its
//! bytes are this crate's, and only its hashes differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{ArtifactManifestEntry, ArtifactRecord, RecordType};
use wandb_image::{
    Artifact, BoundingBox, BoundingBoxes2D, Cell, Classes, Domain, Image, ImageMask, Mode, Pixels,
    Position, Row, Run, Table,
};

use crate::rows::{golden_file, nested};

#[derive(Deserialize)]
struct Golden {
    inputs: Inputs,
    refusals: BTreeMap<String, String>,
    table_refusals: BTreeMap<String, Taken>,
    artifacts: Vec<Json>,
    rows: Vec<GoldenRow>,
}

#[derive(Deserialize)]
struct Inputs {
    files: BTreeMap<String, String>,
    pixels: BTreeMap<String, Array>,
    masks: BTreeMap<String, Array>,
    table_pixels: Vec<Array>,
    table_masks: Vec<Array>,
    odd: String,
    escaped: String,
    /// The bits of each, in hexadecimal digits.
    floats: Vec<String>,
}

/// What became of rows that a table was given.
#[derive(Deserialize)]
struct Taken {
    /// The kind of the error, where there was one.
    error: Option<String>,
    /// How many rows the table has then.
    rows: usize,
}

#[derive(Deserialize)]
struct Array {
    shape: Vec<u32>,
    base64: String,
}

#[derive(Deserialize)]
struct GoldenRow {
    key: String,
    step: u64,
    value: Json,
    /// The parts of the table's path in its artifact.
    keys: Vec<String>,
    text: String,
}

impl Golden {
    fn read() -> Self {
        let text = fs::read(golden_file("artifacts_0.31.0.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    fn artifact(&self, name: &str) -> &Json {
        let mut named = self.artifacts.iter().filter(|one| one["name"] == name);
        named
            .next()
            .unwrap_or_else(|| panic!("{name} is no artifact of the golden file"))
    }

    fn row(&self, key: &str) -> &GoldenRow {
        let mut rows = self.rows.iter().filter(|row| row.key == key);
        rows.next().unwrap_or_else(|| panic!("no row has {key}"))
    }

    /// The files that were given, in a folder.
    fn given(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in &self.inputs.files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, STANDARD.decode(bytes).unwrap()).unwrap();
        }
        dir
    }
}

impl Array {
    fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.base64).unwrap()
    }

    fn image(&self) -> Image {
        let mode = if self.shape.len() == 3 {
            Mode::Rgb
        } else {
            Mode::L
        };
        Pixels::new(self.shape[1], self.shape[0], mode, self.bytes())
            .unwrap()
            .into()
    }

    fn mask(&self) -> ImageMask {
        ImageMask::new(self.shape[1], self.shape[0], self.bytes()).unwrap()
    }
}

// ---- what the script logs ----

fn labels() -> Classes {
    Classes::from_names(["background", "cat", "dog"])
}

fn of_class(class: i64) -> BoundingBox {
    BoundingBox::new(
        Domain::Fraction,
        Position::corners(0.125, 0.25, 0.5, 1.0),
        class,
    )
}

fn in_pixels(class: i64) -> BoundingBox {
    BoundingBox::new(Domain::Pixel, Position::middle(3.0, 2.0, 2.0, 1.5), class)
}

fn run(dir: &Path) -> Run {
    let builder = wandb_image::init()
        .dir(dir)
        .project("golden")
        .entity("golden");
    builder.run_id("golden03").start().unwrap()
}

#[derive(Serialize)]
struct Metadata<'a> {
    n: u8,
    rate: f64,
    name: &'a str,
    nested: Nested,
    floats: [f64; 7],
    escaped: &'a str,
    large: u64,
}

#[derive(Serialize)]
struct Nested {
    list: (u8, Option<u8>, bool, f64),
}

fn files(given: &Path, inputs: &Inputs) -> Artifact {
    let metadata = Metadata {
        n: 2,
        rate: 0.1,
        name: &inputs.odd,
        nested: Nested {
            list: (1, None, true, f64::NAN),
        },
        floats: [1e22, 5e-5, 1e-7, -0.0, 1e16, 12.0, 5e-324],
        escaped: &inputs.escaped,
        large: u64::MAX,
    };
    let mut files = Artifact::new("files", "dataset")
        .unwrap()
        .description("all kinds of files")
        .metadata(&metadata)
        .unwrap()
        .alias("best")
        .unwrap()
        .alias("v-one")
        .unwrap()
        .tag("small one")
        .unwrap();
    files.add_file(given.join("notes.txt")).unwrap();
    files
        .add_file_as(given.join("empty.bin"), "deep/er/nothing.bin")
        .unwrap();
    files.add_dir_as(given.join("folder"), "data").unwrap();
    files
        .add_reference("https://example.invalid/some/x.png?size=2")
        .unwrap();
    files
        .add_reference_as("https://example.invalid/y.png", "pictures/y.png")
        .unwrap();
    files.add_reference("s3://bucket/some/key.png").unwrap();
    files.add_reference("gs://bucket/other/key.bin").unwrap();
    files
}

fn as_given(given: &Path, odd: &str) -> Artifact {
    let first = || Image::from_path(given.join("pictures/first.png")).unwrap();
    let jpeg = Image::from_path(given.join("pictures/second.jpeg")).unwrap();
    let mut artifact = Artifact::new("as-given", "dataset").unwrap();
    artifact.add(first(), "plain").unwrap();
    artifact
        .add(first().caption(odd).grouping(3), "sub/captioned")
        .unwrap();
    artifact
        .add(jpeg.caption("jpeg").classes(labels()), "jpeg")
        .unwrap();
    let scored = of_class(1)
        .caption(odd)
        .score("accuracy", 0.9)
        .score("tiny", 1e-7);
    let scored = scored.score("large", 1e21).score("n", 12.0);
    let boxes = BoundingBoxes2D::new([scored, in_pixels(2)]).class_labels(labels());
    let classes = Classes::new([(1, odd), (5, "it's"), (7, "a \"b\""), (-1, "")]).unwrap();
    artifact
        .add(first().classes(classes).boxes("p", boxes).unwrap(), "boxed")
        .unwrap();
    let unnamed = BoundingBoxes2D::new([of_class(7), of_class(3), of_class(-1)]);
    let three = Classes::new([(3, "three")]).unwrap();
    let named = BoundingBoxes2D::new([of_class(3)]).class_labels(three);
    let image = first()
        .boxes("p", unnamed)
        .unwrap()
        .boxes("q", named)
        .unwrap();
    artifact.add(image, "unnamed").unwrap();
    artifact
}

fn referring() -> Artifact {
    let mut artifact = Artifact::new("referring", "dataset").unwrap();
    let dog = Image::from_reference("https://example.invalid/some/dog.jpeg?size=2").unwrap();
    artifact
        .add(dog.caption("a dog").grouping(2), "dog")
        .unwrap();
    let boxes = BoundingBoxes2D::new([in_pixels(1)]).class_labels(labels());
    let cat = Image::from_reference("s3://bucket/pictures/cat.png").unwrap();
    let cat = cat.classes(labels()).boxes("p", boxes).unwrap();
    artifact.add(cat, "deep/cat").unwrap();
    let bird = Image::from_reference("gs://bucket/no-ending").unwrap();
    artifact.add(bird, "bird").unwrap();
    artifact
}

fn made(inputs: &Inputs) -> Artifact {
    let mut made = Artifact::new("made", "dataset").unwrap();
    let pixels = |name: &str| inputs.pixels[name].image();
    let mask = |name: &str| inputs.masks[name].mask();
    made.add(pixels("pixels").caption("made"), "pixels")
        .unwrap();
    made.add(pixels("masked").masks("m", mask("one")).unwrap(), "masked")
        .unwrap();
    let hound = Classes::new([(0, "nothing"), (2, "hound")]).unwrap();
    let boxed = Classes::new([(1, "box")]).unwrap();
    let boxes = BoundingBoxes2D::new([of_class(1).score("s", 0.5)]).class_labels(boxed);
    let image = pixels("all")
        .classes(Classes::new([(9, "nine")]).unwrap())
        .masks("m", mask("two").class_labels(labels()))
        .unwrap()
        .masks("n", mask("three").class_labels(hound))
        .unwrap()
        .boxes("p", boxes)
        .unwrap();
    made.add(image, "all").unwrap();
    made
}

fn numbers(odd: &str) -> Table {
    let columns = [
        "int", "float", "text", "flag", "maybe", "never", "nan", "vector", "words", "mixed",
    ];
    let mut table = Table::new(columns).unwrap();
    let none = || Cell::NONE;
    let floats = |values: &[Json]| Cell::from(Json::from(values.to_vec()));
    let nulls = |values: &[Option<i64>]| Cell::from(values.to_vec());
    table
        .add_row((
            1,
            0.1,
            "a",
            true,
            none(),
            none(),
            f64::NAN,
            floats(&[json!(0.5), json!(2)]),
            ["x", "y"],
            nulls(&[Some(1), None]),
        ))
        .unwrap();
    table
        .add_row((
            -2,
            1e-7,
            odd,
            false,
            3.5,
            none(),
            1.5,
            [1, 2, 3],
            Vec::<String>::new(),
            nulls(&[]),
        ))
        .unwrap();
    let empty = Vec::<f64>::new;
    table
        .add_row((
            1_i64 << 53,
            1e22,
            "",
            none(),
            none(),
            none(),
            f64::INFINITY,
            empty(),
            ["z"],
            nulls(&[None]),
        ))
        .unwrap();
    table
        .add_row((
            None::<i64>,
            -0.0,
            none(),
            true,
            4,
            none(),
            f64::NEG_INFINITY,
            none(),
            none(),
            none(),
        ))
        .unwrap();
    table
}

fn pictures(given: &Path) -> Table {
    let first = || Image::from_path(given.join("pictures/first.png")).unwrap();
    let jpeg = Image::from_path(given.join("pictures/second.jpeg")).unwrap();
    let mut table = Table::new(["id", "picture"]).unwrap();
    table.add_row((0, first())).unwrap();
    table.add_row((1, jpeg.caption("two"))).unwrap();
    table.add_row((2, None::<Image>)).unwrap();
    table.add_row((3, first().caption("again"))).unwrap();
    table
}

fn overlaid(given: &Path) -> Table {
    let first = || Image::from_path(given.join("pictures/first.png")).unwrap();
    let mut table = Table::new(["picture", "score"]).unwrap();
    let others = Classes::new([(1, "lion"), (2, "dog"), (3, "fox")]).unwrap();
    let of_image = Classes::new([(1, "tiger"), (4, "bird")]).unwrap();
    for (classes, labels, score) in [(None, labels(), "a"), (Some(of_image), others, "b")] {
        let scored = of_class(1).score(score, 0.5).score("s", 1.0);
        let boxes = BoundingBoxes2D::new([scored]).class_labels(labels);
        let only = BoundingBoxes2D::new([of_class(6)]);
        let image = first().boxes("p", boxes).unwrap();
        let image = image.boxes(format!("only {score}"), only).unwrap();
        let image = classes.into_iter().fold(image, Image::classes);
        table.add_row((image, 0.5)).unwrap();
    }
    table.add_row((first(), 1)).unwrap();
    table
}

fn masked(inputs: &Inputs) -> Table {
    let mut table = Table::new(["picture"]).unwrap();
    let masks: Vec<_> = inputs.table_masks.iter().map(Array::mask).collect();
    let pixels = |at: usize| inputs.table_pixels[at].image();
    let image = pixels(0)
        .masks("truth", masks[0].clone().class_labels(labels()))
        .unwrap()
        .masks("prediction", masks[1].clone())
        .unwrap();
    table.add_row((image,)).unwrap();
    let named = Classes::from_names(["sky", "sea"]);
    let image = pixels(1)
        .masks("truth", masks[2].clone().class_labels(named))
        .unwrap();
    table.add_row((image,)).unwrap();
    table
}

fn spelled(inputs: &Inputs) -> Table {
    let float = |bits: &String| f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
    let floats: Vec<f64> = inputs.floats.iter().map(float).collect();
    let mut table = Table::new(["floats", "text"]).unwrap();
    for (row, floats) in floats.chunks(16).enumerate() {
        let text = (row == 0).then_some(&*inputs.escaped);
        table.add_row((floats, text)).unwrap();
    }
    table
}

// ---- what became of it ----

struct Logged {
    records: Vec<RecordType>,
    _dir: tempfile::TempDir,
    run: PathBuf,
}

fn log(log: impl FnOnce(&Run)) -> Logged {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    let path = run.dir().unwrap().to_owned();
    log(&run);
    run.finish().unwrap();
    let records = LogReader::open(path.join("run-golden03.wandb")).unwrap();
    let records = records.filter_map(|record| record.unwrap().record_type);
    let records = records.collect();
    Logged {
        records,
        _dir: dir,
        run: path,
    }
}

impl Logged {
    fn artifact(&self, name: &str) -> &ArtifactRecord {
        let mut found = self.records.iter().filter_map(|record| match record {
            RecordType::Artifact(artifact) if artifact.name == name => Some(artifact),
            _ => None,
        });
        found
            .next()
            .unwrap_or_else(|| panic!("{name} was not logged"))
    }
}

/// The files that an artifact has.
fn contents(artifact: &Json) -> &Vec<Json> {
    artifact["manifest"]["contents"].as_array().unwrap()
}

/// The record as the golden file shows it, its files read.
fn shown(record: &ArtifactRecord) -> Json {
    let manifest = record.manifest.as_ref().unwrap();
    assert_eq!(record.client_id.len(), 128);
    assert_eq!(record.sequence_client_id.len(), 128);
    let mut aliases = record.aliases.clone();
    aliases.sort();
    let config = manifest.storage_policy_config.iter();
    let config: Vec<_> = config
        .map(|item| json!({"key": item.key, "value_json": item.value_json}))
        .collect();
    let mut shown = json!({
        "run_id": record.run_id, "project": record.project, "entity": record.entity,
        "type": record.r#type, "name": record.name, "digest": record.digest,
        "aliases": aliases, "finalize": record.finalize,
        "client_id": "<varies>", "sequence_client_id": "<varies>",
        "digest_algorithm": record.digest_algorithm,
        "manifest": {
            "version": manifest.version,
            "storage_policy": manifest.storage_policy,
            "storage_policy_config": config,
            "contents": manifest.contents.iter().map(entry).collect::<Vec<_>>(),
        },
    });
    for (name, text) in [
        ("description", &record.description),
        ("metadata", &record.metadata),
    ] {
        if !text.is_empty() {
            shown[name] = json!(text);
        }
    }
    if !record.tags.is_empty() {
        shown["tags"] = json!(record.tags);
    }
    shown
}

fn entry(entry: &ArtifactManifestEntry) -> Json {
    let mut shown = json!({"path": entry.path, "digest": entry.digest});
    if !entry.r#ref.is_empty() {
        shown["ref"] = json!(entry.r#ref);
        return shown;
    }
    if entry.size > 0 {
        shown["size"] = json!(entry.size.to_string());
    }
    let bytes = fs::read(&entry.local_path).unwrap();
    assert_eq!(bytes.len() as i64, entry.size, "{}", entry.path);
    let is_text = [".json", ".txt", ".bin"]
        .iter()
        .any(|end| entry.path.ends_with(end));
    match is_text {
        true => shown["text"] = json!(String::from_utf8(bytes).unwrap()),
        false => shown["base64"] = json!(STANDARD.encode(bytes)),
    }
    shown
}

fn check(logged: &Logged, golden: &Golden, name: &str) {
    check_shown(&shown(logged.artifact(name)), golden.artifact(name), name);
}

fn check_shown(found: &Json, expected: &Json, name: &str) {
    for (found, expected) in contents(found).iter().zip(contents(expected)) {
        assert_eq!(found, expected, "of {name}");
    }
    assert_eq!(found, expected, "{name}");
}

#[test]
fn files_and_references_are_those_of_the_sdk() {
    let golden = Golden::read();
    let given = golden.given();
    let logged = log(|run| {
        run.log_artifact(files(given.path(), &golden.inputs))
            .unwrap();
        let mut plain = Artifact::new("plain.1_x-y", "model").unwrap();
        plain
            .add_file_as(given.path().join("notes.txt"), "a/notes.txt")
            .unwrap();
        run.log_artifact(plain).unwrap();
    });
    check(&logged, &golden, "files");
    check(&logged, &golden, "plain.1_x-y");
}

#[test]
fn references_to_images_are_those_of_the_sdk_that_asks_no_server() {
    let golden = Golden::read();
    let logged = log(|run| {
        run.log_artifact(referring()).unwrap();
        let mut asked = Artifact::new("asked", "dataset").unwrap();
        let uri = "https://example.invalid/with/checksum.png";
        asked.add_reference(uri).unwrap();
        run.log_artifact(asked).unwrap();
    });
    check(&logged, &golden, "referring");

    // The SDK has these of the server's answer; nothing is asked here.
    let (mut found, mut expected) = (
        shown(logged.artifact("asked")),
        golden.artifact("asked").clone(),
    );
    let entry = &mut expected["manifest"]["contents"][0];
    let of_server =
        ["digest", "size", "extra"].map(|key| entry.as_object_mut().unwrap().remove(key));
    assert_eq!(of_server[..2], [Some(json!("an etag")), Some(json!("7"))]);
    let digest = found["manifest"]["contents"][0]
        .as_object_mut()
        .unwrap()
        .remove("digest");
    assert_eq!(digest.as_ref(), entry.get("ref"));
    assert_ne!(found["digest"], expected["digest"]);
    expected["digest"] = found["digest"].clone();
    check_shown(&found, &expected, "asked");
}

#[test]
fn a_picture_of_a_file_that_was_added_has_a_name_of_its_own() {
    let golden = Golden::read();
    let given = golden.given();
    let path = given.path().join("pictures/first.png");
    let logged = log(|run| {
        let mut shared = Artifact::new("shared", "dataset").unwrap();
        shared.add_file_as(&path, "given.png").unwrap();
        shared
            .add(Image::from_path(&path).unwrap(), "again")
            .unwrap();
        run.log_artifact(shared).unwrap();
    });
    let (found, expected) = (shown(logged.artifact("shared")), golden.artifact("shared"));
    let own = "media/images/4b5ee0a1e242388d3004/first.png";
    let paths = |artifact: &Json| -> Vec<String> {
        let paths = contents(artifact)
            .iter()
            .map(|entry| entry["path"].as_str());
        paths.map(|path| path.unwrap().to_owned()).collect()
    };
    assert_eq!(paths(expected), ["again.image-file.json", "given.png"]);
    assert_eq!(paths(&found), ["again.image-file.json", "given.png", own]);
    let image = |artifact: &Json| parsed(contents(artifact)[0]["text"].as_str().unwrap());
    let mut as_found = image(expected);
    as_found["path"] = own.into();
    assert_eq!(image(&found), as_found);
    assert_eq!(contents(&found)[1], contents(expected)[1]);
    assert_eq!(
        contents(&found)[2]["base64"],
        contents(expected)[1]["base64"]
    );
}

#[test]
fn images_of_given_bytes_are_those_of_the_sdk() {
    let golden = Golden::read();
    let given = golden.given();
    let logged = log(|run| {
        run.log_artifact(as_given(given.path(), &golden.inputs.odd))
            .unwrap();
    });
    check(&logged, &golden, "as-given");
}

/// The paths and hashes of pictures that were encoded, by what they show.
fn without_hashes(artifact: &Json) -> (BTreeSet<String>, BTreeMap<String, Json>) {
    let contents = artifact["manifest"]["contents"].as_array().unwrap();
    let mut replaced = Vec::new();
    let mut pictures = BTreeSet::new();
    for entry in contents
        .iter()
        .filter(|entry| entry.get("base64").is_some())
    {
        let bytes = STANDARD.decode(entry["base64"].as_str().unwrap()).unwrap();
        let shows = image::load_from_memory(&bytes).unwrap();
        let shows = format!("{:?} {:?}", shows.color(), shows.as_bytes());
        let path = entry["path"].as_str().unwrap();
        let (folder, _) = path.rsplit_once('/').unwrap();
        pictures.insert(format!("{folder}: {shows}"));
        replaced.push((path.to_owned(), format!("{folder}: {shows}")));
        let sha256 = crate::client::sha256(&bytes);
        replaced.push((sha256, format!("the hash of {shows}")));
    }
    let texts = contents.iter().filter_map(|entry| {
        let mut text = entry["text"].as_str()?.to_owned();
        for (from, to) in &replaced {
            text = text.replace(from, to);
        }
        let path = entry["path"].as_str().unwrap().to_owned();
        Some((path, serde_json::from_str(&text).unwrap()))
    });
    (pictures, texts.collect())
}

#[test]
fn images_that_are_encoded_differ_in_their_hashes_alone() {
    let golden = Golden::read();
    let logged = log(|run| {
        run.log_artifact(made(&golden.inputs)).unwrap();
        run.log_at(8, Row::new().with("masked", masked(&golden.inputs)))
            .unwrap();
    });
    for name in ["made", "run-golden03-masked"] {
        let found = without_hashes(&shown(logged.artifact(name)));
        let expected = without_hashes(golden.artifact(name));
        assert_eq!(found.0, expected.0, "{name}");
        assert_eq!(
            found.1.keys().collect::<Vec<_>>(),
            expected.1.keys().collect::<Vec<_>>()
        );
        for (path, text) in &expected.1 {
            assert_eq!(&found.1[path], text, "{path} of {name}");
        }
    }
}

/// Python's order of a set follows its hash seed.
fn with_sorted_sets(value: &mut Json) {
    match value {
        Json::Object(entries) => {
            let is_set = entries.get("is_set") == Some(&json!(true));
            if let Some(Json::Array(values)) = entries.get_mut("val").filter(|_| is_set) {
                values.sort_by_key(Json::to_string);
            }
            entries.values_mut().for_each(with_sorted_sets);
        }
        Json::Array(values) => values.iter_mut().for_each(with_sorted_sets),
        _ => {}
    }
}

fn parsed(text: &str) -> Json {
    let text = text
        .replace("-Infinity", "\"-inf\"")
        .replace("Infinity", "\"inf\"");
    let mut value = serde_json::from_str(&text.replace("NaN", "\"nan\"")).unwrap();
    with_sorted_sets(&mut value);
    value
}

/// The same, but for the order of sets: so the table's digest, and the artifact's.
fn check_but_for_sets(logged: &Logged, golden: &Golden, name: &str) {
    let (mut found, mut expected) = (shown(logged.artifact(name)), golden.artifact(name).clone());
    assert_ne!(
        found["digest"], expected["digest"],
        "compare it byte by byte"
    );
    for artifact in [&mut found, &mut expected] {
        artifact["digest"] = Json::Null;
        let entries = artifact["manifest"]["contents"].as_array_mut().unwrap();
        let is_table = |entry: &&mut Json| entry["path"].as_str().unwrap().ends_with(".table.json");
        let tables: Vec<_> = entries.iter_mut().filter(is_table).collect();
        assert_eq!(tables.len(), 1);
        for table in tables {
            table["digest"] = Json::Null;
            table["text"] = parsed(table["text"].as_str().unwrap());
        }
    }
    check_shown(&found, &expected, name);
}

/// The key, the step and the hash that the name of a table's file in the run is made of. The SDK
/// takes the step at which the run was before the table came with one of its own.
fn name_parts(path: &Json) -> (String, u64, String) {
    let mut parts = path.as_str().unwrap().rsplitn(3, '_');
    let mut next = || parts.next().unwrap().to_owned();
    let (hash, step, key) = (next(), next().parse().unwrap(), next());
    (key, step, hash)
}

fn check_row(logged: &Logged, row: &Json, expected: &GoldenRow, artifact: &str) {
    let GoldenRow { key, step, .. } = expected;
    assert_eq!(row["_step"], *step, "{key}");
    let keys: BTreeSet<_> = row.as_object().unwrap().keys().map(|key| &**key).collect();
    assert_eq!(keys, ["_runtime", "_step", "_timestamp", key].into());
    let mut value = row[key].clone();
    let path = logged
        .run
        .join("files")
        .join(value["path"].as_str().unwrap());
    assert_eq!(fs::read_to_string(path).unwrap(), expected.text, "{key}");

    let record = logged.artifact(artifact);
    let address = |id: &str| format!("wandb-client-artifact://{id}/{}", expected.keys.join("/"));
    let latest = format!("{}:latest", record.sequence_client_id);
    for (key, id) in [
        ("artifact_path", &record.client_id),
        ("_latest_artifact_path", &latest),
    ] {
        assert_eq!(value[key], address(id));
        value[key] = json!("<varies>");
    }
    let (found, of_sdk) = (
        name_parts(&value["path"]),
        name_parts(&expected.value["path"]),
    );
    assert_eq!((&found.0, found.1, &found.2), (&of_sdk.0, *step, &of_sdk.2));
    assert!(of_sdk.1 <= *step);
    value["path"] = expected.value["path"].clone();
    assert_eq!(value, expected.value, "{key}");
}

#[test]
fn tables_are_those_of_the_sdk() {
    let golden = Golden::read();
    let given = golden.given();
    let with_sets = "run-golden03-overlaid";
    let tables = [
        (
            "numbers",
            "run-golden03-numbers",
            numbers(&golden.inputs.odd),
        ),
        (
            "val/pictures of it!",
            "run-golden03-valpicturesofit-anE-4g",
            pictures(given.path()),
        ),
        ("overlaid", with_sets, overlaid(given.path())),
        (
            "empty",
            "run-golden03-empty",
            Table::new(["a", "b"]).unwrap(),
        ),
        ("spelled", "run-golden03-spelled", spelled(&golden.inputs)),
    ];
    let names = tables
        .each_ref()
        .map(|(key, artifact, _)| (*key, *artifact));
    let logged = log(|run| {
        for (key, _, table) in tables {
            let row = Row::new().with(key, table);
            run.log_at(golden.row(key).step, row).unwrap();
        }
    });
    let rows: Vec<_> = logged
        .records
        .iter()
        .filter_map(|record| match record {
            RecordType::History(row) => Some(nested(row)),
            _ => None,
        })
        .collect();
    assert_eq!(rows.len(), names.len());
    for (row, (key, artifact)) in rows.iter().zip(names) {
        match artifact == with_sets {
            true => check_but_for_sets(&logged, &golden, artifact),
            false => check(&logged, &golden, artifact),
        }
        check_row(&logged, row, golden.row(key), artifact);
    }
}

#[test]
fn nan_in_a_list_is_null() {
    let golden = Golden::read();
    let name = "run-golden03-listed";
    let logged = log(|run| {
        let mut table = Table::new(["a"]).unwrap();
        table.add_row((vec![1.0, f64::NAN],)).unwrap();
        run.log_at(11, Row::new().with("listed", table)).unwrap();
    });
    let record = shown(logged.artifact(name));
    let table = |artifact: &Json| parsed(contents(artifact)[0]["text"].as_str().unwrap());
    let (mut found, expected) = (table(&record), table(golden.artifact(name)));
    assert_eq!(found["data"], json!([[[1.0, null]]]));
    let element = |kind: &Json| json!({"wb_type": "union", "params": {"allowed_types": kind}});
    let list = |element: Json| json!({"wb_type": "list", "params": {"element_type": element, "length": 2}});
    let none = json!({"wb_type": "none"});
    let numbers = element(&json!([none, {"wb_type": "number"}]));
    let column = &mut found["column_types"]["params"]["type_map"]["a"];
    assert_eq!(*column, element(&json!([none, list(numbers)])));
    *column = element(&json!([list(json!({"wb_type": "invalid"})), none]));
    assert_eq!(found, expected);
}

#[test]
fn a_table_in_an_artifact_is_that_of_the_sdk() {
    let golden = Golden::read();
    let given = golden.given();
    let logged = log(|run| {
        let mut table = Table::new(["n", "picture"]).unwrap();
        let first = Image::from_path(given.path().join("pictures/first.png")).unwrap();
        table.add_row((1, first)).unwrap();
        let mut artifact = Artifact::new("with-table", "predictions").unwrap();
        artifact.add(table, "deep/predictions").unwrap();
        run.log_artifact(artifact).unwrap();
    });
    check(&logged, &golden, "with-table");
}

#[test]
fn what_the_sdk_refuses_is_refused() {
    let golden = Golden::read();
    let given = golden.given();
    let first = || Image::from_path(given.path().join("pictures/first.png")).unwrap();
    let file = ImageMask::from_path(given.path().join("mask.png")).unwrap();
    let nothing = BoundingBoxes2D::new([]);
    let images = [
        ("mask of a file", first().masks("m", file.clone()).unwrap()),
        (
            "boxes of nothing",
            first()
                .boxes("p", nothing)
                .unwrap()
                .masks("m", file)
                .unwrap(),
        ),
    ];
    assert_eq!(golden.refusals.len(), images.len());
    for (name, image) in images {
        assert!(golden.refusals[name].contains("classes must be passed"));
        let mut artifact = Artifact::new("refused", "dataset").unwrap();
        let error = artifact.add(&image, "x").unwrap_err().to_string();
        assert!(error.contains("needs the names of classes"), "{error}");
        artifact.add(image.classes(labels()), "x").unwrap();
    }
}

/// Where the SDK takes a list of several kinds, which no column of W&B's own types describes, and
/// where it takes no list of nothing but null after one without.
const TAKEN_OTHERWISE: [&str; 2] = ["a list of both", "a list of nothing for words"];

#[test]
fn a_column_takes_what_it_takes_in_the_sdk() {
    let golden = Golden::read();
    let given = golden.given();
    let picture = || Cell::from(Image::from_path(given.path().join("pictures/first.png")).unwrap());
    let cell = |value: Json| Cell::from(value);
    let list = |values: Json| cell(values);
    let nan = || Cell::from(f64::NAN);
    let cases: [(&str, Vec<Vec<Cell>>, &str); 20] = [
        (
            "text for a number",
            vec![vec![1.into()], vec!["a".into()]],
            "a text",
        ),
        (
            "a flag for a number",
            vec![vec![1.into()], vec![true.into()]],
            "a truth value",
        ),
        (
            "a number for a flag",
            vec![vec![true.into()], vec![1.into()]],
            "a number",
        ),
        (
            "a number for a text",
            vec![vec!["a".into()], vec![1.5.into()]],
            "a number",
        ),
        (
            "a list for a number",
            vec![vec![1.into()], vec![list(json!([1]))]],
            "a list of numbers",
        ),
        (
            "a number for a list",
            vec![vec![list(json!([1]))], vec![1.into()]],
            "a number",
        ),
        (
            "words for numbers",
            vec![vec![list(json!([1]))], vec![list(json!(["a"]))]],
            "a list of texts",
        ),
        (
            "a list of both",
            vec![vec![list(json!([1, "a"]))]],
            "a list of values of several kinds",
        ),
        (
            "a picture for a number",
            vec![vec![1.into()], vec![picture()]],
            "an image",
        ),
        (
            "a number for a picture",
            vec![vec![picture()], vec![1.into()]],
            "a number",
        ),
        ("a row too long", vec![vec![1.into(), 2.into()]], "2 values"),
        ("a row too short", vec![vec![]], "0 values"),
        (
            "a float for a whole number",
            vec![vec![1.into()], vec![0.5.into()]],
            "",
        ),
        (
            "nothing for a number",
            vec![vec![1.into()], vec![Cell::NONE]],
            "",
        ),
        (
            "a number for nothing",
            vec![vec![Cell::NONE], vec![1.into()]],
            "",
        ),
        ("NaN for a text", vec![vec!["a".into()], vec![nan()]], ""),
        ("NaN for a picture", vec![vec![picture()], vec![nan()]], ""),
        (
            "a longer list",
            vec![vec![list(json!([1]))], vec![list(json!([1, 2.5]))]],
            "",
        ),
        (
            "an empty list for words",
            vec![vec![list(json!(["a"]))], vec![list(json!([]))]],
            "",
        ),
        (
            "a list of nothing for words",
            vec![vec![list(json!(["a"]))], vec![list(json!([null]))]],
            "",
        ),
    ];
    assert_eq!(golden.table_refusals.len(), cases.len());
    for (name, rows, reason) in cases {
        let Taken { error, rows: left } = &golden.table_refusals[name];
        let given = rows.len();
        let mut table = Table::new(["a"]).unwrap();
        let refused = rows.into_iter().try_for_each(|row| table.add_row(row));
        match &refused {
            Ok(()) => assert_eq!((reason, table.len()), ("", given), "{name}"),
            Err(refused) => {
                let text = refused.to_string();
                assert!(
                    !reason.is_empty() && text.contains(reason),
                    "{name}: {text}"
                );
                let names_column = text.contains(", column \"a\": ");
                assert_eq!(names_column, !name.starts_with("a row"), "{name}: {text}");
                assert_eq!(table.len(), given - 1);
            }
        }
        let is_same = (refused.is_err(), table.len()) == (error.is_some(), *left);
        assert_eq!(
            is_same,
            !TAKEN_OTHERWISE.contains(&name),
            "{name}: {refused:?}"
        );
        let kind = match name.starts_with("a row") {
            true => "ValueError",
            false => "TypeError",
        };
        assert!(error.as_ref().is_none_or(|error| error == kind), "{name}");
    }
}
