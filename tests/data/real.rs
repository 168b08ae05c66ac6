//! Public logs, where they are: their counts are known. Skipped with a line where they are not.

use super::*;
use desirepath::data::split::{Split, leave_one_out};

/// A file of `../shared/data`, or of the folder named by `DESIREPATH_DATA`.
fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("DESIREPATH_DATA").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

fn counts(report: &PrepareReport) -> (u64, u64, u64, u64) {
    (report.rows_read, report.users, report.items, report.events)
}

fn round_trip(dataset: &Dataset, report: &PrepareReport) {
    let folder = Files::new(&[]);
    dataset.save(&folder.path("set"), Some(report)).unwrap();
    assert!(Dataset::load(&folder.path("set")).unwrap() == *dataset);
}

#[test]
fn beauty() {
    let Some(path) = data("beauty.csv.gz") else { return };
    let options = PrepareOptions { files: vec![path], min_user: 5, min_item: 5, ..PrepareOptions::default() };
    let (dataset, report) = desirepath::data::prepare(&options).unwrap();
    assert_eq!(counts(&report), (198_502, 22_363, 12_101, 198_502));
    assert_eq!((report.k_core.events_dropped, report.malformed), (0, 0));
    assert_eq!(leave_one_out(&dataset).targets(Split::Test).count(), 22_363);
    round_trip(&dataset, &report);
}

#[test]
fn nyc_check_ins() {
    let Some(path) = data("nyc-checkins.csv.gz") else { return };
    let options = PrepareOptions { files: vec![path], ..PrepareOptions::default() };
    let (dataset, report) = desirepath::data::prepare(&options).unwrap();
    assert_eq!(counts(&report), (147_938, 1_083, 5_135, 147_938));
    assert_eq!((report.duplicates, report.duplicates_dropped), (458, 0));
    assert!(dataset.time.iter().all(|t| t % 60 == 0), "t_min is in minutes");
    assert!(report.revisit_share > 0.7, "{}", report.revisit_share);
    let place = dataset.item_place.as_ref().unwrap();
    assert!(
        place.iter().filter(|p| !p[0].is_nan()).all(|p| (40.0..41.5).contains(&p[0]) && (-75.0..-73.0).contains(&p[1]))
    );
    round_trip(&Dataset { item_place: None, ..dataset }, &report);
    let dropped = desirepath::data::prepare(&PrepareOptions { dedup: true, ..options }).unwrap().1;
    assert_eq!((dropped.events, dropped.duplicates_dropped), (147_480, 458));
}

#[test]
fn movielens() {
    if let Some(path) = data("ml-100k/ml-100k.inter") {
        let options = PrepareOptions { files: vec![path], ..PrepareOptions::default() };
        let (dataset, report) = desirepath::data::prepare(&options).unwrap();
        assert_eq!(counts(&report), (100_000, 943, 1_682, 100_000));
        assert!(dataset.categories.iter().any(|c| c == "Animation"));
        round_trip(&dataset, &report);
    }
    if let Some(path) = data("ml-1m/ml-1m.inter") {
        let options = PrepareOptions { files: vec![path], min_user: 5, min_item: 5, ..PrepareOptions::default() };
        let (dataset, report) = desirepath::data::prepare(&options).unwrap();
        assert_eq!(counts(&report), (1_000_209, 6_040, 3_416, 999_611));
        round_trip(&dataset, &report);
    }
}
