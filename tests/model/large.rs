//! A catalogue whose vectors exceed a binding.

use crate::{dataset, distance, gpu, preset, rows};
use desirepath::model::{Catalogue, Config, Model};
use desirepath::ops::{self, AdamW, Update};
use desirepath::train::{Judging, Stretch, catalogue_of, training_batch};
use desirepath::{Gpu, Options, Tape};

/// Items beyond those of the city, of which nobody has had one.
fn catalogue() -> Catalogue {
    const ITEMS: usize = 300;
    let city = catalogue_of(dataset());
    let known = city.n_items;
    let more = |i: usize| if i <= known { i } else { 1 + i % known };
    let categories = city.categories.as_ref().map(|c| (0..=ITEMS).map(|i| c[more(i)]).collect());
    let places = city.places.as_ref().map(|p| (0..=ITEMS).map(|i| p[more(i)]).collect());
    let width = city.feature_dim;
    let features = (0..=ITEMS).flat_map(|i| city.features[more(i) * width..][..width].to_vec()).collect();
    Catalogue { n_items: ITEMS, categories, places, features, ..city }
}

/// The parameters after two steps on two histories.
fn learned(gpu: &Gpu) -> Vec<(String, Vec<f32>)> {
    let config = Config { category_input: true, place_input: true, feature_input: true, ..preset("mf") };
    let model = Model::new(gpu, &config, catalogue(), 7);
    let rows = rows(&config);
    let rows: Vec<&Stretch> = rows.iter().take(2).collect();
    let moments = model.params().moments();
    for step in 1..3 {
        let (batch, targets) = training_batch(&model, dataset(), &rows, &Judging::default(), (1, u64::from(step)));
        let mut tape = Tape::new(1);
        let loss = model.loss(&mut tape, &batch, &targets);
        let grads = tape.backward(&loss);
        let mut updates = Vec::new();
        for (p, moments) in model.params().list().iter().zip(&moments) {
            let gradient = grads.get(&p.tensor).expect(&p.name);
            updates.push(Update { parameter: &p.tensor, gradient, moments, decay: p.decay });
        }
        let gradients: Vec<_> = updates.iter().map(|u| u.gradient).collect();
        let clip = ops::clip_grad_norm(gpu, &gradients, 1.0);
        ops::adamw_all(gpu, &updates, &AdamW { lr: 0.01, step, ..AdamW::default() }, Some(&clip));
    }
    let values = |p: &desirepath::nn::Param| (p.name.clone(), p.tensor.to_vec().expect("read"));
    model.params().list().iter().map(values).collect()
}

/// Item vectors with category, place and features, their gradients and the optimizer go in pieces of rows, and learn the
/// same.
#[test]
fn learns_in_pieces() {
    let small = Options { guard: true, max_binding: Some(4096), ..Options::from_env() };
    let (whole, pieces) = (learned(gpu()), learned(&Gpu::open(small).expect("an adapter")));
    assert!(whole.iter().any(|(name, _)| name == "feature.map.weight"), "all that makes a vector takes part");
    for ((name, whole), (_, pieces)) in whole.iter().zip(&pieces) {
        let error = distance(pieces, whole);
        assert!(error < 1e-4, "{name}: off by {error:.1e}");
    }
}
