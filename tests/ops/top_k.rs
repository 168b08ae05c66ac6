use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::catalogue::{Bits, Catalogue, Excluded, top_k, top_k_rounded};
use desirepath::ops::{self, Exclusions, ItemTable, Quantised};
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
    bits: Bits::F32,
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

const PACKED: [Bits; 2] = [Bits::F16, Bits::Int8];

#[test]
fn tables_of_fewer_bits() {
    for bits in PACKED {
        for (queries, items, dim) in [(1, 1, 1), (1, 63, 3), (5, 65, 5), (9, 513, 32), (17, 511, 31), (33, 2000, 65)] {
            let shape = Catalogue { queries, items, dim, bits, ..PLAIN };
            assert_ok(top_k(gpu(), shape));
            let excluded = Excluded::Some;
            assert_ok(top_k(gpu(), Catalogue { k: 50, bias: true, first_item: 1, excluded, distinct: 99, ..shape }));
        }
        // 160 columns: more than one turn of workgroup memory, whatever the bits.
        assert_ok(top_k(gpu(), Catalogue { queries: 16, items: 20_000, dim: 160, bits, ..PLAIN }));
        let small = Gpu::open(Options { guard: true, max_binding: Some(16 << 10), ..Options::from_env() }).unwrap();
        let excluded = Excluded::Some;
        assert_ok(top_k(&small, Catalogue { items: 5003, k: 3, bias: true, excluded, bits, ..PLAIN }));
    }
}

#[test]
fn numbers_are_rounded_as_defined() {
    for bits in PACKED {
        for shape in [[1, 300, 64], [7, 1000, 30], [20, 500, 129]] {
            assert_ok(top_k_rounded(gpu(), shape, bits));
        }
    }
}

#[test]
fn quantised_rows() {
    let values = [0.5f32, -1.0, 0.25, 0.0, 0.0, 0.0, 1e-35, -2.0, 7e4];
    let int8 = Quantised::int8(&values, 3);
    assert_eq!(int8, Quantised::Int8(vec![64, -127, 32, 0, 0, 0, 0, 0, 127], vec![1.0 / 127.0, 0.0, 7e4 / 127.0]));
    assert!(int8.floats(3).iter().zip(&values).all(|(a, b)| (a - b).abs() <= 7e4 / 254.0));
    let half = Quantised::f16(&values).floats(3);
    assert_eq!(half[..4], values[..4]);
    assert_eq!(half[8], 65_504.0, "no infinity");
}

#[test]
#[should_panic(expected = "ItemTable: int8 rows of 1041")]
fn int8_rows_have_a_limit() {
    ItemTable::new(gpu(), &Quantised::int8(&[1.0; 1041], 1041), 1041);
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

/// Three queries, of which the second holds `poison`: for each kind of table, whether each of their best five is an item
/// with a number for its score, and the ranks of an item.
fn with_poison(gpu: &Gpu, poison: f32) -> Vec<(Vec<bool>, Vec<u32>)> {
    let wave = |n: usize, step: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * step).sin()).collect() };
    let (items, dim) = (1500, 12);
    let values = wave(items * dim, 0.31);
    let plain = Tensor::from_slice(gpu, &values, &[items, dim]);
    let packed = [Quantised::f16(&values), Quantised::int8(&values, dim)].map(|q| ItemTable::new(gpu, &q, dim));
    let targets = Tensor::from_slice(gpu, &[7u32; 3], &[3]);
    let mut queries = wave(3 * dim, 0.7);
    queries[dim + 5] = poison;
    let x = Tensor::from_slice(gpu, &queries, &[3, dim]);
    let tables = [ops::Items::from(&plain), ops::Items::from(&packed[0]), ops::Items::from(&packed[1])];
    let of = |table: ops::Items| {
        let (scores, ids) = ops::top_k(gpu, &x, table, None, None, 5, 0);
        let (scores, ids): (Vec<f32>, Vec<u32>) = (scores.to_vec().unwrap(), ids.to_vec().unwrap());
        let numbers = scores.iter().zip(&ids).map(|(score, id)| *id != u32::MAX && score.is_finite()).collect();
        let ranks = ops::rank_of(gpu, &x, table, None, &targets, None, 0, None).to_vec().unwrap();
        (numbers, ranks)
    };
    tables.into_iter().map(of).collect()
}

/// Of a query that is not all numbers no score is one, whatever the bits of the table; the others are as ever.
#[test]
fn a_query_without_numbers_has_no_scores() {
    let expected: Vec<bool> = (0..15).map(|at| at / 5 != 1).collect();
    for poison in [f32::NAN, f32::INFINITY] {
        for (numbers, ranks) in with_poison(gpu(), poison) {
            assert_eq!(numbers, expected, "{poison}");
            assert!(ranks[0] > 0 && ranks[2] > 0 && (ranks[1] == 0 || poison.is_infinite()), "{ranks:?}");
        }
    }
    let silent = broken("top_k_query", "select(NAN, ", "select(0u, ");
    assert_ne!(with_poison(&silent, f32::NAN)[2].0, expected);
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
    let dim = broken("top_k_scores", "k < params.dim", "k + 4u < params.dim");
    assert_noticed(top_k(&dim, PLAIN));
    let rounds = broken("top_k_query", "round(v * inverse)", "trunc(v * inverse)");
    assert_noticed(top_k_rounded(&rounds, [7, 300, 64], Bits::Int8));
    let scale = broken("top_k_scores", "one * vec4(query", "one * vec4(1.0 + query");
    assert_noticed(top_k_rounded(&scale, [7, 300, 64], Bits::Int8));
    let first_pass = match gpu().info().eight_lanes() {
        true => broken("top_k_lanes", "subgroupBroadcast(q, 1u)", "subgroupBroadcast(q, 0u)"),
        false => broken("top_k", "a[q / 4u][q % 4u] + b", "a[0][q % 4u] + b"),
    };
    assert_noticed(top_k(&first_pass, Catalogue { queries: 16, items: 20_000, k: 1, ..PLAIN }));
}
