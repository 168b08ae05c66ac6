//! What the page shows of a model, beyond its scores.

use super::page::{Attended, BiasCurve, Line, MapPicture, Next, Person, Place, Recommendation, Visit};
use desirepath::Result;
use desirepath::data::city::{City, Truth};
use desirepath::eval::optimum::{Knows, probabilities};
use desirepath::eval::{Case, Ranked};
use desirepath::model::{History, Model};
use desirepath::train::{history, request_of};

/// Gap at which the planted effect of distance is drawn: an outing that goes on.
const GAP_S: f64 = 1800.0;

/// The bias over time gap and over distance that the first attention and the pointer learned, one line a head, beside what
/// was planted.
pub fn bias_curves(model: &Model) -> Result<(BiasCurve, BiasCurve)> {
    let layout = model.layout();
    let hours = |curve: Vec<[f64; 2]>| curve.into_iter().map(|[s, y]| (s / 3600.0, y)).collect();
    let km = |curve: Vec<[f64; 2]>| curve.into_iter().map(|[x, y]| (x, y)).collect();
    let line = |label: &str, points| Line { label: label.into(), points };
    let mut time =
        BiasCurve { planted: line("planted: pull of what came before", hours(Truth::gap_curve())), learned: vec![] };
    let mut place =
        BiasCurve { planted: line("planted: pull of near places", km(Truth::distance_curve(GAP_S))), learned: vec![] };
    let mut rows = Vec::new();
    if let Some(table) = model.bias_tables().first() {
        let values = table.to_vec::<f32>()?;
        let heads = values.chunks_exact(layout.size()).enumerate();
        rows.extend(heads.map(|(head, row)| (format!("learned, head {}", head + 1), row.to_vec())));
    }
    if let Some(table) = model.pointer_bias() {
        rows.push(("learned, pointer".into(), table.to_vec::<f32>()?));
    }
    for (label, row) in rows {
        let knots = |from: usize, n: usize, unit: f32, per_octave: f32, scale: f64| -> Vec<(f64, f64)> {
            let x = |knot: usize| f64::from(unit) * ((knot as f64 / f64::from(per_octave)).exp2() - 1.0) * scale;
            (1..n).map(|k| (x(k), f64::from(row[from + k]))).collect()
        };
        let within = |mut points: Vec<(f64, f64)>, planted: &[(f64, f64)]| {
            let (low, high) = (planted[0].0, planted[planted.len() - 1].0);
            points.retain(|p| p.0 >= low && p.0 <= high);
            points
        };
        let gaps = knots(0, layout.time_knots, layout.time_unit_s, layout.time_per_octave, 1.0 / 3600.0);
        let far = knots(layout.time_knots, layout.place_knots, layout.place_unit_km, layout.place_per_octave, 1.0);
        time.learned.push(Line { label: label.clone(), points: within(gaps, &time.planted.points) });
        place.learned.push(Line { label, points: within(far, &place.planted.points) });
    }
    Ok((time, place))
}

/// Cases to show: the first few that the model got into its first ten, and one that it did not.
pub fn telling_cases<'a>(cases: &'a [Case], ranked: &Ranked, n: usize) -> Vec<&'a Case> {
    let with = |hit: bool| cases.iter().zip(&ranked.ranks).filter(move |(_, r)| (**r <= 10) == hit).map(|(c, _)| c);
    let mut chosen: Vec<&Case> = with(true).take(n - 1).collect();
    chosen.extend(with(false).take(1));
    if chosen.is_empty() { cases.iter().take(1).collect() } else { chosen }
}

fn history_of<'a>(city: &'a City, case: &Case) -> History<'a> {
    history(&city.dataset, case.user, case.history.clone(), request_of(&city.dataset, case.target))
}

fn kind(city: &City, item: u32) -> usize {
    city.dataset.item_category.as_ref().map_or(0, |c| (c[item as usize - 1] as usize).saturating_sub(1))
}

fn visit(city: &City, event: usize) -> Visit {
    let item = city.dataset.item[event];
    Visit {
        place: city.dataset.items[item as usize - 1].clone(),
        kind: city.dataset.categories[kind(city, item)].clone(),
        when: weekday_and_time(city.dataset.time[event]),
    }
}

pub fn person(city: &City, model: &Model, case: &Case) -> Result<Person> {
    const VISITS: usize = 6;
    let dataset = &city.dataset;
    let row = history_of(city, case);
    let target = dataset.item[case.target];
    let truth = probabilities(city, case, Knows::Time);
    let last = row.items[row.items.len() - 1];
    let found = model.recommend(&[row], &[vec![]], dataset.n_items().min(desirepath::ops::MAX_K))?;
    let best = found[0].first().map_or(0.0, |r| r.score);
    let odds = |score: f32| f64::from(score - best).exp();
    let total: f64 = found[0].iter().map(|r| odds(r.score)).sum();
    let recommendations = found[0].iter().take(10).map(|r| {
        let likelier = |p: &&f64| **p > truth[r.item as usize - 1];
        Recommendation {
            place: dataset.items[r.item as usize - 1].clone(),
            kind: dataset.categories[kind(city, r.item)].clone(),
            km: km_between(city, last, r.item),
            probability: odds(r.score) / total,
            true_rank: 1 + truth.iter().filter(likelier).count(),
            visited_next: r.item == target,
        }
    });
    let events = case.history.clone();
    Ok(Person {
        name: dataset.users[case.user as usize - 1].clone(),
        visits: events.clone().skip(events.len().saturating_sub(VISITS)).map(|e| visit(city, e)).collect(),
        recommendations: recommendations.collect(),
        next: Next {
            visit: visit(city, case.target),
            model_rank: model.ranks(&[row], &[target], &[vec![]])?[0] as usize,
        },
    })
}

pub fn map(city: &City, model: &Model, case: &Case) -> Result<MapPicture> {
    let dataset = &city.dataset;
    let row = history_of(city, case).last(model.config().len);
    let weights = model.explain(&row)?.unwrap_or_else(|| vec![0.0; row.items.len()]);
    let place = |(i, name): (usize, &String)| {
        let [lat, lon] = dataset.item_place.as_ref().map_or([f32::NAN; 2], |p| p[i]).map(f64::from);
        Place { name: name.clone(), lat, lon, kind: kind(city, i as u32 + 1) }
    };
    let attended = |(item, weight): (&u32, &f32)| Attended { place: *item as usize - 1, weight: f64::from(*weight) };
    let found = model.recommend(&[row], &[vec![]], 10)?;
    Ok(MapPicture {
        person: dataset.users[case.user as usize - 1].clone(),
        kinds: dataset.categories.clone(),
        places: dataset.items.iter().enumerate().map(place).collect(),
        events: row.items.iter().zip(&weights).map(attended).collect(),
        recommended: found[0].iter().map(|r| r.item as usize - 1).collect(),
        next: Some(dataset.item[case.target] as usize - 1),
    })
}

fn km_between(city: &City, a: u32, b: u32) -> f64 {
    let Some(places) = &city.dataset.item_place else { return f64::NAN };
    let [a, b] = [a, b].map(|i| places[i as usize - 1].map(f64::from));
    let east = (a[1] - b[1]) * a[0].to_radians().cos();
    111.195 * (a[0] - b[0]).hypot(east)
}

fn weekday_and_time(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]; // from 1 January 1970 on
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    format!("{} {:02}:{:02}", DAYS[day.rem_euclid(7) as usize], second / 3600, second / 60 % 60)
}
