//! What this adapter can do at most, measured: every other number is compared with these.

use super::measure::host;
use desirepath::gpu::Kernel;
use desirepath::{Gpu, Result, Tape, Tensor, kernel, ops};
use serde::Serialize;
use std::time::Instant;

static FMA: Kernel = kernel!("bench_fma");
/// As in the shader: threads of a group, multiply-adds of a thread.
const THREADS: usize = 64;
const FLOPS_PER_THREAD: usize = 512 * 8 * 12 * 2;

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ceilings {
    /// Bytes read and written by a large copy, 10⁹ per second.
    pub copy_gbps: f64,
    /// Bytes read by a kernel that writes almost nothing, 10⁹ per second. A CPU reads before it writes: copies cost it more.
    pub read_gbps: f64,
    /// Multiplications and additions of multiply-adds in registers, 10⁹ per second.
    pub fma_gflops: f64,
    /// Host and device time of one tiny dispatch among many.
    pub dispatch_us: f64,
    /// The same where each is submitted on its own.
    pub submit_us: f64,
    /// From one tiny dispatch until the host knows that it is done.
    pub round_trip_us: f64,
}

impl Ceilings {
    pub fn measure(gpu: &Gpu) -> Result<Ceilings> {
        Ok(Ceilings {
            copy_gbps: copy(gpu)?,
            read_gbps: read(gpu)?,
            fma_gflops: fma(gpu)?,
            dispatch_us: tiny(gpu, 512, |_| ())?,
            submit_us: tiny(gpu, 64, Gpu::flush)?,
            round_trip_us: tiny(gpu, 16, |gpu| {
                let _ = gpu.sync(); // an error sticks, and comes out of the sync that ends the measurement
            })?,
        })
    }

    fn memory_gbps(&self) -> f64 {
        self.copy_gbps.max(self.read_gbps)
    }

    /// Seconds below which nothing that computes `flops` and moves `bytes` can go.
    pub fn floor(&self, flops: f64, bytes: f64) -> f64 {
        (flops / self.fma_gflops).max(bytes / self.memory_gbps()) * 1e-9
    }

    /// Which of the two it is.
    pub fn bound(&self, flops: f64, bytes: f64) -> &'static str {
        if flops / self.fma_gflops > bytes / self.memory_gbps() { "arithmetic" } else { "memory" }
    }
}

/// Seconds of the fastest of some runs: a ceiling is what was reached once. The runs are short and spread over a while,
/// or one disturbance hits all of them: then "ceilings" came out at a quarter, below what kernels reach.
fn best(gpu: &Gpu, run: &mut dyn FnMut()) -> Result<f64> {
    host(gpu, run)?;
    let (start, mut runs, mut least) = (Instant::now(), 0, f64::INFINITY);
    while runs < 7 || start.elapsed().as_secs_f64() < 0.4 {
        least = least.min(host(gpu, run)?);
        runs += 1;
    }
    Ok(least)
}

/// Bytes far beyond any cache, and within one binding.
fn large(gpu: &Gpu) -> usize {
    let largest = if gpu.info().software { 128 << 20 } else { 512 << 20 };
    gpu.info().max_binding.min(largest) as usize / 256 * 256
}

fn read(gpu: &Gpu) -> Result<f64> {
    let bytes = large(gpu) / 2;
    let [a, b] = [0.0, 1.0].map(|value| Tensor::full(gpu, &[bytes / 256, 64], value));
    let seconds = best(gpu, &mut || drop(ops::dot(&mut Tape::off(), &a, &b)))?;
    Ok(2.0 * bytes as f64 / seconds * 1e-9)
}

fn copy(gpu: &Gpu) -> Result<f64> {
    let bytes = large(gpu);
    let x = Tensor::zeros(gpu, &[bytes / 4]);
    let seconds = best(gpu, &mut || drop(ops::scale(&mut Tape::off(), &x, 1.0)))?;
    Ok(2.0 * bytes as f64 / seconds * 1e-9)
}

fn fma(gpu: &Gpu) -> Result<f64> {
    let groups = if gpu.info().software { 64 } else { 32_768 };
    let y = Tensor::empty(gpu, &[groups * THREADS]);
    let seconds = best(gpu, &mut || gpu.dispatch(&FMA, [0.999f32, 0.001], &[&y], groups))?;
    Ok((groups * THREADS * FLOPS_PER_THREAD) as f64 / seconds * 1e-9)
}

fn tiny(gpu: &Gpu, n: usize, after_each: impl Fn(&Gpu)) -> Result<f64> {
    let x = Tensor::zeros(gpu, &[64]);
    let mut run = || {
        for _ in 0..n {
            ops::fill(gpu, &x, 1.0);
            after_each(gpu);
        }
    };
    Ok(best(gpu, &mut run)? / n as f64 * 1e6)
}
