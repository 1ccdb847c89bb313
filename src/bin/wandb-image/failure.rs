//! What ends the command with exit code 1.

use std::error::Error as _;
use std::fmt::Write;

use wandb_image::Error;

/// An error, and what it is about where the error itself doesn't say so.
#[derive(Debug)]
pub(crate) struct Failure {
    about: Option<String>,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Library(Error),
    Text(String),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            about: None,
            cause: Cause::Text(text.into()),
        }
    }

    pub(crate) fn about(what: impl Into<String>, error: Error) -> Self {
        Self {
            about: Some(what.into()),
            cause: Cause::Library(error),
        }
    }

    /// The lines for stderr.
    pub(crate) fn report(&self) -> String {
        let mut report = String::from("error: ");
        if let Some(about) = &self.about {
            report += &format!("{about}: ");
        }
        match &self.cause {
            Cause::Text(text) => report += text,
            Cause::Library(error) => report += &chain(error),
        }
        report.push('\n');
        report + self.help()
    }

    fn help(&self) -> &'static str {
        match &self.cause {
            Cause::Library(Error::Channels { .. }) => {
                "help: --layout chw or --layout hwc says how the dimensions are read; \
                 two channels are grey with alpha under --mode LA\n"
            }
            Cause::Library(Error::Rank { .. }) => {
                "help: --tensor NAME selects the tensors of a .safetensors file that are pictures\n"
            }
            Cause::Library(Error::Key { .. }) => "help: --key K names the key to log under\n",
            _ => "",
        }
    }
}

/// The error and its sources, those left out that are told already.
fn chain(error: &Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !told.contains(&text) {
            // Writing to a String can't fail.
            let _ = write!(told, "\n  caused by: {text}");
        }
        source = error.source();
    }
    told
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            about: None,
            cause: Cause::Library(error),
        }
    }
}
