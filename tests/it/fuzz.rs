//! Every input that fuzzing kept, on the stable compiler. `scripts/fuzz.sh` looks for new ones.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/targets.rs"]
#[allow(unreachable_pub, reason = "there it is a library")]
mod targets;

/// Runs a target on each input of its corpus; one that fails is named.
fn replay(name: &str, target: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let entries = fs::read_dir(corpus.join(name)).unwrap();
    let mut inputs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() > 20, "{} inputs for {name}", inputs.len());
    for input in inputs {
        let bytes = fs::read(&input).unwrap();
        let failed = std::panic::catch_unwind(|| target(&bytes)).is_err();
        assert!(!failed, "the target {name} fails on {}", input.display());
    }
}

macro_rules! replayed {
    ($($(#[$cfg:meta])? $target:ident),* $(,)?) => {$(
        $(#[$cfg])?
        #[test]
        fn $target() {
            replay(stringify!($target), targets::$target);
        }
    )*};
}

replayed!(
    log_reader,
    repair,
    picture,
    #[cfg(feature = "cli")]
    safetensors,
    #[cfg(feature = "cli")]
    npy,
    key,
    layers,
    normalize,
    files,
    artifact,
);
