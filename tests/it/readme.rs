//! What README.md claims: its lines for each framework run, its tables are true.

use std::fs;
use std::path::{Path, PathBuf};

use wandb_image::Run;
use wandb_image::sink::MemorySink;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code under a heading of the README, line by line.
fn code_under(heading: &str) -> Vec<String> {
    let readme = read("README.md");
    let section = readme.split_once(&format!("\n### {heading}\n")).unwrap().1;
    let fenced = section.split("```").nth(1).unwrap();
    let lines = fenced.lines().skip(1).map(|line| line.trim().to_owned());
    lines.collect()
}

/// The README's lines for a framework stand in the function that `log` is, and run.
#[allow(dead_code, reason = "for the frameworks that are built")]
fn check(heading: &str, source: &str, log: impl FnOnce(&Run, u64)) {
    let source: Vec<&str> = source.lines().map(str::trim).collect();
    let code = code_under(heading);
    let stands = source.windows(code.len()).any(|lines| lines == code);
    assert!(stands, "{heading}: README.md has {code:#?}");
    let sink = MemorySink::new();
    let run = wandb_image::init().start_on(sink.clone()).unwrap();
    log(&run, 7);
    run.finish().unwrap();
    assert_eq!(sink.rows().len(), 1);
    assert_eq!(sink.files().len(), 3, "a grid and two samples");
}

#[test]
fn every_framework_has_its_lines() {
    for heading in ["candle", "burn", "tch"] {
        assert_eq!(code_under(heading).len(), 3, "{heading}");
    }
}

/// They run as the example in the module's docs.
#[test]
fn burns_loop_has_the_lines_of_its_docs() {
    let code = code_under("burn's training loop");
    let docs = read("integrations/burn_train.rs");
    let docs: Vec<&str> = docs
        .lines()
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    assert!(code.len() > 10);
    let stands = docs.windows(code.len()).any(|lines| lines == code);
    assert!(stands, "README.md has {code:#?}");
}

/// The rows of the table that begins with `| dtype |`.
fn dtypes(text: &str) -> Vec<&str> {
    let table = text
        .lines()
        .skip_while(|line| !line.starts_with("| dtype |"));
    table.take_while(|line| line.starts_with('|')).collect()
}

#[test]
fn the_table_of_dtypes_is_the_one_that_the_contract_checks() {
    let (readme, checked) = (read("README.md"), read("integrations/README.md"));
    assert!(dtypes(&checked).len() > 10);
    assert_eq!(dtypes(&readme), dtypes(&checked));
}

/// The last cells of the table with this head, of which there must be some.
fn last_cells(head: &str) -> Vec<String> {
    let readme = read("README.md");
    let table = readme.lines().skip_while(|line| !line.starts_with(head));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split(" | ").last());
    let cells: Vec<String> = cells.map(String::from).collect();
    assert!(cells.len() > 5, "{head}");
    cells
}

/// The tests that a cell names are there, and run.
fn check_tests(cell: &str, sources: &str) {
    let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    assert!(!names.is_empty(), "no test: {cell}");
    for name in names {
        let function = format!("fn {name}() {{");
        let before = sources.split_once(&function).map(|(before, _)| before);
        let attributes = before.and_then(|before| before.rsplit("\n\n").next());
        let has = |attribute| attributes.is_some_and(|lines| lines.contains(attribute));
        assert!(has("#[test]"), "no test {name}");
        assert!(!has("#[ignore"), "{name} is ignored");
    }
}

fn check_table(head: &str) {
    let sources: String = ["tests/it", "src"]
        .iter()
        .flat_map(|folder| sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for cell in last_cells(head) {
        check_tests(&cell, &sources);
    }
}

#[test]
#[should_panic = "is ignored"]
fn a_test_that_is_ignored_is_no_proof() {
    check_tests("`one`", "\n\n#[test]\n#[ignore = \"slow\"]\nfn one() {\n");
}

#[test]
fn every_difference_from_the_sdk_has_its_test() {
    check_table("| | Python SDK |");
}

#[test]
fn every_promise_has_its_tests() {
    check_table("| promise | tests |");
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    };
    let files = entries.flat_map(below);
    files
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect()
}

#[cfg(feature = "burn-example")]
mod burn;
#[cfg(feature = "candle")]
mod candle;
#[cfg(feature = "tch")]
mod tch;
