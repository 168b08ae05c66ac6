//! Every loss, every way to choose targets and to change rows: that it learns, and that a kill changes no bit.

use crate::{bits, config, dataset, gpu, options};
use desirepath::Tape;
use desirepath::eval::baselines::Baselines;
use desirepath::eval::calibration::said;
use desirepath::eval::metrics::Measure;
use desirepath::eval::{Seen, Split, cases, rank, training_counts};
use desirepath::model::{Config, OutputTask};
use desirepath::train::{
    Augments, Checkpoint, Drawing, Judging, Loss, Positions, Stretch, TrainOptions, Trainer, Windows, stretches,
    training_batch,
};

/// The whole model but for the pointer, which only the full loss can teach.
fn without_pointer() -> Config {
    Config { repeats: false, ..config() }
}

fn bert4rec() -> Config {
    Config { dim: 16, len: 10, ffn: 2, ..Config::preset("bert4rec").expect("a preset") }
}

fn augments(text: &str) -> Augments {
    Augments::try_from(text.to_string()).expect("names")
}

/// NDCG@10 of the test over that of what is popular.
fn beats_pop_by(config: &Config, options: &TrainOptions) -> f64 {
    let mut trainer = Trainer::new(gpu(), dataset(), config, options, Seen::Keep).expect("a trainer");
    trainer.run(None, &mut |_| ()).expect("training");
    let cases = cases(dataset(), Split::Test);
    let ranked = rank(trainer.model(), dataset(), &cases, Seen::Keep, true, &mut |_| ()).expect("ranks");
    let pop = Baselines::new(dataset()).pop(&cases, Seen::Keep);
    Measure::Ndcg(10).mean(&ranked.ranks) / Measure::Ndcg(10).mean(&pop.ranks)
}

#[track_caller]
fn learns(name: &str, config: &Config, options: &TrainOptions) {
    let times = beats_pop_by(config, options);
    println!("{name}: {times:.2} times what is popular");
    assert!(times > 1.2, "{name}: {times:.2} times what is popular");
}

#[test]
fn every_loss_learns_more_than_what_is_popular() {
    let plain = TrainOptions { negatives: 16, ..options(20) };
    for loss in [Loss::SampledSoftmax, Loss::Gbce, Loss::Bpr] {
        for negatives_shared in [true, false] {
            let name = format!("{loss:?}, shared {negatives_shared}");
            learns(&name, &without_pointer(), &TrainOptions { loss, negatives_shared, ..plain.clone() });
        }
    }
    let popular = TrainOptions { loss: Loss::SampledSoftmax, negatives_power: 1.0, temperature: 0.8, ..plain };
    learns("popular negatives", &without_pointer(), &popular);
}

#[test]
fn a_model_that_looks_both_ways_learns_more_than_what_is_popular() {
    learns("bert4rec", &bert4rec(), &TrainOptions { mask_last: 0.3, epochs: 60, patience: 60, ..options(60) });
}

#[test]
fn changed_rows_and_last_targets_teach() {
    learns("changed", &config(), &TrainOptions { augment: augments("crop,mask,reorder,time,start"), ..options(20) });
    let last = TrainOptions { targets: Positions::Last, windows: desirepath::train::Windows::Sliding, ..options(20) };
    learns("last", &config(), &last);
}

fn batch_of(options: &TrainOptions, config: &Config, key: (u64, u64)) -> (Vec<u32>, Vec<u32>, Vec<u32>, Vec<u32>) {
    let trainer = Trainer::new(gpu(), dataset(), config, options, Seen::Keep).expect("a trainer");
    let rows: Vec<&Stretch> = trainer.stretches().iter().take(16).collect();
    let drawing = Drawing::new(gpu(), dataset(), options);
    let judging = Judging { drawing, options: options.clone(), ..Judging::default() };
    let (batch, targets) = training_batch(trainer.model(), dataset(), &rows, &judging, key);
    let drawn = targets.drawn.map_or(Vec::new(), |d| d.negatives.host().to_vec());
    (batch.items.host().to_vec(), targets.at.host().to_vec(), targets.items.host().to_vec(), drawn)
}

/// Everything random follows from seed and step, and no setting moves what another draws.
#[test]
fn a_batch_follows_from_seed_and_step() {
    let drawn = TrainOptions { loss: Loss::Gbce, negatives_shared: false, negatives: 5, ..options(1) };
    let all = TrainOptions { augment: augments("crop,mask,reorder,time,start"), augment_share: 1.0, ..drawn.clone() };
    for (options, config) in [(&drawn, without_pointer()), (&all, without_pointer()), (&all, bert4rec())] {
        let once = batch_of(options, &config, (1, 5));
        assert_eq!(once, batch_of(options, &config, (1, 5)));
        let (other_step, other_seed) = (batch_of(options, &config, (1, 6)), batch_of(options, &config, (2, 5)));
        assert!(once.3 != other_step.3 && once.3 != other_seed.3, "other negatives");
        if config.bidirectional || options == &all {
            assert!(once.0 != other_step.0 && once.0 != other_seed.0, "other rows");
        }
        assert_eq!(once.3.len(), 5 * once.2.len(), "five for each target");
        let kept = (options.clone(), TrainOptions { loss: Loss::Full, ..options.clone() });
        let (sampled, full) = (batch_of(&kept.0, &config, (1, 5)), batch_of(&kept.1, &config, (1, 5)));
        assert_eq!((sampled.0, sampled.1, sampled.2), (full.0, full.1, full.2));
    }
}

#[test]
fn the_last_position_alone_is_asked_for() {
    let all = batch_of(&options(1), &config(), (1, 1));
    let last = batch_of(&TrainOptions { targets: Positions::Last, ..options(1) }, &config(), (1, 1));
    assert_eq!(last.0, all.0, "the same is read");
    assert_eq!(last.1.len(), 16, "one target for each row");
    let mut end = 0;
    for (row, (at, item)) in stretches(dataset(), config().len, Windows::All).iter().zip(last.1.iter().zip(&last.2)) {
        end += row.range.len() - 1;
        assert_eq!((*at as usize, item), (end - 1, &all.2[end - 1]));
        assert_eq!(*item, dataset().item[row.range.end - 1]);
    }
    assert_eq!(end, all.0.len(), "every row was looked at");
}

/// Stopped after each epoch and begun again from the folder.
#[test]
fn a_run_in_pieces_ends_with_the_same_bits_whatever_is_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let drawn = TrainOptions {
        loss: Loss::SampledSoftmax,
        negatives: 8,
        negatives_power: 0.5,
        negatives_shared: false,
        augment: augments("crop,mask,reorder,time,start"),
        ..options(3)
    };
    let untied = Config { tied: false, ..without_pointer() };
    for (name, config, options) in
        [("drawn", untied, &drawn), ("hidden", bert4rec(), &TrainOptions { loss: Loss::Bpr, ..options(3) })]
    {
        let [whole, pieces] = ["whole", "pieces"].map(|part| folder.path().join(format!("{name}-{part}")));
        let new = || Trainer::new(gpu(), dataset(), &config, options, Seen::Keep).expect("a trainer");
        let mut trainer = new();
        trainer.run(Some(&whole), &mut |_| ()).expect("training");
        new().run_to(1, Some(&pieces), &mut |_| ()).expect("training");
        for epoch in 2..=3 {
            let mut begun = Trainer::resume(gpu(), dataset(), &pieces, Seen::Keep).expect("a checkpoint");
            assert_eq!((begun.state().epoch, begun.options()), (epoch - 1, options));
            begun.run_to(epoch, Some(&pieces), &mut |_| ()).expect("training");
        }
        let checkpoint = Checkpoint::open(&pieces).expect("a checkpoint");
        let ended = checkpoint.load(gpu(), &checkpoint.data().expect("data")).expect("a model");
        assert!(bits(&ended) == bits(trainer.model()), "{name}: a stop has changed a bit");
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let refused = |config: &Config, options: &TrainOptions, seen: Seen, says: &str| {
        let error = Trainer::new(gpu(), dataset(), config, options, seen).map(drop).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    };
    let gbce = TrainOptions { loss: Loss::Gbce, ..options(1) };
    refused(&config(), &gbce, Seen::Keep, "set repeats=false or loss=full");
    Trainer::new(gpu(), dataset(), &config(), &gbce, Seen::Filter).map(drop).expect("there the pointer is left out");
    let smooth = Config { label_smoothing: 0.1, ..without_pointer() };
    refused(&smooth, &gbce, Seen::Keep, "label_smoothing works with loss = full alone");
    let many = TrainOptions { negatives_shared: false, negatives: 65_536, batch: 65_536, ..gbce.clone() };
    refused(&without_pointer(), &many, Seen::Keep, "set negatives_shared=true, or fewer");
    refused(&without_pointer(), &TrainOptions { negatives: 0, ..gbce.clone() }, Seen::Keep, "negatives = 0");
    refused(
        &without_pointer(),
        &TrainOptions { gbce_t: 1.5, ..gbce.clone() },
        Seen::Keep,
        "gbce_t = 1.5: expected 0 to 1",
    );
    refused(&without_pointer(), &TrainOptions { temperature: 0.0, ..gbce }, Seen::Keep, "temperature = 0");
    let last = TrainOptions { targets: Positions::Last, ..options(1) };
    refused(&bert4rec(), &last, Seen::Keep, "for bidirectional = true set mask_last=1");
    refused(&Config { gru: true, ..bert4rec() }, &options(1), Seen::Keep, "bidirectional = true needs gru = false");
    refused(&Config { len: 1, ..bert4rec() }, &options(1), Seen::Keep, "len = 2 or more");
}

/// The sigmoid output of the model that is kept is what the ratings of the validation want, not those of the training.
#[test]
fn the_output_is_put_where_the_validation_wants_it() {
    let mut rated = dataset().clone();
    let mut ratings: Vec<f32> = (0..rated.n_events()).map(|e| 1.0 + (e % 5) as f32).collect();
    let held_out = cases(&rated, Split::Validation);
    held_out.iter().for_each(|case| ratings[case.target] = 5.0);
    rated.rating = Some(ratings);
    let mut trainer = Trainer::new(gpu(), &rated, &config(), &options(2), Seen::Keep).expect("a trainer");
    trainer.run(None, &mut |_| ()).expect("training");
    let said = said(trainer.model(), &rated, &held_out, 4.0, &mut |_| ()).expect("probabilities");
    let mean = said.iter().map(|(p, _)| p).sum::<f64>() / said.len() as f64;
    assert!(said.iter().all(|(_, liked)| *liked) && mean > 0.9, "{mean} where all were liked");
}

/// Items' biases begin with what is popular, as far as they are told to.
#[test]
fn biases_start_at_the_logarithm_of_popularity() {
    let bias = |bias_start: f32| -> Vec<f32> {
        let options = TrainOptions { bias_start, ..options(1) };
        let trainer = Trainer::new(gpu(), dataset(), &config(), &options, Seen::Keep).expect("a trainer");
        let param = trainer.model().params().list().iter().find(|p| p.name == "item.bias").expect("a bias");
        param.tensor.to_vec().expect("read")
    };
    let counts: Vec<f64> = training_counts(dataset()).into_iter().map(|n| f64::from(n) + 1.0).collect();
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    let (whole, half) = (bias(1.0), bias(0.5));
    for (i, n) in counts.iter().enumerate() {
        let expected = (n / mean).ln();
        assert!((f64::from(whole[i + 1]) - expected).abs() < 1e-5, "item {}: {} of {expected}", i + 1, whole[i + 1]);
        assert!((f64::from(half[i + 1]) - expected / 2.0).abs() < 1e-5, "item {}: {}", i + 1, half[i + 1]);
    }
    assert!(whole[0] == 0.0 && bias(0.0).iter().all(|b| *b == 0.0));
    let wrong = TrainOptions { bias_start: 1.5, ..options(1) }.validate().expect_err("out of range").to_string();
    assert!(wrong.contains("bias_start = 1.5: expected 0 to 1"), "{wrong}");
}

/// An event without a rating was neither liked nor not: it says nothing of that.
#[test]
fn unrated_events_teach_the_output_nothing() {
    let mut rated = dataset().clone();
    let rating = |e: usize| if e.is_multiple_of(3) { f32::NAN } else { 1.0 + (e % 5) as f32 };
    rated.rating = Some((0..rated.n_events()).map(rating).collect());
    let trainer = Trainer::new(gpu(), &rated, &config(), &options(1), Seen::Keep).expect("a trainer");
    let rows: Vec<&Stretch> = trainer.stretches().iter().take(16).collect();
    let judging = Judging { like: Some(4.0), ..Judging::default() };
    let (batch, targets) = training_batch(trainer.model(), &rated, &rows, &judging, (1, 1));
    let asked: Vec<usize> = rows.iter().flat_map(|row| row.range.start + 1..row.range.end).collect();
    let OutputTask::Liked { of, items, liked } = &targets.output else { panic!("{:?}", targets.output) };
    let known: Vec<u32> = (0..asked.len() as u32).filter(|row| !asked[*row as usize].is_multiple_of(3)).collect();
    assert!(of.host() == known && known.len() < asked.len(), "{} of {}", of.host().len(), asked.len());
    let event = |row: &u32| asked[*row as usize];
    assert_eq!(items.host(), known.iter().map(|row| rated.item[event(row)]).collect::<Vec<_>>());
    let expected: Vec<f32> = known.iter().map(|row| f32::from(rating(event(row)) >= 4.0)).collect();
    assert_eq!(liked.to_vec::<f32>().expect("read"), expected);

    // Nobody in the batch rated anything: what is left is the loss of a model without that output.
    let mut silent = rated.clone();
    silent.rating = Some(vec![f32::NAN; silent.n_events()]);
    let loss = |output_weight: f32, like| {
        let config = Config { output_weight, dropout: 0.0, input_dropout: 0.0, rating_input: false, ..config() };
        let trainer = Trainer::new(gpu(), &silent, &config, &options(1), Seen::Keep).expect("a trainer");
        let judging = Judging { like, ..Judging::default() };
        let (batch, targets) = training_batch(trainer.model(), &silent, &rows, &judging, (1, 1));
        trainer.model().loss(&mut Tape::off(), &batch, &targets).item().expect("read").to_bits()
    };
    assert_eq!(loss(0.1, Some(4.0)), loss(0.0, Some(4.0)));
    assert_ne!(loss(0.1, None), loss(0.0, None), "without a threshold the output learns what comes next");
    assert!(trainer.model().loss(&mut Tape::off(), &batch, &targets).item().expect("read").is_finite());
}
