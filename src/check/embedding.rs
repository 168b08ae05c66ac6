//! Gathering rows, and the sums that are its gradient.

use super::{Check, Input, Report, Rng, floats, relative_error, upload};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::{self, Ids};
use crate::reference;
use crate::tape::Tape;

/// Which ids to look up.
#[derive(Debug, Clone, Copy)]
pub enum Pattern {
    /// Any row.
    Uniform,
    /// Half of all positions ask for row 1: one long segment.
    Popular,
    /// Half of all positions are padding, which is row 0.
    Padded,
}

impl Pattern {
    fn padding(self) -> Option<u32> {
        matches!(self, Pattern::Padded).then_some(0)
    }

    fn ids(self, rng: &mut Rng, rows: usize, n: usize) -> Vec<u32> {
        let special = if matches!(self, Pattern::Padded) { 0 } else { 1.min(rows - 1) };
        let id = |i: usize| match matches!(self, Pattern::Uniform) || i.is_multiple_of(2) {
            true => rng.below(rows) as u32,
            false => special as u32,
        };
        (0..n).map(id).collect()
    }
}

/// Rows of a table twice, with a factor, added to something, with dropout: everything that one dispatch can do. The table
/// gets its gradient on two ways, of which the later adds to the earlier.
pub fn embedding_onto(gpu: &Gpu, rows: usize, dim: usize, n: usize, pattern: Pattern) -> Result<Vec<Report>> {
    const FACTOR: f32 = -1.75;
    const P: f32 = 0.3;
    let mut rng = Rng::new((rows * 37 + dim * 5 + n) as u64);
    let (padding, ids) = (pattern.padding(), pattern.ids(&mut rng, rows, n));
    let inputs =
        vec![Input::random(&mut rng, "table", &[rows, dim], 1.0), Input::random(&mut rng, "onto", &[n, dim], 1.0)];
    let keep = floats(&ops::dropout(&mut Tape::new(3), &upload(gpu, &vec![1.0; n * dim], &[n, dim]), P))?;
    let device_ids = Ids::new(gpu, &ids, &[n], rows);
    let check = Check {
        op: "embedding",
        shape: format!("[{rows}, {dim}] by {n} {pattern:?}, onto others"),
        inputs,
        reference: &|x| {
            let found = reference::embedding(&x[0], &ids, dim, padding);
            let sum = reference::add(&x[1], &found.iter().map(|v| (1.0 + f64::from(FACTOR)) * v).collect::<Vec<_>>());
            reference::dropout(&sum, &keep)
        },
        device: &|tape, x| {
            let rows = ops::Rows { table: &x[0], ids: &device_ids, padding, factor: FACTOR };
            let first = ops::embedding_onto(tape, Some(&x[1]), rows, 0.0);
            ops::embedding_onto(tape, Some(&first), ops::Rows { factor: 1.0, ..rows }, P)
        },
        tolerance: 1e-6,
        gradient_tolerance: 1e-5,
    };
    check.run(gpu)
}

/// The op is linear, so its gradient is known in closed form; all of it is compared.
pub fn embedding(gpu: &Gpu, rows: usize, dim: usize, n: usize, pattern: Pattern) -> Result<Vec<Report>> {
    let mut rng = Rng::new((rows * 31 + dim * 7 + n) as u64);
    let (padding, ids) = (pattern.padding(), pattern.ids(&mut rng, rows, n));
    let mut random = |n: usize| -> Vec<f64> { (0..n).map(|_| f64::from(rng.unit() as f32)).collect() };
    let (table, dy) = (random(rows * dim), random(n * dim));
    let mut dtable = vec![0.0; rows * dim];
    for (position, id) in ids.iter().enumerate().filter(|(_, id)| Some(**id) != padding) {
        for c in 0..dim {
            dtable[*id as usize * dim + c] += dy[position * dim + c];
        }
    }

    let parameter = upload(gpu, &table, &[rows, dim]).parameter();
    let device_ids = Ids::new(gpu, &ids, &[n], rows);
    let mut tape = Tape::new(0);
    let y = ops::embedding(&mut tape, &parameter, &device_ids, padding);
    let report = |what: &str, actual: &[f64], expected: &[f64], tolerance| Report {
        op: "embedding",
        what: what.into(),
        shape: format!("[{rows}, {dim}] by {n} {pattern:?}"),
        error: relative_error(actual, expected),
        tolerance,
    };
    let value = report("y", &floats(&y)?, &reference::embedding(&table, &ids, dim, padding), 0.0);
    let grads = tape.backward_from(&y, upload(gpu, &dy, &[n, dim]));
    let actual = grads.get(&parameter).map(floats).transpose()?.unwrap_or_else(|| vec![f64::NAN; rows * dim]);
    gpu.check_guards()?;
    Ok(vec![value, report("dtable", &actual, &dtable, 2e-6)])
}
