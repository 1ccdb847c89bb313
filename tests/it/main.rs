//! The integration tests: one binary, so that they link once.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

#[cfg(unix)]
mod artifact_disk;
mod artifact_golden;
mod artifact_reading;
mod artifacts;
mod bad_input;
#[cfg(feature = "burn-train")]
mod burn_train;
mod child;
#[cfg(feature = "cli")]
mod cli;
mod client;
#[cfg(any(
    feature = "candle",
    feature = "burn-example",
    feature = "tch",
    feature = "ndarray"
))]
mod contract;
mod device;
mod faults;
mod flush;
mod framed;
mod fuzz;
mod golden;
mod graph;
mod history;
mod hostile;
mod images;
mod invariants;
#[cfg(unix)]
mod kill;
mod lists;
#[cfg(target_os = "linux")]
mod load;
mod overlay_errors;
mod overlay_properties;
mod overlays;
mod pillow;
mod pipeline;
mod pixels;
#[cfg(feature = "candle-example")]
mod predictions;
mod readme;
mod resume;
mod rows;
mod run;
mod sample;
#[cfg(unix)]
mod soak;
mod sync;
mod sync_overlays;
mod tables;
mod torn;
mod verify;
mod warnings;
