//! Progress of long work, on stderr, where that is a terminal.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Work on fewer bytes and files than these is done before a person could read a bar.
const LONG_BYTES: u64 = 64 << 20;
const LONG_FILES: usize = 32;

/// Counts files while they are read.
pub(crate) fn reading(files: &[PathBuf]) -> ProgressBar {
    let sizes = files.iter().filter_map(|file| std::fs::metadata(file).ok());
    let bytes = sizes.fold(0_u64, |sum, file| sum.saturating_add(file.len()));
    if bytes < LONG_BYTES && files.len() < LONG_FILES {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(files.len() as u64).with_message("reading");
    match ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} files, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Turns while images are made and written.
pub(crate) fn writing(images: usize, pixels: u64) -> ProgressBar {
    if images < LONG_FILES && pixels < LONG_BYTES {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(format!("writing {images} images"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
