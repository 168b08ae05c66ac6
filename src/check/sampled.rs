//! Losses over a sample of the items against their definitions.

use super::{Check, Input, Report, Rng, upload};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::{self, Ids, Masked, Negatives, SampledSoftmax};
use crate::reference;
use crate::tape::Tape;
use crate::tensor::Tensor;

/// Products with rows of a table, some asked for often: `[rows, items, dim]` and how many ids each row has.
pub fn dot_rows(gpu: &Gpu, [rows, items, dim]: [usize; 3], per_row: usize, with_bias: bool) -> Result<Vec<Report>> {
    let mut rng = Rng::new((rows * 31 + items * 7 + dim + per_row) as u64);
    let ids: Vec<u32> = (0..rows * per_row).map(|i| if i % 3 == 0 { 0 } else { rng.below(items) as u32 }).collect();
    let shape = [rows, per_row];
    let device_ids = Ids::new(gpu, &ids, if per_row == 1 { &shape[..1] } else { &shape }, items);
    let mut inputs =
        vec![Input::random(&mut rng, "x", &[rows, dim], 1.0), Input::random(&mut rng, "table", &[items, dim], 1.0)];
    if with_bias {
        inputs.push(Input::random(&mut rng, "bias", &[items], 1.0));
    }
    // Twice: every input gets its gradient on two ways, of which the later adds to the earlier.
    let check = Check {
        op: "dot_rows",
        shape: format!("[{rows}, {dim}] by {per_row} of {items}, bias {with_bias}"),
        inputs,
        reference: &|x| {
            let y = reference::dot_rows(&x[0], &x[1], x.get(2).map(Vec::as_slice), &ids, dim);
            y.into_iter().map(|v| 2.0 * v).collect()
        },
        device: &|tape, x| {
            let once = ops::dot_rows(tape, &x[0], &x[1], x.get(2), &device_ids);
            let again = ops::dot_rows(tape, &x[0], &x[1], x.get(2), &device_ids);
            ops::add(tape, &once, &again)
        },
        tolerance: 4e-6,
        gradient_tolerance: 2e-5,
    };
    check.run(gpu)
}

/// Rows that compare a target with `count` drawn of `items`.
#[derive(Debug, Clone, Copy)]
pub struct Sampled {
    pub rows: usize,
    pub items: usize,
    pub dim: usize,
    pub count: usize,
    /// Every row has the same negatives.
    pub shared: bool,
    pub bias: bool,
    /// Some rows leave some items out, by spans of all lengths that overlap.
    pub masked: bool,
}

type Definition<'a> = &'a dyn Fn(&reference::Sampled) -> Vec<f64>;
type Device<'a> = &'a dyn Fn(&mut Tape, [&Tensor; 2], Option<&Tensor>, &ops::Sampled) -> Tensor;

/// Value and gradients. Ids are drawn with repeats, and many rows meet their own target among them.
fn run(gpu: &Gpu, op: &'static str, case: &Sampled, reference: Definition, device: Device) -> Result<Vec<Report>> {
    let Sampled { rows, items, dim, count, shared, .. } = *case;
    let mut rng = Rng::new((rows * 31 + items * 7 + dim + count) as u64);
    let mut draw = |n: usize| -> Vec<u32> { (0..n).map(|_| rng.below(items) as u32).collect() };
    let drawn = draw(if shared { count } else { rows * count });
    let expanded: Vec<u32> = (0..rows * count).map(|i| drawn[i % drawn.len()]).collect();
    let targets: Vec<u32> =
        draw(rows).iter().enumerate().map(|(r, t)| if r % 3 == 0 { expanded[r * count] } else { *t }).collect();
    let left_out = draw(2 * items);
    let span = |r: usize| if case.masked { [r % items, (r % items + r) % (2 * items)] } else { [0, 0] };
    let spans: Vec<[u32; 2]> = (0..rows).map(span).map(|[a, b]| [a.min(b) as u32, a.max(b) as u32]).collect();
    let is_masked = |row: usize, item: u32| {
        let [start, end] = spans[row].map(|v| v as usize);
        left_out[start..end].contains(&item)
    };
    let negatives = match shared {
        true => Negatives::shared(gpu, &drawn, items),
        false => Negatives::per_row(gpu, &drawn, rows, items),
    };
    let ids = Ids::new(gpu, &targets, &[rows], items);
    let masked = case.masked.then(|| Masked::new(gpu, &left_out, &spans));
    let mut inputs =
        vec![Input::random(&mut rng, "x", &[rows, dim], 1.5), Input::random(&mut rng, "table", &[items, dim], 1.0)];
    if case.bias {
        inputs.push(Input::random(&mut rng, "bias", &[items], 1.0));
    }
    let check = Check {
        op,
        shape: format!("{case:?}"),
        inputs,
        reference: &|x| {
            let bias = x.get(2).map(Vec::as_slice);
            let (targets, negatives) = (&targets[..], &expanded[..]);
            reference(&reference::Sampled { x: &x[0], table: &x[1], bias, targets, negatives, masked: &is_masked })
        },
        device: &|tape, x| {
            let sampled = ops::Sampled { targets: &ids, negatives: &negatives, masked: masked.as_ref() };
            device(tape, [&x[0], &x[1]], x.get(2), &sampled)
        },
        tolerance: 5e-6,
        gradient_tolerance: 3e-5,
    };
    check.run(gpu)
}

/// With a correction by how often each item is drawn, or without.
pub fn sampled_softmax(gpu: &Gpu, case: &Sampled, temperature: f32, corrected: bool) -> Result<Vec<Report>> {
    let log_q: Vec<f64> = (0..case.items).map(|i| (i % 7) as f64 * 0.5 - 1.0).collect();
    let device_log_q = upload(gpu, &log_q, &[case.items]);
    let reference = |s: &reference::Sampled| {
        reference::sampled_softmax(s, f64::from(temperature), corrected.then_some(log_q.as_slice()))
    };
    run(gpu, "sampled_softmax", case, &reference, &|tape, [x, table], bias, sampled| {
        let options = SampledSoftmax { temperature, log_q: corrected.then_some(&device_log_q) };
        ops::sampled_softmax(tape, x, table, bias, sampled, &options)
    })
}

pub fn gbce(gpu: &Gpu, case: &Sampled, beta: f32) -> Result<Vec<Report>> {
    let reference = |s: &reference::Sampled| reference::gbce(s, f64::from(beta));
    run(gpu, "gbce", case, &reference, &|tape, [x, table], bias, sampled| {
        ops::gbce(tape, x, table, bias, sampled, beta)
    })
}

pub fn bpr(gpu: &Gpu, case: &Sampled) -> Result<Vec<Report>> {
    run(gpu, "bpr", case, &reference::bpr, &|tape, [x, table], bias, sampled| ops::bpr(tape, x, table, bias, sampled))
}
