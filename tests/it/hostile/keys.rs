//! Keys of images: whatever they are, every file stays inside of the run, and no two pictures
//! share one unless their bytes are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use serde_json::{Value as Json, json};
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::RecordType;
use wandb_image::sink::verify::verify;
use wandb_image::sink::{image_path, logged};
use wandb_image::{Image, ImageMask, Mode, Pixels, Row, RunBuilder, RunMode};

use crate::client::{Client, hashes, sha256};

/// Keys that some system would take for something else, each with its name on disk.
const KEYS: [(&str, &str); 33] = [
    ("plain", "plain"),
    ("Loss", "Loss"),
    ("loss", "loss"),
    ("Straße", "Straße"),
    ("STRASSE", "STRASSE"),
    ("\u{e9}t\u{e9}", "\u{e9}t\u{e9}"),
    ("e\u{301}te\u{301}", "e\u{301}te\u{301}"),
    (r"C:\x", "C%3A%5Cx"),
    (r"\\server\x", "%5C%5Cserver%5Cx"),
    (r"..\x", "..%5Cx"),
    ("a/..b/c", "a/..b/c"),
    ("~/x", "~/x"),
    ("-rf", "-rf"),
    ("CON", "%43ON"),
    ("nul.txt", "%6Eul.txt"),
    ("COM1", "%43OM1"),
    ("com¹/COM²/Com³", "%63om¹/%43OM²/%43om³"),
    ("LPT¹.png", "%4CPT¹.png"),
    ("CON ", "%43ON%20"),
    ("CON .x", "%43ON .x"),
    ("CONIN$", "%43ONIN$"),
    ("aux/prn/x", "%61ux/%70rn/x"),
    ("dots...", "dots..%2E"),
    ("a./b /c", "a%2E/b%20/c"),
    ("tab\tline\nbell\u{7}", "tab%09line%0Abell%07"),
    ("\u{1b}[31mred", "%1B[31mred"),
    ("nel\u{85}", "nel%C2%85"),
    ("🙂/𝒳", "🙂/𝒳"),
    ("right\u{202e}left", "right\u{202e}left"),
    ("a?", "a%3F"),
    ("a%3F", "a%3F"),
    ("$HOME/`id`", "$HOME/`id`"),
    (".media.part", ".media.part"),
];

/// Longer ones, whose names are cut.
fn long_keys() -> [String; 5] {
    [
        "k".repeat(300),
        "🙂".repeat(300),
        "?".repeat(300),
        format!("{}/{}", "d".repeat(300), "k".repeat(300)),
        format!("{}deep", "a/".repeat(298)),
    ]
}

fn path(key: &str, hash: &str) -> String {
    image_path(key, 7, hash, "png").unwrap()
}

#[test]
fn a_key_has_one_name_on_every_system() {
    let hash = sha256(b"the same");
    for (key, expected) in KEYS {
        let expected = format!("media/images/{expected}_7_{}.png", &hash[..20]);
        assert_eq!(path(key, &hash), expected, "{key:?}");
    }
}

#[test]
fn keys_that_leave_the_run_are_refused() {
    let hash = sha256(b"");
    for key in [
        "",
        "/x",
        "//server/x",
        "..",
        ".",
        "../x",
        "a/../../x",
        "a/..",
        "a/.",
        "./a",
        "a//b",
        "a/",
        "a\0b",
    ] {
        assert!(image_path(key, 7, &hash, "png").is_err(), "{key:?}");
    }
    let deep = image_path(&"a/".repeat(1000), 7, &hash, "png");
    assert!(deep.is_err());
    let deep = image_path(&format!("{}b", "a/".repeat(1000)), 7, &hash, "png");
    let text = deep.unwrap_err().to_string();
    assert!(
        text.ends_with("use fewer slashes, or shorter parts between them"),
        "{text}"
    );
}

// ---- any keys ----

/// A key of pieces that mean something to some system.
fn random_key(rng: &mut Rng) -> String {
    let pieces = [
        "/",
        "/",
        ".",
        "..",
        " ",
        "\\",
        ":",
        "a",
        "A",
        "ß",
        "SS",
        "é",
        "e\u{301}",
        "CON",
        "nul",
        "COM1",
        "¹",
        "_",
        "_7_",
        "%",
        "%3F",
        "?",
        "🙂",
        "\n",
        "\u{7f}",
        ".png",
        ".mask.png",
        "~1",
        "K",
        "\u{212a}",
        "i",
        "\u{130}",
        "ﬁ",
    ];
    let mut key = String::new();
    for _ in 0..rng.usize(1..9) {
        key += rng.choice(pieces).unwrap();
    }
    if rng.u8(..20) == 0 {
        key = key.repeat(rng.usize(1..80));
    }
    key
}

/// As the most lenient file system sees it.
fn folded(path: &str) -> String {
    path.to_uppercase().to_lowercase()
}

/// Two files of one name have the same bytes, and no folder has the name of a file.
fn check_apart(paths: &[(String, String)]) {
    let mut files: BTreeMap<String, &str> = BTreeMap::new();
    for (path, hash) in paths {
        let known = files.entry(folded(path)).or_insert(hash);
        assert_eq!(known, hash, "two pictures have the file {path}");
    }
    for (path, _) in paths {
        let folders = path.match_indices('/').map(|(at, _)| folded(&path[..at]));
        let taken: Vec<_> = folders
            .filter(|folder| files.contains_key(folder))
            .collect();
        assert!(taken.is_empty(), "{path:?} lies in the file {taken:?}");
    }
}

#[test]
fn any_keys_have_files_of_their_own() {
    let mut rng = Rng::with_seed(5);
    let hashes: Vec<String> = (0..4_u8).map(|content| sha256(&[content])).collect();
    let mut paths: Vec<(String, String)> = Vec::new();
    while paths.len() < 20_000 {
        let hash = rng.choice(&hashes).unwrap();
        // Some lie in a folder that is called like a file that there is.
        let key = match paths.last().filter(|_| rng.u8(..3) == 0) {
            Some((path, _)) => format!(
                "{}/{}",
                &path["media/images/".len()..],
                random_key(&mut rng)
            ),
            None => random_key(&mut rng),
        };
        if let Ok(path) = image_path(&key, 7, hash, "png") {
            assert_eq!(path, self::path(&key, hash));
            assert!(
                path.starts_with("media/images/") && path.len() < 900,
                "{path}"
            );
            assert!(
                path.split('/').all(|part| (1..=200).contains(&part.len())),
                "{path}"
            );
            let normal = Path::new(&path).components().count();
            assert_eq!(normal, path.split('/').count(), "{path}");
            paths.push((path, hash.clone()));
        }
    }
    check_apart(&paths);
}

#[test]
fn the_check_sees_what_it_looks_for() {
    let fails = |paths: &[(&str, &str)]| {
        let owned = paths
            .iter()
            .map(|(path, hash)| (path.to_string(), hash.to_string()));
        let owned: Vec<_> = owned.collect();
        std::panic::catch_unwind(|| check_apart(&owned)).is_err()
    };
    assert!(!fails(&[
        ("a/x", "1"),
        ("a/y", "2"),
        ("a/x", "1"),
        ("a/X", "1")
    ]));
    assert!(fails(&[("a/x", "1"), ("a/X", "2")]));
    assert!(fails(&[("a/x", "1"), ("A/X/b", "2")]));
}

// ---- on disk, and on the server ----

fn picture(number: usize) -> Image {
    Image::from(Pixels::new(2, 1, Mode::L, vec![number as u8, 99]).unwrap())
}

/// A run with every key, each with a picture of its own; rows of one key, in order.
fn write_run(dir: &Path, keys: &[String]) -> PathBuf {
    let run = wandb_image::init()
        .dir(dir)
        .run_id("nasty")
        .start()
        .unwrap();
    for (number, key) in keys.iter().enumerate() {
        run.log(Row::new().with(key, picture(number))).unwrap();
    }
    run.finish().unwrap();
    run.dir().unwrap().into()
}

/// Every path below a folder, links not followed.
fn all_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}

fn all_keys() -> Vec<String> {
    let keys = KEYS.iter().map(|(key, _)| key.to_string());
    keys.chain(long_keys()).collect()
}

#[test]
fn every_file_stays_inside_of_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let keys = all_keys();
    let run = write_run(dir.path(), &keys);
    let media = run.join("files/media/images");
    let outside = all_below(dir.path()).into_iter().filter(|path| {
        let is_above = media.starts_with(path);
        path.is_file() && !path.starts_with(&media) && !is_above
    });
    let log = run.join("run-nasty.wandb");
    assert_eq!(Vec::from_iter(outside), [log]);
    let files = hashes(&run.join("files"));
    assert_eq!(files.len(), keys.len());
    let logged = wandb_image::sink::logged::media(&run).unwrap();
    assert!(logged.damage.is_none());
    for (file, (number, key)) in logged.files.iter().zip(keys.iter().enumerate()) {
        assert_eq!((&file.key, file.step), (key, number as i64));
        assert!(file.present, "{}", file.path);
        let bytes = fs::read(run.join("files").join(&file.path)).unwrap();
        let read = Image::from_bytes(bytes).unwrap().pixels().unwrap();
        assert_eq!(
            read.as_bytes()[0],
            number as u8,
            "{key:?} has another picture"
        );
    }
}

/// The second key names the file of the first as its folder.
#[test]
fn a_file_and_a_folder_do_not_meet() {
    let dir = tempfile::tempdir().unwrap();
    let run = wandb_image::init()
        .dir(dir.path())
        .synchronous(true)
        .start()
        .unwrap();
    run.log(Row::new().with("x", picture(1))).unwrap();
    let files = run.dir().unwrap().join("files");
    let file = hashes(&files).into_keys().next().unwrap();
    let name = file.strip_prefix("media/images/").unwrap();
    run.log(Row::new().with(format!("{name}/b"), picture(2)))
        .unwrap();
    run.finish().unwrap();
    assert_eq!(hashes(&files).len(), 2);
}

#[test]
fn wandb_sync_uploads_what_such_keys_make() {
    let Some(client) = Client::find() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let keys = all_keys();
    let run = write_run(dir.path(), &keys);
    let received = client.sync(&run);
    assert_eq!(received.media(), hashes(&run.join("files")));
    let rows = received.rows();
    assert_eq!(rows.len(), keys.len());
    let mut uploaded = BTreeSet::new();
    for (row, key) in rows.iter().zip(&keys) {
        let Json::String(path) = &row[key]["path"] else {
            panic!("{key:?} is not in {row}");
        };
        assert!(received.media().contains_key(path), "{path} is missing");
        uploaded.insert(path.clone());
    }
    assert_eq!(uploaded.len(), keys.len());
}

/// What is taken can be read back: a row whose keys are as long as they may be, and a summary as
/// deep as it may be, also after the run went on.
#[test]
fn the_longest_ways_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let start = |builder: RunBuilder| builder.mode(RunMode::Offline).start().unwrap();
    let run = start(wandb_image::init().dir(dir.path()));
    let nested = |levels| (0..levels).fold(json!(1), |value, _| json!({ "a": value }));
    run.summary("deep", nested(63)).unwrap();
    assert!(run.summary("deep", nested(64)).is_err());
    let long = |bytes| "k".repeat(bytes);
    run.log([(long(65_536), 1)]).unwrap();
    run.log([("deep row", nested(63))]).unwrap();
    run.log([(long(32_768), json!({ long(32_768): 1 }))])
        .unwrap();
    let picture = || Image::from(Pixels::new(1, 1, Mode::L, vec![7]).unwrap());
    let mask = || ImageMask::new(1, 1, vec![0]).unwrap();
    let over = picture().masks(long(1024), mask()).unwrap();
    assert!(picture().masks(long(1025), mask()).is_err());
    run.log([(long(63_488), over.clone())]).unwrap();
    run.log([(long(63_487) + "l", vec![over; 109])]).unwrap();
    assert!(run.log([(long(63_489), picture())]).is_err());
    run.finish().unwrap();

    let path = run.dir().unwrap();
    let media = logged::media(path).unwrap();
    assert!(media.damage.is_none(), "{:?}", media.damage);
    assert_eq!(media.files.len(), 2 * 110);
    assert!(verify(path).unwrap().is_sound());
    let resumed = start(wandb_image::init().resume(path));
    resumed.summary("deep", json!({ "b": 1 })).unwrap();
    resumed.finish().unwrap();
    let log = logged::find_log(path).unwrap();
    let removed = LogReader::open(log).unwrap().flat_map(|record| {
        let record = record.unwrap().record_type;
        match record {
            Some(RecordType::Summary(summary)) => summary.remove,
            _ => Vec::new(),
        }
    });
    // What isn't known of a summary can't be replaced.
    let removed: Vec<_> = removed.map(|item| item.nested_key.len()).collect();
    assert_eq!(removed, [64]);
}
