//! One training step of each preset, on histories of equal length over a catalogue of one size.

use super::measure::{Repeat, Time, time};
use desirepath::check::Rng;
use desirepath::data::Dataset;
use desirepath::eval::Seen;
use desirepath::model::Config;
use desirepath::train::{Stretch, TrainOptions, Trainer};
use desirepath::{Gpu, Result};

pub const BATCH: usize = 128;
const LEN: usize = 50;
const DIM: usize = 64;
const ITEMS: usize = 3417;
const CATEGORIES: usize = 18;

pub fn name(preset: &str) -> String {
    format!("{preset}-step-{BATCH}x{LEN}x{DIM}x{ITEMS}")
}

/// What a step took, and what it asked of the device.
pub struct Step {
    pub time: Time,
    pub dispatches: u64,
    pub peak_bytes: u64,
    /// Beyond the parameters, their moments and what else stays from step to step.
    pub extra_bytes: u64,
    pub flops: f64,
}

/// Times everything that training does in a step: making the batch, forward, backward, clipping and AdamW.
pub fn measure(gpu: &Gpu, preset: &str, repeat: Repeat) -> Result<Step> {
    let dataset = dataset();
    let config = Config { dim: DIM, len: LEN, ..Config::preset(preset)? };
    let options = TrainOptions { batch: BATCH, ..TrainOptions::default() };
    let trainer = Trainer::new(gpu, &dataset, &config, &options, Seen::Keep)?;
    let rows: Vec<&Stretch> = trainer.stretches().iter().collect();
    let mut step = || drop(trainer.step(&rows, 1000));
    let before = gpu.dispatches();
    step();
    let dispatches = gpu.dispatches() - before;
    gpu.sync()?;
    let held = gpu.memory().live;
    gpu.reset_peak();
    let time = time(gpu, repeat, &mut step)?;
    let peak_bytes = gpu.memory().peak;
    Ok(Step { time, dispatches, peak_bytes, extra_bytes: peak_bytes - held, flops: flops(&trainer, &config) })
}

/// Multiplications and additions of the matrix products alone, three times those of the forward pass.
fn flops(trainer: &Trainer, config: &Config) -> f64 {
    let (tokens, items) = (BATCH * LEN, ITEMS + 1);
    let product = |name: &str, shape: &[usize]| match (name, shape) {
        (_, [_]) => 0,
        ("user.start.weight", [a, b]) => BATCH * a * b,
        (name, [a, b]) if name.ends_with(".map.weight") => items * a * b,
        (name, _) if name.ends_with(".table") || name.ends_with(".bias") => 0,
        (_, shape) => tokens * shape.iter().product::<usize>(),
    };
    let weights: usize = trainer.model().params().list().iter().map(|p| product(&p.name, p.tensor.shape())).sum();
    let attentions = config.blocks + usize::from(config.attention);
    let pairs = BATCH * LEN * (LEN + 1) / 2 * DIM;
    // Attention has two products forward and five backward.
    (6 * (weights + tokens * items * DIM) + 14 * attentions * pairs) as f64
}

/// Everybody has as many events as the model reads, and three more: one to predict, two that are held out.
fn dataset() -> Dataset {
    let mut rng = Rng::new(1);
    let per_user = LEN + 3;
    let n = BATCH * per_user;
    let mut place = || [rng.unit() as f32, rng.unit() as f32];
    let item_place: Vec<[f32; 2]> = (0..ITEMS).map(|_| place()).collect();
    let item: Vec<u32> = (0..n).map(|_| 1 + rng.below(ITEMS) as u32).collect();
    Dataset {
        users: (0..BATCH).map(|u| u.to_string()).collect(),
        items: (0..ITEMS).map(|i| i.to_string()).collect(),
        offsets: (0..=BATCH).map(|u| u * per_user).collect(),
        time: (0..n).map(|e| 1_700_000_000 + (e % per_user) as i64 * 9000).collect(),
        place: Some(item.iter().map(|i| item_place[*i as usize - 1]).collect()),
        item,
        item_category: Some((0..ITEMS).map(|i| 1 + (i % CATEGORIES) as u32).collect()),
        categories: (0..CATEGORIES).map(|c| c.to_string()).collect(),
        item_place: Some(item_place),
        has_time: true,
        ..Dataset::default()
    }
}
