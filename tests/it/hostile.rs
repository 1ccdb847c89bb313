//! Input that was made to do harm: claims of a size that isn't there, keys that leave the run,
//! files that are damaged or aren't what they say, and secrets that must not be written down.

mod claims;
mod keys;
mod pictures;
mod png;
mod secrets;
