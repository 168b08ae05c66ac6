//! What is known about items: category, place, numeric features.
//!
//! These are facts of the catalogue, not behaviour: they are gathered from all events, the ones held out included, as a
//! shop knows an item's kind and place before anybody comes. An item may so owe its place to a single event.

use super::Dataset;
use super::log::Log;
use super::prepare::{missing, number};
use super::report::{FeatureReport, PrepareReport};

/// Events of an item that stays lie this close to their mean, and so within 200 m of each other.
const STAYS_WITHIN_M: f64 = 100.0;
const EARTH_RADIUS_M: f64 = 6_371_000.0;

/// Adds the items' attributes to `dataset`; `new_item` gives new ids from 1 for the log's, 0 where left out.
pub(super) fn attach(log: Log, new_item: &[u32], dataset: &mut Dataset, report: &mut PrepareReport) {
    places(&log, new_item, dataset, report);
    features(&log, new_item, dataset, report);
    categories(log, new_item, dataset, report);
}

/// The category met most often with an item; of equals the first by name.
fn categories(log: Log, new_item: &[u32], dataset: &mut Dataset, report: &mut PrepareReport) {
    let names = log.categories.into_list();
    let renumbered = log.item_category.into_iter().map(|((item, category), n)| (new_item[item as usize], category, n));
    let mut pairs: Vec<(u32, u32, u64)> = renumbered.filter(|pair| pair.0 != 0).collect();
    if pairs.is_empty() {
        return;
    }
    let best = |a: &(u32, u32, u64), b: &(u32, u32, u64)| {
        (a.0, b.2).cmp(&(b.0, a.2)).then_with(|| names[a.1 as usize].cmp(&names[b.1 as usize]))
    };
    pairs.sort_unstable_by(best);
    let all = pairs.len();
    pairs.dedup_by_key(|pair| pair.0);
    let several = all - pairs.len();
    let mut kept: Vec<u32> = pairs.iter().map(|pair| pair.1).collect();
    kept.sort_unstable();
    kept.dedup();
    let (names, new_category) = number(names, &kept);
    let mut column = vec![0; dataset.n_items()];
    for (item, category, _) in &pairs {
        column[*item as usize - 1] = new_category[*category as usize];
    }
    missing(report, "categories of items", column.len() - pairs.len(), "0, the unknown category");
    if several > 0 {
        report.notes.push(format!("{several} times an item had a further category: the one met most often is kept"));
    }
    dataset.categories = names;
    dataset.item_category = Some(column);
}

/// Places of items that stay where they are: as a file of items gives them, or the mean of the events' places, taken
/// on the sphere. An item stays if all its events lie within 100 m of that mean. If most of the items with two events
/// or more move, the places belong to the events (a taxi, a phone) and the items get none.
fn places(log: &Log, new_item: &[u32], dataset: &mut Dataset, report: &mut PrepareReport) {
    let n = dataset.n_items();
    let mut place = vec![[f32::NAN; 2]; n];
    for (item, given) in &log.item_place {
        if new_item[*item as usize] != 0 {
            place[new_item[*item as usize] as usize - 1] = *given;
        }
    }
    if let Some(events) = &dataset.place {
        let seen = || dataset.item.iter().map(|i| *i as usize - 1).zip(events).filter(|(_, p)| !p[0].is_nan());
        let mut sum = vec![[0.0f64; 3]; n];
        let mut count = vec![0u32; n];
        for (item, at) in seen() {
            sum[item] = std::array::from_fn(|k| sum[item][k] + on_sphere(*at)[k]);
            count[item] += 1;
        }
        sum.iter_mut().for_each(normalise);
        let mut farthest = vec![0.0f64; n];
        for (item, at) in seen() {
            farthest[item] = farthest[item].max(metres(sum[item], on_sphere(*at)));
        }
        let stays = |item: &usize| farthest[*item] <= STAYS_WITHIN_M;
        let several: Vec<usize> = (0..n).filter(|i| count[*i] >= 2).collect();
        let staying = several.iter().filter(|i| stays(i)).count();
        if 2 * staying >= several.len() {
            for item in (0..n).filter(|i| count[*i] > 0 && stays(i)) {
                if place[item][0].is_nan() {
                    place[item] = degrees(sum[item]);
                }
            }
        }
        let moving = several.len() - staying;
        if moving > 0 {
            let of = several.len();
            report
                .notes
                .push(format!("{moving} of {of} items have events more than {STAYS_WITHIN_M} m from their mean place"));
        }
    }
    let unknown = place.iter().filter(|p| p[0].is_nan()).count();
    if unknown < n {
        missing(report, "places of items", unknown, "left unknown (NaN)");
        dataset.item_place = Some(place);
    }
}

fn on_sphere([lat, lon]: [f32; 2]) -> [f64; 3] {
    let ((sin_lat, cos_lat), (sin_lon, cos_lon)) =
        (f64::from(lat).to_radians().sin_cos(), f64::from(lon).to_radians().sin_cos());
    [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
}

/// To length 1; points that cancel out stay near 0, far from everything.
fn normalise(v: &mut [f64; 3]) {
    let length = v.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
    v.iter_mut().for_each(|x| *x /= length);
}

fn metres(a: [f64; 3], b: [f64; 3]) -> f64 {
    let chord = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    2.0 * EARTH_RADIUS_M * (chord / 2.0).min(1.0).asin()
}

fn degrees([x, y, z]: [f64; 3]) -> [f32; 2] {
    [z.atan2(x.hypot(y)).to_degrees() as f32, y.atan2(x).to_degrees() as f32]
}

/// Means over what was given for an item, then `(value - mean) / std` over the items that have it; missing is 0, the mean.
fn features(log: &Log, new_item: &[u32], dataset: &mut Dataset, report: &mut PrepareReport) {
    let n = dataset.n_items();
    let dim: usize = log.features.iter().map(|f| f.width).sum();
    let mut table = vec![f32::NAN; n * dim];
    let mut first = 0;
    for feature in &log.features {
        for (old, count) in feature.count.iter().enumerate().filter(|(old, c)| **c > 0 && new_item[*old] != 0) {
            let row = (new_item[old] as usize - 1) * dim + first;
            for k in 0..feature.width {
                table[row + k] = (feature.sum[old * feature.width + k] / f64::from(*count)) as f32;
            }
        }
        for k in 0..feature.width {
            let name = if feature.width == 1 { feature.name.clone() } else { format!("{}[{k}]", feature.name) };
            standardise(&mut table, dim, first + k, name, report);
        }
        if feature.width == 0 {
            report.notes.push(format!("feature {} has no value; it is left out", feature.name));
        }
        first += feature.width;
    }
    if dim > 0 {
        dataset.item_features = Some(table);
        dataset.feature_dim = dim;
    }
}

fn standardise(table: &mut [f32], dim: usize, column: usize, name: String, report: &mut PrepareReport) {
    let cells = || (column..table.len()).step_by(dim);
    let known: Vec<f64> = cells().map(|c| f64::from(table[c])).filter(|v| !v.is_nan()).collect();
    let lacking = table.len() / dim - known.len();
    let count = known.len().max(1) as f64;
    let mean = known.iter().sum::<f64>() / count;
    let std = (known.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count).sqrt();
    // A constant column says nothing: it becomes 0, not a division by 0.
    let scale = if std > 1e-6 * mean.abs().max(1e-30) { 1.0 / std } else { 0.0 };
    for cell in cells() {
        let value = f64::from(table[cell]);
        table[cell] = if value.is_nan() { 0.0 } else { ((value - mean) * scale) as f32 };
    }
    missing(report, &format!("values of {name}"), lacking, "filled with the mean (0 after normalising)");
    if scale == 0.0 {
        report.notes.push(format!("feature {name} is the same for all items: it is 0"));
    }
    report.features.push(FeatureReport { name, mean, std });
}
