//! Without a feature no framework is in the graph, dev-dependencies included.

use std::process::Command;

const FRAMEWORKS: [&str; 7] = [
    "burn",
    "candle",
    "cubecl",
    "ndarray",
    "tch",
    "torch-sys",
    "wgpu",
];

/// The packages of a `cargo tree --prefix none` that belong to a framework.
fn frameworks_in(tree: &str) -> Vec<&str> {
    let is_framework = |package: &&str| {
        FRAMEWORKS.iter().any(|framework| {
            let rest = package.strip_prefix(framework);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    };
    let packages = tree.lines().filter_map(|line| line.split(' ').next());
    packages.filter(is_framework).collect()
}

#[test]
fn no_framework_without_a_feature() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--no-default-features"])
        .args(["-e", "normal,dev", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree failed:\n{stderr}");
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.starts_with("wandb-image v"), "no tree of ours: {tree}");
    assert!(tree.contains("\nserde_json v"), "half a tree: {tree}");
    assert_eq!(frameworks_in(&tree), Vec::<&str>::new());
}

#[test]
fn a_framework_is_seen() {
    let tree = "wandb-image v0.1.0 (/here)\ncandle-core v0.11.1\nburn v0.22.1\nburnish v1.0.0\n\
                torch-sys v0.22.0\ntch v0.22.0\nndarray v0.17.1\nserde v1.0.0\n";
    assert_eq!(
        frameworks_in(tree),
        ["candle-core", "burn", "torch-sys", "tch", "ndarray"]
    );
}
