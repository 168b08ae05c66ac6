//! Hand-written WGSL compute kernels with exact gradients on any wgpu device, and on top of them (feature `recsys`) a
//! complete sequential recommender: it learns from who did what, when and where, and says what each user will want next.
//!
//! ```
//! use desirepath::ops::{self, Activation, AdamW, Update};
//! use desirepath::{Gpu, Tape, Tensor};
//!
//! let gpu = Gpu::new()?; // or Gpu::from_wgpu(device, queue) on a device of your own
//! let x = Tensor::from_slice(&gpu, &[0.0f32, 1.0, 2.0, 3.0], &[4, 1]);
//! let minus_y = Tensor::from_slice(&gpu, &[-1.0f32, -3.0, -5.0, -7.0], &[4, 1]); // y = 2 x + 1
//! let (w, b) = (Tensor::zeros(&gpu, &[1, 1]).parameter(), Tensor::zeros(&gpu, &[1]).parameter());
//! let moments = [Tensor::zeros(&gpu, &[2, 1]), Tensor::zeros(&gpu, &[2, 1])];
//! for step in 1..=400 {
//!     let mut tape = Tape::new(step);
//!     let error = ops::linear(&mut tape, &x, &w, Some(&b), Activation::None, Some(&minus_y));
//!     let squares = ops::dot(&mut tape, &error, &error);
//!     let loss = ops::mean(&mut tape, &squares, 4.0);
//!     let grads = tape.backward(&loss);
//!     let update = |p, m| Update { parameter: p, gradient: grads.get(p).unwrap(), moments: m, decay: false };
//!     let adamw = AdamW { lr: 0.05, step: step as u32, ..AdamW::default() };
//!     ops::adamw_all(&gpu, &[update(&w, &moments[0]), update(&b, &moments[1])], &adamw, None);
//! }
//! assert!((w.item()? - 2.0).abs() < 0.05 && (b.item()? - 1.0).abs() < 0.05);
//! # Ok::<(), desirepath::Error>(())
//! ```
//!
//! # The map
//!
//! ```text
//! data ─────────────────────────────┐
//! gpu → tensor → tape → ops → nn → model → { train, eval } → serve → main
//!                        ▲
//! reference, check (f64): used by tests, benches and `doctor`
//! ```
//! - [`gpu`] is the only module that names wgpu, and knows no shapes. [`tensor`] knows no gradients. [`tape`] knows no ops.
//! - One op is one word in five places: `shaders/<op>.wgsl`, `ops/<op>.rs`, `reference`, `tests/ops`, `benches/ops`.
//! - One `forward` serves training and inference: a [`Tape`] that is off keeps nothing.
//! - There is no backend trait, no op enum, no module trait and no graph: wgpu is the portability layer, a function is the op.
//!
//! # What holds everywhere
//!
//! - Two runs with one seed on one adapter give the same bits: no float atomics, sums in a fixed order.
//! - A caller's mistake (a wrong shape) panics and names op and tensor; what the world does comes back as [`Error`].
//! - Every kernel has a path within WebGPU's default limits: 8 storage buffers, 256 invocations, 16 KiB of workgroup memory.
//!
//! # Features
//!
//! Without any: kernels and autograd. `recsys`: layers, model, data, training, evaluation. `check`: definitions in f64 and
//! the comparison with them. `serve`: the HTTP server. `cli`: the program.

pub mod error;
mod fnv;
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
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "recsys")]
pub mod train;

pub use error::{Error, Result};
pub use gpu::{Gpu, Options};
pub use tape::{Grads, Tape};
pub use tensor::{Tensor, Words};

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
