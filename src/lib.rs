pub mod error;
#[cfg(feature = "recsys")]
pub mod data;
#[cfg(feature = "recsys")]
pub mod eval;

pub use error::{Error, Result};
