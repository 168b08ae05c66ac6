//! Gathering rows, and the sums that are its gradient.

use super::{Report, Rng, floats, relative_error, upload};
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

/// The op is linear, so its gradient is known in closed form; all of it is compared.
pub fn embedding(gpu: &Gpu, rows: usize, dim: usize, n: usize, pattern: Pattern) -> Result<Vec<Report>> {
    let mut rng = Rng::new((rows * 31 + dim * 7 + n) as u64);
    let padding = matches!(pattern, Pattern::Padded).then_some(0);
    let special = if matches!(pattern, Pattern::Padded) { 0 } else { 1.min(rows - 1) };
    let ids: Vec<u32> = (0..n)
        .map(|i| match matches!(pattern, Pattern::Uniform) || i % 2 == 0 {
            true => rng.below(rows) as u32,
            false => special as u32,
        })
        .collect();
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
