#[cfg(feature = "recsys")]
pub mod data;
pub mod error;
#[cfg(feature = "recsys")]
pub mod eval;

pub use error::{Error, Result};
