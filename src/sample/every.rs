//! [`Every`]: when samples are due.

/// When samples are due: a schedule of steps, epochs or seconds, or several of them.
///
/// Steps are absolute: a run that starts at step 1,234 samples at the same steps as one that came
/// there from 0. Where ticks jump over a step that is due, the next one is due, once.
///
/// The default is [`log_spaced`](Self::log_spaced) or [`steps`](Self::steps)`(1000)`: step 0, close
/// to each other at first, while much changes, and every 1,000 steps after that.
///
/// ```
/// use wandb_image::Every;
///
/// let each_epoch = Every::epochs(1);
/// let also_at_first = Every::first(10).or(Every::steps(500));
/// let but_at_least_hourly = also_at_first.or(Every::seconds(3600.0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Every(Vec<Rule>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Steps(u64),
    Epochs(u64),
    Nanos(u64),
    LogSpaced,
    First(u64),
}

impl Every {
    /// Every `n` steps: 0, `n`, 2 `n` and so on. 0 counts as 1.
    pub fn steps(n: u64) -> Self {
        Self(vec![Rule::Steps(n.max(1))])
    }

    /// Every `n` epochs: those whose number is a multiple of `n`, whether they are counted from 0
    /// or from 1. 0 counts as 1.
    ///
    /// [`SampleLogger::end_epoch`](crate::SampleLogger::end_epoch) announces the end of an epoch;
    /// where it is due, the next [`tick`](crate::SampleLogger::tick) is.
    pub fn epochs(n: u64) -> Self {
        Self(vec![Rule::Epochs(n.max(1))])
    }

    /// Every `seconds` of wall time: at the first tick, and then at each that comes so long after
    /// the last which was due for this. Negative numbers and NaN count as 0: every step.
    pub fn seconds(seconds: f64) -> Self {
        Self(vec![Rule::Nanos((seconds * 1e9) as u64)])
    }

    /// Steps 1, 2, 5, 10, 20, 50, 100 and so on: as many in each decade. Step 0 isn't among them.
    pub fn log_spaced() -> Self {
        Self(vec![Rule::LogSpaced])
    }

    /// The first `k` steps: those below `k`. 0 is never.
    pub fn first(k: u64) -> Self {
        Self(vec![Rule::First(k)])
    }

    /// Due where this or `other` is; once where both are.
    pub fn or(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The first step from `step` on that is due.
    pub(super) fn step_from(&self, step: u64) -> Option<u64> {
        self.0.iter().filter_map(|rule| rule.step_from(step)).min()
    }

    /// Whether the end of this epoch is due, where epochs are asked for at all.
    pub(super) fn epoch(&self, epoch: u64) -> Option<bool> {
        let due = self.0.iter().filter_map(|rule| match rule {
            Rule::Epochs(n) => Some(epoch.is_multiple_of(*n)),
            _ => None,
        });
        due.reduce(|a, b| a || b)
    }

    pub(super) fn has_epochs(&self) -> bool {
        self.0.iter().any(|rule| matches!(rule, Rule::Epochs(_)))
    }

    /// The least time between two ticks that are due for their time.
    pub(super) fn nanos(&self) -> Option<u64> {
        let nanos = self.0.iter().filter_map(|rule| match rule {
            Rule::Nanos(nanos) => Some(*nanos),
            _ => None,
        });
        nanos.min()
    }
}

impl Default for Every {
    fn default() -> Self {
        Self::log_spaced().or(Self::steps(1000))
    }
}

impl Rule {
    fn step_from(self, step: u64) -> Option<u64> {
        match self {
            Rule::Steps(n) => step.checked_next_multiple_of(n),
            Rule::First(k) => (step < k).then_some(step),
            Rule::LogSpaced => log_spaced_from(step),
            Rule::Epochs(_) | Rule::Nanos(_) => None,
        }
    }
}

fn log_spaced_from(step: u64) -> Option<u64> {
    let decade = 10_u64.pow(step.max(1).ilog10());
    let marks = [1, 2, 5, 10].map(|mark| decade.checked_mul(mark));
    marks.into_iter().flatten().find(|&mark| mark >= step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(every: &Every, step: u64, expected: impl Into<Option<u64>>) {
        assert_eq!(every.step_from(step), expected.into(), "{every:?}, {step}");
    }

    #[test]
    fn the_greatest_steps_have_an_answer() {
        check(&Every::steps(1), u64::MAX, u64::MAX);
        check(&Every::steps(10), u64::MAX, None);
        check(&Every::steps(u64::MAX), 1, u64::MAX);
        check(&Every::log_spaced(), u64::MAX, None);
        check(&Every::log_spaced(), u64::MAX / 2, 10_u64.pow(19));
        check(&Every::first(u64::MAX), u64::MAX, None);
    }

    #[test]
    fn zero_is_clamped() {
        check(&Every::steps(0), 7, 7);
        check(&Every::first(0), 0, None);
        assert_eq!(Every::epochs(0).epoch(7), Some(true));
        assert_eq!(Every::seconds(0.0).nanos(), Some(0));
        assert_eq!(Every::seconds(-1.0).nanos(), Some(0));
        assert_eq!(Every::seconds(f64::NAN).nanos(), Some(0));
        assert_eq!(Every::seconds(f64::INFINITY).nanos(), Some(u64::MAX));
    }
}
