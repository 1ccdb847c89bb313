//! One file per framework, each only a way to a [`HostTensor`](crate::HostTensor); and one for
//! each training loop of a framework that can be hooked into.

#[cfg(feature = "burn")]
pub mod burn;
#[cfg(feature = "burn-train")]
pub mod burn_train;
#[cfg(feature = "candle")]
pub mod candle;
#[cfg(feature = "ndarray")]
pub mod ndarray;
#[cfg(feature = "tch")]
pub mod tch;
