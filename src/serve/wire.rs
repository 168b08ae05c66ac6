//! What is sent and answered, and what of it is refused.

use super::lenient::{Object, Whole};
use super::refuse::Refused;
use super::store::Facts;
use serde::{Deserialize, Serialize};

/// Longest name of a user, an item, a category or a key, in characters, as JSON Schema counts.
pub const NAME: usize = 256;
/// Longest `exclude` in an address, in characters.
const ADDRESS: usize = 2000;
/// The last second of the year 9999.
const END: i64 = 253_402_300_799;

/// Ratings and features are numbers of 32 bits.
const LARGEST: f64 = 1e30;

/// How much one request may ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Bytes of a body.
    pub body: usize,
    /// Events of one `POST /events`.
    pub events: usize,
    /// Events of a history that is sent, and the newest of a stored one that are looked at.
    pub history: usize,
    pub top: usize,
    /// Items of `exclude` and of `POST /score`.
    pub items: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { body: 1 << 20, events: 1000, history: 10_000, top: 1000, items: 10_000 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    pub events: Vec<Object<NewEvent>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEvent {
    pub user: String,
    pub item: String,
    pub time: Whole,
    pub place: Option<[f64; 2]>,
    pub rating: Option<f64>,
    pub key: Option<String>,
}

/// `GET /recommend`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub user: String,
    pub top: Option<usize>,
    pub at: Option<i64>,
    /// `LAT,LON`
    pub near: Option<String>,
    pub category: Option<String>,
    /// Items with commas between.
    pub exclude: Option<String>,
    pub explain: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommend {
    pub user: Option<String>,
    pub history: Option<Vec<Object<PastEvent>>>,
    pub top: Option<Whole>,
    #[serde(default)]
    pub exclude: Vec<String>,
    pub at: Option<Whole>,
    pub near: Option<[f64; 2]>,
    pub category: Option<String>,
    #[serde(default)]
    pub explain: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastEvent {
    pub item: String,
    pub time: Option<Whole>,
    pub place: Option<[f64; 2]>,
    pub rating: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    pub user: Option<String>,
    pub history: Option<Vec<Object<PastEvent>>>,
    pub items: Vec<String>,
    pub at: Option<Whole>,
    pub near: Option<[f64; 2]>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Similar {
    pub top: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewItem {
    pub category: Option<String>,
    pub place: Option<[f64; 2]>,
    #[serde(default)]
    pub features: Vec<f64>,
}

#[derive(Debug, Serialize)]
pub struct Accepted {
    /// Events that are safe now.
    pub accepted: usize,
    /// Those of them that their key had brought before.
    pub known: u64,
}

#[derive(Debug, Serialize)]
pub struct Answer {
    pub items: Vec<Ranked>,
    /// The model knows the history alone, or not even that.
    pub cold: bool,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Vec<Weight>>,
}

#[derive(Debug, Serialize)]
pub struct Ranked {
    pub item: String,
    /// Null for an item that nothing is known of.
    pub score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f32>,
    /// The item came after the training, or is not known at all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cold: bool,
}

/// A past event and its share of the attention.
#[derive(Debug, Serialize)]
pub struct Weight {
    pub item: String,
    pub time: i64,
    pub weight: f32,
}

/// `text` as the name of a `what`.
pub fn name(what: &str, text: &str) -> Result<(), Refused> {
    match text.chars().count() {
        0 => Err(Refused::bad(format!("{what}: an empty name"))),
        n if n > NAME => Err(Refused::bad(format!("{what}: a name of {n} characters, more than {NAME}"))),
        _ => Ok(()),
    }
}

pub fn time(Whole(seconds): Whole) -> Result<i64, Refused> {
    match (0..=END).contains(&seconds) {
        true => Ok(seconds),
        false => Err(Refused::bad(format!("time {seconds}: expected seconds since 1970, up to {END}"))),
    }
}

/// Latitude and longitude in degrees.
pub fn place([lat, lon]: [f64; 2]) -> Result<[f32; 2], Refused> {
    match lat.abs() <= 90.0 && lon.abs() <= 180.0 {
        true => Ok([lat as f32, lon as f32]),
        false => Err(Refused::bad(format!("place [{lat}, {lon}]: expected degrees within ±90 and ±180"))),
    }
}

pub fn number(what: &str, value: f64) -> Result<f32, Refused> {
    match value.abs() <= LARGEST {
        true => Ok(value as f32),
        false => Err(Refused::bad(format!("{what} {value}: expected a number within ±{LARGEST:e}"))),
    }
}

pub fn count(what: &str, n: usize, [least, most]: [usize; 2]) -> Result<usize, Refused> {
    match (least..=most).contains(&n) {
        true => Ok(n),
        false => Err(Refused::bad(format!("{what}: {n}, expected {least} to {most}"))),
    }
}

impl NewItem {
    /// As the store keeps it.
    pub fn facts(self) -> Result<Facts, Refused> {
        self.category.iter().try_for_each(|category| name("category", category))?;
        Ok(Facts {
            category: self.category,
            place: self.place.map(place).transpose()?,
            features: self.features.iter().map(|f| number("features", *f)).collect::<Result<_, _>>()?,
        })
    }
}

impl Query {
    /// The same as a body.
    pub fn body(self) -> Result<Recommend, Refused> {
        let near = |text: String| -> Result<[f64; 2], Refused> {
            let parts: Option<Vec<f64>> = text.split(',').map(|p| p.trim().parse().ok()).collect();
            let parts = parts.and_then(|p| <[f64; 2]>::try_from(p).ok());
            parts.ok_or_else(|| Refused::bad("near: expected LAT,LON in degrees, e.g. 40.72,-74.00"))
        };
        let long = self.exclude.as_ref().map_or(0, |text| text.chars().count());
        if long > ADDRESS {
            let message = format!("exclude: {long} characters, more than {ADDRESS}; POST /recommend takes a list");
            return Err(Refused::bad(message));
        }
        Ok(Recommend {
            user: Some(self.user),
            history: None,
            top: self.top.map(|top| Whole(i64::try_from(top).unwrap_or(i64::MAX))),
            exclude: self.exclude.map_or_else(Vec::new, |e| e.split(',').map(str::to_string).collect()),
            at: self.at.map(Whole),
            near: self.near.map(near).transpose()?,
            category: self.category,
            explain: self.explain.unwrap_or(false),
        })
    }
}
