//! One training step of each preset: batch, forward, backward, clipping and AdamW.

use criterion::{Criterion, criterion_group, criterion_main};
use desirepath::Gpu;
use desirepath::data::city::{City, CityOptions};
use desirepath::eval::Seen;
use desirepath::model::{Config, PRESETS};
use desirepath::train::{Stretch, TrainOptions, Trainer};

/// Histories of a step.
const BATCH: usize = 64;

fn steps(c: &mut Criterion) {
    let gpu = Gpu::new().expect("an adapter");
    let city = City::generate(&CityOptions { users: BATCH, ..CityOptions::default() });
    let mut group = c.benchmark_group("step");
    group.sample_size(10);
    for (preset, _) in PRESETS {
        let config = Config::preset(preset).expect("a preset of that name");
        let options = TrainOptions::default();
        let trainer = Trainer::new(&gpu, &city.dataset, &config, &options, Seen::Keep).expect("a city to train on");
        let rows: Vec<&Stretch> = trainer.stretches().iter().collect();
        let loss = trainer.step(&rows, 1000).item().expect("the device works");
        assert!(loss.is_finite(), "{preset}: the loss is {loss}");
        group.bench_function(preset, |b| {
            b.iter(|| {
                trainer.step(&rows, 1000);
                gpu.sync().expect("the device works");
            })
        });
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
