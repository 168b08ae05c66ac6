//! Scoring a whole catalogue: the loss over it, the best of it, and the place of one item in it.

use super::{Check, Input, Report, Rng, floats, relative_error, upload};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::{self, CrossEntropy, Exclusions, ItemTable, Items, Masked, Quantised};
use crate::reference;
use crate::tape::Tape;
use crate::tensor::Tensor;

/// Which items queries must not get.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Excluded {
    Nothing,
    /// Some of them, another list for each query, with ids outside of the table and repetitions among them.
    Some,
    /// All items, for every other query.
    All,
}

/// How a table keeps its numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bits {
    F32,
    F16,
    Int8,
}

/// One comparison of `top_k` or `rank_of`.
#[derive(Debug, Clone, Copy)]
pub struct Catalogue {
    pub queries: usize,
    pub items: usize,
    pub dim: usize,
    pub k: usize,
    pub first_item: usize,
    pub bias: bool,
    /// For ranks: whether something is added to the targets' scores.
    pub boost: bool,
    pub excluded: Excluded,
    /// Different vectors among the items: few of them make many ties.
    pub distinct: usize,
    pub bits: Bits,
}

struct Data {
    queries: Vec<f64>,
    table: Vec<f64>,
    bias: Option<Vec<f64>>,
    excluded: Vec<Vec<u32>>,
    rng: Rng,
}

impl Catalogue {
    /// Whole numbers, small enough that every score is exact in f32: order and ties do not depend on rounding. For int8
    /// the first of each row is 127, up to its sign, so that one is worth one.
    fn data(&self) -> Data {
        let mut rng = Rng::new((self.queries * 31 + self.items * 7 + self.dim) as u64);
        let mut whole = |n: usize| -> Vec<f64> { (0..n).map(|_| rng.below(9) as f64 - 4.0).collect() };
        let mut distinct = whole(self.distinct.min(self.items) * self.dim);
        let mut queries = whole(self.queries * self.dim);
        if self.bits == Bits::Int8 {
            let rows = [&mut distinct, &mut queries].into_iter().flat_map(|all| all.chunks_exact_mut(self.dim));
            rows.for_each(|row| row[0] = if row[0] < 0.0 { -127.0 } else { 127.0 });
        }
        let kinds = distinct.len() / self.dim;
        let table = (0..self.items).flat_map(|i| distinct[i % kinds * self.dim..][..self.dim].to_vec()).collect();
        let bias = self.bias.then(|| (0..self.items).map(|i| (i % kinds % 5) as f64 / 2.0).collect());
        let excluded = (0..self.queries)
            .map(|q| match self.excluded {
                Excluded::Nothing => Vec::new(),
                Excluded::Some => (0..1 + q % 90).map(|_| rng.below(self.items + 3) as u32).collect(),
                Excluded::All if q % 2 == 0 => (0..self.items as u32).collect(),
                Excluded::All => Vec::new(),
            })
            .collect();
        Data { queries, table, bias, excluded, rng }
    }

    /// The table on the device where it is packed.
    fn packed(&self, gpu: &Gpu, data: &Data) -> Option<ItemTable> {
        let values: Vec<f32> = data.table.iter().map(|v| *v as f32).collect();
        let values = match self.bits {
            Bits::F32 => return None,
            Bits::F16 => Quantised::f16(&values),
            Bits::Int8 => Quantised::int8(&values, self.dim),
        };
        Some(ItemTable::new(gpu, &values, self.dim))
    }

    fn report(&self, op: &'static str, what: &str, actual: &[f64], expected: &[f64]) -> Report {
        let error = relative_error(actual, expected);
        Report { op, what: what.into(), shape: format!("{self:?}"), error, tolerance: 0.0 }
    }
}

/// Scores and ids, exactly.
pub fn top_k(gpu: &Gpu, shape: Catalogue) -> Result<Vec<Report>> {
    let Catalogue { queries, items, dim, k, first_item, .. } = shape;
    let data = shape.data();
    let bias = data.bias.as_deref();
    let best = reference::top_k(&data.queries, &data.table, bias, &data.excluded, first_item, k, dim);
    let (mut scores, mut ids) = (Vec::new(), Vec::new());
    for list in best {
        let filled = list.into_iter().chain(std::iter::repeat((f64::from(-1e30f32), u32::MAX))).take(k);
        for (score, id) in filled {
            scores.push(score);
            ids.push(f64::from(id));
        }
    }
    let bias = data.bias.as_ref().map(|b| upload(gpu, b, &[items]));
    let lists = Exclusions::new(gpu, &data.excluded);
    let exclude = (shape.excluded != Excluded::Nothing).then_some(&lists);
    let (x, table) = (upload(gpu, &data.queries, &[queries, dim]), upload(gpu, &data.table, &[items, dim]));
    let packed = shape.packed(gpu, &data);
    let table = packed.as_ref().map_or(Items::from(&table), Items::from);
    let (got_scores, got_ids) = ops::top_k(gpu, &x, table, bias.as_ref(), exclude, k, first_item);
    let got_ids: Vec<f64> = got_ids.to_vec::<u32>()?.into_iter().map(f64::from).collect();
    let got_scores = floats(&got_scores)?;
    gpu.check_guards()?;
    // Scores that are missing would hide all others in a relative comparison.
    let tame =
        |v: &[f64]| -> Vec<f64> { v.iter().map(|s| if *s == f64::from(-1e30f32) { -1e6 } else { *s }).collect() };
    Ok(vec![
        shape.report("top_k", "scores", &tame(&got_scores), &tame(&scores)),
        shape.report("top_k", "ids", &got_ids, &ids),
    ])
}

/// Scores of any numbers against their definition: a table of `bits` made of f32, and queries that are rounded like it.
pub fn top_k_rounded(gpu: &Gpu, [queries, items, dim]: [usize; 3], bits: Bits) -> Result<Vec<Report>> {
    let mut rng = Rng::new((items * 7 + dim) as u64);
    let mut numbers = |n: usize| -> Vec<f32> { (0..n).map(|_| (2.0 * rng.unit() - 1.0) as f32).collect() };
    let (x, values) = (numbers(queries * dim), numbers(items * dim));
    let quantised = if bits == Bits::F16 { Quantised::f16(&values) } else { Quantised::int8(&values, dim) };
    let wide = |v: &[f32]| -> Vec<f64> { v.iter().map(|v| f64::from(*v)).collect() };
    let rounded = if bits == Bits::F16 { wide(&x) } else { reference::int8(&wide(&x), dim) };
    let table = wide(&quantised.floats(dim));
    let lists = vec![Vec::new(); queries];
    let best = reference::top_k(&rounded, &table, None, &lists, 0, items, dim);
    let table = ItemTable::new(gpu, &quantised, dim);
    let k = 10.min(items);
    let (scores, ids) = ops::top_k(gpu, &upload(gpu, &wide(&x), &[queries, dim]), &table, None, None, k, 0);
    let (scores, ids) = (floats(&scores)?, ids.to_vec::<u32>()?);
    gpu.check_guards()?;
    // Near ties may change places: each id must have the score that it is given, and each place that of the definition.
    let of = |q: usize, id: u32| best[q].iter().find(|b| b.1 == id).map_or(f64::NAN, |b| b.0);
    let of_ids: Vec<f64> = ids.iter().enumerate().map(|(i, id)| of(i / k, *id)).collect();
    let of_places: Vec<f64> = best.iter().flat_map(|list| list[..k].iter().map(|b| b.0)).collect();
    let shape = format!("[{queries}, {items}, {dim}] {bits:?}");
    let report = |what: &str, expected: &[f64]| Report {
        op: "top_k",
        what: what.into(),
        shape: shape.clone(),
        error: relative_error(&scores, expected),
        tolerance: 2e-6,
    };
    Ok(vec![report("scores of ids", &of_ids), report("scores of places", &of_places)])
}

/// Ranks, exactly. Targets outside of the catalogue are among them.
pub fn rank_of(gpu: &Gpu, shape: Catalogue) -> Result<Vec<Report>> {
    let Catalogue { queries, items, dim, first_item, .. } = shape;
    let mut data = shape.data();
    let mut targets: Vec<u32> = (0..queries).map(|_| data.rng.below(items) as u32).collect();
    targets[queries / 2] = [u32::MAX, items as u32, items as u32 - 1][queries % 3];
    let boost: Option<Vec<f64>> = shape.boost.then(|| (0..queries).map(|q| (q % 12) as f64 * 1.5 - 6.0).collect());
    let (bias, extra) = (data.bias.as_deref(), boost.as_deref());
    let ranks = reference::rank_of(&data.queries, &data.table, bias, &targets, &data.excluded, first_item, extra);
    let expected: Vec<f64> = ranks.into_iter().map(f64::from).collect();
    let bias = data.bias.as_ref().map(|b| upload(gpu, b, &[items]));
    let lists = Exclusions::new(gpu, &data.excluded);
    let exclude = (shape.excluded != Excluded::Nothing).then_some(&lists);
    let (x, table) = (upload(gpu, &data.queries, &[queries, dim]), upload(gpu, &data.table, &[items, dim]));
    let targets = Tensor::from_slice(gpu, &targets, &[queries]);
    let boost = boost.map(|b| upload(gpu, &b, &[queries]));
    let packed = shape.packed(gpu, &data);
    let table = packed.as_ref().map_or(Items::from(&table), Items::from);
    let ranks = ops::rank_of(gpu, &x, table, bias.as_ref(), &targets, exclude, first_item, boost.as_ref());
    let ranks: Vec<f64> = ranks.to_vec::<u32>()?.into_iter().map(f64::from).collect();
    gpu.check_guards()?;
    Ok(vec![shape.report("rank_of", "ranks", &ranks, &expected)])
}

/// Loss and gradients; a fifth of the rows is ignored.
pub fn cross_entropy(
    gpu: &Gpu,
    shape: [usize; 3],
    with_bias: bool,
    options: CrossEntropy<'static>,
) -> Result<Vec<Report>> {
    losses(gpu, shape, with_bias, options, &[], &vec![[0, 0]; shape[0]])
}

/// The same with items that some rows leave out: spans of all lengths that overlap, with repeats, with items below the
/// first one and beyond the last, and in every third row with the target itself.
pub fn cross_entropy_masked(gpu: &Gpu, shape: [usize; 3], options: CrossEntropy<'static>) -> Result<Vec<Report>> {
    let [rows, items, _] = shape;
    let mut rng = Rng::new((rows + items) as u64);
    let mut ids: Vec<u32> = (0..items / 2 + 20).map(|_| rng.below(items + 3) as u32).collect();
    let spans = (0..rows).map(|r| {
        let start = rng.below(ids.len());
        let end = start + rng.below(ids.len() - start + 1);
        if r % 3 == 0 && end > start {
            ids[start] = target(options.first_item, items, r).unwrap_or(0);
        }
        [start as u32, end as u32]
    });
    let spans: Vec<[u32; 2]> = spans.collect();
    losses(gpu, shape, true, options, &ids, &spans)
}

/// The target of a row, as if by chance; `None` where it is ignored.
fn target(first_item: usize, items: usize, row: usize) -> Option<u32> {
    (row % 5 != 4).then(|| (first_item + row * 7919 % (items - first_item)) as u32)
}

fn losses(
    gpu: &Gpu,
    [rows, items, dim]: [usize; 3],
    with_bias: bool,
    options: CrossEntropy<'static>,
    ids: &[u32],
    spans: &[[u32; 2]],
) -> Result<Vec<Report>> {
    let mut rng = Rng::new((rows * 31 + items * 7 + dim) as u64);
    let CrossEntropy { smoothing, first_item, .. } = options;
    let targets: Vec<u32> = (0..rows).map(|r| target(first_item, items, r).unwrap_or(ops::IGNORE)).collect();
    let mut inputs =
        vec![Input::random(&mut rng, "x", &[rows, dim], 2.0), Input::random(&mut rng, "table", &[items, dim], 1.0)];
    if with_bias {
        inputs.push(Input::random(&mut rng, "bias", &[items], 1.0));
    }
    let masked = (!ids.is_empty()).then(|| Masked::new(gpu, ids, spans));
    let options = CrossEntropy { masked: masked.as_ref(), ..options };
    let labels = Tensor::from_slice(gpu, &targets, &[rows]);
    let is_masked = |row: usize, item: usize| {
        let [start, end] = spans[row].map(|v| v as usize);
        ids[start..end].contains(&(item as u32))
    };
    let reference = |x: &[Vec<f64>]| {
        let bias = x.get(2).map(Vec::as_slice);
        reference::cross_entropy(&x[0], &x[1], bias, &targets, f64::from(smoothing), first_item, &is_masked)
    };
    let device = |tape: &mut Tape, x: &[Tensor]| ops::cross_entropy(tape, &x[0], &x[1], x.get(2), &labels, &options);
    let check = Check {
        op: "cross_entropy",
        shape: format!(
            "[{rows}, {items}, {dim}] bias {with_bias} smoothing {smoothing} from {first_item} within {} bytes, {} masked",
            options.budget_bytes,
            spans.iter().map(|s| s[1] - s[0]).sum::<u32>()
        ),
        inputs,
        reference: &reference,
        device: &device,
        tolerance: 4e-6,
        gradient_tolerance: 2e-5,
    };
    check.run(gpu)
}
