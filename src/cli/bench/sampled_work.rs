//! Losses over a sample of the items, at a small and a large size.

use super::{Work, random};
use desirepath::check::Rng;
use desirepath::ops::{self, Ids, Negatives, Sampled, SampledSoftmax};
use desirepath::{Gpu, Tape, Tensor};

fn drawn(n: usize, items: usize) -> Vec<u32> {
    let mut rng = Rng::new(n as u64);
    (0..n).map(|_| rng.below(items) as u32).collect()
}

pub fn dot_rows(gpu: &Gpu, [rows, items, n]: [usize; 3]) -> Work {
    let (x, table) = (random(gpu, &[rows, 64]), random(gpu, &[items, 64]));
    let ids = Ids::new(gpu, &drawn(rows * n, items), &[rows, n], items);
    let (flops, numbers) = (2 * rows * n * 64, (rows + items) * 64 + 2 * rows * n);
    let op = move |tape: &mut Tape| ops::dot_rows(tape, &x, &table, None, &ids);
    Work::new([flops, 3 * flops], [numbers, 3 * numbers], op).with_gradient()
}

type Loss = fn(&mut Tape, &Tensor, &Tensor, &Sampled) -> Tensor;

fn loss(gpu: &Gpu, [rows, items, n]: [usize; 3], loss: Loss) -> Work {
    let (x, table) = (random(gpu, &[rows, 64]), random(gpu, &[items, 64]));
    let targets = Ids::new(gpu, &drawn(rows, items), &[rows], items);
    let negatives = Negatives::shared(gpu, &drawn(n, items), items);
    let (flops, numbers) = (2 * rows * (n + 1) * 64, (2 * rows + n) * 64);
    let op = move |tape: &mut Tape| {
        loss(tape, &x, &table, &Sampled { targets: &targets, negatives: &negatives, masked: None })
    };
    Work::new([flops, 3 * flops], [numbers, 3 * numbers + items * 64], op).with_gradient()
}

pub fn sampled_softmax(gpu: &Gpu, sizes: [usize; 3]) -> Work {
    loss(gpu, sizes, |tape, x, table, sampled| {
        ops::sampled_softmax(tape, x, table, None, sampled, &SampledSoftmax::default())
    })
}

pub fn gbce(gpu: &Gpu, sizes: [usize; 3]) -> Work {
    loss(gpu, sizes, |tape, x, table, sampled| ops::gbce(tape, x, table, None, sampled, 0.3))
}

pub fn bpr(gpu: &Gpu, sizes: [usize; 3]) -> Work {
    loss(gpu, sizes, |tape, x, table, sampled| ops::bpr(tape, x, table, None, sampled))
}
