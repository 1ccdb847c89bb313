#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
//! A tensor goes one way: `integrations/` takes a snapshot and brings it to the host as a
//! [`HostTensor`]; [`pixels`] makes [`Pixels`] of it; [`encode`] the bytes of a file. [`run`]
//! accepts rows in the caller; the workers and the writer of `pipeline` make pictures in the
//! background and hand them on; a [`sink`] keeps files and records, in order. [`image`] holds what
//! is not made yet, and [`sample`] says when there is something to log. What an [`artifact`] or a
//! [`table`] holds is made in the one workshop of the process, into files that the writer hands to
//! the sink.
//!
//! What each file may know (`tests/it/invariants.rs` reads the sources and checks it):
//!
//! 1. Only `integrations/` names a framework. What `src/` does is the same under every
//!    framework's feature.
//! 2. An integration hands over and stops: shape, dtype, a selection or a snapshot on the device,
//!    the elements on the host. No layout, no normalising, no clamping.
//! 3. Only `encode/<format>.rs` names an encoder, only `decode/` a decoder. Only `image/json.rs`
//!    and `image/json/` spell a JSON key of W&B. Only `sink/` writes to disk; only `run/`,
//!    `pipeline/` and `sample/` read a clock.
//! 4. `pixels/` and `encode/` are pure functions of their input. What they noticed is part of
//!    what they return, and the run reports it once per key.
//! 5. Preconditions live in types; nothing re-checks them later.
//! 6. Nothing panics on user data, and nothing that fails behind `log` stops a training loop: it
//!    is counted and told, and `finish` returns the first failure.
//! 7. Modules depend one way: integrations → convert → image → encode, decode → pixels → tensor,
//!    and sample → run → pipeline → artifact, table → sink → image; all → error.

#![forbid(unsafe_code)]

pub mod tensor;

pub mod pixels;

pub mod encode;

pub mod decode;

mod value;

pub mod image;

pub mod convert;

pub mod sink;

pub mod artifact;

pub mod table;

mod random;

mod sync;

mod memory;

mod background;

mod pipeline;

pub mod run;

pub mod sample;

mod error;

#[path = "../integrations/mod.rs"]
pub mod integrations;

pub use artifact::{Artifact, ArtifactMedia, OpenArtifact};
pub use convert::{ImageOptions, IntoWandbImage};
pub use encode::{FileType, PngEffort};
pub use error::{BoxedError, Error, Result};
pub use image::Image;
pub use image::boxes::{BoundingBox, BoundingBoxes2D, BoxFormat, Domain, Invalid, Position};
pub use image::classes::{ClassId, Classes};
pub use image::list::{ImageList, Overlong};
pub use image::mask::{ImageMask, MaskOptions};
pub use pipeline::{Counts, Overflow, Stats};
pub use pixels::{Grid, Layout, Mode, Normalize, Observed, Pixels, Resize, to_uint8};
pub use run::{Row, Run, RunBuilder, RunMode, Value, init};
pub use sample::{Choose, Every, IntoSamples, Keep, SampleLogger, Samples};
pub use sink::Durability;
pub use table::{Cell, IntoRow, Table, TableReader, TableRows};
pub use tensor::{DType, HostTensor, Snapshot};
pub use value::Scalar;
