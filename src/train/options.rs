use super::{Augments, Windows};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::eval::training_events;
use crate::model::Config;
use serde::{Deserialize, Serialize};

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    pub seed: u64,
    /// At most this many passes over the data.
    pub epochs: usize,
    /// Stop after this many epochs without a better validation.
    pub patience: usize,
    /// Histories per step.
    pub batch: usize,
    pub lr: f32,
    /// An update goes on with this share of the rate of the training that began it all.
    pub lr_factor: f32,
    /// Share of `lr` that the cosine ends at.
    pub lr_end: f32,
    pub warmup_steps: usize,
    /// Decoupled weight decay of matrices and tables.
    pub decay: f32,
    /// Largest norm of the whole gradient.
    pub clip: f32,
    /// Biases of items start at this times the logarithm of their share of the training events, beside that of an average
    /// item: 1 begins with what is popular, 0 has to learn it.
    pub bias_start: f32,
    pub windows: Windows,
    /// Where seen items are filtered: leave them out of the training softmax, too.
    pub mask_seen: bool,
    /// What the targets are compared with: see [`Loss`].
    pub loss: Loss,
    /// Items drawn for a loss other than the full one.
    pub negatives: usize,
    /// One draw for all positions of a step, or one for each.
    pub negatives_shared: bool,
    /// An item is drawn as often as its number of events to this power says: 0 draws all alike, 1 what is popular.
    pub negatives_power: f32,
    /// Of the sampled softmax: scores are divided by it.
    pub temperature: f32,
    /// The sampled softmax takes back how often each item is drawn: its sum then stands for that over the catalogue.
    pub log_q: bool,
    /// Calibration of gBCE: 0 is plain binary cross-entropy, 1 takes back the whole overconfidence of a sample.
    pub gbce_t: f32,
    /// Which positions of a history are to be predicted.
    pub targets: Positions,
    /// For a bidirectional model: share of events that are hidden, and share of rows where that is the last one alone.
    pub mask_share: f32,
    pub mask_last: f32,
    /// How rows are changed at random, with commas between: see [`Augment`](super::Augment).
    pub augment: Augments,
    /// Share of rows that are changed, and share of their events that changes.
    pub augment_share: f32,
    pub augment_events: f32,
    /// Validate every so many epochs.
    pub validate_every: usize,
    /// Write a checkpoint every so many steps within an epoch, too; 0 for at the end of each epoch alone.
    pub checkpoint_steps: usize,
    /// A rating from here on is "liked" (for the sigmoid output); by default three quarters up the range of ratings.
    pub like: Option<f32>,
}

/// What each target is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// The whole catalogue.
    #[default]
    Full,
    /// Drawn items, by softmax: see [`ops::sampled_softmax`](crate::ops::sampled_softmax()).
    SampledSoftmax,
    /// Drawn items, each alone: see [`ops::gbce`](crate::ops::gbce()).
    Gbce,
    /// Drawn items, in pairs: see [`ops::bpr`](crate::ops::bpr()).
    Bpr,
}

/// Which positions of a history are to be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    /// Every event from what came before it.
    #[default]
    All,
    /// The last one alone.
    Last,
}

impl Default for TrainOptions {
    fn default() -> TrainOptions {
        TrainOptions {
            seed: 1,
            epochs: 50,
            patience: 5,
            batch: 32,
            lr: 2e-3,
            lr_factor: 1.0,
            lr_end: 0.05,
            warmup_steps: 50,
            decay: 0.01,
            clip: 5.0,
            bias_start: 1.0,
            windows: Windows::All,
            mask_seen: true,
            loss: Loss::Full,
            negatives: 256,
            negatives_shared: true,
            negatives_power: 0.0,
            temperature: 1.0,
            log_q: true,
            gbce_t: 0.75,
            targets: Positions::All,
            mask_share: 0.2,
            mask_last: 0.1,
            augment: Augments::default(),
            augment_share: 0.5,
            augment_events: 0.3,
            validate_every: 1,
            checkpoint_steps: 0,
            like: None,
        }
    }
}

impl TrainOptions {
    /// # Errors
    /// When a value is out of range, naming it and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let check = |ok: bool, message: String| if ok { Ok(()) } else { Err(Error::Config(message)) };
        // Upper bounds far beyond use, so that no count overflows.
        let counts = [
            ("epochs", self.epochs, 1, 1_000_000),
            ("patience", self.patience, 0, 1_000_000),
            ("batch", self.batch, 1, 65_536),
            ("validate_every", self.validate_every, 1, 1_000_000),
            ("negatives", self.negatives, 1, 65_536),
        ];
        for (name, value, least, most) in counts {
            check((least..=most).contains(&value), format!("{name} = {value}: expected {least} to {most}"))?;
        }
        check(self.lr > 0.0 && self.lr.is_finite(), format!("lr = {}: expected more than 0", self.lr))?;
        let factor = self.lr_factor > 0.0 && self.lr_factor.is_finite();
        check(factor, format!("lr_factor = {}: expected more than 0", self.lr_factor))?;
        check((0.0..=1.0).contains(&self.lr_end), format!("lr_end = {}: expected 0 to 1", self.lr_end))?;
        check(self.decay >= 0.0 && self.decay.is_finite(), format!("decay = {}: expected 0 or more", self.decay))?;
        check(self.clip > 0.0, format!("clip = {}: expected more than 0", self.clip))?;
        let shares = [
            ("gbce_t", self.gbce_t),
            ("negatives_power", self.negatives_power),
            ("bias_start", self.bias_start),
            ("mask_share", self.mask_share),
            ("mask_last", self.mask_last),
            ("augment_share", self.augment_share),
            ("augment_events", self.augment_events),
        ];
        for (name, value) in shares {
            check((0.0..=1.0).contains(&value), format!("{name} = {value}: expected 0 to 1"))?;
        }
        let temperature = self.temperature >= 1e-3 && self.temperature.is_finite();
        check(temperature, format!("temperature = {}: expected 0.001 or more", self.temperature))
    }

    /// # Errors
    /// When these options do not go with `config` on a device that binds at most `max_binding` bytes. `config` is what is
    /// trained: without what [`fitting`](super::fitting) takes out.
    pub fn fits(&self, config: &Config, masked: bool, max_binding: u64) -> Result<()> {
        let check = |ok: bool, message: String| if ok { Ok(()) } else { Err(Error::Config(message)) };
        let full = self.loss == Loss::Full;
        check(
            !masked || config.label_smoothing == 0.0,
            "label_smoothing works with mask_seen = false alone: set one of the two".into(),
        )?;
        check(
            full || config.label_smoothing == 0.0,
            "label_smoothing works with loss = full alone: set one of the two".into(),
        )?;
        check(
            full || !config.repeats,
            "repeats = true needs loss = full, as the pointer mixes with the probability in the whole catalogue: set \
             repeats=false or loss=full"
                .into(),
        )?;
        check(
            !config.bidirectional || self.targets == Positions::All,
            "targets = last is for models that look backwards; for bidirectional = true set mask_last=1".into(),
        )?;
        let bytes = 4 * (self.batch * config.len * self.negatives) as u64;
        check(
            full || self.negatives_shared || bytes <= max_binding,
            format!(
                "negatives = {} for each of batch * len = {} * {} positions take {bytes} bytes, and the device binds \
                 {max_binding}: set negatives_shared=true, or fewer",
                self.negatives, self.batch, config.len
            ),
        )
    }

    /// Learning rate of `step` (from 0) of `steps`: linear warm-up, then half a cosine down to `lr_end`.
    pub fn rate(&self, step: u64, steps: u64) -> f32 {
        let warm = ((step + 1) as f32 / self.warmup_steps.max(1) as f32).min(1.0);
        let done = step as f32 / steps.max(1) as f32;
        let cosine = 0.5 * (1.0 + (std::f32::consts::PI * done.min(1.0)).cos());
        self.lr * self.lr_factor * warm * (self.lr_end + (1.0 - self.lr_end) * cosine)
    }

    /// From which rating on an event counts as liked; `None` without ratings or where all to learn from are the same.
    pub fn like_from(&self, dataset: &Dataset) -> Option<f32> {
        let ratings = dataset.rating.as_ref()?;
        let learned = || (1..=dataset.n_users()).flat_map(|user| &ratings[training_events(dataset, user)]);
        let known = || learned().copied().filter(|r| r.is_finite());
        let (low, high) = (known().fold(f32::MAX, f32::min), known().fold(f32::MIN, f32::max));
        (high > low).then(|| self.like.unwrap_or(low + 0.75 * (high - low)))
    }
}

/// `key = value` over both configurations, as `--set` and a TOML file give them: a key names a field of either, plain or
/// as `model.key` / `train.key`.
///
/// # Errors
/// When no field has that name or the value has the wrong type.
pub fn set(config: &mut Config, options: &mut TrainOptions, key: &str, value: &str) -> Result<()> {
    let (section, name) = key.split_once('.').map_or((None, key), |(s, n)| (Some(s), n));
    if section != Some("train") && set_field(config, name, value)? {
        return Ok(());
    }
    if section != Some("model") && set_field(options, name, value)? {
        return Ok(());
    }
    let names = |v: toml::Value| v.as_table().map(|t| t.keys().cloned().collect::<Vec<_>>().join(" "));
    let fields = |v| names(v).unwrap_or_default();
    Err(Error::Config(format!(
        "no setting {key:?}; model: {}; train: {}",
        fields(to_toml(config)?),
        fields(to_toml(options)?)
    )))
}

/// Tables `[model]` and `[train]`; `preset` in `[model]` chooses what the rest changes, unless the command line has.
///
/// # Errors
/// When it is no TOML, or a setting is unknown or of the wrong type.
pub fn read_settings(text: &str, choose: bool, config: &mut Config, options: &mut TrainOptions) -> Result<()> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| Error::Config(e.message().into()))?;
    for (section, values) in &table {
        let values = values.as_table().filter(|_| section == "model" || section == "train");
        let values = values.ok_or_else(|| Error::Config(format!("{section}: expected tables [model] and [train]")))?;
        if let Some(preset) = values.get("preset").and_then(toml::Value::as_str).filter(|_| choose) {
            *config = Config::preset(preset)?;
        }
        for (key, value) in values.iter().filter(|(k, _)| *k != "preset") {
            set(config, options, &format!("{section}.{key}"), &value.to_string())?;
        }
    }
    Ok(())
}

fn to_toml<T: Serialize>(value: &T) -> Result<toml::Value> {
    toml::Value::try_from(value).map_err(|e| Error::Config(e.to_string()))
}

/// Sets one field through its serialised form, so that every field can be set without a list of them here.
fn set_field<T: Serialize + for<'a> Deserialize<'a> + Default>(
    target: &mut T,
    name: &str,
    value: &str,
) -> Result<bool> {
    let mut all = to_toml(target)?;
    let Some(table) = all.as_table_mut() else { return Ok(false) };
    let known = table.contains_key(name) || serde_json::to_value(&*target).is_ok_and(|v| v.get(name).is_some());
    if !known {
        return Ok(false);
    }
    let quoted = || toml::Value::String(value.to_string());
    let document = format!("v = {value}").parse::<toml::Table>();
    let mut parsed = document.ok().and_then(|mut t| t.remove("v")).unwrap_or_else(quoted);
    if let (Some(toml::Value::Float(_)), toml::Value::Integer(i)) = (table.get(name), &parsed) {
        parsed = toml::Value::Float(*i as f64);
    }
    table.insert(name.to_string(), parsed);
    *target =
        all.try_into().map_err(|e: toml::de::Error| Error::Config(format!("{name} = {value}: {}", e.message())))?;
    Ok(true)
}
