//! The op cases. Each checks a result against plain arithmetic on the host before anything is timed.

use crate::measure::{Bench, assert_close, bits, numbers, random};
use burn::nn::gru::{Gru, GruConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::module::attention as fused_attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// One value of `x`, whose reading waits for all of it.
fn first<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    x.clone().slice(std::array::from_fn::<_, D, _>(|_| 0..1)).reshape([1])
}

pub fn gemm(bench: &mut Bench, n: usize) {
    let (a, b) = (random(&bench.device, [n, n]), random(&bench.device, [n, n]));
    let y = numbers(a.clone().matmul(b.clone()));
    assert_eq!(y.len(), n * n);
    let (x, w) = (numbers(a.clone()), numbers(b.clone()));
    for (row, column) in [(0, 0), (1, n - 1), (n / 2, 7), (n - 1, n - 1)] {
        let dot = (0..n).map(|k| f64::from(x[row * n + k]) * f64::from(w[k * n + column])).sum();
        assert_close("an element of the product", y[row * n + column], dot);
    }
    bench.time("forward", &mut || {
        let y = a.clone().matmul(b.clone());
        (first(&y), Box::new(y))
    });
}

pub fn gru(bench: &mut Bench, [batch, len, dim]: [usize; 3]) {
    let make = |device: &Device| -> (Gru, Tensor<3>) {
        (GruConfig::new(dim, dim, true).init(device), random(device, [batch, len, dim]))
    };
    let (layer, x) = make(&bench.device);
    let y = layer.forward(x.clone(), None);
    assert_eq!(y.dims(), [batch, len, dim]);
    assert!(numbers(y).iter().all(|h| h.abs() < 1.0), "a state of a GRU from zero stays below 1");
    bench.time("forward", &mut || {
        let y = layer.forward(x.clone(), None);
        (first(&y), Box::new(y))
    });
    let (layer, x) = make(&bench.device.clone().autodiff());
    let x = x.require_grad();
    bench.time("forward+backward", &mut || {
        let grads = layer.forward(x.clone(), None).backward();
        (first(&x.grad(&grads).expect("a gradient of x")), Box::new(grads))
    });
}

pub fn attention(bench: &mut Bench, [batch, len, dim]: [usize; 3]) {
    let options = || AttentionModuleOptions { is_causal: true, ..AttentionModuleOptions::default() };
    let run = |qkv: &[Tensor<4>; 3]| {
        let [q, k, v] = qkv.clone();
        fused_attention(q, k, v, None, None, options())
    };
    let make = |device: &Device| [0, 1, 2].map(|_| random::<4>(device, [batch, 1, len, dim]));
    let qkv = make(&bench.device);
    let y = run(&qkv);
    assert_eq!(y.dims(), [batch, 1, len, dim]);
    let values = qkv.clone().map(numbers);
    let y = numbers(y);
    for (row, column) in [(0, 0), (1, 5), (len - 1, dim - 1)] {
        assert_close("an element of the output", y[row * dim + column], attended(&values, row, column, dim));
    }
    bench.time("forward", &mut || {
        let y = run(&qkv);
        (first(&y), Box::new(y))
    });
    let qkv = make(&bench.device.clone().autodiff()).map(Tensor::require_grad);
    bench.time("forward+backward", &mut || {
        let grads = run(&qkv).backward();
        (first(&qkv[0].grad(&grads).expect("a gradient of q")), Box::new(grads))
    });
}

/// Causal attention of the first history by its definition.
fn attended([q, k, v]: &[Vec<f32>; 3], row: usize, column: usize, dim: usize) -> f64 {
    let dot = |j: usize| (0..dim).map(|d| f64::from(q[row * dim + d]) * f64::from(k[j * dim + d])).sum::<f64>();
    let weights: Vec<f64> = (0..=row).map(|j| (dot(j) / (dim as f64).sqrt()).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().enumerate().map(|(j, w)| w / sum * f64::from(v[j * dim + column])).sum()
}

pub fn cross_entropy(bench: &mut Bench, rows: usize, items: usize) {
    let device = bench.device.clone().autodiff();
    let make = |rows: usize, items: usize| {
        let mut state = 1;
        let targets: Vec<i32> = (0..rows).map(|_| (bits(&mut state) as usize % items) as i32).collect();
        let on_device = Tensor::<1, Int>::from_data(TensorData::new(targets.clone(), [rows]), &device);
        let [x, table] = [rows, items].map(|n| random::<2>(&device, [n, 64]).require_grad());
        (x, table, on_device, targets)
    };
    let criterion = CrossEntropyLossConfig::new().init(&device);
    let loss = |x: &Tensor<2>, table: &Tensor<2>, targets: &Tensor<1, Int>| {
        criterion.forward(x.clone().matmul(table.clone().transpose()), targets.clone())
    };
    let (x, table, targets, on_host) = make(7, 100);
    let expected = mean_loss(&numbers(x.clone()), &numbers(table.clone()), &on_host);
    assert_close("the loss of 7 rows over 100 items", numbers(loss(&x, &table, &targets))[0], expected);
    let (x, table, targets, _) = make(rows, items);
    bench.time("forward+backward", &mut || {
        let grads = loss(&x, &table, &targets).backward();
        (first(&table.grad(&grads).expect("a gradient of the table")), Box::new(grads))
    });
}

fn mean_loss(x: &[f32], table: &[f32], targets: &[i32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let of_row = |(x, target): (&[f32], &i32)| {
        let logits: Vec<f64> = table.chunks(64).map(|item| dot(x, item)).collect();
        logits.iter().map(|l| l.exp()).sum::<f64>().ln() - logits[*target as usize]
    };
    x.chunks(64).zip(targets).map(of_row).sum::<f64>() / targets.len() as f64
}

pub fn top10(bench: &mut Bench, queries: usize, items: usize) {
    let (x, table) = (random::<2>(&bench.device, [queries, 64]), random::<2>(&bench.device, [items, 64]));
    let best = |x: &Tensor<2>| x.clone().matmul(table.clone().transpose()).topk_with_indices(10, 1);
    let (scores, _) = best(&x);
    assert_eq!(scores.dims(), [queries, 10]);
    let (x_host, table_host) = (numbers(x.clone()), numbers(table.clone()));
    for (query, found) in x_host.chunks(64).zip(numbers(scores).chunks(10)) {
        let dot = |item: &[f32]| item.iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let mut all: Vec<f64> = table_host.chunks(64).map(dot).collect();
        all.sort_by(|a, b| b.total_cmp(a));
        for (found, expected) in found.iter().zip(&all) {
            assert_close("a score among the best ten", *found, *expected);
        }
    }
    bench.time("forward", &mut || {
        let (scores, ids) = best(&x);
        (first(&scores), Box::new((scores, ids)))
    });
}
