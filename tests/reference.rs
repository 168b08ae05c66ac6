//! The definitions against PyTorch: values, and the central differences that kernels are checked with against autograd.
//! `tests/golden/write.py` wrote the files.
#![cfg(all(feature = "check", feature = "recsys"))]

use desirepath::reference::*;
use safetensors::{Dtype, SafeTensors};

/// What PyTorch computed for one op.
struct Golden(Vec<u8>);

impl Golden {
    fn open(name: &str) -> Golden {
        let path = format!("{}/tests/golden/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        Golden(std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}")))
    }

    fn get(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let data = tensor.data();
        match tensor.dtype() {
            Dtype::F64 => data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
            Dtype::I64 => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn number(&self, name: &str) -> f64 {
        self.get(name)[0]
    }

    /// Ids; -1 becomes `u32::MAX`.
    fn ids(&self, name: &str) -> Vec<u32> {
        self.get(name).into_iter().map(|id| if id < 0.0 { u32::MAX } else { id as u32 }).collect()
    }

    /// `f` of `inputs` must give `outputs`, one after the other, and its central differences PyTorch's gradients.
    #[track_caller]
    fn compare(&self, inputs: &[&str], outputs: &[&str], f: &dyn Fn(&[Vec<f64>]) -> Vec<f64>) {
        let values: Vec<Vec<f64>> = inputs.iter().map(|name| self.get(name)).collect();
        let all =
            |prefix: &str| -> Vec<f64> { outputs.iter().flat_map(|y| self.get(&format!("{prefix}{y}"))).collect() };
        close(outputs[0], &f(&values), &all(""), 1e-12);
        let upstream = all("d");
        for (i, name) in inputs.iter().enumerate() {
            let objective = |x: &[f64]| -> f64 {
                let mut moved = values.clone();
                moved[i] = x.to_vec();
                f(&moved).iter().zip(&upstream).map(|(y, dy)| y * dy).sum()
            };
            let every: Vec<usize> = (0..values[i].len()).collect();
            let name = format!("d{name}");
            close(&name, &gradient(&objective, &values[i], &every), &self.get(&name), 2e-9);
        }
    }
}

/// Differences of at most `tolerance` times the largest expected magnitude.
#[track_caller]
fn close(what: &str, actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}: length");
    assert!(expected.iter().any(|e| *e != 0.0), "{what}: nothing but zeros to compare with");
    let size = expected.iter().fold(1.0, |m: f64, e| m.max(e.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * size, "{what}[{i}]: {a}, expected {e}");
    }
}

#[test]
fn activations() {
    let check = |name: &str, act: fn(f64) -> f64| {
        Golden::open(name).compare(&["x"], &["y"], &|x| x[0].iter().map(|x| act(*x)).collect());
    };
    check("gelu", gelu);
    check("relu", relu);
    check("silu", silu);
    check("tanh", tanh);
    check("sigmoid", sigmoid);
}

#[test]
fn linear_with_gelu_and_residual() {
    let f = |x: &[Vec<f64>]| linear(&x[0], &x[1], Some(&x[2]), gelu, Some(&x[3]), 5);
    Golden::open("linear").compare(&["x", "w", "bias", "residual"], &["y"], &f);
    assert_eq!(linear(&[1.0, 2.0], &[3.0, -4.0], None, identity, None, 2), [-5.0]);
}

#[test]
fn embedding_with_padding() {
    let golden = Golden::open("embedding");
    let ids = golden.ids("ids");
    golden.compare(&["table"], &["y"], &|x| embedding(&x[0], &ids, 3, Some(0)));
    assert_eq!(embedding(&[5.0, 6.0], &[0, 1, 0], 1, None), [5.0, 6.0, 5.0]);
}

#[test]
fn layer_norm_of_rows() {
    let golden = Golden::open("layer_norm");
    let eps = golden.number("eps");
    golden.compare(&["x", "gamma", "beta"], &["y"], &|x| layer_norm(&x[0], &x[1], &x[2], eps));
}

#[test]
fn gru_over_rows_of_different_lengths() {
    const INPUTS: [&str; 6] = ["x", "h0", "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
    let golden = Golden::open("gru");
    let lengths = golden.ids("lengths");
    golden.compare(&INPUTS, &["y", "last"], &|x| {
        let w = Gru { w_ih: &x[2], w_hh: &x[3], b_ih: &x[4], b_hh: &x[5] };
        let mut y = gru(&x[0], &x[1], w, &lengths);
        y.extend(gru_last(&x[0], &x[1], w, &lengths));
        y
    });
}

/// The same step by step for a whole batch, and a row without events keeps its state.
#[test]
fn gru_step_by_step() {
    let golden = Golden::open("gru");
    let weights = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"].map(|name| golden.get(name));
    let w = Gru { w_ih: &weights[0], w_hh: &weights[1], b_ih: &weights[2], b_hh: &weights[3] };
    let (x, h0) = (golden.get("x"), golden.get("h0"));
    let mut h = h0.clone();
    for t in 0..7 {
        let event: Vec<f64> = (0..3).flat_map(|b| x[(b * 7 + t) * 5..][..5].to_vec()).collect();
        h = gru_step(&event, &h, w);
    }
    assert_eq!(h, gru_last(&x, &h0, w, &[7, 7, 7]));
    let y = gru(&x, &h0, w, &[7, 0, 7]);
    assert!(y[7 * 6..14 * 6].iter().all(|y| *y == 0.0));
    assert_eq!(gru_last(&x, &h0, w, &[7, 0, 7])[6..12], h0[6..12]);
}

#[test]
fn attention_without_bias() {
    let golden = Golden::open("attention_plain");
    let lengths = golden.ids("lengths");
    let o = Attention { heads: 2, head_dim: 4, causal: false, lengths: &lengths, bias: AttentionBias::default() };
    golden.compare(&["q", "k", "v"], &["y"], &|x| attention(&x[0], &x[1], &x[2], &o));
}

#[test]
fn attention_with_every_bias() {
    for (name, causal) in [("attention_causal", true), ("attention_bidirectional", false)] {
        let golden = Golden::open(name);
        let lengths = golden.ids("lengths");
        let (query_s, key_s) = (golden.get("query_s"), golden.get("key_s"));
        let (query_place, key_place) = (golden.get("query_place"), golden.get("key_place"));
        let (query_category, key_category) = (golden.ids("query_category"), golden.ids("key_category"));
        let [unit_s, unit_km] = ["unit_s", "unit_km"].map(|name| golden.number(name));
        let [of_time, of_place] = ["time_per_octave", "place_per_octave"].map(|name| golden.number(name));
        golden.compare(&["q", "k", "v", "time", "place", "category", "position"], &["y"], &|x| {
            let bias = AttentionBias {
                time: Some(TimeBias { table: &x[3], unit_s, per_octave: of_time, query_s: &query_s, key_s: &key_s }),
                place: Some(PlaceBias {
                    table: &x[4],
                    unit_km,
                    per_octave: of_place,
                    query: &query_place,
                    key: &key_place,
                }),
                category: Some(CategoryBias {
                    table: &x[5],
                    categories: 3,
                    query: &query_category,
                    key: &key_category,
                }),
                position: Some(&x[6]),
            };
            attention(&x[0], &x[1], &x[2], &Attention { heads: 2, head_dim: 4, causal, lengths: &lengths, bias })
        });
    }
}

#[test]
fn attention_of_nothing_is_zero() {
    let x: Vec<f64> = (0..12).map(f64::from).collect();
    let o = Attention { heads: 1, head_dim: 2, causal: false, lengths: &[0, 2], bias: AttentionBias::default() };
    assert_eq!(attention(&x, &x, &x, &o)[..6], [0.0; 6]);
    let sums: Vec<f64> = attention_weights(&x, &x, &o).chunks_exact(3).map(|row| row.iter().sum()).collect();
    close("sums", &sums, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0], 1e-12);
    assert_eq!(attention_pool(&x, &[1.0, 1.0], &[0, 1]), [&[0.0; 6][..], &x[6..8], &[0.0; 4]].concat());
}

#[test]
fn attention_pool_of_what_came_so_far() {
    let golden = Golden::open("attention_pool");
    let lengths = golden.ids("lengths");
    golden.compare(&["x", "w"], &["y"], &|x| attention_pool(&x[0], &x[1], &lengths));
}

#[test]
fn cross_entropy_with_smoothing_and_padding() {
    let golden = Golden::open("cross_entropy");
    let (targets, smoothing) = (golden.ids("targets"), golden.number("smoothing"));
    assert!(targets.contains(&u32::MAX));
    let f = |x: &[Vec<f64>]| cross_entropy(&x[0], &x[1], Some(&x[2]), &targets, smoothing, 1, &|_, _| false);
    golden.compare(&["x", "table", "bias"], &["y"], &f);
    close("even", &cross_entropy(&[0.0], &[1.0; 4], None, &[2], 0.3, 0, &|_, _| false), &[4f64.ln()], 1e-12);
    let masked = |_: usize, item: usize| item != 0; // the target 2 stays all the same
    close("two of four", &cross_entropy(&[0.0], &[1.0; 4], None, &[2], 0.0, 0, &masked), &[2f64.ln()], 1e-12);
}

#[test]
fn bce_of_logits() {
    let golden = Golden::open("bce_with_logits");
    let targets = golden.get("targets");
    golden.compare(&["logits"], &["y"], &|x| bce_with_logits(&x[0], &targets));
    assert_eq!(bce_with_logits(&[1000.0, -1000.0], &[0.0, 0.0]), [1000.0, 0.0]);
}

#[test]
fn pointer_mixture_of_catalogue_and_history() {
    let golden = Golden::open("pointer_mixture");
    let (items, targets) = (golden.ids("items"), golden.ids("targets"));
    let f = |x: &[Vec<f64>]| pointer_mixture(&x[0], &x[1], &x[2], &items, &targets);
    golden.compare(&["nll", "gate", "weights"], &["y"], &f);
    assert_eq!(pointer_mixture(&[3.0], &[0.0], &[1.0], &[7], &[u32::MAX]), [0.0]);
}

#[test]
fn adamw_for_three_steps() {
    let golden = Golden::open("adamw");
    let [lr, beta1, beta2, eps, weight_decay] = golden.get("options")[..] else { panic!("options") };
    let options = AdamW { lr, beta1, beta2, eps, weight_decay };
    let (mut p, mut m, mut v) = (golden.get("p0"), vec![0.0; 10], vec![0.0; 10]);
    for step in 1..=3 {
        adamw(&mut p, &golden.get(&format!("grad{step}")), &mut m, &mut v, step, &options);
        close("p", &p, &golden.get(&format!("p{step}")), 1e-14);
    }
    close("m", &m, &golden.get("m3"), 1e-14);
    close("v", &v, &golden.get("v3"), 1e-14);
}

#[test]
fn clip_grad_norm_tight_and_loose() {
    let golden = Golden::open("clip_grad_norm");
    for name in ["tight", "loose"] {
        let mut grads = [golden.get("a"), golden.get("b")];
        let norm = clip_grad_norm(&mut grads, golden.number(&format!("{name}_max")));
        close("norm", &[norm], &golden.get(&format!("{name}_norm")), 1e-14);
        close("a", &grads[0], &golden.get(&format!("{name}_a")), 1e-14);
        close("b", &grads[1], &golden.get(&format!("{name}_b")), 1e-14);
    }
}

#[test]
fn top_k_by_score_then_id() {
    let golden = Golden::open("top_k");
    let excluded: Vec<Vec<u32>> = golden.ids("excluded").chunks_exact(2).map(<[u32]>::to_vec).collect();
    let bias = golden.get("bias");
    let best = top_k(&golden.get("queries"), &golden.get("table"), Some(&bias), &excluded, 1, 5, 4).concat();
    assert_eq!(best.iter().map(|(_, id)| *id).collect::<Vec<_>>(), golden.ids("ids"));
    close("scores", &best.iter().map(|(score, _)| *score).collect::<Vec<_>>(), &golden.get("scores"), 1e-12);
    let tied = top_k(&[1.0], &[9.0, 2.0, 3.0, 2.0, 3.0], None, &[vec![4]], 1, 9, 1);
    assert_eq!(tied, [[(3.0, 2), (2.0, 1), (2.0, 3)]]);
}

#[test]
fn elementwise_and_means() {
    assert_eq!(add(&[1.0, 2.0], &[3.0, 5.0]), [4.0, 7.0]);
    assert_eq!(scale(&[1.0, -2.0], 3.0), [3.0, -6.0]);
    assert_eq!(fill(2, 4.0), [4.0, 4.0]);
    assert_eq!(dropout(&[3.0, 4.0], &[0.0, 2.0]), [0.0, 8.0]);
    assert_eq!(dot(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], 2), [17.0, 53.0]);
    assert_eq!(mean(&[1.0, 2.0, 6.0], None), 3.0);
    assert_eq!(mean(&[1.0, 2.0, 6.0], Some(&[1.0, 0.0, 3.0])), 4.75);
    assert_eq!(mean(&[1.0], Some(&[0.0])), 0.0);
}
