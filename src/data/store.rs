//! The dataset folder: `dataset.json` says what `columns.bin` holds, all little-endian, each column with its CRC-32.

use super::Dataset;
use super::folder::Kind;
use super::report::PrepareReport;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

const KIND: &str = "desirepath dataset";
/// Version of the folder's layout.
pub const FORMAT: u32 = 1;
const INDEX: &str = "dataset.json";
const FOLDER: Kind = Kind { name: "dataset", mark: INDEX };
const COLUMNS: &str = "columns.bin";

#[derive(Serialize, Deserialize)]
struct Index {
    kind: String,
    version: u32,
    users: u64,
    items: u64,
    events: u64,
    categories: u64,
    feature_dim: usize,
    has_time: bool,
    columns: Vec<Column>,
    report: Option<PrepareReport>,
}

#[derive(Serialize, Deserialize)]
struct Column {
    name: String,
    bytes: u64,
    crc32: u32,
}

impl Dataset {
    /// Writes the dataset as a folder, with the report of how it was prepared. It is written beside `path` first and
    /// renamed when it is complete: what was there before stays until then.
    ///
    /// # Errors
    /// When a file cannot be written, or `path` is something other than a dataset (which is left alone).
    pub fn save(&self, path: &Path, report: Option<&PrepareReport>) -> Result<()> {
        FOLDER.replace(path, |folder| self.write_folder(folder, report))
    }

    /// Reads a folder written by [`Dataset::save`].
    ///
    /// # Errors
    /// When it is incomplete, damaged or of another version.
    pub fn load(path: &Path) -> Result<Self> {
        let path = &FOLDER.present(path);
        let index = read_index(path)?;
        let mut source = open_columns(path, &index)?;
        let mut dataset = Dataset { feature_dim: index.feature_dim, has_time: index.has_time, ..Dataset::default() };
        let file = path.join(COLUMNS);
        for column in &index.columns {
            let mut bytes = vec![0; column.bytes as usize];
            source.read_exact(&mut bytes).map_err(|e| Error::file(&file, &e))?;
            if crc(&bytes) != column.crc32 {
                return Err(Error::format(
                    &file,
                    format!("column {} is damaged (checksum); prepare it again", column.name),
                ));
            }
            dataset.set_column(&column.name, &bytes).ok_or_else(|| {
                Error::format(&file, format!("column {} is not as expected; prepare it again", column.name))
            })?;
        }
        let counts = (dataset.users.len() as u64, dataset.items.len() as u64, dataset.item.len() as u64);
        let whole =
            counts == (index.users, index.items, index.events) && dataset.categories.len() as u64 == index.categories;
        match dataset.flaw() {
            None if whole => Ok(dataset),
            None => {
                Err(Error::format(path, "the counts of dataset.json are not those of columns.bin; prepare it again"))
            }
            Some(flaw) => Err(Error::format(path, format!("{flaw}; prepare it again"))),
        }
    }

    fn write_folder(&self, folder: &Path, report: Option<&PrepareReport>) -> Result<()> {
        let file = folder.join(COLUMNS);
        let columns = self.write_columns(&file).map_err(|e| Error::file(&file, &e))?;
        let index = Index {
            kind: KIND.into(),
            version: FORMAT,
            users: self.users.len() as u64,
            items: self.items.len() as u64,
            events: self.item.len() as u64,
            categories: self.categories.len() as u64,
            feature_dim: self.feature_dim,
            has_time: self.has_time,
            columns,
            report: report.cloned(),
        };
        let file = folder.join(INDEX);
        let text = serde_json::to_vec_pretty(&index).map_err(|e| Error::format(&file, e.to_string()))?;
        fs::write(&file, text).map_err(|e| Error::file(&file, &e))
    }

    fn write_columns(&self, file: &Path) -> std::io::Result<Vec<Column>> {
        let mut out = BufWriter::with_capacity(1 << 16, File::create(file)?);
        let mut columns = Vec::new();
        let mut put = |name: &str, bytes: Vec<u8>| {
            columns.push(Column { name: name.into(), bytes: bytes.len() as u64, crc32: crc(&bytes) });
            out.write_all(&bytes)
        };
        put("users", text_bytes(&self.users))?;
        put("items", text_bytes(&self.items))?;
        put("categories", text_bytes(&self.categories))?;
        put("offsets", self.offsets.iter().flat_map(|v| (*v as u64).to_le_bytes()).collect())?;
        put("item", self.item.iter().flat_map(|v| v.to_le_bytes()).collect())?;
        put("time", self.time.iter().flat_map(|v| v.to_le_bytes()).collect())?;
        if let Some(values) = &self.item_category {
            put("item_category", values.iter().flat_map(|v| v.to_le_bytes()).collect())?;
        }
        let floats: [(&str, Option<&[f32]>); 4] = [
            ("rating", self.rating.as_deref()),
            ("place", self.place.as_ref().map(|p| p.as_flattened())),
            ("item_place", self.item_place.as_ref().map(|p| p.as_flattened())),
            ("item_features", self.item_features.as_deref()),
        ];
        for (name, values) in floats {
            if let Some(values) = values {
                put(name, values.iter().flat_map(|v| v.to_le_bytes()).collect())?;
            }
        }
        out.flush()?;
        Ok(columns)
    }

    fn set_column(&mut self, name: &str, bytes: &[u8]) -> Option<()> {
        match name {
            "users" => self.users = texts(bytes)?,
            "items" => self.items = texts(bytes)?,
            "categories" => self.categories = texts(bytes)?,
            "offsets" => self.offsets = numbers(bytes, |b| u64::from_le_bytes(b) as usize)?,
            "item" => self.item = numbers(bytes, u32::from_le_bytes)?,
            "time" => self.time = numbers(bytes, i64::from_le_bytes)?,
            "item_category" => self.item_category = Some(numbers(bytes, u32::from_le_bytes)?),
            "rating" => self.rating = Some(numbers(bytes, f32::from_le_bytes)?),
            "place" => self.place = Some(pairs(bytes)?),
            "item_place" => self.item_place = Some(pairs(bytes)?),
            "item_features" => self.item_features = Some(numbers(bytes, f32::from_le_bytes)?),
            _ => return None,
        }
        Some(())
    }

    /// What contradicts the description of the fields, if anything: a folder that passes can be indexed without fear.
    fn flaw(&self) -> Option<&'static str> {
        let (users, items, events) = (self.users.len(), self.items.len(), self.item.len());
        let offsets = &self.offsets;
        let rising = offsets.windows(2).all(|w| w[0] <= w[1]);
        if offsets.len() != users + 1 || offsets.first() != Some(&0) || offsets.last() != Some(&events) || !rising {
            return Some("the offsets of the users are wrong");
        }
        if self.item.iter().any(|i| *i == 0 || *i as usize > items) {
            return Some("an event has an item that does not exist");
        }
        let length = |found: Option<usize>, expected: usize| found.is_none_or(|f| f == expected);
        let lengths = self.time.len() == events
            && length(self.rating.as_ref().map(Vec::len), events)
            && length(self.place.as_ref().map(Vec::len), events)
            && length(self.item_place.as_ref().map(Vec::len), items)
            && length(self.item_category.as_ref().map(Vec::len), items)
            && Some(self.item_features.as_ref().map_or(0, Vec::len)) == items.checked_mul(self.feature_dim);
        if !lengths {
            return Some("a column has the wrong length");
        }
        let categories = self.item_category.iter().flatten();
        if categories.into_iter().any(|c| *c as usize > self.categories.len()) {
            return Some("an item has a category that does not exist");
        }
        None
    }
}

impl PrepareReport {
    /// The report in a dataset folder, if it was saved with one.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn load(path: &Path) -> Result<Option<Self>> {
        Ok(read_index(&FOLDER.present(path))?.report)
    }
}

fn read_index(path: &Path) -> Result<Index> {
    let file = path.join(INDEX);
    let text = fs::read(&file).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound if path.is_dir() => {
            Error::format(path, "is no dataset (there is no dataset.json); make one with `desirepath prepare`")
        }
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory if path.is_file() => {
            Error::format(path, "is a file, not a dataset folder; make one of it with `desirepath prepare`")
        }
        std::io::ErrorKind::NotFound => Error::file(path, &e),
        _ => Error::file(&file, &e),
    })?;
    // Another version may have other fields: look at the version first.
    let value: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|e| Error::format(&file, format!("is cut off or damaged ({e}); prepare it again")))?;
    if value["kind"] != KIND {
        return Err(Error::format(&file, "is not the index of a dataset"));
    }
    if value["version"] != FORMAT {
        let found = &value["version"];
        return Err(Error::format(
            &file,
            format!("has version {found}, this program reads {FORMAT}; prepare it again"),
        ));
    }
    serde_json::from_value(value).map_err(|e| Error::format(&file, format!("{e}; prepare it again")))
}

/// The file of columns, after its length was found right: so no length in a damaged index is allocated.
fn open_columns(path: &Path, index: &Index) -> Result<BufReader<File>> {
    let file = path.join(COLUMNS);
    let source = File::open(&file).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::format(path, "is incomplete (there is no columns.bin); prepare it again")
        }
        _ => Error::file(&file, &e),
    })?;
    let found = source.metadata().map_err(|e| Error::file(&file, &e))?.len();
    let expected = index.columns.iter().try_fold(0u64, |sum, column| sum.checked_add(column.bytes));
    if expected != Some(found) {
        let expected = expected.map_or("an impossible number".into(), |e| e.to_string());
        return Err(Error::format(
            &file,
            format!("has {found} bytes, not {expected}: cut off or damaged; prepare it again"),
        ));
    }
    Ok(BufReader::with_capacity(1 << 16, source))
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Each text after its length.
fn text_bytes(texts: &[String]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(texts.iter().map(|t| t.len() + 4).sum());
    for text in texts {
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn texts(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        texts.push(std::str::from_utf8(text).ok()?.to_string());
        bytes = rest;
    }
    bytes.is_empty().then_some(texts)
}

fn numbers<T, const N: usize>(bytes: &[u8], number: fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    rest.is_empty().then(|| chunks.iter().map(|c| number(*c)).collect())
}

fn pairs(bytes: &[u8]) -> Option<Vec<[f32; 2]>> {
    let flat = numbers(bytes, f32::from_le_bytes)?;
    let (pairs, rest) = flat.as_chunks::<2>();
    rest.is_empty().then(|| pairs.to_vec())
}
