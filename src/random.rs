//! Names and marks drawn by chance, whatever the program does with `fastrand`.

use std::hash::{BuildHasher, RandomState};

/// A generator of its own: it draws nothing from the program's, so its numbers stay those of its
/// seed, and a program that is seeded draws no name twice. Nor do processes that were forked from one.
pub(crate) fn generator() -> fastrand::Rng {
    let seed = seed(&RandomState::new(), std::process::id());
    fastrand::Rng::with_seed(seed)
}

/// The keys of the state are the parent's in each process that was forked.
fn seed(state: &RandomState, process: u32) -> u64 {
    state.hash_one(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_of_the_program_gives_no_number_twice_and_is_left_alone() {
        fastrand::seed(7);
        let numbers = (fastrand::u64(..), fastrand::u64(..));
        fastrand::seed(7);
        let first = generator().u64(..);
        assert_eq!((fastrand::u64(..), fastrand::u64(..)), numbers);
        fastrand::seed(7);
        assert_ne!(generator().u64(..), first);
    }

    #[test]
    fn processes_that_were_forked_draw_other_numbers() {
        let inherited = RandomState::new();
        assert_ne!(seed(&inherited, 7), seed(&inherited, 8));
    }
}
