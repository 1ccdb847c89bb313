//! W&B's own client and a stand-in for its server: what arrives when a run is synced.
//!
//! `WANDB_IMAGE_PYTHON` names the interpreter of a virtual environment with `wandb==0.31.0`.
//! Without it there is no client, which is said on stderr, or, where `WANDB_IMAGE_REQUIRE_PYTHON`
//! is set, a failure.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::child::without_wandb;

/// W&B's client, in a home of its own: no settings, no credentials, no reports.
pub(crate) struct Client {
    python: PathBuf,
    home: TempDir,
}

impl Client {
    pub(crate) fn find() -> Option<Self> {
        let Some(python) = std::env::var_os("WANDB_IMAGE_PYTHON") else {
            let message = "WANDB_IMAGE_PYTHON isn't set: it names a Python with wandb==0.31.0";
            let is_required = std::env::var_os("WANDB_IMAGE_REQUIRE_PYTHON").is_some();
            assert!(!is_required, "{message}");
            // Past the capture of a test's output.
            let mut stderr = std::io::stderr();
            writeln!(stderr, "SKIPPED: {message}").unwrap();
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let python = PathBuf::from(python);
        Some(Self { python, home })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        without_wandb(&mut command);
        for name in [
            "HOME",
            "WANDB_CONFIG_DIR",
            "WANDB_CACHE_DIR",
            "WANDB_DATA_DIR",
        ] {
            command.env(name, self.home.path());
        }
        command.env("WANDB_ERROR_REPORTING", "false");
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn python(&self) -> Command {
        self.command(&self.python)
    }

    /// Runs `wandb` and gives what it printed.
    pub(crate) fn wandb(&self, args: &[&str], dir: &Path, backend: Option<&Backend>) -> String {
        self.wandb_on(args, &[dir.to_owned()], backend)
    }

    fn wandb_on(&self, args: &[&str], dirs: &[PathBuf], backend: Option<&Backend>) -> String {
        let mut command = self.command(&self.python.with_file_name("wandb"));
        if let Some(backend) = backend {
            command.env("WANDB_API_KEY", "a".repeat(40));
            command.env("WANDB_BASE_URL", &backend.url);
        }
        let output = command.args(args).args(dirs).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "wandb {args:?}: {stdout}{stderr}");
        stdout
    }

    /// Whether `wandb sync` fails on a run with a panic.
    pub(crate) fn panics(&self, dir: &Path) -> bool {
        let said = self.sync_says(dir, &Backend::start(self));
        said.contains("panic: ")
    }

    /// What `wandb sync` says of a run, whether it fails or not.
    pub(crate) fn sync_says(&self, dir: &Path, backend: &Backend) -> String {
        let mut command = self.command(&self.python.with_file_name("wandb"));
        command.env("WANDB_API_KEY", "a".repeat(40));
        command.env("WANDB_BASE_URL", &backend.url);
        let output = command.arg("sync").arg(dir).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Syncs a run, and gives what the backend received.
    pub(crate) fn sync(&self, dir: &Path) -> Received {
        let backend = Backend::start(self);
        self.wandb(&["sync"], dir, Some(&backend));
        backend.received()
    }

    /// Syncs every run in a folder at once, and gives what the backend received, by its run id.
    pub(crate) fn sync_all(&self, wandb_dir: &Path) -> BTreeMap<String, Received> {
        let backend = Backend::start(self);
        let is_run = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("offline-run-")
        };
        let runs: Vec<_> = children(wandb_dir).into_iter().filter(is_run).collect();
        let said = self.wandb_on(&["sync"], &runs, Some(&backend));
        backend.received_all(&said)
    }
}

/// The folder of the artifacts, beside those of the entities.
const ARTIFACTS: &str = "artifacts";

/// The stand-in for W&B's server, ended on drop.
pub(crate) struct Backend {
    server: Child,
    url: String,
    data: TempDir,
}

impl Backend {
    pub(crate) fn start(client: &Client) -> Self {
        let data = tempfile::tempdir().unwrap();
        let port_file = data.path().join("port");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/fake_wandb.py");
        let server = client
            .python()
            .arg(script)
            .arg("--data")
            .arg(data.path().join("data"))
            .arg("--port-file")
            .arg(&port_file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let url = String::new();
        let mut backend = Self { server, url, data };
        let port = wait_for(&port_file, &mut backend.server);
        backend.url = format!("http://127.0.0.1:{}", port.trim());
        backend
    }

    /// The one run that was synced. Takes the data: the server is ended first.
    pub(crate) fn received(self) -> Received {
        let root = self.data.path().join("data");
        let mut dir = root.clone();
        for _ in ["entity", "project", "run"] {
            let folders: Vec<_> = children(&dir)
                .into_iter()
                .filter(|path| path.is_dir() && !path.ends_with(ARTIFACTS))
                .collect();
            assert_eq!(
                folders.len(),
                1,
                "not one run arrived: {folders:?} in {}",
                dir.display()
            );
            dir.clone_from(&folders[0]);
        }
        Received {
            dir,
            backend: Rc::new(self),
        }
    }

    /// All runs that were synced, of any project.
    fn received_all(self, said: &str) -> BTreeMap<String, Received> {
        let backend = Rc::new(self);
        let is_run = |path: &PathBuf| path.is_dir() && !path.ends_with(ARTIFACTS);
        let folders = |dir: PathBuf| children(&dir).into_iter().filter(is_run);
        let entities = folders(backend.data.path().join("data"));
        let runs = entities.flat_map(folders).flat_map(folders);
        let received = runs.map(|dir| {
            let run_id = dir.file_name().unwrap().to_str().unwrap().to_owned();
            let backend = Rc::clone(&backend);
            let received = Received { dir, backend };
            (run_id, received)
        });
        let received: BTreeMap<_, _> = received.collect();
        assert!(!received.is_empty(), "nothing arrived: {said}");
        received
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // Best effort: it may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The content of a file that another process writes at once, by a rename.
fn wait_for(file: &Path, writer: &mut Child) -> String {
    for _ in 0..600 {
        if let Ok(text) = fs::read_to_string(file) {
            return text;
        }
        let ended = writer.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "the writer of {} ended: {ended:?}",
            file.display()
        );
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{} didn't appear within 30 s", file.display());
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// What the backend has of one run.
pub(crate) struct Received {
    pub(crate) dir: PathBuf,
    backend: Rc<Backend>,
}

impl Received {
    pub(crate) fn json(&self, name: &str) -> Value {
        parse(&fs::read_to_string(self.dir.join(name)).unwrap())
    }

    pub(crate) fn rows(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.join("history.jsonl")).unwrap();
        text.lines().map(parse).collect()
    }

    /// The first version of an artifact.
    pub(crate) fn artifact(&self, kind: &str, name: &str) -> Artifact {
        let dir = self.backend.data.path().join("data").join(ARTIFACTS);
        let dir = dir.join(kind).join(name).join("v0");
        assert!(dir.exists(), "{} didn't arrive", dir.display());
        let backend = Rc::clone(&self.backend);
        Artifact {
            dir,
            _backend: backend,
        }
    }

    /// The media files by their path in the run, each with its hash.
    pub(crate) fn media(&self) -> BTreeMap<String, String> {
        hashes(&self.dir.join("files"))
    }
}

/// What the backend has of one version of an artifact.
pub(crate) struct Artifact {
    pub(crate) dir: PathBuf,
    _backend: Rc<Backend>,
}

impl Artifact {
    pub(crate) fn json(&self, name: &str) -> Value {
        parse(&fs::read_to_string(self.dir.join(name)).unwrap())
    }
}

/// The hash of each file under `media/`, by its path relative to `files`.
pub(crate) fn hashes(files: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let media = files.join("media");
    let mut folders = Vec::from_iter(media.exists().then_some(media));
    while let Some(folder) = folders.pop() {
        for path in children(&folder) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(files)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            found.insert(name, sha256(&fs::read(&path).unwrap()));
        }
    }
    found
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON as W&B writes it: the bare tokens `NaN`, `Infinity` and `-Infinity` become strings.
pub(crate) fn parse(text: &str) -> Value {
    let mut json = String::new();
    for (index, piece) in split_strings(text).into_iter().enumerate() {
        match index % 2 {
            0 => {
                json += &piece
                    .replace("NaN", "\"NaN\"")
                    .replace("Infinity", "\"Infinity\"")
                    .replace("-\"I", "\"-I")
            }
            _ => json += piece,
        }
    }
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// `text` cut at its string literals: outside, inside with the quotes, outside, …
pub(crate) fn split_strings(text: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut is_inside, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' if !is_escaped => {
                let cut = if is_inside { at + 1 } else { at };
                pieces.push(&text[start..cut]);
                (start, is_inside) = (cut, !is_inside);
            }
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    pieces.push(&text[start..]);
    pieces
}

#[test]
fn tokens_are_parsed() {
    let check = |text: &str, expected: Value| assert_eq!(parse(text), expected, "{text}");
    check(
        r#"{"a":NaN,"b":[Infinity,-Infinity],"c":-1}"#,
        json!({"a": "NaN", "b": ["Infinity", "-Infinity"], "c": -1}),
    );
    check(
        r#"{"NaN \" NaN":"-Infinity"}"#,
        json!({"NaN \" NaN": "-Infinity"}),
    );
}
