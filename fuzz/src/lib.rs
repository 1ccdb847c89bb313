//! What the fuzz targets do with their bytes. Stable Rust: `tests/it/fuzz.rs` replays the corpora.

pub mod targets;
