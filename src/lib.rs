pub mod error;
pub mod gpu;
pub mod ops;
pub mod tape;
pub mod tensor;

#[cfg(feature = "check")]
pub mod check;
#[cfg(feature = "recsys")]
pub mod data;
#[cfg(feature = "recsys")]
pub mod eval;
#[cfg(feature = "recsys")]
pub mod model;
#[cfg(feature = "recsys")]
pub mod nn;
#[cfg(feature = "check")]
pub mod reference;
#[cfg(feature = "recsys")]
pub mod train;

pub use error::{Error, Result};
pub use gpu::{Gpu, Options};
pub use tape::{Grads, Tape};
pub use tensor::Tensor;
