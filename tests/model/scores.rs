use crate::{dataset, gpu, model, pasts, preset, tiny};
use desirepath::model::{Catalogue, Config, History, Model, PRESETS, Serving};
use desirepath::train::catalogue_of;
use desirepath::{Gpu, Options};

/// `[histories][items]` in f64 from what is on the device; item id `i` is at `i - 1`.
fn scores(model: &Model, histories: &[History]) -> Vec<Vec<f64>> {
    let (states, vectors) = model.last_states(histories);
    let dim = model.config().dim;
    let (states, vectors): (Vec<f32>, Vec<f32>) = (states.to_vec().expect("read"), vectors.to_vec().expect("read"));
    let named = |name: &str| model.params().list().iter().find(|p| p.name == name);
    let bias: Vec<f32> =
        named("item.bias").map_or(vec![0.0; vectors.len() / dim], |p| p.tensor.to_vec().expect("read"));
    let dot = |s: &[f32], v: &[f32]| -> f64 { s.iter().zip(v).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let of = |s: &[f32]| vectors.chunks(dim).zip(&bias).skip(1).map(|(v, b)| dot(s, v) + f64::from(*b)).collect();
    states.chunks(dim).map(of).collect()
}

/// Differences between scores below this are rounding.
const CLOSE: f64 = 1e-5;

#[test]
fn ranks_and_recommendations_are_those_of_the_scores() {
    let (histories, n_items) = (pasts(), dataset().n_items());
    let targets: Vec<u32> = (0..histories.len()).map(|i| (1 + 5 * i % n_items) as u32).collect();
    let seen: Vec<Vec<u32>> = histories.iter().map(|h| h.items.to_vec()).collect();
    let nothing = vec![Vec::new(); histories.len()];
    for config in
        PRESETS.map(|(name, _)| preset(name)).into_iter().chain([Config { item_bias: false, tied: false, ..tiny() }])
    {
        let config = Config { repeats: false, ..config }; // see mixed.rs
        let model = model(&config);
        let scores = scores(&model, &histories);
        for exclude in [&nothing, &seen] {
            let ranks = model.ranks(&histories, &targets, exclude).expect("ranks");
            let lists = model.recommend(&histories, exclude, 1000).expect("lists");
            for (row, scores) in scores.iter().enumerate() {
                let candidate = |i: u32| !exclude[row].contains(&i);
                let (list, target) = (&lists[row], targets[row]);
                let to_beat = scores[target as usize - 1];
                let others = || (1..=n_items as u32).filter(|i| *i != target && candidate(*i));
                let above = |margin: f64| 1 + others().filter(|i| scores[*i as usize - 1] > to_beat + margin).count();
                let rank = ranks[row] as usize;
                assert!((above(CLOSE)..=above(-CLOSE)).contains(&rank), "rank {rank} of {}", above(0.0));
                // Every candidate once, in falling order, with its score; and the target at its rank.
                let mut found: Vec<u32> = list.iter().map(|r| r.item).collect();
                assert!(list.iter().all(|r| (f64::from(r.score) - scores[r.item as usize - 1]).abs() < CLOSE));
                assert!(list.is_sorted_by(|a, b| a.score >= b.score));
                if candidate(target) {
                    assert_eq!(found.iter().position(|i| *i == target), Some(rank - 1), "the target's place");
                }
                found.sort_unstable();
                assert!(found.into_iter().eq((1..=n_items as u32).filter(|i| candidate(*i))), "all but the excluded");
            }
            let few = model.recommend(&histories, exclude, 3).expect("lists");
            assert!(few.iter().zip(&lists).all(|(few, all)| few[..] == all[..3]), "the first three");
        }
    }
    gpu().check_guards().expect("nothing written behind a tensor");
}

/// One random item beside each that came next is not all the others that there are.
#[test]
fn without_ratings_the_odds_are_those_among_all_items() {
    let config = Config { repeats: false, ..tiny() };
    let list = |rated: bool| {
        let catalogue = Catalogue { rated, ..catalogue_of(dataset()) };
        let model = Model::new(gpu(), &config, catalogue, 7);
        model.recommend(&pasts()[..1], &[Vec::new()], 5).expect("a list").remove(0)
    };
    for (liked, next) in list(true).iter().zip(list(false)) {
        assert_eq!((liked.item, liked.score), (next.item, next.score));
        let odds = |p: Option<f32>| p.map(|p| f64::from(p) / (1.0 - f64::from(p))).expect("a probability");
        let times = odds(liked.probability) / odds(next.probability);
        assert!((times / dataset().n_items() as f64 - 1.0).abs() < 1e-3, "{times} times");
    }
}

/// The probability rises with the score, by the learned scale and offset.
#[test]
fn probabilities_are_the_sigmoid_of_scaled_scores() {
    let model = model(&Config { repeats: false, ..tiny() });
    let value = |name: &str| -> f64 {
        let param = model.params().list().iter().find(|p| p.name == name).expect(name);
        f64::from(param.tensor.to_vec::<f32>().expect("read")[0])
    };
    let (scale, offset) = (value("output.weight"), value("output.bias"));
    for r in model.recommend(&pasts()[..2], &[vec![], vec![]], 10).expect("lists").iter().flatten() {
        let expected = 1.0 / (1.0 + (-(f64::from(r.score) * scale + offset)).exp());
        let probability = r.probability.expect("an output was trained");
        assert!((f64::from(probability) - expected).abs() < 1e-5, "{probability} instead of {expected}");
    }
    let plain = crate::model(&preset("sasrec"));
    assert_eq!(plain.recommend(&pasts()[..1], &[vec![]], 1).expect("lists")[0][0].probability, None);
}

/// A model that scores everything alike is last, not first.
#[test]
fn equal_scores_count_against_the_model() {
    let model = model(&preset("gru4rec"));
    for param in model.params().list() {
        param.tensor.write(&vec![0.0f32; param.tensor.len()]);
    }
    let n_items = dataset().n_items() as u32;
    let ranks = model.ranks(&pasts()[..2], &[1, n_items], &[vec![], vec![1, 2, n_items]]).expect("ranks");
    assert_eq!(ranks, [n_items, n_items - 2], "what is excluded is not ahead, and the target is a candidate");
}

#[test]
fn an_explanation_shares_out_one() {
    for (config, explains) in
        [(tiny(), true), (preset("sasrec"), true), (preset("bert4rec"), true), (preset("gru4rec"), false)]
    {
        let model = model(&config);
        let longest = pasts().into_iter().max_by_key(|h| h.items.len()).expect("histories");
        assert!(longest.items.len() > config.len, "more than the model reads");
        for history in [pasts()[2].last(4), longest.last(config.len), longest] {
            let weights = model.explain(&history).expect("read");
            assert_eq!(weights.is_some(), explains);
            let Some(weights) = weights else { continue };
            assert_eq!(weights.len(), history.items.len());
            let unread = history.items.len().saturating_sub(config.len - usize::from(config.bidirectional));
            assert!(weights[..unread].iter().all(|w| *w == 0.0) && weights[unread..].iter().all(|w| *w > 0.0));
            assert!(weights.iter().all(|w| *w >= 0.0) && (weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}

/// Pairs whose vectors exceed a binding are scored some after the other.
#[test]
fn many_pairs_under_small_bindings() {
    let lists: Vec<Vec<u32>> = (0..4u32).map(|r| (0..600).map(|i| 1 + (7 * i + r) % 30).collect()).collect();
    let scores = |gpu: &Gpu| {
        let model = Model::new(gpu, &tiny(), catalogue_of(dataset()), 7);
        let serving = Serving::new(model, 0).expect("a model to serve");
        let rows = serving.score(&pasts()[..4], &lists).expect("scores");
        rows.iter().flatten().map(|r| r.score.to_bits()).collect::<Vec<_>>()
    };
    let small = Gpu::open(Options { guard: true, max_binding: Some(16 << 10), ..Options::from_env() }).expect("one");
    assert_eq!(scores(&small), scores(gpu()));
}
