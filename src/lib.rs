#![doc = include_str!("../README.md")]
//!
//! # Names
//!
//! In the order in which a program meets them:
//!
//! | for | names |
//! | --- | --- |
//! | a run | [`init`], [`RunBuilder`], [`RunMode`], [`Durability`], [`Overflow`]; [`Run`], [`Row`], [`Value`], [`Stats`], [`Counts`]; [`Error`] |
//! | pictures from tensors | [`IntoWandbImage`], [`ImageOptions`]: [`Normalize`], [`Layout`], [`Mode`], [`Grid`], [`Resize`], [`FileType`], [`PngEffort`]; [`HostTensor`], [`DType`], [`Snapshot`] |
//! | pictures | [`Image`], [`ImageList`], [`Overlong`], [`Pixels`], [`Observed`], [`to_uint8`] |
//! | masks and boxes | [`ImageMask`], [`MaskOptions`]; [`BoundingBoxes2D`], [`BoundingBox`], [`Position`], [`Domain`], [`BoxFormat`], [`Invalid`]; [`Classes`], [`ClassId`] |
//! | sampling | [`SampleLogger`], [`Every`], [`Samples`], [`IntoSamples`], [`Keep`], [`Choose`] |
//! | tables | [`Table`], [`IntoRow`], [`Cell`], [`Scalar`]; [`TableReader`], [`TableRows`] |
//! | artifacts | [`Artifact`], [`ArtifactMedia`]; [`OpenArtifact`] |
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

#[doc(inline)]
pub use artifact::{Artifact, ArtifactMedia, OpenArtifact};
#[doc(inline)]
pub use convert::{ImageOptions, IntoWandbImage};
#[doc(inline)]
pub use encode::{FileType, PngEffort};
#[doc(inline)]
pub use error::{BoxedError, Error, Result};
#[doc(inline)]
pub use image::Image;
#[doc(inline)]
pub use image::boxes::{BoundingBox, BoundingBoxes2D, BoxFormat, Domain, Invalid, Position};
#[doc(inline)]
pub use image::classes::{ClassId, Classes};
#[doc(inline)]
pub use image::list::{ImageList, Overlong};
#[doc(inline)]
pub use image::mask::{ImageMask, MaskOptions};
#[doc(inline)]
pub use pipeline::{Counts, Overflow, Stats};
#[doc(inline)]
pub use pixels::{Grid, Layout, Mode, Normalize, Observed, Pixels, Resize, to_uint8};
#[doc(inline)]
pub use run::{Row, Run, RunBuilder, RunMode, Value, init};
#[doc(inline)]
pub use sample::{Choose, Every, IntoSamples, Keep, SampleLogger, Samples};
#[doc(inline)]
pub use sink::Durability;
#[doc(inline)]
pub use table::{Cell, IntoRow, Table, TableReader, TableRows};
#[doc(inline)]
pub use tensor::{DType, HostTensor, Snapshot};
#[doc(inline)]
pub use value::Scalar;
