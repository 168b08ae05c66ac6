//! What a model takes from a dataset: names to ids, what is known of items, and each user's newest events.

use super::TrainOptions;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::Catalogue;
use std::collections::HashMap;

/// Id of the user called `name`; 0 for one that the dataset does not know.
pub fn user_id(dataset: &Dataset, name: &str) -> u32 {
    dataset.users.iter().position(|u| u == name).map_or(0, |i| i as u32 + 1)
}

/// Ids of the items called `names`.
///
/// # Errors
/// For an item that the dataset does not know.
pub fn item_ids(dataset: &Dataset, names: &[&str]) -> Result<Vec<u32>> {
    let ids: HashMap<&str, u32> = dataset.items.iter().map(String::as_str).zip(1..).collect();
    let unknown = |name: &str| Error::Config(format!("no item is called {name:?} in this model"));
    names.iter().map(|name| ids.get(name).copied().ok_or_else(|| unknown(name))).collect()
}

/// The catalogue of `dataset`, with a row 0 for padding.
pub fn catalogue_of(dataset: &Dataset) -> Catalogue {
    let padded = |values: &[f32], width: usize| {
        let mut all = vec![0.0; width];
        all.extend_from_slice(values);
        all
    };
    Catalogue {
        n_users: dataset.n_users(),
        n_items: dataset.n_items(),
        categories: dataset.item_category.as_ref().map(|c| std::iter::once(0).chain(c.iter().copied()).collect()),
        n_categories: dataset.categories.len(),
        places: dataset.item_place.as_ref().map(|p| {
            let unknown = [f32::NAN; 2];
            std::iter::once(unknown).chain(p.iter().copied()).collect()
        }),
        rated: TrainOptions::default().like_from(dataset).is_some(),
        event_places: dataset.place.is_some(),
        features: dataset.item_features.as_ref().map_or_else(Vec::new, |f| padded(f, dataset.feature_dim)),
        feature_dim: dataset.item_features.as_ref().map_or(0, |_| dataset.feature_dim),
        neighbours: None,
    }
}

/// The dataset cut to each user's last `len` events.
pub(super) fn newest(dataset: &Dataset, len: usize) -> Dataset {
    let keep: Vec<_> = (1..=dataset.n_users())
        .map(|u| {
            let range = dataset.events_of(u);
            range.end.saturating_sub(len).max(range.start)..range.end
        })
        .collect();
    fn pick<T: Copy>(column: &[T], keep: &[std::ops::Range<usize>]) -> Vec<T> {
        keep.iter().flat_map(|r| column[r.clone()].iter().copied()).collect()
    }
    let mut offsets = vec![0];
    for range in &keep {
        offsets.push(offsets[offsets.len() - 1] + range.len());
    }
    Dataset {
        offsets,
        item: pick(&dataset.item, &keep),
        time: pick(&dataset.time, &keep),
        rating: dataset.rating.as_ref().map(|c| pick(c, &keep)),
        place: dataset.place.as_ref().map(|c| pick(c, &keep)),
        ..dataset.clone()
    }
}
