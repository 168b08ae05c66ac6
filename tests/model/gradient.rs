use crate::{dataset, gpu, judged, loss, model, preset, rows, tiny};
use desirepath::Tape;
use desirepath::check::Rng;
use desirepath::model::{Config, Model};
use desirepath::nn::Param;
use desirepath::train::{Drawing, Judging, Loss, TrainOptions};

/// The slope of the loss along `direction` in the space of one parameter, by central differences in f32.
fn slope(param: &Param, direction: &[f64], loss: &dyn Fn() -> f64) -> f64 {
    const STEP: f64 = 1e-2;
    let middle: Vec<f32> = param.tensor.to_vec().expect("read");
    let moved = |by: f64| {
        let values: Vec<f32> = middle.iter().zip(direction).map(|(v, d)| v + (by * d) as f32).collect();
        param.tensor.write(&values);
        loss()
    };
    let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
    param.tensor.write(&middle);
    slope
}

fn unit(mut v: Vec<f64>) -> Vec<f64> {
    let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
    v.iter_mut().for_each(|v| *v /= norm);
    v
}

fn agrees(model: &Model, judging: Judging) {
    let (batch, targets) = judged(model, &rows(model.config()), judging);
    let mut tape = Tape::new(1);
    let y = model.loss(&mut tape, &batch, &targets);
    let grads = tape.backward(&y);
    let mut rng = Rng::new(23);
    for param in model.params().list() {
        let gradient: Vec<f32> = grads.get(&param.tensor).expect(&param.name).to_vec().expect("read");
        let gradient: Vec<f64> = gradient.into_iter().map(f64::from).collect();
        let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        // Uphill, where the slope is the size of the gradient, and anywhere, to see what the gradient leaves out.
        let anywhere = unit((0..gradient.len()).map(|_| rng.unit()).collect());
        for (way, direction) in [("uphill", unit(gradient.clone())), ("anywhere", anywhere)] {
            let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let actual = slope(param, &direction, &|| loss(model, &batch, &targets));
            let error = (actual - expected).abs();
            assert!(error < 0.01 * size + 2e-4, "{} {way}: slope {actual:.5}, gradient {expected:.5}", param.name);
        }
    }
}

/// The gradient of the whole model's loss with respect to every parameter, through all stages.
#[test]
fn of_the_whole_model() {
    let config = Config { dropout: 0.0, input_dropout: 0.0, output_weight: 0.5, label_smoothing: 0.1, ..tiny() };
    let likes = |like| Judging { like, ..Judging::default() };
    agrees(&model(&config), likes(None));
    agrees(&model(&Config { request_time: true, blocks: 2, heads: 1, ..config }), likes(Some(3.0)));
}

/// With vectors of the output's own, over drawn items.
#[test]
fn of_losses_over_drawn_items() {
    let config = Config { dropout: 0.0, input_dropout: 0.0, repeats: false, tied: false, ..tiny() };
    for (loss, negatives_shared) in [(Loss::SampledSoftmax, true), (Loss::Gbce, true), (Loss::Bpr, false)] {
        let options =
            TrainOptions { loss, negatives_shared, negatives: 9, temperature: 0.7, ..TrainOptions::default() };
        let drawing = Drawing::new(gpu(), dataset(), &options);
        agrees(&model(&config), Judging { drawing, mask_seen: true, options, ..Judging::default() });
    }
}

#[test]
fn of_a_model_that_looks_both_ways() {
    let config = Config { dropout: 0.0, input_dropout: 0.0, time_bias: true, ..preset("bert4rec") };
    agrees(&model(&config), Judging { mask_seen: true, ..Judging::default() });
}
