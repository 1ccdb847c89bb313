//! What `examples/predictions_table.rs` logs, as it arrives at the stand-in backend.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use wandb_image::{Artifact, Cell, TableReader};

use crate::client::{Client, Received};

#[allow(dead_code, reason = "it has a `main` of its own")]
#[path = "../../examples/predictions_table.rs"]
mod example;

const CLASSES: usize = 10;
const DIGITS: usize = 1797;
const TESTED: usize = 297;

/// The directory of the only run in a folder.
fn only_run(dir: &Path) -> PathBuf {
    let runs = fs::read_dir(dir.join("wandb")).unwrap();
    let runs = runs.map(|entry| entry.unwrap().path());
    let is_run = |path: &PathBuf| path.is_dir() && !path.is_symlink();
    let runs: Vec<_> = runs.filter(is_run).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

/// Every version of an artifact that arrived: `<type>/<name>/<version>`.
fn versions(received: &Received) -> BTreeSet<String> {
    let top = received.dir.ancestors().nth(3).unwrap().join("artifacts");
    let below = |dirs: Vec<PathBuf>| -> Vec<PathBuf> {
        let entries = dirs.iter().flat_map(|dir| fs::read_dir(dir).unwrap());
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let versions = below(below(below(vec![top.clone()])));
    let versions = versions.iter().map(|path| path.strip_prefix(&top).unwrap());
    versions
        .map(|path| path.to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_predictions_arrive_worst_first_beside_the_data_set() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    example::train(wandb_image::init().dir(dir.path()).run_id("digits1")).unwrap();
    let received = client.sync(&only_run(dir.path()));

    let expected = ["dataset/digits/v0", "run_table/run-digits1-predictions/v0"];
    assert_eq!(versions(&received), expected.map(String::from).into());
    let folder = |kind: &str, name: &str| {
        let version = received.artifact(kind, name);
        assert_eq!(
            version.json("committed.json"),
            version.json("artifact.json")["digest"]
        );
        Artifact::open(version.dir.join("files")).unwrap()
    };
    let digits = folder("dataset", "digits");
    let files = digits.files().unwrap();
    let images = files
        .iter()
        .filter(|file| file.ends_with(".image-file.json"));
    assert_eq!(images.count(), DIGITS);
    assert_eq!(digits.get("test/0296").unwrap().width(), 80);

    let table = folder("run_table", "run-digits1-predictions");
    check_table(&table.table("predictions").unwrap(), &received);
}

fn check_table(table: &TableReader, received: &Received) {
    let names = ["picture", "truth", "prediction", "score of the truth"].map(String::from);
    let scores = (0..CLASSES).map(|class| format!("score {class}"));
    assert!(
        table
            .columns()
            .iter()
            .eq(&names.into_iter().chain(scores).collect::<Vec<_>>())
    );
    let kinds: Vec<_> = table
        .column_types()
        .map(|(_, kind)| kind.unwrap())
        .collect();
    assert_eq!(kinds[0], "image-file");
    assert!(kinds[1..].iter().all(|kind| *kind == "number"), "{kinds:?}");

    let rows: Vec<Vec<Cell>> = table.rows().map(Result::unwrap).collect();
    assert_eq!(rows.len(), TESTED);
    let mut right = 0;
    for row in &rows {
        let [truth, prediction] = [1, 2].map(|at: usize| row[at].as_i64().unwrap() as usize);
        let scores: Vec<f64> = row[4..].iter().map(|cell| cell.as_f64().unwrap()).collect();
        assert_eq!(row[3].as_f64(), Some(scores[truth]));
        assert!(scores.iter().all(|score| *score <= scores[prediction]));
        assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-3);
        let picture = row[0].image().unwrap();
        assert_eq!(picture.caption_text(), Some(&*truth.to_string()));
        right += usize::from(truth == prediction);
    }
    let of_truth = |row: &Vec<Cell>| row[3].as_f64().unwrap();
    assert!(rows.is_sorted_by(|worse, better| of_truth(worse) <= of_truth(better)));
    assert!(of_truth(&rows[0]) < of_truth(&rows[TESTED - 1]));
    assert!(right > TESTED / 2, "{right} are right");

    let logged = received.rows();
    let last = logged.last().unwrap();
    assert_eq!(last["accuracy"], right as f64 / TESTED as f64);
    assert_eq!(
        (&last["predictions"]["nrows"], &last["predictions"]["ncols"]),
        (&TESTED.into(), &(4 + CLASSES).into())
    );
}
