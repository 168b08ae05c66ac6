//! How long something takes: on the device by its timestamps, and as the host sees it.

use desirepath::{Gpu, Result};
use std::time::Instant;

/// Seconds for one run, and the kernel that took the most of it.
#[derive(Debug, Clone)]
pub struct Time {
    /// Between the timestamps around each dispatch, added up; `None` where the adapter has no timestamps.
    pub device: Option<f64>,
    /// From the first command until the device is done.
    pub host: f64,
    pub kernel: Option<&'static str>,
}

impl Time {
    /// What the kernels cost: device time where it is known.
    pub fn of_kernels(&self) -> f64 {
        self.device.unwrap_or(self.host)
    }
}

/// How often to repeat.
#[derive(Debug, Clone, Copy)]
pub struct Repeat {
    pub fewest: usize,
    pub most: usize,
    /// No further repetition after so many seconds.
    pub seconds: f64,
}

/// Medians over repetitions; the first run, which compiles, does not count.
pub fn time(gpu: &Gpu, repeat: Repeat, run: &mut dyn FnMut()) -> Result<Time> {
    run();
    gpu.sync()?;
    let host = repeated(repeat, &mut || host(gpu, run))?;
    if !gpu.info().timestamps {
        return Ok(Time { device: None, host: median(host), kernel: None });
    }
    gpu.set_profiling(true);
    gpu.take_timings()?;
    let mut kernel = None;
    let device = repeated(repeat, &mut || {
        run();
        let timings = gpu.take_timings()?; // longest first
        kernel = timings.first().map(|t| t.kernel);
        Ok(timings.iter().map(|t| t.nanoseconds).sum::<f64>() * 1e-9)
    });
    gpu.set_profiling(false);
    Ok(Time { device: Some(median(device?)), host: median(host), kernel })
}

/// Seconds of one run until the device is done.
pub fn host(gpu: &Gpu, run: &mut dyn FnMut()) -> Result<f64> {
    let start = Instant::now();
    run();
    gpu.sync()?;
    Ok(start.elapsed().as_secs_f64())
}

fn repeated(repeat: Repeat, sample: &mut dyn FnMut() -> Result<f64>) -> Result<Vec<f64>> {
    let start = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < repeat.fewest
        || (samples.len() < repeat.most && start.elapsed().as_secs_f64() < repeat.seconds)
    {
        samples.push(sample()?);
    }
    Ok(samples)
}

pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
