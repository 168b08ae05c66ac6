//! Layers: named parameters, how they start, and how ops combine. No files, no training loop.

mod block;
mod params;

pub use block::{Block, BlockInput};
pub(crate) use params::read_numbers;
pub use params::{Init, Param, Params};

use crate::ops::{self, Activation, GruWeights};
use crate::tape::Tape;
use crate::tensor::Tensor;

/// `x · wᵀ + b`: `w: [out, in]`, `b: [out]`.
#[derive(Debug, Clone)]
pub struct Linear {
    pub w: Tensor,
    pub b: Option<Tensor>,
}

impl Linear {
    pub fn new(params: &mut Params, name: &str, [input, output]: [usize; 2], bias: bool) -> Linear {
        let w = params.add(&format!("{name}.weight"), &[output, input], Init::Xavier);
        let b = bias.then(|| params.add(&format!("{name}.bias"), &[output], Init::Zero));
        Linear { w, b }
    }

    /// Starts as the zero map, for stages that are to join without disturbing what is there.
    pub fn zero(params: &mut Params, name: &str, [input, output]: [usize; 2]) -> Linear {
        let w = params.add(&format!("{name}.weight"), &[output, input], Init::ZeroMatrix);
        Linear { w, b: None }
    }

    pub fn forward(&self, tape: &mut Tape, x: &Tensor, activation: Activation, residual: Option<&Tensor>) -> Tensor {
        ops::linear(tape, x, &self.w, self.b.as_ref(), activation, residual)
    }

    /// `residual + dropout(activation(x · wᵀ + b))`
    pub fn dropped(
        &self,
        tape: &mut Tape,
        x: &Tensor,
        activation: Activation,
        residual: Option<&Tensor>,
        dropout: f32,
    ) -> Tensor {
        ops::linear_dropout(tape, x, &self.w, self.b.as_ref(), activation, residual, dropout)
    }
}

/// Normalises the last axis.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    pub gamma: Tensor,
    pub beta: Tensor,
}

impl LayerNorm {
    /// As in the SASRec and BERT papers' code: far above f32's resolution, far below any useful variance.
    const EPS: f32 = 1e-6;

    pub fn new(params: &mut Params, name: &str, dim: usize) -> LayerNorm {
        let gamma = params.add(&format!("{name}.weight"), &[dim], Init::One);
        let beta = params.add(&format!("{name}.bias"), &[dim], Init::Zero);
        LayerNorm { gamma, beta }
    }

    pub fn forward(&self, tape: &mut Tape, x: &Tensor) -> Tensor {
        ops::layer_norm(tape, x, &self.gamma, &self.beta, Self::EPS)
    }
}

/// GRU weights under PyTorch's state-dict names.
pub fn gru_weights(params: &mut Params, name: &str, [input, hidden]: [usize; 2]) -> GruWeights {
    let bound = 1.0 / (hidden as f32).sqrt(); // PyTorch's start
    let mut add = |part: &str, shape: &[usize]| params.add(&format!("{name}.{part}"), shape, Init::Uniform(bound));
    GruWeights {
        w_ih: add("weight_ih_l0", &[3 * hidden, input]),
        w_hh: add("weight_hh_l0", &[3 * hidden, hidden]),
        b_ih: add("bias_ih_l0", &[3 * hidden]),
        b_hh: add("bias_hh_l0", &[3 * hidden]),
    }
}
