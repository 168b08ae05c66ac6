use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::catalogue::{Bits, Catalogue, Excluded, rank_of};
use desirepath::ops;
use desirepath::{Gpu, Options, Tensor};

const PLAIN: Catalogue = Catalogue {
    queries: 40,
    items: 500,
    dim: 8,
    k: 0,
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
        [(1, 1, 1), (2, 63, 3), (15, 64, 4), (16, 65, 5), (17, 511, 31), (63, 513, 32), (65, 1009, 33), (129, 700, 65)]
    {
        assert_ok(rank_of(gpu(), Catalogue { queries, items, dim, ..PLAIN }));
        let excluded = Excluded::Some;
        assert_ok(rank_of(gpu(), Catalogue { queries, items, dim, bias: true, first_item: 1, excluded, ..PLAIN }));
        assert_ok(rank_of(gpu(), Catalogue { queries, items, dim, excluded: Excluded::All, ..PLAIN }));
        assert_ok(rank_of(gpu(), Catalogue { queries, items, dim, boost: true, excluded, ..PLAIN }));
        assert_ok(rank_of(gpu(), Catalogue { queries, items, dim, distinct: 3, excluded, ..PLAIN }));
        for bits in [Bits::F16, Bits::Int8] {
            assert_ok(rank_of(
                gpu(),
                Catalogue { queries, items, dim, bias: true, boost: true, excluded, bits, ..PLAIN },
            ));
        }
    }
}

#[test]
fn tables_beyond_one_binding() {
    // 16 KiB: 512 items of 8 numbers in one part, and batches of 64 queries.
    let small = Gpu::open(Options { guard: true, max_binding: Some(16 << 10), ..Options::from_env() }).unwrap();
    for items in [511, 512, 513, 1503] {
        let shape = Catalogue { queries: 200, items, bias: true, excluded: Excluded::Some, ..PLAIN };
        assert_ok(rank_of(&small, shape));
        assert_ok(rank_of(&small, Catalogue { boost: true, ..shape }));
        assert_ok(rank_of(&small, Catalogue { first_item: 400, distinct: 20, ..shape }));
    }
}

/// Twins of the target, everywhere in the table: their scores have to be equal to the last bit.
#[test]
fn equal_vectors_tie_exactly() {
    let (queries, items, kinds) = (37, 1503, 5);
    for dim in [7, 64] {
        let wave = |n: usize, step: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * step).sin() / 3.0).collect() };
        let distinct = wave(kinds * dim, 0.37);
        let table: Vec<f32> = (0..items).flat_map(|i| distinct[i % kinds * dim..][..dim].to_vec()).collect();
        let table = Tensor::from_slice(gpu(), &table, &[items, dim]);
        let x = Tensor::from_slice(gpu(), &wave(queries * dim, 0.71), &[queries, dim]);
        let place = |kind: usize| {
            let targets: Vec<u32> = (0..queries).map(|q| (kind + kinds * (7 * q % 300)) as u32).collect();
            let targets = Tensor::from_slice(gpu(), &targets, &[queries]);
            ops::rank_of(gpu(), &x, &table, None, &targets, None, 0, None).to_vec::<u32>().unwrap()
        };
        let copies = |kind: usize| (items - kind).div_ceil(kinds) as u32;
        let ranks: Vec<Vec<u32>> = (0..kinds).map(place).collect();
        let at = |q: usize| -> Vec<u32> { ranks.iter().map(|of_kind| of_kind[q]).collect() };
        for (q, ranks) in (0..queries).map(|q| (q, at(q))) {
            // The pessimistic rank of a kind is the number of items of this kind and of all better ones.
            let mut order: Vec<usize> = (0..kinds).collect();
            order.sort_by_key(|kind| ranks[*kind]);
            let mut sum = 0;
            for kind in order {
                sum += copies(kind);
                assert_eq!(ranks[kind], sum, "query {q}, dim {dim}");
            }
        }
    }
}

#[test]
fn broken_kernels_are_noticed() {
    let target = broken("rank_of", "k < params.dim", "k + 4u < params.dim");
    assert_noticed(rank_of(&target, PLAIN));
    let own = broken("rank_of", "score < boosted", "false");
    assert_noticed(rank_of(&own, Catalogue { boost: true, ..PLAIN }));
    let strict = match gpu().info().eight_lanes() {
        true => broken("top_k_lanes", "scores >= vec4(threshold", "scores > vec4(threshold"),
        false => broken("top_k", "score >= threshold[q]", "score > threshold[q]"),
    };
    assert_noticed(rank_of(&strict, PLAIN));
    let kept = broken("top_k_mask", "KEEP == 0u || id != keep[q]", "true");
    assert_noticed(rank_of(&kept, Catalogue { excluded: Excluded::All, ..PLAIN }));
}
