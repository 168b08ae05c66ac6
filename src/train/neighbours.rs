//! What training counts for a model that asks its neighbours, and where that is kept.

use super::catalogue_of;
use super::files::{Stored, read, write_stored};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::eval::training_events;
use crate::model::{Catalogue, Config, Neighbours};
use safetensors::tensor::{Dtype, SafeTensors};
use std::path::Path;
use std::sync::Arc;

/// Beside the weights of a model that asks its neighbours: `offsets: u32 [n_items + 2]`, `items: u32 [pairs]`, `counts: f32 [pairs]`.
pub(super) const FILE: &str = "neighbours.safetensors";

/// [`catalogue_of`], and what was had near each item where `config` asks for it: counted in the events that are for training,
/// or in all where nothing is `held_out`.
pub(super) fn catalogue_with(dataset: &Dataset, config: &Config, held_out: bool) -> Catalogue {
    let events = |user| if held_out { training_events(dataset, user) } else { dataset.events_of(user) };
    let count = || {
        let histories: Vec<&[u32]> = (1..=dataset.n_users()).map(|user| &dataset.item[events(user)]).collect();
        Arc::new(Neighbours::count(dataset.n_items(), &histories))
    };
    Catalogue { neighbours: (config.neighbours > 0.0).then(count), ..catalogue_of(dataset) }
}

pub(super) fn save(folder: &Path, neighbours: &Neighbours) -> Result<()> {
    let (offsets, items, counts) = neighbours.parts();
    let parts = [
        ("offsets", Dtype::U32, bytemuck::cast_slice(offsets)),
        ("items", Dtype::U32, bytemuck::cast_slice(items)),
        ("counts", Dtype::F32, bytemuck::cast_slice::<f32, u8>(counts)),
    ]
    .map(|(name, dtype, bytes)| -> Stored { (name.into(), dtype, vec![bytes.len() / 4], bytes.into()) });
    write_stored(&folder.join(FILE), &parts)
}

pub(super) fn load(folder: &Path, n_items: usize) -> Result<Neighbours> {
    let path = folder.join(FILE);
    parse(&path, &read(&path)?, n_items)
}

fn parse(path: &Path, bytes: &[u8], n_items: usize) -> Result<Neighbours> {
    let damaged = |e: String| Error::format(path, format!("damaged or cut short: {e}"));
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
    let part = |name: &str, dtype| {
        let view = file.tensor(name).map_err(|e| damaged(e.to_string()))?;
        match view.dtype() == dtype && view.shape().len() == 1 {
            true => Ok(bytemuck::pod_collect_to_vec::<u8, u32>(view.data())),
            false => Err(damaged(format!(
                "{name} is {:?} {:?}, but a list of {dtype:?} is asked for",
                view.dtype(),
                view.shape()
            ))),
        }
    };
    let (offsets, items, counts) =
        (part("offsets", Dtype::U32)?, part("items", Dtype::U32)?, part("counts", Dtype::F32)?);
    Neighbours::from_parts(n_items, &offsets, &items, bytemuck::cast_slice(&counts)).map_err(damaged)
}

/// Whether `bytes` hold what was counted for `n_items`, for tests.
///
/// # Errors
/// When they do not.
#[doc(hidden)]
pub fn inspect_neighbours(bytes: &[u8], n_items: usize) -> Result<()> {
    parse(Path::new("bytes"), bytes, n_items).map(drop)
}
