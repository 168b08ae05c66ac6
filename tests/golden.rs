//! The kernels against PyTorch: values and gradients that it computed in f64 (`tests/golden/write.py`), and a GRU module's
//! state dict in the place of this crate's own weights. The definitions are compared in `tests/reference.rs`.
#![cfg(all(feature = "check", feature = "recsys"))]

use desirepath::check::{floats, relative_error, upload};
use desirepath::nn::{Init, Params, gru_weights};
use desirepath::ops::{self, Attention, BiasLayout, SpaceTime};
use desirepath::{Gpu, Options, Tape, Tensor};
use safetensors::{Dtype, SafeTensors};
use std::sync::OnceLock;

fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(Options { guard: true, ..Options::from_env() }).expect("an adapter"))
}

/// What PyTorch computed for one op.
struct Golden(Vec<u8>);

impl Golden {
    fn open(name: &str) -> Golden {
        let path = format!("{}/tests/golden/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        Golden(std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}")))
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).expect("safetensors")
    }

    fn shape(&self, name: &str) -> Vec<usize> {
        self.file().tensor(name).expect(name).shape().to_vec()
    }

    fn get(&self, name: &str) -> Vec<f64> {
        let file = self.file();
        let tensor = file.tensor(name).expect(name);
        let data = tensor.data();
        match tensor.dtype() {
            Dtype::F64 => data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
            Dtype::I64 => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    /// On the device, as something to learn.
    fn parameter(&self, name: &str) -> Tensor {
        upload(gpu(), &self.get(name), &self.shape(name)).parameter()
    }

    fn lengths(&self) -> Tensor {
        let lengths: Vec<u32> = self.get("lengths").into_iter().map(|n| n as u32).collect();
        Tensor::from_slice(gpu(), &lengths, &[lengths.len()])
    }

    #[track_caller]
    fn agrees(&self, name: &str, actual: &[f64]) {
        let expected = self.get(name);
        assert_eq!(actual.len(), expected.len(), "{name}: length");
        assert!(expected.iter().any(|e| *e != 0.0), "{name}: nothing but zeros to compare with");
        let error = relative_error(actual, &expected);
        assert!(error < 3e-6, "{name}: off by {error:.1e}");
    }

    /// `y` and, under the upstream gradient in the file, the gradient of each input by its name.
    fn compare(&self, names: &[&str], f: impl Fn(&mut Tape, &[Tensor]) -> Tensor) {
        let inputs: Vec<Tensor> = names.iter().map(|n| self.parameter(n)).collect();
        let mut tape = Tape::new(0);
        let y = f(&mut tape, &inputs);
        self.agrees("y", &floats(&y).expect("read"));
        let grads = tape.backward_from(&y, upload(gpu(), &self.get("dy"), y.shape()));
        for (name, input) in names.iter().zip(&inputs) {
            self.agrees(&format!("d{name}"), &floats(grads.get(input).expect(name)).expect("read"));
        }
        gpu().check_guards().expect("nothing written behind a tensor");
    }
}

#[test]
fn layer_norm() {
    let golden = Golden::open("layer_norm");
    let eps = golden.get("eps")[0] as f32;
    golden.compare(&["x", "gamma", "beta"], |tape, i| ops::layer_norm(tape, &i[0], &i[1], &i[2], eps));
}

#[test]
fn attention_pool() {
    let golden = Golden::open("attention_pool");
    let lengths = golden.lengths();
    golden.compare(&["x", "w"], |tape, i| ops::attention_pool(tape, &i[0], &i[1], &lengths));
}

/// The file's weights and items make the mass, as `ops::pointer` would; PyTorch's gradient of each weight that counts is
/// that of its row's mass.
#[test]
fn pointer_mixture() {
    let golden = Golden::open("pointer_mixture");
    let [weights, items, targets] = ["weights", "items", "targets"].map(|n| golden.get(n));
    let (rows, len) = (targets.len(), items.len() / targets.len());
    let found = |at: usize| if items[at] == targets[at / len] { 1.0 } else { 0.0 };
    let mass: Vec<f64> = (0..rows).map(|r| (r * len..(r + 1) * len).map(|at| weights[at] * found(at)).sum()).collect();
    let mass = upload(gpu(), &mass, &[rows]).parameter();
    let inputs = ["nll", "gate"].map(|n| golden.parameter(n));
    let mut tape = Tape::new(0);
    let y = ops::mixture(&mut tape, &inputs[0], &inputs[1], &mass);
    golden.agrees("y", &floats(&y).expect("read"));
    let grads = tape.backward_from(&y, upload(gpu(), &golden.get("dy"), &[rows]));
    let gradient = |of: &Tensor| floats(grads.get(of).expect("a gradient")).expect("read");
    golden.agrees("dnll", &gradient(&inputs[0]));
    golden.agrees("dgate", &gradient(&inputs[1]));
    let dmass = gradient(&mass);
    let dweights: Vec<f64> = (0..items.len()).map(|at| dmass[at / len] * found(at)).collect();
    golden.agrees("dweights", &dweights);
    gpu().check_guards().expect("nothing written behind a tensor");
}

/// The file's `[rows, n]` tensors side by side, row by row.
fn side_by_side(golden: &Golden, names: &[&str], rows: usize) -> Vec<f64> {
    let parts: Vec<Vec<f64>> = names.iter().map(|n| golden.get(n)).collect();
    let row = |r: usize| parts.iter().flat_map(move |p| p[r * p.len() / rows..(r + 1) * p.len() / rows].to_vec());
    (0..rows).flat_map(row).collect()
}

/// Takes what [`side_by_side`] put together apart again, and compares each part.
fn agree_side_by_side(golden: &Golden, names: &[&str], rows: usize, actual: &[f64]) {
    let widths: Vec<usize> = names.iter().map(|n| golden.get(n).len() / rows).collect();
    let total: usize = widths.iter().sum();
    let mut from = 0;
    for (name, width) in names.iter().zip(widths) {
        let part: Vec<f64> = (0..rows).flat_map(|r| actual[r * total + from..][..width].to_vec()).collect();
        golden.agrees(&format!("d{name}"), &part);
        from += width;
    }
}

/// Times, places and categories of the file, as kernels take them.
fn context(golden: &Golden, batch: usize, len: usize) -> Tensor {
    let names = ["query_s", "query_place", "key_s", "key_place", "query_category", "key_category"];
    let [query_s, query_place, key_s, key_place, query_category, key_category] = names.map(|n| golden.get(n));
    let mut words = Vec::new();
    for i in 0..batch * len {
        for (time, place) in [(&query_s, &query_place), (&key_s, &key_place)] {
            words.push(time[i] as i32 as u32);
            words.extend(place[3 * i..3 * i + 3].iter().map(|v| (*v as f32).to_bits()));
        }
        words.extend([query_category[i] as u32, key_category[i] as u32, 0, 0]);
    }
    Tensor::from_slice(gpu(), &words, &[batch, len, SpaceTime::WORDS])
}

fn attention(name: &str, causal: bool, biased: bool) {
    let golden = Golden::open(name);
    let [heads, categories] = [0, 2].map(|i| golden.get("shape")[i] as usize);
    let [batch, len, dim] = [0, 1, 2].map(|i| golden.shape("q")[i]);
    let tables = ["time", "place", "category", "position"];
    let lengths = golden.lengths();
    let qkv = upload(gpu(), &side_by_side(&golden, &["q", "k", "v"], batch * len), &[batch, len, 3 * dim]).parameter();
    let bias = biased.then(|| {
        let number = |name: &str| golden.get(name)[0] as f32;
        let layout = BiasLayout {
            time_knots: golden.shape("time")[1],
            place_knots: golden.shape("place")[1],
            categories,
            positions: golden.shape("position")[1],
            time_unit_s: number("unit_s"),
            time_per_octave: number("time_per_octave"),
            place_unit_km: number("unit_km"),
            place_per_octave: number("place_per_octave"),
        };
        let table = upload(gpu(), &side_by_side(&golden, &tables, heads), &[heads, layout.size()]).parameter();
        SpaceTime { context: context(&golden, batch, len), table, layout }
    });
    let mut tape = Tape::new(0);
    let options = Attention { heads, causal, lengths: (&lengths).into(), dropout: 0.0, bias: bias.as_ref() };
    let y = ops::attention(&mut tape, &qkv, &options);
    golden.agrees("y", &floats(&y).expect("read"));
    let grads = tape.backward_from(&y, upload(gpu(), &golden.get("dy"), y.shape()));
    let gradient = |of: &Tensor| floats(grads.get(of).expect("a gradient")).expect("read");
    agree_side_by_side(&golden, &["q", "k", "v"], batch * len, &gradient(&qkv));
    if let Some(bias) = &bias {
        agree_side_by_side(&golden, &tables, heads, &gradient(&bias.table));
    }
}

#[test]
fn attention_without_bias() {
    attention("attention_plain", false, false);
}

#[test]
fn attention_with_every_bias() {
    attention("attention_causal", true, true);
    attention("attention_bidirectional", false, true);
}

/// The parameters of a GRU have the names and shapes of PyTorch's state dict, so that its weights load as they are.
/// `tests/ops/gru.rs` compares the gradients.
#[test]
fn a_state_dict_of_pytorch_loads_by_name() {
    let golden = Golden::open("gru");
    let (inputs, dim) = (golden.shape("weight_ih_l0")[1], golden.shape("weight_hh_l0")[1]);
    let mut params = Params::new(gpu(), 1);
    let weights = gru_weights(&mut params, "encoder", [inputs, dim]);
    assert_eq!(params.list().len(), 4);
    params.load("encoder.", &golden.0).expect("a state dict");
    let (x, h0, lengths) = (golden.parameter("x"), golden.parameter("h0"), golden.lengths());
    let y = ops::gru(&mut Tape::off(), &x, &weights, Some(&h0), Some(&lengths));
    golden.agrees("y", &floats(&y).expect("read"));
    let refused =
        |params: &Params, prefix: &str, bytes: &[u8]| params.load(prefix, bytes).expect_err("refused").to_string();
    assert!(refused(&params, "decoder.", &golden.0).contains("no parameter's name begins with \"decoder.\""));
    assert!(refused(&params, "encoder.", &golden.0[..100]).contains("state dict: "));
    let mut wider = Params::new(gpu(), 1);
    gru_weights(&mut wider, "encoder", [inputs + 1, dim]);
    assert!(refused(&wider, "encoder.", &golden.0).contains(&format!("{:?} is asked for", [3 * dim, inputs + 1])));
    let mut other = Params::new(gpu(), 1);
    other.add("encoder.weight_ih_l1", &[1], Init::Zero);
    assert!(refused(&other, "encoder.", &golden.0).contains("weight_ih_l1"));
}
