//! Events as they come out of the files, in columns: at most 28 bytes each, and every name once.

use super::columns::Layout;
use super::lines::Lines;
use super::options::TimeUnit;
use std::collections::HashMap;

/// Seconds at the end of the year 2100; a later time is one in another unit.
const LATEST: f64 = 4_133_980_800.0;

/// MovieLens 100K's, in the order of its columns; the first of them says that none is known.
pub const GENRES: [&str; 19] = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];

type Parsed<T> = std::result::Result<T, String>;

/// Names to dense ids from 0, in order of first appearance.
#[derive(Debug, Default)]
pub struct Names {
    ids: HashMap<Box<str>, u32>,
}

impl Names {
    pub fn id(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.ids.len() as u32;
        self.ids.insert(name.into(), id);
        id
    }

    pub fn get(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn into_list(self) -> Vec<String> {
        let mut list = vec![String::new(); self.ids.len()];
        for (name, id) in self.ids {
            list[id as usize] = name.into();
        }
        list
    }
}

/// One numeric feature (or a vector of them) of items: sums, because events may repeat it.
#[derive(Debug, Default)]
pub struct Feature {
    pub name: String,
    /// Numbers per item; 0 until one is seen.
    pub width: usize,
    pub sum: Vec<f64>,
    /// `[items]` how many values went into the sums.
    pub count: Vec<u32>,
}

impl Feature {
    fn add(&mut self, item: usize, values: &[f64]) {
        self.width = values.len();
        if self.count.len() <= item {
            self.count.resize(item + 1, 0);
            self.sum.resize((item + 1) * self.width, 0.0);
        }
        self.count[item] += 1;
        for (sum, value) in self.sum[item * self.width..].iter_mut().zip(values) {
            *sum += value;
        }
    }
}

/// Everything read. Events have one entry in `user`, `item` and `time`; the other columns may be shorter, or empty
/// where no file had them, and are NaN where a value is missing.
#[derive(Debug, Default)]
pub struct Log {
    pub users: Names,
    pub items: Names,
    pub categories: Names,
    pub user: Vec<u32>,
    pub item: Vec<u32>,
    /// Seconds with their fraction, or the position among the events kept.
    pub time: Vec<f64>,
    pub rating: Vec<f32>,
    pub place: Vec<[f32; 2]>,
    /// How often each pair of item and category was met: few items have more than one.
    pub item_category: HashMap<(u32, u32), u64>,
    /// By item, from files of items.
    pub item_place: HashMap<u32, [f32; 2]>,
    pub features: Vec<Feature>,
    scratch: Vec<f64>,
    /// Ends of the features' values in `scratch`, with the index of the feature.
    ends: Vec<(usize, usize)>,
}

impl Log {
    /// Checks one event and keeps it. On an error nothing is kept.
    pub fn push_event(&mut self, record: &Lines, layout: &Layout, unit: TimeUnit) -> Parsed<()> {
        check_width(record, layout)?;
        let user = named(record, layout.user.unwrap_or(0), "user")?;
        let item = named(record, layout.item, "item")?;
        let time = match layout.time {
            None => self.user.len() as f64,
            Some(column) => time(record.field(column), unit)?,
        };
        let rating = match layout.rating {
            None => None,
            Some(column) => Some(number(record.field(column), "rating")?.map_or(f32::NAN, |v| v as f32)),
        };
        let place = place(record, layout)?;
        self.parse_features(record, layout)?;
        if self.user.len() >= u32::MAX as usize {
            return Err("is the 4,294,967,296th event: more than one dataset can hold; split the log".into());
        }
        let (user, item) = (self.users.id(user), self.items.id(item));
        let n = self.user.len();
        self.user.push(user);
        self.item.push(item);
        self.time.push(time);
        if let Some(rating) = rating {
            self.rating.resize(n, f32::NAN);
            self.rating.push(rating);
        }
        if let Some(place) = place {
            self.place.resize(n, [f32::NAN; 2]);
            self.place.push(place);
        }
        self.keep_attributes(record, layout, item);
        Ok(())
    }

    /// Checks one line about an item and keeps it if an event had that item.
    pub fn push_item(&mut self, record: &Lines, layout: &Layout) -> Parsed<()> {
        check_width(record, layout)?;
        let name = named(record, layout.item, "item")?;
        let place = place(record, layout)?;
        self.parse_features(record, layout)?;
        let Some(item) = self.items.get(name) else { return Ok(()) };
        if let Some(place) = place.filter(|p| !p[0].is_nan()) {
            self.item_place.insert(item, place);
        }
        self.keep_attributes(record, layout, item);
        Ok(())
    }

    /// Checks one line about a user; whether an event had that user.
    pub fn knows_user(&self, record: &Lines, layout: &Layout) -> Parsed<bool> {
        check_width(record, layout)?;
        Ok(self.users.get(named(record, layout.user.unwrap_or(0), "user")?).is_some())
    }

    fn keep_attributes(&mut self, record: &Lines, layout: &Layout, item: u32) {
        let mut start = 0;
        for (end, feature) in &self.ends {
            if *end > start {
                self.features[*feature].add(item as usize, &self.scratch[start..*end]);
            }
            start = *end;
        }
        let flagged =
            |first: usize| (1..GENRES.len()).find(|n| record.field(first + n) == "1").map_or("", |n| GENRES[n]);
        let named = |column: usize| {
            let field = record.field(column);
            layout.category_end.map_or(field, |end| field.split(end).next().unwrap_or(field)).trim()
        };
        let Some(name) = layout.genres.map(flagged).or_else(|| layout.category.map(named)) else { return };
        if name.is_empty() {
            return;
        }
        let category = self.categories.id(name);
        *self.item_category.entry((item, category)).or_insert(0) += 1;
    }

    /// Values of the record's features into `scratch`; a missing one leaves none.
    fn parse_features(&mut self, record: &Lines, layout: &Layout) -> Parsed<()> {
        self.scratch.clear();
        self.ends.clear();
        for wanted in &layout.features {
            let index = self.features.iter().position(|f| f.name == wanted.name).unwrap_or(self.features.len());
            if index == self.features.len() {
                self.features.push(Feature { name: wanted.name.clone(), ..Feature::default() });
            }
            let start = self.scratch.len();
            let field = record.field(wanted.column);
            if wanted.sequence {
                for part in field.split_whitespace() {
                    self.scratch.extend(number(part, &wanted.name)?);
                }
            } else {
                self.scratch.extend(number(field, &wanted.name)?);
            }
            let (width, got) = (self.features[index].width, self.scratch.len() - start);
            if width != 0 && got != 0 && got != width {
                return Err(format!("{} has {got} numbers, but {width} in the lines before", wanted.name));
            }
            self.ends.push((self.scratch.len(), index));
        }
        Ok(())
    }
}

fn check_width(record: &Lines, layout: &Layout) -> Parsed<()> {
    match (record.len(), layout.names.len()) {
        (found, expected) if found != expected => Err(format!("{found} fields, but the first line has {expected}")),
        _ => Ok(()),
    }
}

fn named<'a>(record: &'a Lines, column: usize, what: &str) -> Parsed<&'a str> {
    match record.field(column) {
        "" => Err(format!("the {what} is missing")),
        name => Ok(name),
    }
}

/// `None` where the field says that there is no value.
fn number(field: &str, what: &str) -> Parsed<Option<f64>> {
    if matches!(field, "" | "NA" | "N/A" | "NaN" | "nan" | "null" | "NULL" | "None") {
        return Ok(None);
    }
    match field.parse::<f64>() {
        Ok(value) if value.abs() <= f64::from(f32::MAX) => Ok(Some(value)),
        Ok(value) if value.is_finite() => Err(format!("{what} {field:?} is larger than 32 bits can hold")),
        Ok(_) => Err(format!("{what} {field:?} is not finite")),
        Err(_) => Err(format!("{what} {field:?} is not a number")),
    }
}

fn time(field: &str, unit: TimeUnit) -> Parsed<f64> {
    let seconds = match super::time::parse(field) {
        Some(seconds) => seconds,
        None if super::time::looks_like_a_date(field) => {
            return Err(format!("time {field:?} is no moment that there was"));
        }
        None => match number(field, "time")? {
            Some(value) => unit.seconds(value),
            None => return Err("the time is missing".into()),
        },
    };
    if seconds < 0.0 {
        return Err(format!("time {field:?} is before 1970"));
    }
    if seconds > LATEST {
        let mend = "is --time-unit right (s, ms, min, day)?";
        return Err(format!("time {field:?} is beyond the year 2100; {mend}"));
    }
    Ok(seconds)
}

fn place(record: &Lines, layout: &Layout) -> Parsed<Option<[f32; 2]>> {
    let (Some(lat), Some(lon)) = (layout.lat, layout.lon) else { return Ok(None) };
    let degrees = |column, what: &str, limit: f64| match number(record.field(column), what)? {
        Some(v) if v.abs() > limit => Err(format!("{what} {v} is outside -{limit} to {limit} degrees")),
        v => Ok(v.map_or(f32::NAN, |v| v as f32)),
    };
    let place = [degrees(lat, "latitude", 90.0)?, degrees(lon, "longitude", 180.0)?];
    // Half a place is none.
    Ok(Some(if place.iter().any(|v| v.is_nan()) { [f32::NAN; 2] } else { place }))
}
