//! The integration tests: one binary, so that they link once.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod bad_input;
#[cfg(feature = "cli")]
mod cli;
#[cfg(any(
    feature = "candle",
    feature = "burn-example",
    feature = "tch",
    feature = "ndarray"
))]
mod contract;
mod device;
mod golden;
mod history;
mod pixels;
mod readme;
mod run;
