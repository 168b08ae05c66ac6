use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::catalogue::{Catalogue, Excluded, top_k};
use desirepath::ops::{self, Exclusions};
use desirepath::{Gpu, Options, Tensor};

const PLAIN: Catalogue = Catalogue {
    queries: 3,
    items: 500,
    dim: 8,
    k: 10,
    first_item: 0,
    bias: false,
    boost: false,
    excluded: Excluded::Nothing,
    distinct: 1 << 20,
};

#[test]
fn shapes() {
    for (queries, items, dim) in
        [(1, 1, 1), (1, 63, 3), (15, 64, 4), (16, 65, 5), (17, 511, 31), (3, 513, 32), (33, 1009, 33), (5, 2000, 65)]
    {
        for k in [1, 10, 50] {
            assert_ok(top_k(gpu(), Catalogue { queries, items, dim, k, ..PLAIN }));
            let excluded = Excluded::Some;
            assert_ok(top_k(gpu(), Catalogue { queries, items, dim, k, bias: true, first_item: 1, excluded, ..PLAIN }));
        }
    }
}

#[test]
fn a_long_list() {
    for k in [999, 1000, 1024] {
        assert_ok(top_k(gpu(), Catalogue { items: 30_011, k, dim: 3, excluded: Excluded::Some, ..PLAIN }));
        assert_ok(top_k(gpu(), Catalogue { items: 1001, k, dim: 3, ..PLAIN }));
    }
    assert_ok(top_k(gpu(), Catalogue { items: 70_001, k: 300, ..PLAIN }));
}

#[test]
fn ties_go_to_the_smaller_id() {
    for distinct in [1, 2, 7] {
        for items in [200, 5000] {
            assert_ok(top_k(gpu(), Catalogue { items, distinct, ..PLAIN }));
            assert_ok(top_k(gpu(), Catalogue { items, distinct, k: 100, excluded: Excluded::Some, ..PLAIN }));
        }
    }
}

#[test]
fn nothing_left() {
    for (items, k) in [(40, 10), (700, 64), (5, 20)] {
        assert_ok(top_k(gpu(), Catalogue { items, k, excluded: Excluded::All, ..PLAIN }));
        assert_ok(top_k(gpu(), Catalogue { items, k, first_item: items - 3, ..PLAIN }));
        assert_ok(top_k(gpu(), Catalogue { items, k, first_item: items, ..PLAIN }));
    }
}

#[test]
fn tables_beyond_one_binding() {
    // 16 KiB: 512 items of 8 numbers in one part.
    let small = Gpu::open(Options { guard: true, max_binding: Some(16 << 10), ..Options::from_env() }).unwrap();
    for items in [511, 512, 513, 5003] {
        let shape = Catalogue { items, bias: true, first_item: 1, excluded: Excluded::Some, ..PLAIN };
        assert_ok(top_k(&small, Catalogue { k: 3, ..shape }));
        assert_ok(top_k(&small, Catalogue { k: 5, distinct: 2, ..shape }));
        assert_ok(top_k(&small, Catalogue { k: 2, first_item: 700.min(items), ..shape }));
    }
}

#[test]
fn many_queries_take_several_batches() {
    let small = Gpu::open(Options { guard: true, max_binding: Some(64 << 10), ..Options::from_env() }).unwrap();
    assert_ok(top_k(&small, Catalogue { queries: 259, items: 1000, k: 4, excluded: Excluded::Some, ..PLAIN }));
}

#[test]
fn the_same_bits_every_time() {
    let wave = |n: usize, step: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * step).sin()).collect() };
    let queries = Tensor::from_slice(gpu(), &wave(7 * 24, 0.7), &[7, 24]);
    let table = Tensor::from_slice(gpu(), &wave(3001 * 24, 0.31), &[3001, 24]);
    let lists: Vec<Vec<u32>> = (0..7).map(|q| (q..q + 40).collect()).collect();
    let run = || {
        let exclude = Exclusions::new(gpu(), &lists);
        let (scores, ids) = ops::top_k(gpu(), &queries, &table, None, Some(&exclude), 100, 1);
        (scores.to_vec::<u32>().unwrap(), ids.to_vec::<u32>().unwrap())
    };
    assert_eq!(run(), run());
}

#[test]
#[should_panic(expected = "top_k: k is 0")]
fn no_k() {
    let x = Tensor::zeros(gpu(), &[1, 4]);
    ops::top_k(gpu(), &x, &x, None, None, 0, 0);
}

#[test]
fn broken_kernels_are_noticed() {
    let excluding = Catalogue { excluded: Excluded::Some, queries: 20, ..PLAIN };
    let masks = broken("top_k_mask", "1u << (id % 32u)", "1u << (id % 31u)");
    assert_noticed(top_k(&masks, excluding));
    let bits = broken("top_k_select", "prefix = known | (bin << shift)", "prefix = bin << shift");
    assert_noticed(top_k(&bits, Catalogue { distinct: 3, ..PLAIN }));
    let order = broken("top_k_sort", "other == key && j < i", "other == key && j > i");
    assert_noticed(top_k(&order, Catalogue { distinct: 3, ..PLAIN }));
    let dim = broken("top_k_scores", "k < params.dim", "k + 1u < params.dim");
    assert_noticed(top_k(&dim, PLAIN));
    let first_pass = match gpu().info().eight_lanes() {
        true => broken("top_k_lanes", "subgroupBroadcast(qa, 1u)", "subgroupBroadcast(qa, 0u)"),
        false => broken(
            "top_k",
            "rows[(c + 4u) * 64u + thread] = worth(a1[c]",
            "rows[(c + 4u) * 64u + thread] = worth(a0[c]",
        ),
    };
    assert_noticed(top_k(&first_pass, Catalogue { queries: 16, items: 20_000, k: 1, ..PLAIN }));
}
