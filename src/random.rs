//! Names and marks drawn by chance, whatever the program does with `fastrand`.

use std::hash::{BuildHasher, RandomState};

/// A generator of its own: it draws nothing from the program's, so its numbers stay those of its
/// seed, and a program that is seeded draws no name twice.
pub(crate) fn generator() -> fastrand::Rng {
    fastrand::Rng::with_seed(RandomState::new().hash_one(()))
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
}
