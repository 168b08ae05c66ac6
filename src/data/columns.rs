//! Which column is what: by the names that people use, or by the names given.

use super::options::{ColumnNames, TimeUnit};
use crate::error::{Error, Result};
use std::path::Path;

/// Positions of the columns in one file.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Names in the header, or `1`, `2`, … without one.
    pub names: Vec<String>,
    pub user: Option<usize>,
    pub item: usize,
    pub time: Option<usize>,
    pub time_unit: Option<TimeUnit>,
    pub rating: Option<usize>,
    pub lat: Option<usize>,
    pub lon: Option<usize>,
    pub category: Option<usize>,
    /// The first of the columns that say 1 or 0 for each of [`super::log::GENRES`].
    pub genres: Option<usize>,
    /// What ends the first category of several in a field.
    pub category_end: Option<char>,
    pub features: Vec<FeatureColumn>,
}

#[derive(Debug, Clone)]
pub struct FeatureColumn {
    pub name: String,
    pub column: usize,
    /// Several numbers with blanks between them.
    pub sequence: bool,
}

// Compared in lower case without `_`, `-` and blanks; earlier ones win.
const USER: &[&str] =
    &["user", "userid", "uid", "customer", "customerid", "visitor", "visitorid", "reviewerid", "session", "sessionid"];
const ITEM: &[&str] = &[
    "item",
    "itemid",
    "iid",
    "poi",
    "poiid",
    "venue",
    "venueid",
    "movie",
    "movieid",
    "product",
    "productid",
    "parentasin",
    "asin",
    "track",
    "trackid",
    "song",
    "songid",
    "artist",
    "artistid",
    "article",
    "articleid",
    "video",
    "videoid",
    "business",
    "businessid",
    "placeid",
    "place",
    "locationid",
];
const TIME: &[&str] = &[
    "t",
    "time",
    "timestamp",
    "ts",
    "tmin",
    "tms",
    "tday",
    "timems",
    "timestampms",
    "timemin",
    "unixtime",
    "unixreviewtime",
    "utctime",
    "datetime",
    "eventtime",
    "createdat",
    "date",
    "day",
];
const RATING: &[&str] = &["rating", "ratings", "stars", "score", "overall"];
const LAT: &[&str] = &["lat", "latitude"];
const LON: &[&str] = &["lon", "lng", "long", "longitude"];
const CATEGORY: &[&str] = &["category", "categories", "categoryid", "categoryname", "cat", "genre", "genres", "class"];

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

struct Header<'a> {
    path: &'a Path,
    line: u64,
    /// Names without RecBole's types.
    names: Vec<String>,
}

impl Header<'_> {
    /// The column named `given`, or else the first of the `known`.
    fn find(&self, given: &Option<String>, known: &[&str], option: &str) -> Result<Option<usize>> {
        let Some(name) = given else {
            return Ok(known.iter().find_map(|k| self.names.iter().position(|n| plain(n) == *k)));
        };
        let bare = name.split(':').next().unwrap_or(name);
        let exact = self.names.iter().position(|n| n == name || n == bare);
        let found = exact.or_else(|| self.names.iter().position(|n| plain(n) == plain(bare)));
        found.map(Some).ok_or_else(|| {
            Error::data(
                self.path,
                self.line,
                format!("no column {name:?} ({option}); there are: {}", self.names.join(", ")),
            )
        })
    }

    fn needed(&self, found: Option<usize>, what: &str) -> Result<usize> {
        found.ok_or_else(|| {
            let there = self.names.join(", ");
            let mend = format!("name it with --{what}-column, or give --no-header if this line is an event");
            Error::data(self.path, self.line, format!("no column is known as the {what}; there are: {there}; {mend}"))
        })
    }
}

/// Layout of a file with a header; `events` must have a user, items need none. `recbole` headers carry types.
///
/// # Errors
/// When a column is missing, with the names of those that are there.
pub fn with_header(
    path: &Path,
    line: u64,
    raw: &[String],
    options: (&ColumnNames, &[String]),
    (events, recbole): (bool, bool),
) -> Result<Layout> {
    let (given, wanted) = options;
    let bare = |n: &String| if recbole { n.split(':').next().unwrap_or(n).to_string() } else { n.clone() };
    let header = Header { path, line, names: raw.iter().map(bare).collect() };
    let user =
        if events { Some(header.needed(header.find(&given.user, USER, "--user-column")?, "user")?) } else { None };
    let item = match header.find(&given.item, ITEM, "--item-column") {
        // The name given is the one in the events; the file of items may use another.
        Err(_) if !events => header.find(&None, ITEM, "--item-column")?,
        found => found?,
    };
    let item = header.needed(item, "item")?;
    // A column named for events may be missing in the file of items, and the other way round: `read` checks that.
    let optional = |name: &Option<String>, known: &[&str], option| match header.find(name, known, option) {
        Err(_) if name.is_some() => Ok(None),
        found => found,
    };
    let time = if events { header.find(&given.time, TIME, "--time-column")? } else { None };
    let rating = if events { header.find(&given.rating, RATING, "--rating-column")? } else { None };
    let (lat, lon) = (optional(&given.lat, LAT, "--lat-column")?, optional(&given.lon, LON, "--lon-column")?);
    if lat.is_some() != lon.is_some() {
        let (one, other) = if lat.is_some() { ("latitude", "lon") } else { ("longitude", "lat") };
        let there = header.names.join(", ");
        return Err(Error::data(
            path,
            line,
            format!("a {one} alone; name the other with --{other}-column; there are: {there}"),
        ));
    }
    let category = optional(&given.category, CATEGORY, "--category-column")?;
    let mut layout = Layout { user, item, time, rating, lat, lon, category, ..Layout::default() };
    layout.time_unit = time.and_then(|t| unit_in(&header.names[t]));
    layout.category_end = category.and_then(|c| list_end(&raw[c], recbole));
    let used = [user, Some(item), time, rating, lat, lon, category];
    for (column, name) in header.names.iter().enumerate() {
        let kind = if recbole { raw[column].split(':').nth(1).unwrap_or("") } else { "" };
        let by_type = wanted.is_empty() && !events && kind.starts_with("float");
        let free = !used.contains(&Some(column));
        if wanted.iter().any(|w| w == name || *w == raw[column]) || (by_type && free) {
            layout.features.push(FeatureColumn { name: name.clone(), column, sequence: kind == "float_seq" });
        }
    }
    layout.names = header.names;
    Ok(layout)
}

/// Layout of a file about users with a header.
///
/// # Errors
/// When no column is known as the user.
pub fn of_users(path: &Path, line: u64, raw: &[String], given: &ColumnNames) -> Result<Layout> {
    let bare = |n: &String| n.split(':').next().unwrap_or(n).to_string();
    let header = Header { path, line, names: raw.iter().map(bare).collect() };
    let user = match header.find(&given.user, USER, "--user-column") {
        Err(_) => header.find(&None, USER, "--user-column")?, // the name given is the one in the events
        found => found?,
    };
    let user = Some(header.needed(user, "user")?);
    Ok(Layout { user, names: header.names, ..Layout::default() })
}

/// The unit that the name of a time column gives away.
fn unit_in(name: &str) -> Option<TimeUnit> {
    match plain(name).as_str() {
        "tmin" | "timemin" => Some(TimeUnit::Min),
        "tms" | "timems" | "timestampms" => Some(TimeUnit::Ms),
        "tday" | "day" => Some(TimeUnit::Day),
        _ => None,
    }
}

/// RecBole's sequences have blanks between their tokens, and so has `genre` in its ml-1m, whatever its type;
/// elsewhere genres are written `Drama|War`.
fn list_end(raw: &str, recbole: bool) -> Option<char> {
    let genre = matches!(plain(raw.split(':').next().unwrap_or(raw)).as_str(), "genre" | "genres");
    match (recbole, genre || raw.ends_with(":token_seq")) {
        (true, true) => Some(' '),
        (false, true) => Some('|'),
        _ => None,
    }
}

/// Layout of a file without a header: columns given by number from 1, or by default user, item(, time) and
/// user, item, rating, time.
///
/// # Errors
/// When a column is not such a number, or the defaults do not fit.
pub fn by_number(path: &Path, line: u64, count: usize, given: &ColumnNames, wanted: &[String]) -> Result<Layout> {
    let number = |text: &String, option: &str| match text.parse::<usize>() {
        Ok(n) if n >= 1 && n <= count => Ok(n - 1),
        _ => {
            Err(Error::data(path, line, format!("{option} {text:?}: without a header give a number from 1 to {count}")))
        }
    };
    let at = |name: &Option<String>, option| name.as_ref().map(|n| number(n, option)).transpose();
    let mut layout = Layout {
        names: (1..=count).map(|n| n.to_string()).collect(),
        user: at(&given.user, "--user-column")?,
        time: at(&given.time, "--time-column")?,
        rating: at(&given.rating, "--rating-column")?,
        lat: at(&given.lat, "--lat-column")?,
        lon: at(&given.lon, "--lon-column")?,
        category: at(&given.category, "--category-column")?,
        ..Layout::default()
    };
    for name in wanted {
        layout.features.push(FeatureColumn { name: name.clone(), column: number(name, "feature")?, sequence: false });
    }
    let item = at(&given.item, "--item-column")?;
    if *given == ColumnNames::default() {
        let (rating, time) = match count {
            2 => (None, None),
            3 => (None, Some(2)),
            4 => (Some(2), Some(3)),
            _ => {
                let mend = "say which is which: --user-column 1 --item-column 2 --time-column 3";
                return Err(Error::data(path, line, format!("{count} columns and no header; {mend}")));
            }
        };
        return Ok(Layout { user: Some(0), item: 1, rating, time, ..layout });
    }
    let (Some(user), Some(item)) = (layout.user, item) else {
        return Err(Error::data(
            path,
            line,
            "without a header give at least --user-column and --item-column, as numbers",
        ));
    };
    if layout.lat.is_some() != layout.lon.is_some() {
        return Err(Error::data(path, line, "give --lat-column and --lon-column together"));
    }
    Ok(Layout { user: Some(user), item, ..layout })
}

impl Layout {
    /// `user=uid, item=poi, …`, for the report.
    pub fn describe(&self, of_users: bool) -> String {
        let named = [
            ("user", self.user),
            ("item", (!of_users).then_some(self.item)),
            ("time", self.time),
            ("rating", self.rating),
            ("lat", self.lat),
            ("lon", self.lon),
            ("category", self.category.or(self.genres)),
        ];
        let known = named.iter().filter_map(|(what, at)| at.map(|c| format!("{what}={}", self.names[c])));
        let features = self.features.iter().map(|f| format!("feature={}", f.name));
        known.chain(features).collect::<Vec<_>>().join(", ")
    }
}
