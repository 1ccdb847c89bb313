//! The invariants that the sources themselves can show: who may name what.
//!
//! Comments, docs and `#[cfg(test)]` modules are left out before a rule looks. Each rule is tried
//! on planted faults, so that one which has gone blind fails too.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file as the rules see it. Both texts keep the line numbers.
struct Source {
    /// Relative to the package, with `/`.
    path: String,
    /// Without comments and test modules.
    code: String,
    /// Also without the contents of strings.
    bare: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let (code, bare) = strip(text);
        let end = test_module(&bare).unwrap_or(bare.len());
        Self {
            path: path.into(),
            code: code[..end].into(),
            bare: bare[..end].into(),
        }
    }

    fn is_under(&self, places: &[&str]) -> bool {
        places.iter().any(|place| match place.ends_with('/') {
            true => self.path.starts_with(place),
            false => self.path == *place,
        })
    }

    /// A codec's own file: `src/encode/<format>.rs`.
    fn is_codec(&self) -> bool {
        self.is_under(&["src/encode/"]) && self.path != "src/encode/mod.rs"
    }
}

/// One violation: `path:line: what`.
type Faults = Vec<String>;

fn faults(source: &Source, text: &str, names: &[&str]) -> Faults {
    let mut faults = Faults::new();
    for (number, line) in text.lines().enumerate() {
        for name in names.iter().filter(|name| has_word(line, name)) {
            faults.push(format!("{}:{}: {name}", source.path, number + 1));
        }
    }
    faults
}

/// Whether `name` stands in `line`, not as a part of a longer identifier.
fn has_word(line: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + name.len()..]);
        let left = name.starts_with(is_word) && before.ends_with(is_word);
        let right = name.ends_with(is_word) && after.starts_with(is_word);
        !left && !right
    })
}

/// `text` without comments, and the same without the contents of literals; both as long as `text`
/// in bytes, with its line ends.
fn strip(text: &str) -> (String, String) {
    let (mut code, mut bare) = (String::new(), String::new());
    let mut rest = text;
    while !rest.is_empty() {
        let token = Token::next(rest);
        let (now, after) = rest.split_at(token.len);
        code.push_str(&if token.is_comment {
            blank(now)
        } else {
            now.into()
        });
        bare.push_str(&if token.is_comment || token.is_literal {
            blank(now)
        } else {
            now.into()
        });
        rest = after;
    }
    (code, bare)
}

fn blank(text: &str) -> String {
    let kept = |byte: u8| if byte == b'\n' { '\n' } else { ' ' };
    text.bytes().map(kept).collect()
}

/// The next piece of a source: a comment, a literal, an identifier or one character.
struct Token {
    len: usize,
    is_comment: bool,
    is_literal: bool,
}

impl Token {
    fn next(rest: &str) -> Self {
        let comment = |len| Token {
            len,
            is_comment: true,
            is_literal: false,
        };
        let literal = |len| Token {
            len,
            is_comment: false,
            is_literal: true,
        };
        if rest.starts_with("//") {
            return comment(rest.find('\n').unwrap_or(rest.len()));
        }
        if rest.starts_with("/*") {
            return comment(block_comment(rest));
        }
        if let Some(len) = string(rest).or_else(|| character(rest)) {
            return literal(len);
        }
        let word = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let one = rest.chars().next().map_or(0, char::len_utf8);
        Token {
            len: word.max(one),
            is_comment: false,
            is_literal: false,
        }
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let (step, change) = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string literal that `rest` begins with: `"…"`, `b"…"`, `c"…"`, `r#"…"#`.
fn string(rest: &str) -> Option<usize> {
    let letters = rest.len() - rest.trim_start_matches(['b', 'c', 'r']).len();
    let is_raw = rest[..letters].contains('r');
    let hashes = rest[letters..].len() - rest[letters..].trim_start_matches('#').len();
    if letters > 2 || (hashes > 0 && !is_raw) {
        return None;
    }
    let open = letters + hashes + 1;
    rest[letters + hashes..].strip_prefix('"')?;
    if is_raw {
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(
            rest[open..]
                .find(&close)
                .map_or(rest.len(), |at| open + at + close.len()),
        );
    }
    Some(quoted(rest, open, b'"'))
}

/// Where the literal that opened before `open` ends, its closing quote included.
fn quoted(rest: &str, open: usize, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = open;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of a character literal; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    let first = inner.chars().next()?;
    if first == '\\' {
        return Some(quoted(rest, 1, b'\''));
    }
    inner[first.len_utf8()..]
        .starts_with('\'')
        .then_some(first.len_utf8() + 2)
}

/// Where the test module that ends a file begins.
fn test_module(bare: &str) -> Option<usize> {
    let mut gates = bare.match_indices("#[cfg(").map(|(at, _)| at);
    let is_gated_module = |&at: &usize| {
        let mut lines = bare[at..].lines();
        let gate = lines.next().is_some_and(|line| has_word(line, "test"));
        gate && lines.next().is_some_and(|line| line.starts_with("mod "))
    };
    gates.find(is_gated_module)
}

/// What stands inside the bodies of functions; the rest is blank.
fn bodies(bare: &str) -> String {
    let mut seen = String::new();
    let (mut depth, mut nested) = (0_usize, 0_usize);
    let mut is_signature = false;
    let mut rest = bare;
    while !rest.is_empty() {
        let (now, after) = rest.split_at(Token::next(rest).len);
        let is_inside = depth > 0;
        match now {
            "fn" if !is_inside && after.starts_with(' ') => (is_signature, nested) = (true, 0),
            "(" | "[" if is_signature => nested += 1,
            ")" | "]" if is_signature => nested = nested.saturating_sub(1),
            ";" if nested == 0 => is_signature = false,
            "{" if is_signature || is_inside => {
                depth += 1;
                is_signature = false;
            }
            "}" if is_inside => depth -= 1,
            _ => {}
        }
        seen.push_str(&if is_inside { now.into() } else { blank(now) });
        rest = after;
    }
    seen
}

// ---- the rules ----

const FRAMEWORKS: [&str; 6] = [
    "candle_core",
    "candle_nn",
    "burn",
    "tch",
    "ndarray",
    "cubecl",
];
const FRAMEWORK_FEATURES: [&str; 5] = [
    "feature = \"candle",
    "feature = \"burn",
    "feature = \"tch",
    "feature = \"ndarray",
    "feature = \"online",
];
const ENCODERS: [&str; 9] = [
    "BmpEncoder",
    "ImageEncoder",
    "JpegEncoder",
    "PngEncoder",
    "image::codecs",
    "jpeg_encoder",
    "png::Encoder",
    "DeflateCompression",
    "write_to(",
];
const DECODERS: [&str; 12] = [
    "ImageDecoder",
    "ImageReader",
    "SafeTensors",
    "guess_format",
    "image::load",
    "image::open",
    "npyz",
    "png::Decoder",
    "safetensors::Dtype",
    "safetensors::serialize",
    "safetensors::tensor",
    "zune_jpeg",
];
const WRITES: [&str; 15] = [
    "File::create",
    "File::create_new",
    "File::options",
    "OpenOptions",
    "create_dir",
    "create_dir_all",
    "DirBuilder",
    "fs::copy",
    "fs::rename",
    "fs::write",
    "hard_link",
    "remove_dir_all",
    "remove_file",
    "set_permissions",
    "symlink",
];
const CLOCKS: [&str; 5] = [
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    ".elapsed()",
];
const JSON_KEYS: [&str; 46] = [
    "\"bounding_box/class_labels\"",
    "\"box_caption\"",
    "\"box_data\"",
    "\"boxes2D\"",
    "\"class_labels\"",
    "\"minX\"",
    "\"_runtime\"",
    "\"_step\"",
    "\"_timestamp\"",
    "\"_type\"",
    "\"_wandb\"",
    "\"all_boxes\"",
    "\"all_masks\"",
    "\"captions\"",
    "\"filenames\"",
    "\"grouping\"",
    "\"image-file\"",
    "\"images/separated\"",
    "\"mask/class_labels\"",
    "\"sha256\"",
    "\"count\"",
    "\"_latest_artifact_path\"",
    "\"allowed_types\"",
    "\"artifact_path\"",
    "\"box_class_maps\"",
    "\"box_layers\"",
    "\"box_score_keys\"",
    "\"class_map\"",
    "\"class_set\"",
    "\"classes-file\"",
    "\"classes.json\"",
    "\"column_types\"",
    "\"element_type\"",
    "\"image-file.json\"",
    "\"log_mode\"",
    "\"mask_class_maps\"",
    "\"mask_layers\"",
    "\"media/classes\"",
    "\"media/table\"",
    "\"ncols\"",
    "\"nrows\"",
    "\"table-file\"",
    "\"table.json\"",
    "\"type_map\"",
    "\"typedDict\"",
    "\"wb_type\"",
];

/// Modules in the order of their dependencies: what stands in the first must not name the second.
const UPWARD: [(&str, &[&str]); 18] = [
    (
        "src/error.rs",
        &[
            "tensor", "pixels", "encode", "decode", "image", "convert", "sink", "artifact",
            "table", "pipeline", "run", "sample",
        ],
    ),
    (
        "src/tensor.rs",
        &[
            "pixels", "encode", "decode", "image", "convert", "sink", "artifact", "table",
            "pipeline", "run", "sample",
        ],
    ),
    (
        "src/pixels/",
        &[
            "encode", "decode", "image", "convert", "sink", "artifact", "table", "pipeline", "run",
            "sample",
        ],
    ),
    (
        "src/encode/",
        &[
            "decode", "image", "convert", "sink", "artifact", "table", "pipeline", "run", "sample",
        ],
    ),
    (
        "src/decode/",
        &[
            "encode", "image", "convert", "sink", "artifact", "table", "pipeline", "run", "sample",
        ],
    ),
    (
        "src/image/",
        &[
            "convert", "sink", "artifact", "table", "pipeline", "run", "sample",
        ],
    ),
    (
        "src/random.rs",
        &[
            "tensor", "pixels", "encode", "decode", "image", "convert", "sink", "artifact",
            "table", "pipeline", "run", "sample",
        ],
    ),
    (
        "src/sync.rs",
        &[
            "tensor", "pixels", "encode", "decode", "image", "convert", "sink", "artifact",
            "table", "pipeline", "run", "sample",
        ],
    ),
    (
        "src/memory.rs",
        &[
            "convert", "sink", "artifact", "table", "pipeline", "run", "sample",
        ],
    ),
    (
        "src/background.rs",
        &["sink", "artifact", "table", "pipeline", "run", "sample"],
    ),
    (
        "src/sink/",
        &["convert", "artifact", "table", "pipeline", "run", "sample"],
    ),
    ("src/artifact/", &["convert", "pipeline", "run", "sample"]),
    ("src/table/", &["convert", "pipeline", "run", "sample"]),
    ("src/pipeline/", &["convert", "run", "sample"]),
    ("src/run/", &["convert", "sample"]),
    (
        "src/convert.rs",
        &["sink", "artifact", "table", "pipeline", "run", "sample"],
    ),
    (
        "src/convert/",
        &["sink", "artifact", "table", "pipeline", "run", "sample"],
    ),
    ("src/", &["integrations"]),
];

fn only_integrations_name_a_framework(source: &Source) -> Faults {
    if source.is_under(&["integrations/"]) {
        return Faults::new();
    }
    faults(source, &source.bare, &FRAMEWORKS)
}

fn src_is_the_same_under_every_framework(source: &Source) -> Faults {
    if source.is_under(&["integrations/"]) {
        return Faults::new();
    }
    faults(source, &source.code, &FRAMEWORK_FEATURES)
}

fn an_integration_hands_over_and_stops(source: &Source) -> Faults {
    if !source.is_under(&["integrations/"]) {
        return Faults::new();
    }
    faults(
        source,
        &source.bare,
        &["argmax", "clamp", "Pixels", "FileType", "Mode"],
    )
}

fn only_a_codec_names_an_encoder(source: &Source) -> Faults {
    if source.is_codec() {
        return Faults::new();
    }
    faults(source, &source.bare, &ENCODERS)
}

fn only_decode_names_a_decoder(source: &Source) -> Faults {
    if source.is_under(&["src/decode/"]) {
        return Faults::new();
    }
    faults(source, &source.bare, &DECODERS)
}

fn only_sink_writes_to_disk(source: &Source) -> Faults {
    if source.is_under(&["src/sink/", "src/bin/"]) {
        return Faults::new();
    }
    faults(source, &source.bare, &WRITES)
}

fn only_run_reads_a_clock(source: &Source) -> Faults {
    if source.is_under(&["src/run/", "src/pipeline/", "src/sample.rs", "src/sample/"]) {
        return Faults::new();
    }
    faults(source, &source.bare, &CLOCKS)
}

fn only_json_rs_spells_a_key(source: &Source) -> Faults {
    if source.is_under(&["src/image/json.rs", "src/image/json/"]) {
        return Faults::new();
    }
    faults(source, &source.code, &JSON_KEYS)
}

fn dependencies_point_one_way(source: &Source) -> Faults {
    let mut all = Faults::new();
    for (_, above) in UPWARD.iter().filter(|(place, _)| source.is_under(&[place])) {
        let paths: Vec<String> = above
            .iter()
            .map(|module| format!("crate::{module}::"))
            .collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        all.extend(faults(source, &source.bare, &paths));
    }
    all
}

fn nothing_is_unsafe(source: &Source) -> Faults {
    let text = source.bare.replace("#![forbid(unsafe_code)]", "");
    faults(source, &text, &["unsafe", "unsafe_code"])
}

fn no_cfg_inside_a_function(source: &Source) -> Faults {
    faults(
        source,
        &bodies(&source.bare),
        &["cfg(", "cfg!(", "cfg_attr("],
    )
}

fn lib_rs_is_a_map(source: &Source) -> Faults {
    if source.path != "src/lib.rs" {
        return Faults::new();
    }
    let logic = [
        "fn",
        "impl",
        "struct",
        "enum",
        "trait",
        "static",
        "macro_rules!",
    ];
    faults(source, &source.bare, &logic)
}

fn only_lib_rs_sets_a_path(source: &Source) -> Faults {
    let mut found = faults(source, &source.bare, &["#[path"]);
    if source.path == "src/lib.rs" && found.len() == 1 {
        found.clear();
    }
    found
}

fn integrations_mod_rs_is_a_list(source: &Source) -> Faults {
    if source.path != "integrations/mod.rs" {
        return Faults::new();
    }
    let mut found = Faults::new();
    let mut is_gated = false;
    for (number, line) in source
        .code
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
    {
        let is_gate = line.starts_with("#[cfg(feature = \"");
        let is_module = line.starts_with("pub mod ") && line.trim_end().ends_with(';');
        let is_allowed = is_gate || (is_module && is_gated);
        if !is_allowed {
            found.push(format!("{}:{}: {line}", source.path, number + 1));
        }
        is_gated = is_gate;
    }
    found
}

// ---- the sources, and planted faults ----

/// The files that no rule holds for: tests in files of their own.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "integrations"] {
        rust_files(&root.join(folder), &mut files);
    }
    let name = |file: &PathBuf| {
        file.strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .replace('\\', "/")
    };
    files
        .iter()
        .map(|file| (name(file), fs::read_to_string(file).unwrap()))
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| Source::new(&path, &text))
        .collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The sources keep the rule; a planted text breaks it exactly where `is_fault` says so.
fn check(rule: fn(&Source) -> Faults, planted: &[(&str, &str, bool)]) {
    for (path, text, is_fault) in planted {
        let found = rule(&Source::new(path, text));
        assert_eq!(
            !found.is_empty(),
            *is_fault,
            "planted in {path}: {text:?} gives {found:?}"
        );
    }
    let found: Faults = sources().iter().flat_map(rule).collect();
    assert!(found.is_empty(), "broken by\n{}", found.join("\n"));
}

#[test]
fn the_sources_are_found() {
    let paths: Vec<String> = sources().into_iter().map(|source| source.path).collect();
    for path in [
        "src/lib.rs",
        "src/image/json.rs",
        "src/encode/png.rs",
        "integrations/mod.rs",
    ] {
        assert!(
            paths.iter().any(|found| found == path),
            "{path} isn't in {paths:?}"
        );
    }
}

#[test]
fn a_source_is_stripped() {
    let check = |text: &str, code: &str, bare: &str| {
        let source = Source::new("src/x.rs", text);
        assert_eq!(
            (source.code.trim_end(), source.bare.trim_end()),
            (code, bare),
            "{text}"
        );
    };
    check("a // burn", "a", "a");
    check("/// burn\nb", "        \nb", "        \nb");
    check(
        "a /* x /* y */ z */ b",
        "a                   b",
        "a                   b",
    );
    check("\"// no\" a", "\"// no\" a", "        a");
    check("r#\"a\"b\"# c", "r#\"a\"b\"# c", "         c");
    check("b\"\\\"x\" c", "b\"\\\"x\" c", "       c");
    check("'\"' a", "'\"' a", "    a");
    check("'\\'' a", "'\\'' a", "     a");
    check("&'a str", "&'a str", "&'a str");
    check("'é' a", "'é' a", "     a");
    check("crab\"x\" b", "crab\"x\" b", "crab    b");
    check("a\n#[cfg(test)]\nmod tests {\n  b\n}", "a", "a");
    check("a\n#[cfg(all(test, b))]\nmod tests {\n  c\n}", "a", "a");
    check(
        "#[cfg(test)]\nuse a;\nb",
        "#[cfg(test)]\nuse a;\nb",
        "#[cfg(test)]\nuse a;\nb",
    );
}

#[test]
fn frameworks_stay_in_integrations() {
    let planted = [
        ("src/convert.rs", "use candle_core::Tensor;", true),
        (
            "src/run/mod.rs",
            "fn f(t: &burn::tensor::Tensor<2>) {}",
            true,
        ),
        (
            "src/bin/wandb-image.rs",
            "let a = ndarray::arr1(&[1]);",
            true,
        ),
        ("src/sink/mod.rs", "extern crate tch;", true),
        ("integrations/candle.rs", "use candle_core::Tensor;", false),
        (
            "src/convert.rs",
            "/// `burn::Tensor` goes through here\nfn burnish() {}",
            false,
        ),
        ("src/error.rs", "let hint = \"a burn tensor\";", false),
    ];
    check(only_integrations_name_a_framework, &planted);
}

#[test]
fn src_does_not_depend_on_a_framework_feature() {
    let planted = [
        (
            "src/convert.rs",
            "#[cfg(feature = \"candle\")]\nuse x;",
            true,
        ),
        (
            "src/lib.rs",
            "#[cfg(feature = \"burn-train\")]\nmod x;",
            true,
        ),
        (
            "src/decode/mod.rs",
            "#[cfg(feature = \"cli\")]\nmod npy;",
            false,
        ),
        (
            "integrations/mod.rs",
            "#[cfg(feature = \"candle\")]\npub mod candle;",
            false,
        ),
    ];
    check(src_is_the_same_under_every_framework, &planted);
}

#[test]
fn integrations_only_hand_over() {
    let planted = [
        ("integrations/tch.rs", "let t = self.clamp(0., 1.);", true),
        ("integrations/burn.rs", "self.clone().argmax(1)", true),
        (
            "integrations/ndarray.rs",
            "use crate::pixels::{Layout, Mode};",
            true,
        ),
        (
            "integrations/ndarray.rs",
            "use crate::pixels::{Layout, Normalize};",
            false,
        ),
        (
            "src/pixels/normalize.rs",
            "let x = x.clamp(0.0, 1.0);",
            false,
        ),
    ];
    check(an_integration_hands_over_and_stops, &planted);
}

#[test]
fn encoders_stay_in_their_files() {
    let planted = [
        (
            "src/sink/media.rs",
            "let mut e = png::Encoder::new(w, 1, 1);",
            true,
        ),
        ("src/encode/mod.rs", "use jpeg_encoder::Encoder;", true),
        (
            "src/image/mod.rs",
            "use ::image::codecs::bmp::BmpEncoder;",
            true,
        ),
        (
            "src/run/mod.rs",
            "picture.write_to(&mut file, format)",
            true,
        ),
        (
            "src/encode/mod.rs",
            "FileType::Png => png::encode(pixels),",
            false,
        ),
        ("src/encode/jpeg.rs", "use jpeg_encoder::Encoder;", false),
    ];
    check(only_a_codec_names_an_encoder, &planted);
}

#[test]
fn decoders_stay_in_decode() {
    let planted = [
        ("src/image/mod.rs", "let p = ::image::open(path)?;", true),
        (
            "src/bin/wandb-image/log.rs",
            "use wandb_image::decode::safetensors;\nlet t = safetensors::read(path)?;",
            false,
        ),
        (
            "src/bin/wandb-image.rs",
            "let t = safetensors::SafeTensors::deserialize(&b)?;",
            true,
        ),
        ("src/encode/png.rs", "png::Decoder::new(r)", true),
        ("src/decode/picture.rs", "use image::ImageReader;", false),
        (
            "src/image/mod.rs",
            "impl From<::image::DynamicImage> for Image {}",
            false,
        ),
        (
            "src/pixels/resize.rs",
            "use image::imageops::{FilterType, resize};",
            false,
        ),
    ];
    check(only_decode_names_a_decoder, &planted);
}

#[test]
fn only_the_sink_writes() {
    let planted = [
        ("src/run/mod.rs", "std::fs::write(path, bytes)?;", true),
        ("src/image/mod.rs", "let file = File::create(path)?;", true),
        ("src/run/builder.rs", "fs::create_dir_all(&dir)?;", true),
        (
            "src/run/builder.rs",
            "OpenOptions::new().append(true)",
            true,
        ),
        (
            "src/run/builder.rs",
            "std::os::unix::fs::symlink(a, b)",
            true,
        ),
        ("src/sink/log.rs", "let file = File::create(path)?;", false),
        (
            "src/decode/picture.rs",
            "let bytes = std::fs::read(path)?;",
            false,
        ),
    ];
    check(only_sink_writes_to_disk, &planted);
}

#[test]
fn only_the_run_reads_a_clock() {
    let planted = [
        ("src/sink/log.rs", "let now = SystemTime::now();", true),
        (
            "src/pixels/mod.rs",
            "let t = std::time::Instant::now();",
            true,
        ),
        (
            "src/sink/records.rs",
            "let now = jiff::Timestamp::now();",
            true,
        ),
        ("src/encode/png.rs", "start.elapsed()", true),
        ("src/run/mod.rs", "let now = SystemTime::now();", false),
        ("src/run/clock.rs", "jiff::Zoned::now()", false),
    ];
    check(only_run_reads_a_clock, &planted);
}

#[test]
fn only_json_rs_spells_wandb_keys() {
    let planted = [
        ("src/run/row.rs", "items.push((\"_step\", step));", true),
        (
            "src/image/mod.rs",
            "map.insert(\"_type\", \"image-file\");",
            true,
        ),
        (
            "src/table/rows.rs",
            "let types = (\"column_types\", json);",
            true,
        ),
        (
            "src/artifact/image.rs",
            "format!(\"{name}.{}\", \"image-file.json\")",
            true,
        ),
        (
            "src/image/json/table.rs",
            "(\"wb_type\", text(\"list\"))",
            false,
        ),
        (
            "src/image/json.rs",
            "pub(crate) const TYPE: &str = \"_type\";",
            false,
        ),
        (
            "src/run/row.rs",
            "/// The key `\"_step\"` is set by the run.\nfn f() {}",
            false,
        ),
        (
            "src/run/row.rs",
            "#[cfg(test)]\nmod tests {\n    \"_step\";\n}",
            false,
        ),
    ];
    check(only_json_rs_spells_a_key, &planted);
}

#[test]
fn modules_depend_one_way() {
    let planted = [
        ("src/pixels/plan.rs", "use crate::image::Image;", true),
        ("src/sink/mod.rs", "use crate::run::Run;", true),
        ("src/pipeline/mod.rs", "use crate::run::Run;", true),
        ("src/run/mod.rs", "use crate::sample::Every;", true),
        ("src/run/mod.rs", "use crate::pipeline::Pipeline;", false),
        ("src/encode/png.rs", "crate::sink::write(x)", true),
        ("src/run/mod.rs", "use crate::integrations::candle;", true),
        ("src/run/mod.rs", "use crate::sink::Record;", false),
        ("src/sink/mod.rs", "use crate::image::json;", false),
        ("src/sink/staging.rs", "use crate::artifact::Entry;", true),
        ("src/sink/logged.rs", "use crate::table::Table;", true),
        ("src/image/mod.rs", "use crate::artifact::Artifact;", true),
        ("src/artifact/draft.rs", "use crate::run::Run;", true),
        ("src/table/rows.rs", "crate::pipeline::Parcel::new()", true),
        ("src/table/rows.rs", "use crate::artifact::Files;", false),
        ("src/artifact/mod.rs", "use crate::table::Table;", false),
        (
            "src/pipeline/writer.rs",
            "use crate::table::MadeTable;",
            false,
        ),
    ];
    check(dependencies_point_one_way, &planted);
}

/// The compiler refuses it in the library twice, and in the command, the tests, the examples and the
/// benchmarks by the lint of the package.
#[test]
fn unsafe_is_forbidden() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, line) in [
        ("src/lib.rs", "#![forbid(unsafe_code)]"),
        ("Cargo.toml", "unsafe_code = \"forbid\""),
    ] {
        let text = fs::read_to_string(root.join(path)).unwrap();
        assert!(text.lines().any(|found| found == line), "{path}: {line}");
    }
    let planted = [
        ("src/x.rs", "fn f() {\n    unsafe { g() }\n}", true),
        ("src/x.rs", "#![allow(unsafe_code)]", true),
        ("src/lib.rs", "#![forbid(unsafe_code)]", false),
        ("src/x.rs", "// unsafe\nfn f() { \"unsafe\"; }", false),
    ];
    check(nothing_is_unsafe, &planted);
}

#[test]
fn cfg_stays_out_of_functions() {
    let planted = [
        ("src/x.rs", "fn f() {\n    #[cfg(unix)]\n    g();\n}", true),
        (
            "src/x.rs",
            "impl A {\n    fn f(a: [u8; 2]) -> u8 {\n        if cfg!(unix) { 1 } else { 2 }\n    }\n}",
            true,
        ),
        (
            "src/x.rs",
            "impl A {\n    #[cfg(unix)]\n    fn f() { if a { b } }\n\n    #[cfg(unix)]\n    fn g() {}\n}",
            false,
        ),
        (
            "src/x.rs",
            "trait A {\n    fn f(a: [u8; 2]);\n    #[cfg(unix)]\n    fn g() {}\n}",
            false,
        ),
        (
            "src/x.rs",
            "fn f() {\n    // #[cfg(unix)]\n    g(\"}\");\n}\n#[cfg(unix)]\nmod m;",
            false,
        ),
    ];
    check(no_cfg_inside_a_function, &planted);
}

#[test]
fn lib_rs_has_no_logic() {
    let planted = [
        ("src/lib.rs", "pub fn init() {}", true),
        ("src/lib.rs", "pub struct A;", true),
        (
            "src/lib.rs",
            "//! fn\npub mod run;\npub use run::init;",
            false,
        ),
        ("src/run/mod.rs", "pub fn init() {}", false),
    ];
    check(lib_rs_is_a_map, &planted);
}

#[test]
fn one_path_attribute() {
    let planted = [
        (
            "src/lib.rs",
            "#[path = \"a.rs\"]\nmod a;\n#[path = \"b.rs\"]\nmod b;",
            true,
        ),
        ("src/run/mod.rs", "#[path = \"a.rs\"]\nmod a;", true),
        (
            "src/lib.rs",
            "#[path = \"../integrations/mod.rs\"]\npub mod integrations;",
            false,
        ),
    ];
    check(only_lib_rs_sets_a_path, &planted);
}

#[test]
fn integrations_are_a_list() {
    let planted = [
        ("integrations/mod.rs", "pub mod candle;", true),
        (
            "integrations/mod.rs",
            "#[cfg(feature = \"a\")]\npub mod a;\nfn f() {}",
            true,
        ),
        (
            "integrations/mod.rs",
            "#[cfg(feature = \"a\")]\nuse b;",
            true,
        ),
        (
            "integrations/mod.rs",
            "//! Docs.\n\n#[cfg(feature = \"a\")]\npub mod a;\n",
            false,
        ),
    ];
    check(integrations_mod_rs_is_a_list, &planted);
}
