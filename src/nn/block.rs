use super::{LayerNorm, Linear, Params};
use crate::ops::{self, Activation, Attention, Lengths, SpaceTime};
use crate::tape::Tape;
use crate::tensor::Tensor;

/// What a block needs to know of the batch besides `x`.
#[derive(Debug, Clone, Copy)]
pub struct BlockInput<'a> {
    pub lengths: Lengths<'a>,
    pub bias: Option<&'a SpaceTime>,
    pub dropout: f32,
    /// Each event sees those before it alone, not those after.
    pub causal: bool,
}

/// Pre-norm Transformer block: `x + attention(norm(x))`, then `x + ffn(norm(x))`. Without `ffn` it is the
/// attention stage alone. Xiong et al. 2020, <https://arxiv.org/abs/2002.04745>
#[derive(Debug)]
pub struct Block {
    heads: usize,
    norm: LayerNorm,
    qkv: Linear,
    out: Linear,
    ffn: Option<(LayerNorm, Linear, Linear)>,
}

impl Block {
    pub fn new(params: &mut Params, name: &str, dim: usize, heads: usize, ffn_dim: Option<usize>) -> Block {
        let norm = LayerNorm::new(params, &format!("{name}.norm1"), dim);
        let qkv = Linear::new(params, &format!("{name}.qkv"), [dim, 3 * dim], true);
        let out = Linear::new(params, &format!("{name}.out"), [dim, dim], true);
        let ffn = ffn_dim.map(|inner| {
            (
                LayerNorm::new(params, &format!("{name}.norm2"), dim),
                Linear::new(params, &format!("{name}.ffn1"), [dim, inner], true),
                Linear::new(params, &format!("{name}.ffn2"), [inner, dim], true),
            )
        });
        Block { heads, norm, qkv, out, ffn }
    }

    /// `x: [batch, len, dim]`, or packed `[events, dim]`, to the same shape.
    pub fn forward(&self, tape: &mut Tape, x: &Tensor, input: BlockInput) -> Tensor {
        let qkv = self.qkv(tape, x);
        let a = ops::attention(tape, &qkv, &self.options(input));
        let x = self.out.dropped(tape, &a, Activation::None, Some(x), input.dropout);
        let Some((norm, inner, outer)) = &self.ffn else { return x };
        let n = norm.forward(tape, &x);
        let h = inner.dropped(tape, &n, Activation::Gelu, None, input.dropout);
        outer.dropped(tape, &h, Activation::None, Some(&x), input.dropout)
    }

    /// `[batch, heads, len]`: what the last event of each row attends to.
    pub fn last_weights(&self, x: &Tensor, input: BlockInput) -> Tensor {
        let qkv = self.qkv(&mut Tape::off(), x);
        ops::attention_weights(x.gpu(), &qkv, &self.options(input))
    }

    fn qkv(&self, tape: &mut Tape, x: &Tensor) -> Tensor {
        let n = self.norm.forward(tape, x);
        self.qkv.forward(tape, &n, Activation::None, None)
    }

    fn options<'a>(&self, input: BlockInput<'a>) -> Attention<'a> {
        let BlockInput { lengths, bias, dropout, causal } = input;
        Attention { heads: self.heads, causal, lengths, dropout, bias }
    }
}
