//! Which column is what: by the names that people use, or by the names given.

use super::table::Dialect;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What one step of the time column is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    Ms,
    S,
    Min,
    Day,
}

impl TimeUnit {
    pub fn seconds(self) -> f64 {
        match self {
            TimeUnit::Ms => 1e-3,
            TimeUnit::S => 1.0,
            TimeUnit::Min => 60.0,
            TimeUnit::Day => 86_400.0,
        }
    }
}

/// Names of columns, where they are not to be guessed. In a file without a header a number counts columns from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnNames {
    pub user: Option<String>,
    pub item: Option<String>,
    pub time: Option<String>,
    pub rating: Option<String>,
    pub lat: Option<String>,
    pub lon: Option<String>,
    pub category: Option<String>,
}

/// Positions of the columns in a file, and how it is to be split.
#[derive(Debug, Clone)]
pub struct Layout {
    pub dialect: Dialect,
    /// Records before the first event.
    pub header: bool,
    pub user: Option<usize>,
    pub item: usize,
    pub time: Option<usize>,
    pub time_unit: TimeUnit,
    pub rating: Option<usize>,
    pub place: Option<(usize, usize)>,
    pub category: Option<usize>,
    /// Numeric columns that are none of the above.
    pub others: Vec<(String, usize)>,
}

const USER: &[&str] = &[
    "user",
    "user_id",
    "userid",
    "uid",
    "customer",
    "customer_id",
    "visitor",
    "visitor_id",
    "visitorid",
    "session",
    "session_id",
];
const ITEM: &[&str] = &[
    "item",
    "item_id",
    "itemid",
    "iid",
    "poi",
    "poi_id",
    "place",
    "place_id",
    "venue",
    "venue_id",
    "movie",
    "movie_id",
    "movieid",
    "product",
    "product_id",
    "asin",
    "track_id",
    "song_id",
    "article_id",
    "business_id",
];
const TIME: &[&str] = &["t", "time", "timestamp", "ts", "unixtime", "t_min", "t_ms", "time_ms", "time_s", "date_s"];
const RATING: &[&str] = &["rating", "ratings", "stars", "score", "overall"];
const LAT: &[&str] = &["lat", "latitude"];
const LON: &[&str] = &["lon", "lng", "long", "longitude"];
const CATEGORY: &[&str] = &["category", "categories", "category_id", "genre", "genres", "class", "type"];

/// Layout of a file with a header, of events (`with_user`) or of items.
///
/// # Errors
/// When a column is missing, with the names of those that are there.
pub fn with_header(
    path: &Path,
    header: &str,
    dialect: Dialect,
    names: &ColumnNames,
    with_user: bool,
) -> Result<Layout> {
    let Dialect::Byte { delimiter, .. } = dialect else {
        return Err(Error::data(path, 1, "a file with `::` has no header"));
    };
    let raw: Vec<&str> = header.split(delimiter as char).map(|f| f.trim().trim_matches('"')).collect();
    // RecBole writes `user_id:token`.
    let fields: Vec<String> = raw.iter().map(|f| f.split(':').next().unwrap_or(f).to_lowercase()).collect();
    let find = |given: &Option<String>, known: &[&str]| -> Result<Option<usize>> {
        match given {
            None => Ok(known.iter().find_map(|k| fields.iter().position(|f| f == k))),
            Some(name) => match fields.iter().position(|f| *f == name.to_lowercase()) {
                Some(at) => Ok(Some(at)),
                None => Err(missing(path, name, &raw)),
            },
        }
    };
    let needed = |found: Option<usize>, what: &str| found.ok_or_else(|| missing(path, what, &raw));
    let user = match with_user {
        true => Some(needed(find(&names.user, USER)?, "user")?),
        false => None,
    };
    let item = needed(find(&names.item, ITEM)?, "item")?;
    let time = find(&names.time, TIME)?;
    let rating = find(&names.rating, RATING)?;
    let (lat, lon) = (find(&names.lat, LAT)?, find(&names.lon, LON)?);
    let category = find(&names.category, CATEGORY)?;
    let used: Vec<usize> = [user, Some(item), time, rating, lat, lon, category].into_iter().flatten().collect();
    let recbole_float = |i: usize| raw[i].ends_with(":float") || !raw[i].contains(':');
    let others = (0..fields.len()).filter(|i| !used.contains(i) && recbole_float(*i));
    let others = others.map(|i| (fields[i].clone(), i)).collect();
    let time_unit = match time.map(|t| fields[t].as_str()) {
        Some("t_min") => TimeUnit::Min,
        Some("t_ms" | "time_ms") => TimeUnit::Ms,
        _ => TimeUnit::S,
    };
    Ok(Layout { dialect, header: true, user, item, time, time_unit, rating, place: lat.zip(lon), category, others })
}

/// Layout of a file without a header; `names` may give columns by number, by default user, item, rating, time.
///
/// # Errors
/// When a column is not given as a number from 1.
pub fn by_number(path: &Path, dialect: Dialect, names: &ColumnNames) -> Result<Layout> {
    let given = |name: &Option<String>, default: Option<usize>| match name {
        None => Ok(default),
        Some(text) => match text.parse::<usize>() {
            Ok(n) if n >= 1 => Ok(Some(n - 1)),
            _ => Err(Error::data(path, 0, format!("column {text:?}: without a header, give its number from 1"))),
        },
    };
    let any = [&names.user, &names.item, &names.time, &names.rating].iter().any(|n| n.is_some());
    let default = |n: usize| if any { None } else { Some(n) };
    Ok(Layout {
        dialect,
        header: false,
        user: Some(given(&names.user, Some(0))?.unwrap_or(0)),
        item: given(&names.item, Some(1))?.unwrap_or(1),
        rating: given(&names.rating, default(2))?,
        time: given(&names.time, default(3))?,
        time_unit: TimeUnit::S,
        place: given(&names.lat, None)?.zip(given(&names.lon, None)?),
        category: given(&names.category, None)?,
        others: Vec::new(),
    })
}

fn missing(path: &Path, what: &str, found: &[&str]) -> Error {
    let columns = found.join(", ");
    Error::data(
        path,
        1,
        format!("no column {what:?}; there are: {columns}. Name it, e.g. --user-column, --item-column"),
    )
}
