//! One training step of each preset, on histories of equal length over a catalogue of one size; and one request.

use super::measure::{Repeat, Time, time};
use desirepath::check::Rng;
use desirepath::data::Dataset;
use desirepath::eval::Seen;
use desirepath::model::Config;
use desirepath::train::{Stretch, TrainOptions, Trainer};
use desirepath::{Gpu, Result};

const CATEGORIES: usize = 18;

/// Of a step: histories, their events, the width of vectors, items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    pub batch: usize,
    pub len: usize,
    pub dim: usize,
    pub items: usize,
}

/// What every preset is timed at, as others report it.
pub const USUAL: Size = Size { batch: 128, len: 50, dim: 64, items: 3417 };
/// Work for a GPU.
pub const LARGE: Size = Size { batch: 128, len: 200, dim: 128, items: 27_000 };

pub fn name(preset: &str, Size { batch, len, dim, items }: Size) -> String {
    format!("{preset}-step-{batch}x{len}x{dim}x{items}")
}

/// What a step took, and what it asked of the device.
pub struct Step {
    pub time: Time,
    pub dispatches: u64,
    /// What the dispatches' buffers hold together: moved if each dispatch read or wrote all of them once.
    pub bound_bytes: u64,
    pub peak_bytes: u64,
    /// Beyond the parameters, their moments and what else stays from step to step.
    pub extra_bytes: u64,
    pub flops: f64,
}

/// Times everything that training does in a step: making the batch, forward, backward, clipping and AdamW.
pub fn measure(gpu: &Gpu, preset: &str, size: Size, repeat: Repeat) -> Result<Step> {
    let dataset = dataset(size);
    let config = Config { dim: size.dim, len: size.len, ..Config::preset(preset)? };
    let options = TrainOptions { batch: size.batch, ..TrainOptions::default() };
    let trainer = Trainer::new(gpu, &dataset, &config, &options, Seen::Keep)?;
    let rows: Vec<&Stretch> = trainer.stretches().iter().collect();
    let mut step = || drop(trainer.step(&rows, 1000));
    let (dispatches, bound) = (gpu.dispatches(), gpu.bound_bytes());
    step();
    let (dispatches, bound_bytes) = (gpu.dispatches() - dispatches, gpu.bound_bytes() - bound);
    gpu.sync()?;
    let held = gpu.memory().live;
    gpu.reset_peak();
    let time = time(gpu, repeat, &mut step)?;
    let peak_bytes = gpu.memory().peak;
    let flops = flops(&trainer, &config, size);
    Ok(Step { time, dispatches, bound_bytes, peak_bytes, extra_bytes: peak_bytes - held, flops })
}

/// Multiplications and additions of the matrix products alone, three times those of the forward pass.
fn flops(trainer: &Trainer, config: &Config, Size { batch, len, dim, items }: Size) -> f64 {
    let (tokens, items) = (batch * len, items + 1);
    let product = |name: &str, shape: &[usize]| match (name, shape) {
        (_, [_]) => 0,
        ("user.start.weight", [a, b]) => batch * a * b,
        (name, [a, b]) if name.ends_with(".map.weight") => items * a * b,
        (name, _) if name.ends_with(".table") || name.ends_with(".bias") || name == "item.output" => 0,
        (_, shape) => tokens * shape.iter().product::<usize>(),
    };
    let weights: usize = trainer.model().params().list().iter().map(|p| product(&p.name, p.tensor.shape())).sum();
    let attentions = config.blocks + usize::from(config.attention);
    let pairs = batch * dim * if config.bidirectional { len * len } else { len * (len + 1) / 2 };
    // Attention has two products forward and five backward.
    (6 * (weights + tokens * items * dim) + 14 * attentions * pairs) as f64
}

/// Everybody has as many events as the model reads, and three more: one to predict, two that are held out.
fn dataset(Size { batch, len, items, .. }: Size) -> Dataset {
    let mut rng = Rng::new(1);
    let per_user = len + 3;
    let n = batch * per_user;
    let mut place = || [rng.unit() as f32, rng.unit() as f32];
    let item_place: Vec<[f32; 2]> = (0..items).map(|_| place()).collect();
    let item: Vec<u32> = (0..n).map(|_| 1 + rng.below(items) as u32).collect();
    Dataset {
        users: (0..batch).map(|u| u.to_string()).collect(),
        items: (0..items).map(|i| i.to_string()).collect(),
        offsets: (0..=batch).map(|u| u * per_user).collect(),
        time: (0..n).map(|e| 1_700_000_000 + (e % per_user) as i64 * 9000).collect(),
        place: Some(item.iter().map(|i| item_place[*i as usize - 1]).collect()),
        item,
        item_category: Some((0..items).map(|i| 1 + (i % CATEGORIES) as u32).collect()),
        categories: (0..CATEGORIES).map(|c| c.to_string()).collect(),
        item_place: Some(item_place),
        has_time: true,
        ..Dataset::default()
    }
}
