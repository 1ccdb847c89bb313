//! Processes that tests start.

use std::process::Command;

/// The command without the user's own settings of W&B.
pub(crate) fn without_wandb(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"WANDB_") {
            command.env_remove(name);
        }
    }
    command
}

/// This program, behind `before` on the command line, to run one test that is ignored otherwise.
pub(crate) fn of_this_binary(before: &[&str], test: &str) -> Command {
    let exe = std::env::current_exe().unwrap();
    let mut command = match before.split_first() {
        None => Command::new(exe),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(exe);
            command
        }
    };
    command.args(["--ignored", "--exact", test, "--nocapture"]);
    without_wandb(&mut command);
    command
}
