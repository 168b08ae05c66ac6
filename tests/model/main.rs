//! The model as a whole, on a city of a few people: every preset and every switch, and what must hold for all of them.
#![cfg(all(feature = "check", feature = "recsys"))]

mod gradient;
mod hidden;
mod large;
mod mixed;
mod packed;
mod scores;
mod switches;

use desirepath::check::Rng;
use desirepath::data::Dataset;
use desirepath::data::city::{City, CityOptions};
use desirepath::model::{Batch, Catalogue, Config, History, Model, Request, Targets};
use desirepath::train::{Judging, Stretch, Windows, catalogue_of, history, stretches, training_batch};
use desirepath::{Gpu, Options, Tape};
use std::sync::OnceLock;

/// Guarded: a kernel that reads what nobody wrote gives NaN.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(Options { guard: true, ..Options::from_env() }).expect("an adapter"))
}

/// A city with all that a model can take: beside times, places and categories also ratings and features of items.
pub fn dataset() -> &'static Dataset {
    static DATASET: OnceLock<Dataset> = OnceLock::new();
    DATASET.get_or_init(|| {
        let mut dataset = City::generate(&CityOptions { users: 12, places: 37, events: [6, 15], seed: 3 }).dataset;
        let mut rng = Rng::new(5);
        dataset.rating = Some((0..dataset.n_events()).map(|_| 1.0 + rng.below(9) as f32 / 2.0).collect());
        dataset.feature_dim = 3;
        dataset.item_features = Some((0..3 * dataset.n_items()).map(|_| rng.unit() as f32).collect());
        dataset
    })
}

pub const LEN: usize = 9;

/// Small, and with everything on that the configuration has.
pub fn tiny() -> Config {
    Config {
        dim: 8,
        len: LEN,
        ffn: 2,
        time_knots: 8,
        place_knots: 6,
        position_bias: true,
        rating_input: true,
        ..Config::default()
    }
}

/// The preset called `name` at the size of [`tiny`].
pub fn preset(name: &str) -> Config {
    Config { dim: 8, len: LEN, ffn: 2, time_knots: 8, place_knots: 6, ..Config::preset(name).expect("a preset") }
}

/// A model with no parameter left at zero, so that every stage matters. A parameter's values follow from its name and
/// not from which others there are, so that models can be compared.
pub fn model(config: &Config) -> Model {
    model_of(config, catalogue_of(dataset()))
}

pub fn model_of(config: &Config, catalogue: Catalogue) -> Model {
    config.validate().expect("valid");
    let model = Model::new(gpu(), config, catalogue, 7);
    for param in model.params().list() {
        let mut rng = Rng::new(param.name.bytes().fold(11u64, |hash, b| hash.wrapping_mul(31) + u64::from(b)));
        let fresh: Vec<f32> = param.tensor.to_vec().expect("read");
        let middle = if fresh.iter().all(|v| *v == 1.0) { 1.0 } else { 0.0 };
        let values: Vec<f32> = fresh.iter().map(|_| middle + 0.3 * rng.unit() as f32).collect();
        param.tensor.write(&values);
    }
    model
}

/// The longest stretch of training events of each user.
pub fn rows(config: &Config) -> Vec<Stretch> {
    stretches(dataset(), config.len, Windows::Last)
}

pub fn training(model: &Model, stretches: &[Stretch], like: Option<f32>) -> (Batch, Targets) {
    judged(model, stretches, Judging { like, ..Judging::default() })
}

pub fn judged(model: &Model, stretches: &[Stretch], judging: Judging) -> (Batch, Targets) {
    training_batch(model, dataset(), &stretches.iter().collect::<Vec<_>>(), &judging, (1, 1))
}

/// The whole past of `user`, asked for half a day after its last event.
pub fn past(user: u32) -> History<'static> {
    let events = dataset().events_of(user as usize);
    let time = Some(dataset().time[events.end - 1] + 12 * 3600);
    history(dataset(), user, events, Request { time, place: None })
}

/// The pasts of all users.
pub fn pasts() -> Vec<History<'static>> {
    (1..=dataset().n_users() as u32).map(past).collect()
}

/// `[histories, dim]` states after the last events.
pub fn states(model: &Model, histories: &[History]) -> Vec<f32> {
    model.last_states(histories).0.to_vec().expect("read")
}

/// Largest difference relative to the largest expected magnitude.
pub fn distance(actual: &[f32], expected: &[f32]) -> f64 {
    let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|v| f64::from(*v)).collect() };
    desirepath::check::relative_error(&wide(actual), &wide(expected))
}

/// The loss of one batch, as training computes it.
pub fn loss(model: &Model, batch: &Batch, targets: &Targets) -> f64 {
    let loss = model.loss(&mut Tape::new(1), batch, targets);
    f64::from(loss.item().expect("read"))
}
