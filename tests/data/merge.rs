//! New events joined to old ones.

use desirepath::data::Dataset;
use std::path::Path;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| (*n).into()).collect()
}

/// Users a and b with items x and y; y is a bar.
fn old() -> Dataset {
    Dataset {
        users: names(&["a", "b"]),
        items: names(&["x", "y"]),
        offsets: vec![0, 2, 3],
        item: vec![1, 2, 1],
        time: vec![10, 20, 15],
        rating: Some(vec![1.0, 5.0, 3.0]),
        item_category: Some(vec![0, 1]),
        categories: names(&["bar"]),
        item_features: Some(vec![1.0, 2.0, 3.0, 4.0]),
        feature_dim: 2,
        has_time: true,
        ..Dataset::default()
    }
}

/// b and the new c, with the new items k and z, and y, which is said to be something else now.
fn new() -> Dataset {
    Dataset {
        users: names(&["b", "c"]),
        items: names(&["k", "y", "z"]),
        offsets: vec![0, 3, 4],
        item: vec![2, 1, 2, 3],
        time: vec![16, 15, 30, 1],
        place: Some(vec![[1.0, 2.0]; 4]),
        item_category: Some(vec![1, 2, 2]),
        categories: names(&["bar", "shop"]),
        item_features: Some(vec![9.0, 8.0, 0.0, 0.0, 7.0, 6.0]),
        feature_dim: 2,
        has_time: true,
        ..Dataset::default()
    }
}

#[test]
fn ids_stay_and_new_ones_follow() {
    let (all, fresh, report) = old().merged(&new(), Path::new("new")).unwrap();
    assert_eq!(all.users, ["a", "b", "c"]);
    assert_eq!(all.items, ["x", "y", "k", "z"]);
    assert_eq!(all.offsets, [0, 2, 6, 7]);
    // b: x and k at 15 (old before new), y at 16 and 30; c: z.
    assert_eq!((all.item, all.time), (vec![1, 2, 1, 3, 2, 2, 4], vec![10, 20, 15, 15, 16, 30, 1]));
    assert_eq!(fresh, [false, false, false, true, true, true, true]);
    assert_eq!(all.rating, Some(vec![1.0, 5.0, 3.0, 3.0, 3.0, 3.0, 3.0]), "the mean where none is given");
    assert_eq!(all.place, None, "a column that only the new events have");
    assert_eq!(all.item_category, Some(vec![0, 1, 1, 0]), "old items keep theirs, a new category is unknown");
    assert_eq!(all.item_features, Some(vec![1.0, 2.0, 3.0, 4.0, 9.0, 8.0, 7.0, 6.0]));
    assert_eq!((report.new_users, report.new_items, report.new_events, report.known_events), (1, 2, 4, 0));
    assert_eq!(report.unknown_categories, 1);
}

#[test]
fn events_that_are_there_are_not_new() {
    let (all, ..) = old().merged(&new(), Path::new("new")).unwrap();
    let (again, fresh, report) = all.merged(&new(), Path::new("new")).unwrap();
    assert_eq!(again, all);
    assert_eq!((report.new_events, report.known_events), (0, 4));
    assert!(!fresh.contains(&true));
    // Of b the model keeps nothing older than 15: what is older was there before.
    let mut late = new();
    late.time[0] = 14;
    let (.., report) = old().merged(&late, Path::new("new")).unwrap();
    assert_eq!((report.new_events, report.known_events), (3, 1));
}

#[test]
fn without_times_what_is_new_comes_last() {
    let (mut old, mut new) = (old(), new());
    (old.has_time, new.has_time) = (false, false);
    let (all, fresh, _) = old.merged(&new, Path::new("new")).unwrap();
    assert_eq!(all.time, [10, 20, 15, 36, 37, 51, 22]);
    assert_eq!(fresh, [false, false, false, true, true, true, true]);
    old.has_time = true;
    let error = old.merged(&new, Path::new("new")).unwrap_err().to_string();
    assert_eq!(error, "new: the events have no times, and those learned from had");
}
