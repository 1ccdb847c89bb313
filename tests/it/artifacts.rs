//! Artifacts and tables, as W&B's own client uploads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::{Value as Json, json};
use wandb_image::sink::logged::find_log;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{ArtifactManifestEntry, ArtifactRecord, RecordType};
use wandb_image::{
    Artifact, BoundingBox, BoundingBoxes2D, Classes, Domain, Image, ImageMask, Mode, Pixels,
    Position, Row, Run, Table,
};

use crate::client::{Artifact as Version, Backend, Client, parse, sha256};

/// An artifact of a file, an image and a reference, and a table with an image.
const OF_THE_SDK: &str = "
import sys, wandb
from PIL import Image
run = wandb.init(mode='offline', project='p', id='sdk1', dir=sys.argv[1])
data = wandb.Artifact('data', 'dataset', description='two of a kind', metadata={'n': 2})
with data.new_file('notes.txt') as file:
    file.write('hello')
data.add(wandb.Image(Image.new('L', (6, 4), 9), caption='nine'), 'nine')
data.add_reference('https://example.invalid/x.png', checksum=False)
run.log_artifact(data, aliases=['best'])
table = wandb.Table(columns=['picture', 'score'])
table.add_data(wandb.Image(Image.new('L', (6, 4), 7)), 0.5)
run.log({'predictions': table})
run.finish()
";

/// What the manifest names is there, but for references.
fn check_arrived(artifact: &Version, paths: &[&str]) {
    let manifest = artifact.json("manifest.json");
    let contents = manifest["contents"].as_object().unwrap();
    let named = contents
        .iter()
        .filter(|(_, entry)| entry.get("ref").is_none());
    for (path, entry) in named.clone() {
        let file = artifact.dir.join("files").join(path);
        assert_eq!(
            Some(fs::read(file).unwrap().len() as u64),
            entry["size"].as_u64()
        );
    }
    let is_picture = |path: &&String| path.starts_with("media/images/");
    let pictures = named.clone().filter(|(path, _)| is_picture(path)).count();
    assert_eq!(pictures, 1, "{contents:?}");
    let others: Vec<_> = contents.keys().filter(|path| !is_picture(path)).collect();
    assert_eq!(others, paths);
    assert_eq!(
        artifact.json("committed.json"),
        artifact.json("artifact.json")["digest"]
    );
}

#[test]
fn artifacts_and_tables_of_the_python_sdk_arrive() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut python = client.python();
    let ran = python
        .args(["-c", OF_THE_SDK])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let latest = fs::canonicalize(dir.path().join("wandb/latest-run"));
    let received = client.sync(&latest.unwrap());

    let data = received.artifact("dataset", "data");
    check_arrived(&data, &["nine.image-file.json", "notes.txt", "x.png"]);
    let given = data.json("artifact.json");
    assert_eq!(given["description"], "two of a kind");
    assert_eq!(given["metadata"], r#"{"n":2}"#);
    let aliases = given["aliases"].as_array().unwrap().iter();
    // Their order is that of a set of Python's.
    let aliases: BTreeSet<_> = aliases.map(|alias| alias["alias"].as_str()).collect();
    assert_eq!(aliases, [Some("best"), Some("latest")].into());

    let table = received.artifact("run_table", "run-sdk1-predictions");
    check_arrived(&table, &["predictions.table.json"]);
    let row = &received.rows()[0]["predictions"];
    let client_id = table.json("artifact.json")["clientID"]
        .as_str()
        .unwrap()
        .to_owned();
    let expected = format!("wandb-client-artifact://{client_id}/predictions.table.json");
    assert_eq!(row["artifact_path"], *expected);
    assert_eq!(row["_type"], "table-file");
}

// ---- what Rust logs ----

const WIDTH: u32 = 6;
const HEIGHT: u32 = 4;

fn run(dir: &Path) -> Run {
    let builder = wandb_image::init().dir(dir).project("p").run_id("rust1");
    builder.start().unwrap()
}

fn pixels(seed: u8) -> Pixels {
    let values = (0..WIDTH * HEIGHT * 3).map(|i| seed.wrapping_add((i * 7) as u8));
    Pixels::new(WIDTH, HEIGHT, Mode::Rgb, values.collect()).unwrap()
}

fn ids(seed: u8) -> Vec<u8> {
    (0..(WIDTH * HEIGHT) as u8).map(|i| i * seed % 3).collect()
}

fn names() -> Classes {
    Classes::from_names(["background", "cat", "dog"])
}

/// A picture with a mask and boxes.
fn overlaid(seed: u8) -> Image {
    let mask = ImageMask::new(WIDTH, HEIGHT, ids(seed)).unwrap();
    let corners = Position::corners(0.25, 0.25, 0.5, 1.0);
    let found = BoundingBox::new(Domain::Fraction, corners, 1).score("confidence", 0.5);
    Image::from(pixels(seed))
        .caption("größer \"1\" 🙂")
        .classes(names())
        .masks("truth", mask.class_labels(names()))
        .unwrap()
        .boxes("found", BoundingBoxes2D::new([found]))
        .unwrap()
}

/// Files to be added, by their paths in the artifact.
fn given() -> BTreeMap<String, Vec<u8>> {
    let long: Vec<u8> = (0..400_000_u32).flat_map(u32::to_le_bytes).collect();
    let files: [(&str, &[u8]); 6] = [
        ("notes.txt", b"hello\n"),
        ("nothing.bin", b""),
        ("weights/long.bin", &long),
        ("folder/a.txt", b"a"),
        ("folder/sub/b c.txt", b"bb"),
        ("folder/sub/\u{e9}.txt", b"ccc"),
    ];
    let files = files.map(|(path, bytes)| (path.to_owned(), bytes.to_vec()));
    files.into()
}

fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

const REFERENCES: [(&str, &str); 3] = [
    ("x.png", "https://example.invalid/x.png?size=2"),
    ("raw/train.tar", "s3://bucket/train.tar"),
    ("key.bin", "gs://bucket/key.bin"),
];

fn data_set(folder: &Path) -> Artifact {
    let metadata = json!({"n": 2, "list": [1, null, true], "name": "größer"});
    let mut data = Artifact::new("data", "dataset")
        .unwrap()
        .description("all kinds of files\nand a 🙂")
        .metadata(&metadata)
        .unwrap()
        .alias("best")
        .unwrap()
        .tag("small one")
        .unwrap();
    data.add_file(folder.join("notes.txt")).unwrap();
    data.add_file(folder.join("nothing.bin")).unwrap();
    data.add_mutable_file(folder.join("weights/long.bin"), "weights/long.bin")
        .unwrap();
    data.add_dir_as(folder.join("folder"), "folder").unwrap();
    data.add_reference_as(REFERENCES[0].1, REFERENCES[0].0)
        .unwrap();
    data.add_reference_as(REFERENCES[1].1, REFERENCES[1].0)
        .unwrap();
    data.add_reference(REFERENCES[2].1).unwrap();
    data.add(Image::from(pixels(1)), "plain").unwrap();
    data.add(Image::from(pixels(1)).caption("again"), "sub/same")
        .unwrap();
    data.add(overlaid(2), "overlaid").unwrap();
    data
}

fn predictions() -> Table {
    let mut table = Table::new(["picture", "truth", "score"]).unwrap();
    table.add_row((overlaid(3), "cat", 0.5)).unwrap();
    table
        .add_row((Image::from(pixels(4)), "dog", f64::NAN))
        .unwrap();
    table.add_row((None::<Image>, "nothing", 1)).unwrap();
    table
}

// ---- what is in the log, and what arrives ----

fn records(run: &Path) -> Vec<ArtifactRecord> {
    let log = LogReader::open(find_log(run).unwrap()).unwrap();
    let artifact = |record| match record {
        RecordType::Artifact(artifact) => Some(artifact),
        _ => None,
    };
    log.filter_map(|record| record.unwrap().record_type.and_then(artifact))
        .collect()
}

fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

fn hex_md5(text: &str) -> String {
    let digest = Md5::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every file below a folder, by its path in it.
fn files_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(here) = folders.pop() {
        let entries = fs::read_dir(here).unwrap().map(|entry| entry.unwrap());
        for path in entries.map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), fs::read(&path).unwrap());
        }
    }
    found
}

/// As the client sends it.
fn manifest_entry(entry: &ArtifactManifestEntry, artifact_id: &str) -> Json {
    let mut json = json!({"digest": entry.digest, "size": entry.size, "skip_cache": false});
    match &*entry.r#ref {
        "" => {
            json["birthArtifactID"] = artifact_id.into();
            json["local_path"] = (&*entry.local_path).into();
        }
        address => json["ref"] = address.into(),
    }
    json
}

fn sorted(values: &[String]) -> Vec<String> {
    let values: BTreeSet<&String> = values.iter().collect();
    values.into_iter().cloned().collect()
}

fn strings(list: &Json, key: Option<&str>) -> Vec<String> {
    let text = |value: &Json| {
        let value = key.map_or(value, |key| &value[key]);
        value.as_str().unwrap().to_owned()
    };
    let strings: Vec<String> = list.as_array().into_iter().flatten().map(text).collect();
    sorted(&strings)
}

/// The server has of an artifact what its record says, and its files to the last byte. Returns
/// them.
fn check_whole(record: &ArtifactRecord, received: &Version) -> BTreeMap<String, Vec<u8>> {
    let said = received.json("artifact.json");
    assert_eq!(said["artifactTypeName"], *record.r#type);
    assert_eq!(said["artifactCollectionName"], *record.name);
    assert_eq!(said["digest"], *record.digest);
    assert_eq!(received.json("committed.json"), *record.digest);
    assert_eq!(said["clientID"], *record.client_id);
    assert_eq!(said["sequenceClientID"], *record.sequence_client_id);
    assert_eq!(
        said["description"].as_str().unwrap_or_default(),
        record.description
    );
    assert_eq!(
        said["metadata"].as_str().unwrap_or_default(),
        record.metadata
    );
    assert_eq!(
        strings(&said["aliases"], Some("alias")),
        sorted(&record.aliases)
    );
    assert_eq!(
        strings(&said["tags"], Some("tagName")),
        sorted(&record.tags)
    );

    let logged = &record.manifest.as_ref().unwrap().contents;
    let manifest = received.json("manifest.json");
    // The server's own number of it.
    let id = logged.iter().find_map(|entry| {
        let id = manifest["contents"][&entry.path]["birthArtifactID"].as_str()?;
        id.starts_with("artifact-").then_some(id)
    });
    let expected = logged
        .iter()
        .map(|entry| (entry.path.clone(), manifest_entry(entry, id.unwrap())));
    assert_eq!(manifest["contents"], Json::Object(expected.collect()));
    assert_eq!(manifest["version"], 1);
    assert_eq!(manifest["storagePolicy"], "wandb-storage-policy-v1");
    assert_eq!(
        manifest["storagePolicyConfig"],
        json!({"storageLayout": "V2"})
    );
    let lines = logged
        .iter()
        .map(|entry| format!("{}:{}\n", entry.path, entry.digest));
    let digested = "wandb-artifact-manifest-v1\n".to_owned() + &lines.collect::<String>();
    assert_eq!(hex_md5(&digested), record.digest);

    let files = files_in(&received.dir.join("files"));
    let stored = logged.iter().filter(|entry| entry.r#ref.is_empty());
    let paths: BTreeSet<&String> = stored.clone().map(|entry| &entry.path).collect();
    assert_eq!(files.keys().collect::<BTreeSet<_>>(), paths);
    for entry in stored {
        let bytes = &files[&entry.path];
        assert_eq!(md5(bytes), entry.digest, "{}", entry.path);
        assert_eq!(bytes.len() as i64, entry.size, "{}", entry.path);
        assert_eq!(*bytes, fs::read(&entry.local_path).unwrap());
    }
    files
}

fn parsed(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes).unwrap()
}

/// The picture that an image in an artifact names has these pixels; its hash is right.
fn check_picture(files: &BTreeMap<String, Vec<u8>>, image: &Json, expected: &Pixels) {
    let bytes = &files[image["path"].as_str().unwrap()];
    assert_eq!(image["sha256"], sha256(bytes));
    let picture = ::image::load_from_memory(bytes).unwrap();
    assert_eq!(picture.to_rgb8().as_raw(), expected.as_bytes());
}

/// Its mask has these ids, and its classes their names.
fn check_layers(files: &BTreeMap<String, Vec<u8>>, image: &Json, seed: u8) {
    let mask = &image["masks"]["truth"];
    let bytes = &files[mask["path"].as_str().unwrap()];
    assert_eq!(mask["sha256"], sha256(bytes));
    let shown = ::image::load_from_memory(bytes).unwrap();
    assert_eq!(*shown.to_luma8().as_raw(), ids(seed));
    let found = &image["boxes"]["found"][0];
    assert_eq!(found["scores"]["confidence"], 0.5);
    let classes = parsed(&files[image["classes"]["path"].as_str().unwrap()]);
    let named = classes["class_set"].as_array().unwrap().iter();
    let named: BTreeMap<_, _> = named
        .map(|class| (class["id"].as_i64(), &class["name"]))
        .collect();
    for (id, name) in names().iter() {
        assert_eq!(named[&Some(id)], name);
    }
    assert_eq!(named.len(), 3);
}

#[test]
fn every_byte_of_artifacts_and_tables_arrives() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("given");
    write(&folder, &given());
    let run = run(dir.path());
    run.log_artifact(data_set(&folder)).unwrap();
    run.log(Row::new().with("predictions", predictions()))
        .unwrap();
    run.finish().unwrap();
    // It was copied, since it may change.
    fs::write(folder.join("weights/long.bin"), "other").unwrap();
    let run = run.dir().unwrap().to_owned();
    let received = client.sync(&run);

    let records = records(&run);
    assert_eq!(records.len(), 2);
    let named = |name| records.iter().find(|record| record.name == name).unwrap();
    let (data, table) = (named("data"), named("run-rust1-predictions"));
    let files = check_whole(data, &received.artifact("dataset", "data"));
    for (path, bytes) in given() {
        assert_eq!(files[&path], bytes, "{path}");
    }
    let manifest = received.artifact("dataset", "data").json("manifest.json");
    for (path, address) in REFERENCES {
        assert_eq!(manifest["contents"][path]["ref"], address);
    }
    let image = |name: &str| parsed(&files[&format!("{name}.image-file.json")]);
    check_picture(&files, &image("plain"), &pixels(1));
    assert_eq!(image("sub/same")["path"], image("plain")["path"]);
    assert_eq!(image("sub/same")["caption"], "again");
    check_picture(&files, &image("overlaid"), &pixels(2));
    check_layers(&files, &image("overlaid"), 2);

    let name = "run-rust1-predictions";
    let arrived = received.artifact("run_table", name);
    let files = check_whole(table, &arrived);
    let content = parsed(&files["predictions.table.json"]);
    assert_eq!(content["columns"], json!(["picture", "truth", "score"]));
    let rows = &content["data"];
    assert_eq!(rows[0][1], "cat");
    check_picture(&files, &rows[0][0], &pixels(3));
    check_layers(&files, &rows[0][0], 3);
    check_picture(&files, &rows[1][0], &pixels(4));
    assert_eq!(rows[1][2], Json::Null);
    assert_eq!(rows[2], json!([null, "nothing", 1]));

    let row = &received.rows()[0]["predictions"];
    let shown = received
        .dir
        .join("files")
        .join(row["path"].as_str().unwrap());
    let shown = fs::read(shown).unwrap();
    let expected = json!({
        "_type": "table-file",
        "ncols": 3,
        "nrows": 3,
        "log_mode": "IMMUTABLE",
        "path": row["path"],
        "sha256": sha256(&shown),
        "size": shown.len(),
        "artifact_path": format!(
            "wandb-client-artifact://{}/predictions.table.json", table.client_id
        ),
        "_latest_artifact_path": format!(
            "wandb-client-artifact://{}:latest/predictions.table.json", table.sequence_client_id
        ),
    });
    assert_eq!(*row, expected);
    let path = row["path"].as_str().unwrap();
    assert!(path.starts_with("media/table/predictions_0_"), "{path}");
    assert_eq!(shown, fs::read(run.join("files").join(path)).unwrap());
    // As from the Python SDK, with a word for each picture and tokens that are no JSON.
    let shown = parse(std::str::from_utf8(&shown).unwrap());
    let rows = json!([
        ["Image", "cat", 0.5],
        ["Image", "dog", "NaN"],
        [null, "nothing", 1]
    ]);
    assert_eq!(shown, json!({"columns": content["columns"], "data": rows}));
}

/// An artifact of one text, which gets a file of its own.
fn of_text(path: PathBuf, text: &str) -> Artifact {
    fs::write(&path, text).unwrap();
    let mut artifact = Artifact::new("texts", "dataset").unwrap();
    artifact.add_file_as(path, "text.txt").unwrap();
    artifact
}

/// The text of each version on the server.
fn versions(first: &Version) -> BTreeSet<String> {
    let versions = fs::read_dir(first.dir.parent().unwrap()).unwrap();
    let version = |path: PathBuf| {
        assert!(path.join("committed.json").exists(), "{path:?}");
        fs::read_to_string(path.join("files/text.txt")).unwrap()
    };
    versions
        .map(|entry| version(entry.unwrap().path()))
        .collect()
}

#[test]
fn another_content_is_another_version_and_the_same_is_not() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    for (name, text) in [("a", "one"), ("b", "two"), ("c", "one")] {
        let artifact = of_text(dir.path().join(name), text);
        run.log_artifact(artifact).unwrap();
    }
    run.finish().unwrap();
    let received = client.sync(run.dir().unwrap());
    let first = received.artifact("dataset", "texts");
    assert_eq!(versions(&first), ["one", "two"].map(String::from).into());
    let folders = fs::read_dir(first.dir.parent().unwrap()).unwrap();
    assert_eq!(folders.count(), 2);
}

#[test]
fn a_run_that_is_synced_twice_has_its_artifacts_once() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    run.log_artifact(of_text(dir.path().join("one.txt"), "one"))
        .unwrap();
    run.log(Row::new().with("predictions", predictions()))
        .unwrap();
    run.finish().unwrap();
    let backend = Backend::start(&client);
    for args in [&["sync"][..], &["sync", "--include-synced"]] {
        client.wandb(args, run.dir().unwrap(), Some(&backend));
    }
    let received = backend.received();
    for (kind, name) in [("dataset", "texts"), ("run_table", "run-rust1-predictions")] {
        let first = received.artifact(kind, name);
        assert!(first.dir.join("committed.json").exists());
        assert!(!first.dir.with_file_name("v1").exists(), "{name}");
    }
}

#[test]
fn a_file_that_is_written_to_after_it_was_logged_is_refused() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    run.log_artifact(of_text(dir.path().join("one.txt"), "one"))
        .unwrap();
    run.log([("loss", 0.5)]).unwrap();
    run.finish().unwrap();
    fs::write(dir.path().join("one.txt"), "two").unwrap();
    let backend = Backend::start(&client);
    let said = client.sync_says(run.dir().unwrap(), &backend);
    // It doesn't notice: README.md says so.
    assert!(said.contains("Finished syncing"), "{said}");
    let received = backend.received();
    let artifact = received.artifact("dataset", "texts");
    assert!(!artifact.dir.join("committed.json").exists());
    assert!(!artifact.dir.join("files/text.txt").exists());
    assert_eq!(received.rows()[0]["loss"], 0.5);
}

#[test]
fn an_address_is_the_digest_of_a_reference() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    let mut data = Artifact::new("data", "dataset").unwrap();
    data.add_reference("s3://bucket/some/key.png").unwrap();
    run.log_artifact(data).unwrap();
    run.finish().unwrap();
    let record = records(run.dir().unwrap()).remove(0);
    let entry = &record.manifest.unwrap().contents[0];
    assert_eq!(entry.digest, "s3://bucket/some/key.png");
    assert_eq!((&entry.r#ref, &*entry.local_path), (&entry.digest, ""));
}
