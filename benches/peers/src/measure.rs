//! How long something takes as the host sees it, until a value of the result has been read back.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::json;
use std::any::Any;
use std::time::Instant;

pub struct Bench {
    pub device: Device,
    pub case: String,
    pub quick: bool,
}

/// Runs that do not count: shaders compile, matrix products are tuned, fused kernels are found.
const WARM_UP: usize = 3;

/// One value of the result to read, and what must not be dropped before: burn may skip what nobody holds.
pub type Run<'a> = &'a mut dyn FnMut() -> (Tensor<1>, Box<dyn Any>);

impl Bench {
    /// Prints the median as a line of JSON. Repeats as often as `desirepath bench` does.
    pub fn time(&self, pass: &str, run: Run) {
        for _ in 0..WARM_UP {
            self.seconds(run);
        }
        let (fewest, most, limit) = if self.quick { (3, 3, 0.0) } else { (5, 25, 1.0) };
        let start = Instant::now();
        let mut samples = Vec::new();
        while samples.len() < fewest || (samples.len() < most && start.elapsed().as_secs_f64() < limit) {
            samples.push(self.seconds(run));
        }
        samples.sort_by(f64::total_cmp);
        let n = samples.len();
        // What burn's pool has taken from the device by now: the most that it needed, and pages kept for reuse.
        let reserved = self.device.memory_pool_usage().map(|usage| usage.bytes_reserved);
        println!(
            "{}",
            json!({
                "case": self.case, "pass": pass, "variant": "f32", "ms": 1e3 * samples[n / 2],
                "fastest_ms": 1e3 * samples[0], "slowest_ms": 1e3 * samples[n - 1], "samples": n,
                "reserved_bytes": reserved,
            })
        );
    }

    fn seconds(&self, run: Run) -> f64 {
        let start = Instant::now();
        let (value, held) = run();
        self.device.sync().expect("the device works");
        let value = numbers(value)[0];
        let seconds = start.elapsed().as_secs_f64();
        drop(held);
        assert!(value.is_finite(), "the result is {value}");
        seconds
    }
}

pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("f32")
}

/// Uniform in `[-1, 1)`, the same in every run.
pub fn random<const D: usize>(device: &Device, shape: [usize; D]) -> Tensor<D> {
    let n: usize = shape.iter().product();
    let mut state = n as u64;
    let data: Vec<f32> = (0..n).map(|_| (bits(&mut state) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect();
    Tensor::from_data(TensorData::new(data, shape), device)
}

/// SplitMix64, upper half.
pub fn bits(state: &mut u64) -> u32 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 32) as u32
}

#[track_caller]
pub fn assert_close(what: &str, got: f32, expected: f64) {
    let error = (f64::from(got) - expected).abs();
    assert!(error <= 1e-3 * expected.abs().max(1.0), "{what} is {got}, expected {expected}");
}
