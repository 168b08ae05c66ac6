use crate::{dataset, gpu, model, model_of, rows, tiny};
use desirepath::Tape;
use desirepath::Tensor;
use desirepath::model::{Batch, Catalogue, Config, History, Model, OutputTask, Recommendation, Targets};
use desirepath::ops::{IGNORE, Ids};
use desirepath::train::{Stretch, catalogue_of, history, request_of};

/// What training says of each item's probability to follow, one by one; item id `i` is at `i - 1`.
fn probabilities(model: &Model, history: &History) -> Vec<f64> {
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

fn asked(row: &Stretch) -> History<'static> {
    let last = row.range.end - 1;
    history(dataset(), row.user, row.range.start..last, request_of(dataset(), last))
}

/// Ranking looks at the items of the history alone, training at any one: they must agree on all.
#[test]
fn the_ranking_is_that_of_the_probabilities_in_training() {
    let config = Config { output_weight: 0.0, ..tiny() };
    let (model, unrated) = (model(&config), model_of(&config, Catalogue { rated: false, ..catalogue_of(dataset()) }));
    let n_items = dataset().n_items() as u32;
    let mut lifted = 0;
    for row in rows(&config).iter().take(5) {
        let history = asked(row);
        let p = probabilities(&model, &history);
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
        // The pointer matters here: without it the order would be another.
        let best = (0..p.len()).max_by(|a, b| p[*a].total_cmp(&p[*b])).expect("items") as u32 + 1;
        lifted += usize::from(seen.contains(&best));
    }
    assert!(lifted > 0, "no item of any history came first");
}
