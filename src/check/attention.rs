//! Attention, its weights and the causal pool against their definitions.

use super::{Check, Input, Report, Rng, floats, upload};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::{self, BiasLayout, Moment, SpaceTime};
use crate::reference::{self, AttentionBias, CategoryBias, PlaceBias, TimeBias};
use crate::tape::Tape;
use crate::tensor::Tensor;

/// One shape of attention to check.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    pub batch: usize,
    pub len: usize,
    pub heads: usize,
    pub head_dim: usize,
    pub causal: bool,
    pub dropout: f32,
    /// All sizes zero: no bias.
    pub layout: BiasLayout,
}

impl Attention {
    pub fn plain(batch: usize, len: usize, heads: usize, head_dim: usize) -> Attention {
        Attention { batch, len, heads, head_dim, causal: true, dropout: 0.0, layout: BiasLayout::default() }
    }

    /// The same with every part of the bias.
    pub fn biased(self) -> Attention {
        let layout = BiasLayout {
            time_knots: 9,
            place_knots: 7,
            categories: 3,
            positions: 6,
            time_unit_s: 60.0,
            time_per_octave: 0.7,
            place_unit_km: 0.5,
            place_per_octave: 0.9,
        };
        Attention { layout, ..self }
    }

    /// Rows that are full, empty, of one event, and anything between.
    fn lengths(&self) -> Vec<u32> {
        let some = |b: usize| [self.len, 0, 1, self.len.div_ceil(2), self.len.saturating_sub(1)][b % 5].min(self.len);
        (0..self.batch).map(|b| some(b) as u32).collect()
    }

    fn random_context(&self, rng: &mut Rng) -> [Vec<Moment>; 2] {
        let n = self.batch * self.len;
        let mut time_s = 1_700_000_000i64;
        let mut moment = || {
            time_s += rng.below(40_000) as i64;
            let place = [rng.unit(), rng.unit()].map(|v| (40.0 + 0.2 * v) as f32);
            let lat_lon = if rng.below(5) == 0 { [f32::NAN; 2] } else { place };
            Moment { time_s, lat_lon, category: rng.below(self.layout.categories.max(1)) as u32 }
        };
        let keys: Vec<Moment> = (0..n).map(|_| moment()).collect();
        let queries = (0..n).map(|i| Moment { time_s: keys[(i + 1).min(n - 1)].time_s, ..moment() }).collect();
        [queries, keys]
    }
}

/// The words of a context as the definition takes them.
struct Decoded {
    query_s: Vec<f64>,
    key_s: Vec<f64>,
    query: Vec<f64>,
    key: Vec<f64>,
    query_category: Vec<u32>,
    key_category: Vec<u32>,
}

impl Decoded {
    fn new(words: &[u32]) -> Decoded {
        let events = || words.chunks_exact(SpaceTime::WORDS);
        let seconds = |at: usize| events().map(|e| f64::from(e[at] as i32)).collect();
        let place = |at: usize| -> Vec<f64> {
            events().flat_map(|e| e[at..at + 3].iter().map(|w| f64::from(f32::from_bits(*w)))).collect()
        };
        let category = |at: usize| events().map(|e| e[at]).collect();
        Decoded {
            query_s: seconds(0),
            key_s: seconds(4),
            query: place(1),
            key: place(5),
            query_category: category(8),
            key_category: category(9),
        }
    }
}

/// Splits a `[heads, n]` table and hands the bias to `f`.
fn with_bias<T>(case: &Attention, table: &[f64], c: &Decoded, f: impl FnOnce(AttentionBias) -> T) -> T {
    let l = &case.layout;
    let sizes = [l.time_knots, l.place_knots, l.categories * l.categories, l.positions];
    let mut start = 0;
    let parts = sizes.map(|size| -> Vec<f64> {
        let part = table.chunks_exact(l.size().max(1)).flat_map(|row| row[start..start + size].to_vec()).collect();
        start += size;
        part
    });
    let on = |i: usize| sizes[i] > 0;
    f(AttentionBias {
        time: on(0).then(|| TimeBias {
            table: &parts[0],
            unit_s: l.time_unit_s.into(),
            per_octave: l.time_per_octave.into(),
            query_s: &c.query_s,
            key_s: &c.key_s,
        }),
        place: on(1).then(|| PlaceBias {
            table: &parts[1],
            unit_km: l.place_unit_km.into(),
            per_octave: l.place_per_octave.into(),
            query: &c.query,
            key: &c.key,
        }),
        category: on(2).then(|| CategoryBias {
            table: &parts[2],
            categories: l.categories,
            query: &c.query_category,
            key: &c.key_category,
        }),
        position: on(3).then_some(&parts[3]),
    })
}

/// The parts, of `dim` numbers each, of rows: queries, keys and maybe values.
fn split<const N: usize>(rows: &[f64], dim: usize) -> [Vec<f64>; N] {
    let part = |i: usize| rows.chunks_exact(N * dim).flat_map(|row| row[i * dim..(i + 1) * dim].to_vec()).collect();
    std::array::from_fn(part)
}

/// What one case needs on both sides.
pub(super) struct Setting {
    case: Attention,
    pub lengths: Vec<u32>,
    pub device_lengths: Tensor,
    context: Tensor,
    decoded: Decoded,
    pub inputs: Vec<Input>,
}

impl Setting {
    /// `N`: 3 for queries, keys and values, 2 without values.
    pub fn new<const N: usize>(gpu: &Gpu, case: &Attention) -> Result<Setting> {
        let Attention { batch, len, heads, head_dim, .. } = *case;
        let mut rng = Rng::new((batch * 31 + len * 7 + head_dim) as u64);
        let lengths = case.lengths();
        let mut qkv = Input::random(&mut rng, ["qk", "qkv"][N - 2], &[batch, len, N * heads * head_dim], 1.5);
        for (row, values) in qkv.data.chunks_exact_mut(N * heads * head_dim).enumerate() {
            if row % len >= lengths[row / len] as usize {
                values.fill(7000.0); // would spoil any sum that it entered
            }
        }
        let mut inputs = vec![qkv];
        if case.layout.size() > 0 {
            inputs.push(Input::random(&mut rng, "table", &[heads, case.layout.size()], 1.0));
        }
        let [queries, keys] = case.random_context(&mut rng);
        let context = SpaceTime::context(gpu, &queries, &keys, batch, len);
        let decoded = Decoded::new(&context.to_vec()?);
        let device_lengths = Tensor::from_slice(gpu, &lengths, &[batch]);
        Ok(Setting { case: *case, lengths, device_lengths, context, decoded, inputs })
    }

    /// `f` with the options of the op, from the input tensors.
    fn with_options<T>(&self, x: &[Tensor], f: impl FnOnce(&ops::Attention) -> T) -> T {
        let Attention { heads, causal, dropout, .. } = self.case;
        let space = self.space(x);
        f(&ops::Attention { heads, causal, lengths: (&self.device_lengths).into(), dropout, bias: space.as_ref() })
    }

    pub fn space(&self, x: &[Tensor]) -> Option<SpaceTime> {
        let layout = self.case.layout;
        x.get(1).map(|table| SpaceTime { context: self.context.clone(), table: table.clone(), layout })
    }

    /// `f` with queries, keys and the options of the definition, from the values of the `N` parts.
    pub fn by_definition<const N: usize, T>(
        &self,
        x: &[Vec<f64>],
        f: impl FnOnce(&[f64], &[f64], &reference::Attention) -> T,
    ) -> T {
        let Attention { heads, head_dim, causal, .. } = self.case;
        let parts: [Vec<f64>; N] = split(&x[0], heads * head_dim);
        let table = x.get(1).map_or(&[][..], |t| t);
        with_bias(&self.case, table, &self.decoded, |bias| {
            let o = reference::Attention { heads, head_dim, causal, lengths: &self.lengths, bias };
            f(&parts[0], &parts[1], &o)
        })
    }

    /// `[batch, heads, len, len]` by the definition.
    fn weights(&self, x: &[Vec<f64>]) -> Vec<f64> {
        self.by_definition::<3, _>(x, reference::attention_weights)
    }

    /// The factors of dropout `[batch, heads, len, len]`, as the op itself applies them: read off with uniform weights
    /// and values that are rows of the unit matrix, so the generator is not written down twice.
    fn mask(&self, gpu: &Gpu) -> Result<Vec<f64>> {
        let Attention { batch, len, heads, head_dim, causal, dropout, .. } = self.case;
        let dim = heads * head_dim;
        let mut mask = vec![1.0; batch * heads * len * len];
        for start in (0..len).step_by(head_dim) {
            let mut qkv = vec![0.0; batch * len * 3 * dim];
            for (row, values) in qkv.chunks_exact_mut(3 * dim).enumerate() {
                if (start..start + head_dim).contains(&(row % len)) {
                    (0..heads).for_each(|h| values[2 * dim + h * head_dim + row % len - start] = 1.0);
                }
            }
            let o = ops::Attention { heads, causal, lengths: (&self.device_lengths).into(), dropout, bias: None };
            let y = floats(&ops::attention(&mut Tape::new(3), &upload(gpu, &qkv, &[batch, len, 3 * dim]), &o))?;
            for (at, y) in y.iter().enumerate() {
                let (row, head, j) = (at / dim, at % dim / head_dim, start + at % head_dim);
                if j < len && *y == 0.0 {
                    mask[((row / len * heads + head) * len + row % len) * len + j] = 0.0;
                }
            }
        }
        Ok(mask.into_iter().map(|m| m / (1.0 - f64::from(dropout))).collect())
    }
}

/// Value and gradients; with dropout the mask is taken from the op and must replay in the gradient.
pub fn attention(gpu: &Gpu, case: &Attention) -> Result<Vec<Report>> {
    let setting = Setting::new::<3>(gpu, case)?;
    let mask = if case.dropout > 0.0 { Some(setting.mask(gpu)?) } else { None };
    let Attention { len, heads, head_dim, .. } = *case;
    let dim = heads * head_dim;
    let reference = |x: &[Vec<f64>]| -> Vec<f64> {
        let mut weights = setting.weights(x);
        if let Some(mask) = &mask {
            weights = reference::dropout(&weights, mask);
        }
        let v = split::<3>(&x[0], dim)[2].clone();
        let value = |at: usize| -> f64 {
            let (row, d) = (at / dim, at % dim);
            let weights = &weights[((row / len * heads + d / head_dim) * len + row % len) * len..][..len];
            weights.iter().enumerate().map(|(j, w)| w * v[(row / len * len + j) * dim + d]).sum()
        };
        (0..v.len()).map(value).collect()
    };
    let check = Check {
        op: "attention",
        shape: format!("{case:?}"),
        inputs: setting.inputs.clone(),
        reference: &reference,
        device: &|tape, x| setting.with_options(x, |o| ops::attention(tape, &x[0], o)),
        tolerance: 5e-6,
        gradient_tolerance: 2e-5,
    };
    check.run(gpu)
}

/// The weights of each row's last query.
pub fn attention_weights(gpu: &Gpu, case: &Attention) -> Result<Vec<Report>> {
    let setting = Setting::new::<3>(gpu, case)?;
    let reference = |values: &[Vec<f64>]| {
        let (all, len) = (setting.weights(values), case.len);
        let row = |pair: usize| {
            let last = (setting.lengths[pair / case.heads] as usize).max(1) - 1;
            &all[(pair * len + last) * len..][..len]
        };
        (0..case.batch * case.heads).flat_map(row).copied().collect()
    };
    let check = Check {
        op: "attention_weights",
        shape: format!("{case:?}"),
        inputs: setting.inputs.clone(),
        reference: &reference,
        device: &|_, x| setting.with_options(x, |o| ops::attention_weights(gpu, &x[0], o)),
        tolerance: 5e-6,
        gradient_tolerance: 0.0,
    };
    check.value(gpu)
}

/// The causal pool, with scores large enough that only running maxima keep it finite.
pub fn attention_pool(gpu: &Gpu, batch: usize, len: usize, dim: usize) -> Result<Vec<Report>> {
    let mut rng = Rng::new((batch * 17 + len * 5 + dim) as u64);
    let lengths = Attention::plain(batch, len, 1, 1).lengths();
    let device_lengths = Tensor::from_slice(gpu, &lengths, &[batch]);
    let mut x = Input::random(&mut rng, "x", &[batch, len, dim], 2.0);
    for (row, values) in x.data.chunks_exact_mut(dim).enumerate() {
        if row % len >= lengths[row / len] as usize {
            values.fill(7000.0);
        }
    }
    let w = Input::random(&mut rng, "w", &[dim], 1.0);
    let check = Check {
        op: "attention_pool",
        shape: format!("{batch}x{len}x{dim}"),
        inputs: vec![x, w],
        reference: &|x| reference::attention_pool(&x[0], &x[1], &lengths),
        device: &|tape, x| ops::attention_pool(tape, &x[0], &x[1], &device_lengths),
        tolerance: 1e-5,
        gradient_tolerance: 5e-5,
    };
    check.run(gpu)
}
