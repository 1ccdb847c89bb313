//! What a run says to a person.

use std::io::Write;

use tracing::subscriber::NoSubscriber;

/// Says lines on stderr, and warnings where the program listens: through `tracing` if it has a
/// subscriber, else on stderr.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    pub(super) silent: bool,
}

impl Voice {
    pub(super) fn line(self, text: &str) {
        if !self.silent {
            // A closed stderr is no reason to fail.
            let _ = writeln!(std::io::stderr(), "wandb-image: {text}");
        }
    }

    pub(super) fn warn(self, text: &str) {
        if somebody_listens() {
            tracing::warn!("{text}");
        } else {
            self.line(&format!("warning: {text}"));
        }
    }

    pub(super) fn error(self, text: &str) {
        if somebody_listens() {
            tracing::error!("{text}");
        } else {
            self.line(&format!("error: {text}"));
        }
    }
}

/// Whether this thread has a subscriber.
fn somebody_listens() -> bool {
    !tracing::dispatcher::get_default(|dispatch| dispatch.is::<NoSubscriber>())
}
