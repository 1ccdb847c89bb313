//! The time, as rows and records want it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sink::records::Timestamp;

/// Knows when the run began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    begun: Instant,
    begun_at: SystemTime,
    /// What the run took before, where it goes on.
    before: Duration,
}

/// When a row was logged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Seconds since 1970.
    pub(crate) timestamp: f64,
    /// Seconds that the run took.
    pub(crate) runtime: f64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            begun: Instant::now(),
            begun_at: SystemTime::now(),
            before: Duration::ZERO,
        }
    }

    /// The clock of a run that goes on after so many seconds.
    pub(crate) fn resumed(runtime: f64) -> Self {
        Self {
            before: Duration::try_from_secs_f64(runtime).unwrap_or_default(),
            ..Self::start()
        }
    }

    fn took(&self) -> Duration {
        self.before.saturating_add(self.begun.elapsed())
    }

    pub(crate) fn now(&self) -> Moment {
        self.moment(SystemTime::now())
    }

    /// The time that the system says it is may go back; that since the run began never does.
    fn moment(&self, at: SystemTime) -> Moment {
        Moment {
            timestamp: since_1970(at).as_secs_f64(),
            runtime: self.took().as_secs_f64(),
        }
    }

    /// Whole seconds that the run took.
    pub(crate) fn runtime(&self) -> i32 {
        i32::try_from(self.took().as_secs()).unwrap_or(i32::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: f64, expected: f64) {
        let took = Clock::resumed(before).now().runtime;
        assert!((expected..expected + 60.0).contains(&took), "{took}");
    }

    #[test]
    fn a_run_that_goes_on_has_taken_what_it_took_before() {
        check(0.0, 0.0);
        check(3600.5, 3600.5);
        check(-1.0, 0.0);
        check(f64::NAN, 0.0);
        check(1e300, 0.0);
        assert_eq!(Clock::resumed(1e19).runtime(), i32::MAX);
    }

    fn clock(begun_at: SystemTime) -> Clock {
        Clock {
            begun_at,
            ..Clock::start()
        }
    }

    #[test]
    fn a_clock_that_is_set_back_changes_the_timestamp_alone() {
        let noon = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let clock = clock(noon);
        let before = clock.moment(noon);
        let after = clock.moment(noon - Duration::from_secs(3600));
        assert_eq!(before.timestamp - after.timestamp, 3600.0);
        assert!(before.runtime <= after.runtime, "{before:?} {after:?}");
        assert!(clock.runtime() >= 0);
        assert_eq!(clock.begun_at().seconds, 1_700_000_000);
    }

    #[test]
    fn a_clock_before_1970_is_one_at_1970() {
        let early = UNIX_EPOCH - Duration::from_secs(86_400 * 366);
        let clock = clock(early);
        assert_eq!(clock.moment(early).timestamp, 0.0);
        assert_eq!(clock.begun_at(), Timestamp::default());
        let stamp = clock.stamp();
        assert!(
            stamp.starts_with("1968") || stamp.starts_with("1969"),
            "{stamp}"
        );
        assert_eq!(stamp.len(), "YYYYMMDD_HHMMSS".len());
    }
}
