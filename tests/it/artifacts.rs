//! Artifacts and tables, as W&B's own client uploads them.

use std::collections::BTreeSet;
use std::fs;

use crate::client::{Artifact, Client};

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
fn check_arrived(artifact: &Artifact, paths: &[&str]) {
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
