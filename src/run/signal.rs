//! Ending runs on SIGINT and SIGTERM, where a program asks for it.

#[cfg(not(unix))]
pub(super) use elsewhere::{Watch, watch};
#[cfg(unix)]
pub(super) use unix::{Watch, watch};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::{flag, low_level};

    use super::super::Shared;
    use crate::error::{Error, Result};
    use crate::pipeline::Deadline;

    /// What a shell reports for a run that a signal ended, in W&B's words.
    const EXIT_CODE: i32 = 255;

    static WATCHED: Mutex<Watched> = Mutex::new(Watched {
        installed: false,
        runs: Vec::new(),
    });

    struct Watched {
        installed: bool,
        runs: Vec<Weak<Shared>>,
    }

    fn watched() -> MutexGuard<'static, Watched> {
        WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The proof that signals are watched.
    pub(in super::super) struct Watch(());

    /// Installs the handlers, once per process.
    pub(in super::super) fn watch() -> Result<Watch> {
        let mut watched = watched();
        if !watched.installed {
            install().map_err(|source| Error::Signal { source })?;
            watched.installed = true;
        }
        Ok(Watch(()))
    }

    impl Watch {
        pub(in super::super) fn add(&self, run: &Arc<Shared>) {
            let runs = &mut watched().runs;
            runs.retain(|run| run.strong_count() > 0);
            runs.push(Arc::downgrade(run));
        }
    }

    fn install() -> io::Result<()> {
        let ending = Arc::new(AtomicBool::new(false));
        // A second signal, while the first one's work goes on, ends the process at once.
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, Arc::clone(&ending))?;
        }
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let wait = move || {
            for signal in signals.forever() {
                ending.store(true, Ordering::SeqCst);
                finish_all();
                // Returns only where it fails; then the signal is lost, and the next one counts.
                let _ = low_level::emulate_default_handler(signal);
            }
        };
        std::thread::Builder::new()
            .name("wandb-image-signals".into())
            .spawn(wait)
            .map(drop)
    }

    fn finish_all() {
        let runs: Vec<_> = watched().runs.iter().filter_map(Weak::upgrade).collect();
        for run in runs {
            run.finish_anyway(EXIT_CODE, Deadline::after(run.finish_timeout));
        }
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::sync::Arc;

    use super::super::Shared;
    use crate::error::Result;

    pub(in super::super) struct Watch;

    /// There are no such signals here.
    pub(in super::super) fn watch() -> Result<Watch> {
        Ok(Watch)
    }

    impl Watch {
        pub(in super::super) fn add(&self, _run: &Arc<Shared>) {}
    }
}
