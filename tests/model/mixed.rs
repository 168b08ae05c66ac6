use crate::{dataset, gpu, model_of, rows, tiny};
use desirepath::Tape;
use desirepath::Tensor;
use desirepath::eval::training_events;
use desirepath::model::{Batch, Catalogue, Config, History, Model, Neighbours, OutputTask, Recommendation, Targets};
use desirepath::ops::{IGNORE, Ids};
use desirepath::train::{Stretch, catalogue_of, history, request_of};
use std::sync::Arc;

/// What training says of each item's probability to follow, one by one; item id `i` is at `i - 1`.
fn learned(model: &Model, history: &History) -> Vec<f64> {
    let batch = Batch::new(gpu(), model.config(), model.catalogue(), &[*history]);
    let n_items = dataset().n_items();
    let last = batch.len as u32 - 1;
    let p = |item: u32| {
        let ids = |value: u32, rows: usize| Ids::new(gpu(), &[value], &[1], rows);
        let mut next = vec![IGNORE; batch.len];
        next[last as usize] = item;
        let targets = Targets {
            at: ids(last, batch.len),
            items: ids(item, n_items + 1),
            next: Tensor::from_slice(gpu(), &next, &[batch.len]),
            output: OutputTask::Nothing,
            masked: None,
            drawn: None,
        };
        let loss = model.loss(&mut Tape::off(), &batch, &targets).item().expect("read");
        f64::from(-loss).exp()
    };
    (1..=n_items as u32).map(p).collect()
}

/// The probabilities that items are ranked by: those of training, of which the neighbours take their share of the catalogue's;
/// and those of training.
fn probabilities(config: &Config, neighbours: &Neighbours, history: &History) -> [Vec<f64>; 2] {
    let of =
        |repeats: bool| learned(&model_of(&Config { repeats, ..config.clone() }, catalogue_of(dataset())), history);
    let (learned, softmax) = (of(config.repeats), of(false));
    let mut p = learned.clone();
    // What the pointer leaves: all of what is not in the history.
    let other = (1..).find(|i| !history.items.contains(i)).expect("an item") as usize - 1;
    let share = f64::from(config.neighbours) * p[other] / softmax[other];
    p.iter_mut().zip(softmax).for_each(|(p, softmax)| *p -= share * softmax);
    neighbours.shares(history.items).iter().for_each(|(item, said)| p[*item as usize - 1] += share * said);
    [p, learned]
}

/// The most probable item.
fn first(p: &[f64]) -> u32 {
    (0..p.len()).max_by(|a, b| p[*a].total_cmp(&p[*b])).expect("items") as u32 + 1
}

/// What was had near each item in training.
fn counted() -> Neighbours {
    let histories: Vec<&[u32]> =
        (1..=dataset().n_users()).map(|user| &dataset().item[training_events(dataset(), user)]).collect();
    Neighbours::count(dataset().n_items(), &histories)
}

fn asked(row: &Stretch) -> History<'static> {
    let last = row.range.end - 1;
    history(dataset(), row.user, row.range.start..last, request_of(dataset(), last))
}

/// Ranking looks at the items that the pointer or the neighbours name alone: it must agree with the definition on all.
#[test]
fn the_ranking_is_that_of_the_probabilities() {
    for (repeats, neighbours) in [(true, 0.0), (false, 0.8), (true, 0.8)] {
        ranks_by_probability(&Config { output_weight: 0.0, repeats, neighbours, ..tiny() });
    }
}

fn ranks_by_probability(config: &Config) {
    let counted = Arc::new(counted());
    let catalogue = |rated| {
        let neighbours = (config.neighbours > 0.0).then(|| counted.clone());
        Catalogue { neighbours, rated, ..catalogue_of(dataset()) }
    };
    let (model, unrated) = (model_of(config, catalogue(true)), model_of(config, catalogue(false)));
    let n_items = dataset().n_items() as u32;
    let mut lifted = 0;
    for row in rows(config).iter().take(5) {
        let history = asked(row);
        let [p, learned] = probabilities(config, &counted, &history);
        let total: f64 = p.iter().sum();
        assert!((total - 1.0).abs() < 1e-4, "probabilities of all items add up to {total}");
        let seen = history.items.to_vec();
        for exclude in [Vec::new(), seen.clone(), vec![1, 2, seen[0]]] {
            let allowed: Vec<u32> = (1..=n_items).filter(|i| !exclude.contains(i)).collect();
            let of = |item: u32| p[item as usize - 1];
            let list =
                &model.recommend(&[history], std::slice::from_ref(&exclude), n_items as usize).expect("a list")[0];
            let mut found: Vec<u32> = list.iter().map(|r| r.item).collect();
            // Each before those that are clearly less probable, and none lost.
            assert!(list.windows(2).all(|w| of(w[0].item) > 0.9999 * of(w[1].item)), "in the order of probability");
            found.sort_unstable();
            assert_eq!(found, allowed);
            assert!(list.iter().all(|r| r.probability.is_none()), "with ratings it would be that of being liked");
            let list = &unrated.recommend(&[history], std::slice::from_ref(&exclude), 5).expect("a list")[0];
            let close = |r: &Recommendation| (f64::from(r.probability.expect("one")) / of(r.item) - 1.0).abs() < 1e-3;
            assert!(list.iter().all(close), "the probability is that in training");
            for target in allowed {
                let rank =
                    model.ranks(&[history], &[target], std::slice::from_ref(&exclude)).expect("a rank")[0] as usize;
                let others = || (1..=n_items).filter(|i| *i != target && !exclude.contains(i));
                let above = |factor: f64| 1 + others().filter(|i| of(*i) >= factor * of(target)).count();
                assert!((above(1.0001)..=above(0.9999)).contains(&rank), "rank {rank} of {}", above(1.0));
            }
        }
        // What is mixed in matters here: without it the order would be another.
        lifted += usize::from(match config.neighbours > 0.0 {
            true => first(&p) != first(&learned),
            false => seen.contains(&first(&p)),
        });
    }
    assert!(lifted > 0, "no item that is mixed in came first");
}
