//! The time, as rows and records want it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sink::records::Timestamp;

/// Knows when the run began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    begun: Instant,
    begun_at: SystemTime,
}

/// When a row was logged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Seconds since 1970.
    pub(crate) timestamp: f64,
    /// Seconds since the run began.
    pub(crate) runtime: f64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            begun: Instant::now(),
            begun_at: SystemTime::now(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment {
            timestamp: since_1970(SystemTime::now()).as_secs_f64(),
            runtime: self.begun.elapsed().as_secs_f64(),
        }
    }

    /// Whole seconds since the run began.
    pub(crate) fn runtime(&self) -> i32 {
        i32::try_from(self.begun.elapsed().as_secs()).unwrap_or(i32::MAX)
    }

    pub(crate) fn begun_at(&self) -> Timestamp {
        let since = since_1970(self.begun_at);
        Timestamp {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanos: since.subsec_nanos().cast_signed(),
        }
    }

    /// Local time, as the name of a run's directory has it.
    pub(crate) fn stamp(&self) -> String {
        let begun_at = jiff::Timestamp::try_from(self.begun_at).unwrap_or_default();
        let local = begun_at.to_zoned(jiff::tz::TimeZone::system());
        local.strftime("%Y%m%d_%H%M%S").to_string()
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
