//! Readers, `prepare`, the dataset folder and the splits, on small files and on real ones where they are.

mod bad;
mod merge;
mod prepare;
mod readers;
mod real;
mod store;

use desirepath::data::{Dataset, PrepareOptions, PrepareReport};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with these files in it.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let files_in = Files(tempfile::tempdir().unwrap());
        for (name, bytes) in files {
            std::fs::write(files_in.path(name), bytes).unwrap();
        }
        files_in
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self, names: &[&str]) -> PrepareOptions {
        PrepareOptions { files: names.iter().map(|n| self.path(n)).collect(), ..PrepareOptions::default() }
    }
}

/// One file named `name`, prepared with `change`d options.
fn prepare_with(
    name: &str,
    bytes: &[u8],
    change: impl Fn(&mut PrepareOptions),
) -> desirepath::Result<(Dataset, PrepareReport)> {
    let files = Files::new(&[(name, bytes)]);
    let mut options = files.options(&[name]);
    change(&mut options);
    desirepath::data::prepare(&options)
}

fn prepared(name: &str, bytes: &[u8]) -> (Dataset, PrepareReport) {
    prepare_with(name, bytes, |_| {}).unwrap()
}

/// The error's text, with the folder's name taken away.
fn error(name: &str, bytes: &[u8], change: impl Fn(&mut PrepareOptions)) -> String {
    let text = prepare_with(name, bytes, change).expect_err("should have been refused").to_string();
    match text.find(name) {
        Some(at) => text[at..].to_string(),
        None => text,
    }
}

/// `(user, item, time)` by name, in the order of the dataset.
fn events(dataset: &Dataset) -> Vec<(String, String, i64)> {
    let mut events = Vec::new();
    for user in 1..=dataset.n_users() {
        for event in dataset.events_of(user) {
            let item = dataset.items[dataset.item[event] as usize - 1].clone();
            events.push((dataset.users[user - 1].clone(), item, dataset.time[event]));
        }
    }
    events
}

fn event(user: &str, item: &str, time: i64) -> (String, String, i64) {
    (user.into(), item.into(), time)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
