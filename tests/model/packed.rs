use crate::{distance, judged, model, preset, rows, tiny};
use desirepath::Tape;
use desirepath::model::{Config, Model, PRESETS};
use desirepath::train::{Judging, Stretch, TrainOptions};

/// The loss of some histories together, how many events that is, and the gradients of all parameters.
fn learn(model: &Model, stretches: &[Stretch]) -> (f64, usize, Vec<Vec<f32>>) {
    // Where events are hidden, it is the last one: by chance it would be others in another batch.
    let options = TrainOptions { mask_last: 1.0, ..TrainOptions::default() };
    let judging = Judging { like: Some(3.0), options, ..Judging::default() };
    let (batch, targets) = judged(model, stretches, judging);
    let mut tape = Tape::new(1);
    let y = model.loss(&mut tape, &batch, &targets);
    let grads = tape.backward(&y);
    let of = |param: &desirepath::nn::Param| match grads.get(&param.tensor) {
        Some(gradient) => gradient.to_vec().expect("read"),
        None => vec![0.0; param.tensor.len()],
    };
    let gradients = model.params().list().iter().map(of).collect();
    (f64::from(y.item().expect("read")), targets.items.host().len(), gradients)
}

/// A batch of histories of all lengths learns what each of them alone would teach, with any preset: nothing passes from
/// one to the next.
#[test]
fn together_as_alone() {
    let configs = PRESETS.map(|(name, _)| preset(name)).into_iter().chain([tiny()]);
    for config in configs {
        let config = Config { dropout: 0.0, input_dropout: 0.0, user_dropout: 0.0, ..config };
        let model = model(&config);
        let mut rows = rows(&config);
        for (i, row) in rows.iter_mut().enumerate() {
            row.range.start = row.range.start.max(row.range.end - 2 - i % 6); // some are short
        }
        let (loss, n, gradients) = learn(&model, &rows);
        let mut sum = 0.0;
        let mut sums: Vec<Vec<f32>> = gradients.iter().map(|g| vec![0.0; g.len()]).collect();
        for row in &rows {
            let (loss, events, gradients) = learn(&model, std::slice::from_ref(row));
            let share = events as f64 / n as f64;
            sum += share * loss;
            for (sum, g) in sums.iter_mut().zip(&gradients) {
                sum.iter_mut().zip(g).for_each(|(sum, g)| *sum += share as f32 * g);
            }
        }
        assert!((loss - sum).abs() < 1e-5, "{loss} instead of {sum}");
        for ((param, g), expected) in model.params().list().iter().zip(&gradients).zip(&sums) {
            let error = distance(g, expected);
            assert!(error < 2e-5, "{}: off by {error:.1e}", param.name);
        }
    }
}
