//! Any bytes as a log of events, under every format and with every option that changes how it is read. What is read must
//! be whole: saved and loaded again it is the same, and joined to itself it gains nothing.
#![no_main]

use desirepath::data::{Dataset, Format, PrepareOptions, TimeUnit, prepare};
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;

/// Names by which files are recognised.
const NAMES: [&str; 6] = ["log.csv", "log.tsv", "log.inter", "ratings.dat", "u.data", "log.csv.gz"];
const ITEMS: [&str; 3] = ["log.item", "movies.dat", "u.item"];

fuzz_target!(|input: &[u8]| {
    let [a, b, text @ ..] = input else { return };
    let folder = std::env::temp_dir().join(format!("desirepath-fuzz-log-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    // What stands behind the first 0 byte is a file of items beside it.
    let (events, items) = match text.iter().position(|c| *c == 0) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let file = folder.join(NAMES[*a as usize % NAMES.len()]);
    std::fs::write(&file, events).expect("write");
    let mut known: Option<PathBuf> = None;
    if let Some(items) = items {
        let path = folder.join(ITEMS[*a as usize / 8 % ITEMS.len()]);
        std::fs::write(&path, items).expect("write");
        known = (a & 1 == 1).then_some(path);
    }
    let options = PrepareOptions {
        files: vec![file],
        items: known,
        format: [Format::Auto, Format::Csv, Format::Recbole, Format::Movielens][*b as usize % 4],
        no_header: b & 4 != 0,
        skip_bad: b & 8 != 0,
        dedup: b & 16 != 0,
        few: b & 32 != 0,
        min_user: usize::from(b >> 6),
        time_unit: [None, Some(TimeUnit::Ms), Some(TimeUnit::Day)][*a as usize / 64 % 3],
        ..PrepareOptions::default()
    };
    match prepare(&options) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok((dataset, report)) => {
            let path = folder.join("dataset");
            dataset.save(&path, Some(&report)).expect("what was read can be written");
            let again = Dataset::load(&path).expect("what was written can be read");
            assert_eq!(again.item, dataset.item);
            if dataset.has_time {
                let (all, ..) = dataset.merged(&again, &path).expect("a log joins itself");
                assert_eq!((all.users, all.items, all.item), (dataset.users, dataset.items, dataset.item));
            }
        }
    }
});
