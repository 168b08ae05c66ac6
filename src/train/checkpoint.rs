//! A checkpoint is one folder:
//!
//! | file | content |
//! |---|---|
//! | `config.json` | format, version, configuration of model and training |
//! | `model.safetensors` | the weights to serve: the best so far |
//! | `data/` | names, what is known of items, each user's newest events (all where items seen before are filtered): a dataset folder |
//! | `neighbours.safetensors` | what was had near each item, counted, for a model that asks its neighbours |
//! | `state.json`, `last.safetensors`, `optimizer.safetensors` | where training stands, to go on from with the same bits; an exported model has none |

use super::export::{ItemBits, load_into};
use super::files::{read, read_tensors, write_json, write_tensors};
use super::{State, TrainOptions, catalogue, catalogue_of, known_user, neighbours};
use crate::data::Dataset;
use crate::data::folder::{Kind, beside};
use crate::error::{Error, Result};
use crate::eval::Seen;
use crate::fnv::Fnv;
use crate::gpu::Gpu;
use crate::model::{Config, Model};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that tells a checkpoint from any other folder.
const CONFIG: &str = "config.json";
pub(super) const FOLDER: Kind = Kind { name: "model", mark: CONFIG };
/// Version of the folder's layout and of what the weights mean.
pub const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    format: u32,
    version: String,
    /// Of the dataset that it was trained on: see [`fingerprint`].
    fingerprint: String,
    seen: Seen,
    model: Config,
    train: TrainOptions,
    /// Of an exported model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<ItemBits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    update: Option<Origin>,
}

/// Where an update began. It holds nothing out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Of the weights of the model that went on: see [`Checkpoint::weights_hash`].
    pub weights: String,
    /// See [`UpdateOptions::mix`](super::UpdateOptions::mix).
    pub mix: f32,
}

/// An opened checkpoint: configuration read and checked, weights not yet loaded.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    pub config: Config,
    pub options: TrainOptions,
    /// Whether items already seen were kept in the ranking while validating.
    pub seen: Seen,
    /// How the vectors of items are kept, where it was exported for serving.
    pub items: Option<ItemBits>,
    /// Where it went on from, if it was no training from nothing.
    pub update: Option<Origin>,
    fingerprint: String,
}

pub(super) struct Snapshot<'a> {
    pub model: &'a Model,
    pub options: &'a TrainOptions,
    pub update: Option<&'a Origin>,
    pub seen: Seen,
    pub dataset: &'a Dataset,
    pub state: &'a State,
    pub moments: &'a [Tensor],
    pub last: Vec<Vec<f32>>,
    pub best: Option<&'a Vec<Vec<f32>>>,
}

impl Snapshot<'_> {
    /// Writes the checkpoint `out` in place of what was there.
    ///
    /// Until the first epoch has ended, a model that has finished one stays: the new training waits beside it.
    pub fn save(&self, out: &Path) -> Result<()> {
        let to = if self.state.epoch == 0 && is_trained(out) { waiting(out) } else { out.to_path_buf() };
        FOLDER.replace(&to, |new| self.fill(&to, new))?;
        if to == out {
            discard_waiting(out);
        }
        Ok(())
    }

    fn fill(&self, old: &Path, folder: &Path) -> Result<()> {
        let fingerprint = fingerprint(self.dataset);
        let header = Header {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            fingerprint: fingerprint.clone(),
            seen: self.seen,
            model: self.model.config().clone(),
            train: self.options.clone(),
            items: None,
            update: self.update.cloned(),
        };
        let same = Checkpoint::open(old)
            .is_ok_and(|c| c.fingerprint == fingerprint && c.config.len == header.model.len && c.seen == self.seen);
        if !(same && link_folder(&old.join("data"), &folder.join("data")).is_ok()) {
            let _ = fs::remove_dir_all(folder.join("data")); // what could be linked
            // What a user has had is known by all events, what comes next by the newest.
            // With four it shows whether there was anything to learn of a user: the last two were held out.
            let len = if self.seen == Seen::Filter { usize::MAX } else { header.model.len.max(4) };
            catalogue::newest(self.dataset, len).save(&folder.join("data"), None)?;
        }
        let list = self.model.params().list();
        let named = |values: &[Vec<f32>]| -> Vec<(String, Vec<usize>, Vec<f32>)> {
            let one = |(p, v): (&crate::nn::Param, &Vec<f32>)| (p.name.clone(), p.tensor.shape().to_vec(), v.clone());
            list.iter().zip(values).map(one).collect()
        };
        write_tensors(&folder.join("model.safetensors"), &named(self.best.unwrap_or(&self.last)))?;
        write_tensors(&folder.join("last.safetensors"), &named(&self.last))?;
        let mut moments = Vec::new();
        for (p, m) in list.iter().zip(self.moments) {
            moments.push((p.name.clone(), m.shape().to_vec(), m.to_vec()?));
        }
        write_tensors(&folder.join("optimizer.safetensors"), &moments)?;
        if let Some(counted) = &self.model.catalogue().neighbours {
            neighbours::save(folder, counted)?;
        }
        write_json(&folder.join("state.json"), self.state)?;
        write_json(&folder.join(CONFIG), &header)
    }
}

impl Checkpoint {
    /// Whether there is something in `folder`; [`Checkpoint::open`] says whether it is a model that can be read.
    pub fn exists(folder: &Path) -> bool {
        FOLDER.present(folder).exists()
    }

    /// Whether `folder` is free, or holds a model or nothing: else training would destroy something.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn replaceable(folder: &Path) -> Result<()> {
        FOLDER.replaceable(folder)
    }

    /// The training to go on with: one that has yet to replace the model in `folder`, or the model's own.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open_training(folder: &Path) -> Result<Checkpoint> {
        let begun = FOLDER.present(&waiting(folder));
        let waits = Checkpoint::exists(folder) && FOLDER.is(&begun);
        let checkpoint = Checkpoint::open(if waits { &begun } else { folder })?;
        checkpoint.expect_trained()?;
        checkpoint.options.validate().map_err(|e| of_file(&checkpoint.folder.join(CONFIG), e))?;
        Ok(checkpoint)
    }

    /// # Errors
    /// When `folder` is not a checkpoint of this format.
    pub fn open(folder: &Path) -> Result<Checkpoint> {
        let folder = FOLDER.present(folder);
        let path = folder.join(CONFIG);
        let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::format(&folder, "not a model folder: it has no config.json"),
            _ => Error::file(&path, &e),
        })?;
        let damaged = |e: serde_json::Error| Error::format(&path, format!("damaged: {e}"));
        let value: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(FORMAT.into()) {
            let found = format.map_or("none".into(), |f| f.to_string());
            return Err(Error::format(&path, format!("format {found}, but this program reads {FORMAT}; train again")));
        }
        let header: Header = serde_json::from_value(value).map_err(damaged)?;
        header.model.validate().map_err(|e| of_file(&path, e))?;
        let Header { fingerprint, seen, model: config, train: options, items, update, .. } = header;
        Ok(Checkpoint { folder, config, options, seen, items, update, fingerprint })
    }

    pub(super) fn header(&self, items: Option<ItemBits>) -> Header {
        Header {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            fingerprint: self.fingerprint.clone(),
            seen: self.seen,
            model: self.config.clone(),
            train: self.options.clone(),
            items,
            update: self.update.clone(),
        }
    }

    /// # Errors
    /// When it was exported for serving: there is nothing to go on from.
    pub fn expect_trained(&self) -> Result<()> {
        if self.items.is_none() {
            return Ok(());
        }
        Err(Error::format(&self.folder, "was exported for serving; take the model that it was made from"))
    }

    /// Where it was found.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Names, what is known of items, and each user's newest events.
    pub fn data(&self) -> Result<Dataset> {
        Dataset::load(&self.folder.join("data"))
    }

    /// The model with its best weights.
    ///
    /// # Errors
    /// When the weights are missing, damaged or those that training began with.
    pub fn load(&self, gpu: &Gpu, data: &Dataset) -> Result<Model> {
        // A folder for serving alone may lack the state.
        if self.state().is_ok_and(|s| s.step == 0) {
            let untrained = "its training has learned nothing yet; go on with --resume";
            return Err(Error::format(&self.folder, untrained));
        }
        let mut catalogue = catalogue_of(data);
        if self.config.neighbours > 0.0 {
            catalogue.neighbours = Some(Arc::new(neighbours::load(&self.folder, data.n_items())?));
        }
        let mut model = Model::new(gpu, &self.config, catalogue, self.options.seed);
        if let Some(bits) = self.items {
            load_into(&self.folder, bits, &mut model)?;
            return Ok(model);
        }
        let weights = self.weights("model.safetensors", &model)?;
        model.params().list().iter().zip(&weights).for_each(|(p, v)| p.tensor.write(v));
        Ok(model)
    }

    /// Where training stands.
    pub fn state(&self) -> Result<State> {
        let path = self.folder.join("state.json");
        let text = read(&path)?;
        serde_json::from_slice(&text).map_err(|e| Error::format(&path, format!("damaged: {e}")))
    }

    /// `user`, or 0 for "never seen" where training had nothing to learn of that user.
    pub fn known_user(&self, data: &Dataset, user: u32) -> u32 {
        match &self.update {
            Some(_) if data.events_of(user as usize).len() >= 2 => user,
            _ => known_user(data, user),
        }
    }

    /// Tells the weights to serve apart from others.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn weights_hash(&self) -> Result<String> {
        let hash = Fnv::new().bytes(&read(&self.folder.join("model.safetensors"))?);
        Ok(format!("{:016x}", hash.value()))
    }

    /// Whether it was trained on exactly these events.
    pub fn is_of(&self, dataset: &Dataset) -> bool {
        self.fingerprint == fingerprint(dataset)
    }

    /// # Errors
    /// When it was trained on other events than `dataset`.
    pub fn expect_dataset(&self, dataset: &Dataset) -> Result<()> {
        if self.is_of(dataset) {
            return Ok(());
        }
        Err(Error::format(&self.folder, "it was trained on another dataset than the one given"))
    }

    /// Puts the last weights into `model` and the optimizer's moments into `moments`; returns state and best weights.
    pub(super) fn load_training(&self, model: &Model, moments: &[Tensor]) -> Result<(State, Option<Vec<Vec<f32>>>)> {
        let state = self.state()?;
        let last = self.weights("last.safetensors", model)?;
        model.params().list().iter().zip(&last).for_each(|(p, v)| p.tensor.write(v));
        let names = model.params().list().iter().zip(moments).map(|(p, m)| (p.name.as_str(), m.shape()));
        let loaded = read_tensors(&self.folder.join("optimizer.safetensors"), names)?;
        moments.iter().zip(&loaded).for_each(|(m, v)| m.write(v));
        let best = (state.best_epoch > 0).then(|| self.weights("model.safetensors", model)).transpose()?;
        Ok((state, best))
    }

    fn weights(&self, file: &str, model: &Model) -> Result<Vec<Vec<f32>>> {
        let names = model.params().list().iter().map(|p| (p.name.as_str(), p.tensor.shape()));
        read_tensors(&self.folder.join(file), names)
    }
}

/// Where a training that is to replace the model in `out` stays until its first epoch has ended.
fn waiting(out: &Path) -> PathBuf {
    beside(out, "new")
}

/// Forgets a training that waits beside `out`.
fn discard_waiting(out: &Path) {
    FOLDER.remove(&waiting(out));
}

/// Whether there is a model at `out` that is worth something. One that cannot be read may be of another version.
fn is_trained(out: &Path) -> bool {
    let out = FOLDER.present(out);
    let state = || Checkpoint::open(&out).and_then(|c| c.state());
    FOLDER.is(&out) && !state().is_ok_and(|s| s.epoch == 0)
}

/// The same files under another folder, without copying: they are never changed in place.
pub(super) fn link_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        fs::hard_link(&path, &target).or_else(|_| fs::copy(&path, &target).map(drop))?;
    }
    Ok(())
}

/// A setting that a file brings is no wrong usage.
fn of_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Config(message) => Error::format(path, message),
        other => other,
    }
}

/// Tells datasets apart by all that a model takes from them: the same events with other categories are another dataset.
pub fn fingerprint(dataset: &Dataset) -> String {
    let mut hash = Fnv::new();
    let mut add = |v: u64| hash.add(v);
    dataset.offsets.iter().for_each(|v| add(*v as u64));
    dataset.item.iter().for_each(|v| add(u64::from(*v)));
    dataset.time.iter().for_each(|v| add(*v as u64));
    for name in [&dataset.users, &dataset.items, &dataset.categories].into_iter().flatten() {
        name.bytes().for_each(|b| add(u64::from(b)));
        add(1 << 32); // an end, which no byte is
    }
    dataset.item_category.iter().flatten().for_each(|v| add(u64::from(*v)));
    // NaN by its bits: it stands for "unknown".
    let places = [&dataset.place, &dataset.item_place].into_iter().flatten().flatten().flatten();
    let features = dataset.item_features.iter().flatten();
    dataset.rating.iter().flatten().chain(places).chain(features).for_each(|v| add(u64::from(v.to_bits())));
    format!("{:016x}", hash.value())
}
