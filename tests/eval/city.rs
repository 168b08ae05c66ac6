//! The synthetic city against its own truth.

use desirepath::data::city::{City, CityOptions, Truth};
use desirepath::eval::baselines::Baselines;
use desirepath::eval::metrics::{Measure, paired};
use desirepath::eval::optimum::{Knows, optimum, probabilities};
use desirepath::eval::{Case, Ranked, Seen, Split, cases};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::LazyLock;

static CITY: LazyLock<City> = LazyLock::new(|| City::generate(&CityOptions::default()));

#[test]
fn city_is_a_complete_dataset_and_the_same_for_a_seed() {
    let options = CityOptions { users: 45, places: 700, events: [3, 6], seed: 8 };
    let city = City::generate(&options);
    assert_eq!(city.dataset, City::generate(&options).dataset);
    assert_ne!(city.dataset.item, City::generate(&CityOptions { seed: 9, ..options }).dataset.item);
    let data = &city.dataset;
    assert_eq!((data.n_users(), data.n_items(), data.offsets[45]), (45, 700, data.n_events()));
    for names in [&data.users, &data.items] {
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "a name twice");
    }
    let (place, item_place) = (data.place.as_ref().expect("places"), data.item_place.as_ref().expect("places"));
    for user in 1..=45 {
        let events = data.events_of(user);
        assert!((3..=6).contains(&events.len()));
        assert!(data.time[events.clone()].is_sorted_by(|a, b| a < b), "time goes on");
        assert!(events.into_iter().all(|e| place[e] == item_place[data.item[e] as usize - 1]));
    }
    assert!(item_place.iter().all(|[lat, lon]| (53.3..53.8).contains(lat) && (9.6..10.4).contains(lon)));
    let categories = data.item_category.as_ref().expect("categories");
    assert!(categories.iter().all(|&c| 1 <= c && c as usize <= data.categories.len()));
}

/// All events of the city, with what was known before.
fn every_event(city: &City) -> impl Iterator<Item = Case> {
    (1..=city.dataset.n_users()).flat_map(|user| {
        let events = city.dataset.events_of(user);
        events.clone().map(move |target| Case { user: user as u32, history: events.start..target, target })
    })
}

/// What happens with a stated probability happens that often: for each tenth of stated probability of the likeliest
/// place, and for the log-likelihood, whose mean must be the mean entropy.
#[test]
fn choices_follow_the_stated_probabilities() {
    let city = &*CITY;
    // Expected and observed hits and the variance, by tenth of stated probability.
    let mut bins = [[0.0f64; 3]; 10];
    let (mut surprise, mut variance) = (0.0, 0.0);
    for case in every_event(city) {
        let p = probabilities(city, &case, Knows::Time);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let target = city.dataset.item[case.target] as usize - 1;
        let likeliest = (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b])).expect("places");
        let bin = &mut bins[(p[likeliest] * 10.0) as usize];
        bin[0] += p[likeliest];
        bin[1] += (likeliest == target) as u32 as f64;
        bin[2] += p[likeliest] * (1.0 - p[likeliest]);
        let entropy: f64 = p.iter().map(|p| -p * p.max(1e-300).ln()).sum();
        surprise += -p[target].ln() - entropy;
        variance += p.iter().map(|p| p * (p.max(1e-300).ln() + entropy).powi(2)).sum::<f64>();
    }
    for [expected, observed, variance] in bins {
        assert!((expected - observed).abs() < 4.0 * variance.sqrt() + 1.0, "{observed} hits instead of {expected}");
    }
    assert!(bins[0][0] > 50.0 && bins[4][0] > 50.0, "the bins are in use: {bins:?}");
    assert!(surprise.abs() < 4.0 * variance.sqrt(), "off by {surprise} nats of ± {}", variance.sqrt());
}

#[test]
fn without_the_time_the_probabilities_are_calibrated_too() {
    let city = &*CITY;
    let (mut expected, mut observed, mut variance) = (0.0, 0.0, 0.0);
    for case in cases(&city.dataset, Split::Test) {
        let p = probabilities(city, &case, Knows::Nothing);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
        let of_ten: f64 = order[..10].iter().map(|&i| p[i]).sum();
        expected += of_ten;
        variance += of_ten * (1.0 - of_ten);
        observed += order[..10].contains(&(city.dataset.item[case.target] as usize - 1)) as u32 as f64;
    }
    assert!((expected - observed).abs() < 4.0 * f64::sqrt(variance), "{observed} hits instead of {expected}");
}

#[test]
fn the_optimum_beats_counters_and_knowledge_helps() {
    let city = &*CITY;
    let test = cases(&city.dataset, Split::Test);
    let baselines = Baselines::new(&city.dataset);
    let best = optimum(city, &test, Knows::Time);
    let blind = optimum(city, &test, Knows::Nothing);
    let hr = |ranked: &Ranked| Measure::Hr(10).mean(&ranked.ranks);
    assert!((0.5..0.75).contains(&hr(&best)), "{}", hr(&best));
    let gain = paired(Measure::Ndcg(10), &best.ranks, &blind.ranks, 1);
    assert!(gain.difference > 0.05 && gain.p < 0.01, "the time of the request tells much: {gain:?}");
    for (name, ranked) in baselines.all(&test, Seen::Keep) {
        for better in [&best, &blind] {
            let gain = paired(Measure::Ndcg(10), &better.ranks, &ranked.ranks, 1);
            assert!(gain.difference > 0.05 && gain.p < 0.01, "{name}: {gain:?}");
        }
    }
}

#[test]
fn time_and_distance_matter_as_planted() {
    assert!(Truth::near(0.0) == 1.0 && Truth::near(1e7) < 1e-3);
    assert!(Truth::habit_effect(60.0) > 1.0 && Truth::habit_effect(1e8) < 0.1);
    let falls = |curve: Vec<[f64; 2]>| curve.windows(2).all(|w| w[0][0] < w[1][0] && w[0][1] >= w[1][1]);
    assert!(falls(Truth::gap_curve()) && falls(Truth::habit_curve()) && falls(Truth::distance_curve(600.0)));

    let data = &CITY.dataset;
    let place = data.place.as_ref().expect("places");
    let mut steps: [Vec<f32>; 2] = Default::default();
    for user in 1..=data.n_users() {
        for e in data.events_of(user).skip(1) {
            let [north, east] = [place[e][0] - place[e - 1][0], (place[e][1] - place[e - 1][1]) * 0.594];
            let long = match data.time[e] - data.time[e - 1] {
                gap if gap < 3600 => 0,
                gap if gap > 8 * 3600 => 1,
                _ => continue,
            };
            steps[long].push(north.hypot(east) * 111.2);
        }
    }
    let [short, long] = steps.map(|mut km| {
        km.sort_by(f32::total_cmp);
        km[km.len() / 2]
    });
    assert!(3.0 * short < long, "median step {short} km soon after, {long} km later");
}

/// Mean of the true probabilities over many more times of another seed.
#[test]
fn without_the_time_it_is_averaged_out() {
    let city = &*CITY;
    let mut apart = 0.0;
    let some: Vec<Case> = cases(&city.dataset, Split::Test).into_iter().step_by(25).collect();
    for case in &some {
        let (items, times) = (&city.dataset.item[case.history.clone()], &city.dataset.time[case.history.clone()]);
        let mut rng = ChaCha8Rng::seed_from_u64(77);
        let mut mean = vec![0.0; city.dataset.n_items()];
        for _ in 0..2000 {
            let time = Truth::draw_time(times[times.len() - 1], &mut rng);
            let log_p = city.truth.chooser(case.user).log_probabilities(items, times, time);
            mean.iter_mut().zip(log_p).for_each(|(mean, log_p)| *mean += log_p.exp() / 2000.0);
        }
        let p = probabilities(city, case, Knows::Nothing);
        apart += p.iter().zip(&mean).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0 / some.len() as f64;
    }
    assert!(apart < 0.08, "total variation {apart}");
}

fn km([lat_a, lon_a]: [f32; 2], [lat_b, lon_b]: [f32; 2]) -> f64 {
    let [a, b] = [lat_a as f64, lat_b as f64].map(f64::to_radians);
    let half = |x: f64| (x / 2.0).sin().powi(2);
    let h = half(b - a) + a.cos() * b.cos() * half((lon_b as f64 - lon_a as f64).to_radians());
    2.0 * 6371.0 * h.sqrt().asin()
}

/// The log-odds of two places change by what the curves say, and distances on the globe are those of the city.
#[test]
fn the_planted_curves_are_in_the_choices() {
    let city = &*CITY;
    let kinds = city.dataset.item_category.as_ref().expect("categories");
    let place = city.dataset.item_place.as_ref().expect("places");
    let of_kind: Vec<u32> = (1..=400).filter(|&item| kinds[item as usize - 1] == 1).collect();
    let [a, b, here, there] = [of_kind[0], of_kind[1], of_kind[2], of_kind[3]];
    let chooser = city.truth.chooser(3);
    let odds = |items: &[u32], times: &[i64]| {
        let log_p = chooser.log_probabilities(items, times, 1_706_000_000);
        log_p[a as usize - 1] - log_p[b as usize - 1]
    };
    let ago = |seconds: i64| 1_706_000_000 - seconds;
    for age in [3_000, 90_000, 5_000_000] {
        let change = odds(&[a, here], &[ago(age), ago(600)]) - odds(&[there, here], &[ago(age), ago(600)]);
        assert!((change - Truth::habit_effect(age as f64)).abs() < 1e-9, "visited {age} s ago: {change}");
    }
    for gap in [600, 7_200, 50_000] {
        let change = odds(&[here], &[ago(gap)]) - odds(&[there], &[ago(gap)]);
        let effect = |from: u32, to: u32| {
            Truth::distance_effect(gap as f64, km(place[from as usize - 1], place[to as usize - 1]))
        };
        let expected = effect(here, a) - effect(here, b) - effect(there, a) + effect(there, b);
        assert!((change - expected).abs() < 5e-3, "{gap} s after: {change} instead of {expected}");
    }
}
