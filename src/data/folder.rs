//! A dataset on disk: `dataset.json` (version, counts, names, what `prepare` did) and `events.safetensors` (columns).

use super::{Dataset, PrepareReport};
use crate::error::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Version of the folder's layout.
pub const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    n_events: usize,
    feature_dim: usize,
    has_time: bool,
    users: Vec<String>,
    items: Vec<String>,
    categories: Vec<String>,
    report: Option<PrepareReport>,
}

impl Dataset {
    /// Writes the folder beside `folder`, complete, then puts it in the place of what was there.
    pub fn save(&self, folder: &Path, report: Option<&PrepareReport>) -> Result<()> {
        let temporary = beside(folder, "tmp");
        let fail = |path: &Path, e: &std::io::Error| Error::file(path, e);
        let _ = fs::remove_dir_all(&temporary);
        fs::create_dir_all(&temporary).map_err(|e| fail(&temporary, &e))?;
        let header = Header {
            format: FORMAT,
            n_events: self.n_events(),
            feature_dim: self.feature_dim,
            has_time: self.has_time,
            users: self.users.clone(),
            items: self.items.clone(),
            categories: self.categories.clone(),
            report: report.cloned(),
        };
        let text = serde_json::to_vec(&header).map_err(|e| Error::format(folder, e.to_string()))?;
        let columns = self.columns().map_err(|e| Error::format(folder, e.to_string()))?;
        for (name, bytes) in [("dataset.json", text), ("events.safetensors", columns)] {
            let path = temporary.join(name);
            let written = fs::write(&path, bytes);
            if let Err(e) = written {
                let _ = fs::remove_dir_all(&temporary);
                return Err(fail(&path, &e));
            }
        }
        let aside = beside(folder, "old");
        if folder.exists() {
            let _ = fs::remove_dir_all(&aside);
            fs::rename(folder, &aside).map_err(|e| fail(folder, &e))?;
        }
        fs::rename(&temporary, folder).map_err(|e| fail(folder, &e))?;
        let _ = fs::remove_dir_all(&aside);
        Ok(())
    }

    fn columns(&self) -> std::result::Result<Vec<u8>, safetensors::SafeTensorError> {
        let offsets: Vec<u64> = self.offsets.iter().map(|o| *o as u64).collect();
        let n = self.n_events();
        let mut list: Vec<(&str, TensorView)> = vec![
            ("offsets", TensorView::new(Dtype::U64, vec![offsets.len()], bytemuck::cast_slice(&offsets))?),
            ("item", TensorView::new(Dtype::U32, vec![n], bytemuck::cast_slice(&self.item))?),
            ("time", TensorView::new(Dtype::I64, vec![n], bytemuck::cast_slice(&self.time))?),
        ];
        if let Some(c) = &self.rating {
            list.push(("rating", TensorView::new(Dtype::F32, vec![n], bytemuck::cast_slice(c))?));
        }
        if let Some(c) = &self.place {
            list.push(("place", TensorView::new(Dtype::F32, vec![n, 2], bytemuck::cast_slice(c))?));
        }
        let items = self.n_items();
        if let Some(c) = &self.item_category {
            list.push(("item_category", TensorView::new(Dtype::U32, vec![items], bytemuck::cast_slice(c))?));
        }
        if let Some(c) = &self.item_place {
            list.push(("item_place", TensorView::new(Dtype::F32, vec![items, 2], bytemuck::cast_slice(c))?));
        }
        if let Some(c) = &self.item_features {
            let shape = vec![items, self.feature_dim];
            list.push(("item_features", TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(c))?));
        }
        safetensors::serialize(list, None)
    }

    /// # Errors
    /// When the folder is not a dataset of this format, or incomplete or inconsistent.
    pub fn load(folder: &Path) -> Result<Dataset> {
        let aside = beside(folder, "old"); // a kill between two renames leaves the old one there
        let folder = if !folder.exists() && aside.exists() { &aside } else { folder };
        let path = folder.join("dataset.json");
        let text = fs::read(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::format(folder, "not a dataset: it has no dataset.json; make one with `desirepath prepare`")
            }
            _ => Error::file(&path, &e),
        })?;
        let damaged = |e: serde_json::Error| Error::format(&path, format!("damaged or cut short: {e}"));
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(damaged)?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(FORMAT.into()) {
            let found = format.map_or("none".into(), |f| f.to_string());
            return Err(Error::format(
                &path,
                format!("format {found}, but this program reads {FORMAT}; prepare it again"),
            ));
        }
        let header: Header = serde_json::from_value(value).map_err(damaged)?;
        let path = folder.join("events.safetensors");
        let bytes = fs::read(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::format(&path, "the dataset is incomplete: this file is missing"),
            _ => Error::file(&path, &e),
        })?;
        let dataset = from_columns(header, &bytes).map_err(|m| Error::format(&path, m))?;
        dataset.consistent().map_err(|m| Error::format(&path, m))?;
        Ok(dataset)
    }

    fn consistent(&self) -> std::result::Result<(), String> {
        let n = self.n_events();
        let ends = self.offsets.first() == Some(&0) && self.offsets.last() == Some(&n);
        if self.offsets.len() != self.n_users() + 1 || !ends || !self.offsets.is_sorted() {
            return Err("damaged: the events do not add up over the users".into());
        }
        let in_range = |i: &u32| (1..=self.n_items() as u32).contains(i);
        if !self.item.iter().all(in_range) {
            return Err("damaged: an event is of an item that is not in the list".into());
        }
        let known = |c: &u32| *c as usize <= self.categories.len();
        if !self.item_category.iter().flatten().all(known) {
            return Err("damaged: an item is of a category that is not in the list".into());
        }
        Ok(())
    }
}

fn from_columns(header: Header, bytes: &[u8]) -> std::result::Result<Dataset, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("damaged or cut short: {e}"))?;
    let (n, items) = (header.n_events, header.items.len());
    let column = |name: &str, dtype: Dtype, shape: &[usize]| -> std::result::Result<Option<&[u8]>, String> {
        let Ok(view) = file.tensor(name) else { return Ok(None) };
        if view.dtype() != dtype || view.shape() != shape {
            return Err(format!(
                "damaged: {name} is {:?} {:?}, expected {dtype:?} {shape:?}",
                view.dtype(),
                view.shape()
            ));
        }
        Ok(Some(view.data()))
    };
    fn collect<T: bytemuck::Pod>(data: &[u8]) -> Vec<T> {
        bytemuck::pod_collect_to_vec(data)
    }
    let needed = |data: Option<_>, name: &str| data.ok_or_else(|| format!("damaged: {name} is missing"));
    let offsets: Vec<u64> = collect(needed(column("offsets", Dtype::U64, &[header.users.len() + 1])?, "offsets")?);
    Ok(Dataset {
        offsets: offsets.into_iter().map(|o| o as usize).collect(),
        item: collect(needed(column("item", Dtype::U32, &[n])?, "item")?),
        time: collect(needed(column("time", Dtype::I64, &[n])?, "time")?),
        rating: column("rating", Dtype::F32, &[n])?.map(collect),
        place: column("place", Dtype::F32, &[n, 2])?.map(collect),
        item_category: column("item_category", Dtype::U32, &[items])?.map(collect),
        item_place: column("item_place", Dtype::F32, &[items, 2])?.map(collect),
        item_features: column("item_features", Dtype::F32, &[items, header.feature_dim])?.map(collect),
        users: header.users,
        items: header.items,
        categories: header.categories,
        feature_dim: header.feature_dim,
        has_time: header.has_time,
    })
}

/// `name.suffix` beside `path`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{suffix}"));
    path.with_file_name(name)
}
