//! Attention around its tiles of 8, 16, 32 and 64, with and without masks, dropout and the parts of the bias.

use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::Rng;
use desirepath::check::attention::{self as check, Attention};
use desirepath::ops::{self, BiasLayout, Moment, SpaceTime};
use desirepath::{Gpu, Options, Tape, Tensor};

#[test]
fn causal_of_many_lengths() {
    for len in [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 97] {
        assert_ok(check::attention(gpu(), &Attention::plain(5, len, 2, 8)));
    }
}

#[test]
fn bidirectional_of_many_lengths() {
    for len in [1, 8, 16, 17, 32, 65] {
        assert_ok(check::attention(gpu(), &Attention { causal: false, ..Attention::plain(5, len, 2, 8) }));
    }
}

#[test]
fn heads_of_many_sizes() {
    for (heads, head_dim) in [(1, 1), (3, 2), (2, 3), (1, 4), (2, 13), (2, 32), (1, 64), (1, 128)] {
        assert_ok(check::attention(gpu(), &Attention::plain(2, 19, heads, head_dim)));
    }
    assert_ok(check::attention(gpu(), &Attention { causal: false, ..Attention::plain(3, 70, 2, 7) }));
    assert_ok(check::attention(gpu(), &Attention { causal: false, ..Attention::plain(1, 35, 1, 128) }));
}

#[test]
fn biased_by_time_place_category_and_position() {
    for len in [2, 8, 17, 33, 66] {
        for causal in [true, false] {
            assert_ok(check::attention(gpu(), &Attention { causal, ..Attention::plain(5, len, 2, 8).biased() }));
        }
    }
    assert_ok(check::attention(gpu(), &Attention::plain(1, 150, 1, 5).biased()));
}

#[test]
fn each_part_of_the_bias_alone() {
    let case = Attention::plain(4, 21, 2, 4).biased();
    let of = |time_knots, place_knots, categories, positions| Attention {
        layout: BiasLayout { time_knots, place_knots, categories, positions, ..case.layout },
        ..case
    };
    for case in [of(9, 0, 0, 0), of(0, 7, 0, 0), of(0, 0, 3, 0), of(0, 0, 0, 6), of(2, 2, 1, 1), of(0, 2, 0, 40)] {
        assert_ok(check::attention(gpu(), &case));
    }
}

#[test]
fn dropout_is_replayed_in_the_gradient() {
    for case in [Attention::plain(5, 33, 2, 8), Attention::plain(2, 18, 2, 6).biased()] {
        for causal in [true, false] {
            assert_ok(check::attention(gpu(), &Attention { causal, dropout: 0.3, ..case }));
        }
    }
}

#[test]
fn dropout_keeps_the_share_it_should_and_differs_between_rows() {
    let (batch, len, heads) = (8, 64, 2);
    // Weights are uniform and values one: an output is the share kept over the probability of keeping.
    let mut qkv = vec![0.0f32; batch * len * 3 * heads * 4];
    qkv.chunks_exact_mut(24).for_each(|row| row[16..].fill(1.0));
    let qkv = Tensor::from_slice(gpu(), &qkv, &[batch, len, 24]);
    let lengths = Tensor::from_slice(gpu(), &[len as u32; 8], &[batch]);
    let o = ops::Attention { heads, causal: false, lengths: (&lengths).into(), dropout: 0.25, bias: None };
    let y: Vec<f32> = ops::attention(&mut Tape::new(5), &qkv, &o).to_vec().unwrap();
    let mean = y.iter().map(|v| f64::from(*v)).sum::<f64>() / y.len() as f64;
    assert!((mean - 1.0).abs() < 0.01, "{mean}"); // standard error 0.0023 over 65,536 weights
    let variance = y.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / y.len() as f64;
    let expected = 0.25 / 0.75 / 64.0;
    assert!((variance / expected - 1.0).abs() < 0.2, "{variance}, expected {expected}");
    let off: Vec<f32> = ops::attention(&mut Tape::off(), &qkv, &o).to_vec().unwrap();
    assert!(off.iter().all(|v| (v - 1.0).abs() < 1e-6), "a tape that is off drops nothing");
}

/// Output and gradients of one call with a bias.
fn run(gpu: &Gpu, qkv: &[f32], [batch, len, heads, head_dim]: [usize; 4], lengths: &[u32]) -> [Vec<u32>; 3] {
    let layout = Attention::plain(1, 1, 1, 1).biased().layout;
    let mut rng = Rng::new(9);
    let moment = |rng: &mut Rng, i: usize| Moment {
        time_s: i as i64 * 3000 + rng.below(3000) as i64,
        lat_lon: [rng.unit() as f32, rng.unit() as f32],
        category: rng.below(3) as u32,
    };
    let moments: Vec<Moment> = (0..batch * len).map(|i| moment(&mut rng, i)).collect();
    let table: Vec<f32> = (0..heads * layout.size()).map(|_| rng.unit() as f32).collect();
    let dy: Vec<f32> = (0..batch * len * heads * head_dim).map(|_| rng.unit() as f32).collect();
    let context = SpaceTime::context(gpu, &moments, &moments, batch, len);
    let bias =
        SpaceTime { context, table: Tensor::from_slice(gpu, &table, &[heads, layout.size()]).parameter(), layout };
    let qkv = Tensor::from_slice(gpu, qkv, &[batch, len, 3 * heads * head_dim]).parameter();
    let lengths = Tensor::from_slice(gpu, lengths, &[batch]);
    let o = ops::Attention { heads, causal: true, lengths: (&lengths).into(), dropout: 0.1, bias: Some(&bias) };
    let mut tape = Tape::new(1);
    let y = ops::attention(&mut tape, &qkv, &o);
    let grads = tape.backward_from(&y, Tensor::from_slice(gpu, &dy, y.shape()));
    [&y, grads.get(&qkv).unwrap(), grads.get(&bias.table).unwrap()].map(|t| t.to_vec().unwrap())
}

#[test]
fn two_runs_agree_to_the_bit_and_padding_may_hold_nan() {
    let shape @ [batch, len, heads, head_dim] = [6, 75, 2, 12];
    let lengths = [75, 0, 1, 40, 64, 17];
    let width = 3 * heads * head_dim;
    let mut rng = Rng::new(2);
    let mut qkv: Vec<f32> = (0..batch * len * width).map(|_| rng.unit() as f32).collect();
    let once = run(gpu(), &qkv, shape, &lengths);
    assert_eq!(once, run(gpu(), &qkv, shape, &lengths));
    for (row, values) in qkv.chunks_exact_mut(width).enumerate() {
        if row % len >= lengths[row / len] as usize {
            values.fill(f32::NAN);
        }
    }
    assert_eq!(once, run(gpu(), &qkv, shape, &lengths));
    let zero = |x: &[u32], width: usize, b: usize, from: usize| {
        x[(b * len + from) * width..(b + 1) * len * width].iter().all(|w| f32::from_bits(*w) == 0.0)
    };
    for (b, length) in lengths.iter().enumerate() {
        assert!(zero(&once[0], width / 3, b, *length as usize), "output behind the length");
        assert!(zero(&once[1], width, b, *length as usize), "gradient behind the length");
    }
}

#[test]
fn a_long_sequence_with_large_scores_stays_finite() {
    let (len, dim) = (2100, 8);
    let mut rng = Rng::new(4);
    let mut qkv: Vec<f32> = (0..len * 3 * dim).map(|_| 50.0 * rng.unit() as f32).collect();
    qkv.chunks_exact_mut(3 * dim).for_each(|row| row[2 * dim..].fill(1.0)); // a mean of ones is one
    let qkv = Tensor::from_slice(gpu(), &qkv, &[1, len, 3 * dim]).parameter();
    let lengths = Tensor::from_slice(gpu(), &[len as u32], &[1]);
    let o = ops::Attention { heads: 1, causal: true, lengths: (&lengths).into(), dropout: 0.0, bias: None };
    let mut tape = Tape::new(1);
    let y = ops::attention(&mut tape, &qkv, &o);
    assert!(y.to_vec::<f32>().unwrap().iter().all(|v| (v - 1.0).abs() < 1e-5));
    let grads = tape.backward_from(&y, Tensor::full(gpu(), y.shape(), 1.0));
    let gradient: Vec<f32> = grads.get(&qkv).unwrap().to_vec().unwrap();
    let of_values: f64 = gradient.chunks_exact(3 * dim).flat_map(|row| &row[2 * dim..]).map(|v| f64::from(*v)).sum();
    assert!(
        (of_values / (len * dim) as f64 - 1.0).abs() < 1e-4,
        "each output hands on all of its gradient: {of_values}"
    );
    assert!(gradient.iter().all(|v| v.is_finite()));
}

/// The shares of the table's gradient exceed a binding: they are made for some batches after the other.
#[test]
fn many_categories_under_small_bindings() {
    let small = Gpu::open(Options { guard: true, max_binding: Some(40 << 10), ..Options::from_env() }).unwrap();
    let case = Attention::plain(11, 30, 2, 4).biased();
    let case = Attention { layout: BiasLayout { categories: 40, ..case.layout }, ..case };
    assert_ok(check::attention(&small, &case));
}

#[test]
fn weights_of_the_last_query() {
    for case in [Attention::plain(5, 1, 1, 4), Attention::plain(5, 67, 2, 6), Attention::plain(10, 130, 2, 8).biased()]
    {
        assert_ok(check::attention_weights(gpu(), &case));
        assert_ok(check::attention_weights(gpu(), &Attention { causal: false, ..case }));
    }
    let wrong = broken("attention_weights", "exp(shares[t].x - most)", "1.0");
    assert_noticed(check::attention_weights(&wrong, &Attention::plain(5, 67, 2, 6)));
}

#[test]
fn causal_pool() {
    for len in [1, 2, 7, 33, 100] {
        for dim in [1, 5, 16, 64, 65] {
            assert_ok(check::attention_pool(gpu(), 5, len, dim));
        }
    }
}

#[test]
fn broken_pools_are_noticed() {
    for (kernel, from, to) in [
        ("attention_pool", "above * shrink", "above"),
        ("attention_pool_backward", "sum * fade", "sum"),
        ("attention_pool_backward", "- p * dots", ""),
        ("attention_pool_backward_input", "+= ds[row] * w[d]", "+= 0.0"),
    ] {
        assert_noticed(check::attention_pool(&broken(kernel, from, to), 5, 9, 6));
    }
}

#[test]
fn broken_attention_is_noticed() {
    let plain = Attention::plain(5, 40, 2, 8);
    let dropping = Attention { dropout: 0.3, ..plain };
    let breaks: &[(&str, &str, &str, Attention)] = match gpu().info().eight_lanes() {
        true => &[
            ("attention_subgroup", "acc0[d] *= shrink0;", "", plain),
            ("attention_subgroup", "plus1 = biases(head, i1, j, e1", "plus1 = biases(head, i0, j, e1", plain.biased()),
            ("attention_backward_key_subgroup", "accumulate(&dk0, &dk1, ds0", "accumulate(&dk0, &dk1, p0", plain),
            ("attention_backward_key_subgroup", "t1 = times(t1, keep1);", "", dropping),
            ("attention_backward_query_subgroup", "add_all(own, kinds1, i1", "add_all(own, kinds0, i1", plain.biased()),
        ],
        // A missing barrier may go unnoticed where groups run one thread after the other, so a tile is misread instead.
        false => &[
            ("attention", "acc[d] * shrink", "acc[d]", plain),
            ("attention", "dot(q[d], tile_a[at + HD4])", "dot(q[d], tile_a[at])", plain),
            ("attention_backward_key", "dv[d] += factor * p", "dv[d] += p", dropping),
            ("attention_backward_key", "s += bias(head, i, j,", "s += bias(head, i, j + 1u,", plain.biased()),
            ("attention_backward_query", "* dp - delta", "* dp", plain),
        ],
    };
    for (kernel, from, to, case) in breaks {
        assert_noticed(check::attention(&broken(kernel, from, to), case));
    }
    let unsplit = broken("attention_backward_table", "query * params.categories", "0u");
    assert_noticed(check::attention(&unsplit, &plain.biased()));
}

#[test]
fn a_context_holds_seconds_since_the_first_key_and_unit_vectors() {
    let moment = |time_s, lat_lon, category| Moment { time_s, lat_lon, category };
    let keys = [moment(5_000_000_000, [0.0, 90.0], 4), moment(5_000_000_007, [f32::NAN, 1.0], 5)];
    let queries = [moment(5_000_000_003, [90.0, 0.0], 6), moment(i64::MAX, [-30.0, 180.0], 7)];
    let words: Vec<u32> = SpaceTime::context(gpu(), &queries, &keys, 1, 2).to_vec().unwrap();
    let seconds: Vec<i32> = [0, 4, 12, 16].map(|at| words[at] as i32).to_vec();
    assert_eq!(seconds, [3, 0, 1 << 30, 7]);
    assert_eq!([8, 9, 20, 21].map(|at| words[at]), [6, 4, 7, 5]);
    let close =
        |at: usize, expected: [f32; 3]| (0..3).all(|i| (f32::from_bits(words[at + i]) - expected[i]).abs() < 1e-6);
    assert!(close(1, [0.0, 0.0, 1.0]) && close(5, [0.0, 1.0, 0.0]));
    assert!(close(13, [-(0.75f32.sqrt()), 0.0, -0.5]) && close(17, [0.0; 3]));
}

#[test]
#[should_panic(expected = "attention: table: expected shape [2, 31]")]
fn a_table_of_the_wrong_size_is_named() {
    let layout = Attention::plain(1, 1, 1, 1).biased().layout;
    let space = SpaceTime { context: Tensor::zeros(gpu(), &[1, 3, 12]), table: Tensor::zeros(gpu(), &[2, 30]), layout };
    let lengths = Tensor::from_slice(gpu(), &[3u32], &[1]);
    let o = ops::Attention { heads: 2, causal: true, lengths: (&lengths).into(), dropout: 0.0, bias: Some(&space) };
    ops::attention(&mut Tape::off(), &Tensor::zeros(gpu(), &[1, 3, 24]), &o);
}
