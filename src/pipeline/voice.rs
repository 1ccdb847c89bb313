//! What a run says to a person.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::Dispatch;
use tracing::dispatcher;
use tracing::subscriber::NoSubscriber;

/// Says lines on stderr, and warnings where the program listens: through `tracing` if the thread
/// has a subscriber, or the one had that started the run; else on stderr.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    silent: bool,
    at_start: Dispatch,
}

impl Voice {
    pub(crate) fn new(silent: bool) -> Self {
        Self {
            silent,
            at_start: dispatcher::get_default(Clone::clone),
        }
    }

    pub(crate) fn line(&self, text: &str) {
        if !self.silent {
            // A closed stderr is no reason to fail.
            let _ = writeln!(std::io::stderr(), "wandb-image: {text}");
        }
    }

    pub(crate) fn warn(&self, text: &str) {
        match self.listener() {
            Some(listener) => tell(&listener, || tracing::warn!("{text}")),
            None => self.line(&format!("warning: {text}")),
        }
    }

    pub(crate) fn error(&self, text: &str) {
        match self.listener() {
            Some(listener) => tell(&listener, || tracing::error!("{text}")),
            None => self.line(&format!("error: {text}")),
        }
    }

    fn listener(&self) -> Option<Dispatch> {
        let here = dispatcher::get_default(Clone::clone);
        let mut both = [here, self.at_start.clone()].into_iter();
        both.find(|dispatch| !dispatch.is::<NoSubscriber>())
    }
}

/// A listener that panics is none of the run's: nothing is said then.
fn tell(listener: &Dispatch, event: impl FnOnce()) {
    let event = || dispatcher::with_default(listener, event);
    let _ = catch_unwind(AssertUnwindSafe(event));
}
