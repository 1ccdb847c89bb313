//! The command `wandb-image`: logs tensors and pictures from files, lists what a run holds, lays out
//! its artifacts, and verifies and repairs runs.

mod args;
mod artifacts;
mod extract;
mod failure;
mod log;
mod ls;
mod normalize;
mod print;
mod progress;
mod repair;
mod table;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Log(args) => log::run(&args.checked()),
        Command::Ls(args) => ls::run(&args),
        Command::Extract(args) => extract::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Repair(args) => repair::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A closed stderr leaves the exit code.
            let _ = write!(std::io::stderr(), "{}", failure.report());
            ExitCode::FAILURE
        }
    }
}
