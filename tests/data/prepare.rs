use super::*;
use desirepath::data::Missing;
use desirepath::data::split::{Split, leave_one_out};

#[test]
fn equal_times_keep_the_order_of_the_file() {
    // c meets the items first, in the order of their names: neither that nor the names may break the ties.
    let first = "c,a,1\nc,k,2\nc,m,3\nc,p,4\nc,q,5\nc,r,6\nc,z,7\n";
    let text = format!("user,item,t\n{first}b,z,5\na,q,7\nb,a,5\na,p,7\nb,m,5\na,r,1\nb,k,4\n");
    let (dataset, report) = prepared("log.csv", text.as_bytes());
    let items: Vec<String> = events(&dataset).into_iter().map(|(_, item, _)| item).collect();
    assert_eq!(items[..7], ["r", "q", "p", "k", "z", "a", "m"]);
    assert_eq!(report.ties, 3);
    assert!(report.tie_rule.contains("stable"));
    // Parts of a second count, although they are not kept.
    let fine = prepare_with("log.csv", b"user,item,t\na,y,1900\na,x,1100\nb,x,1\n", |o| {
        o.time_unit = Some(desirepath::data::TimeUnit::Ms);
    });
    assert_eq!(events(&fine.unwrap().0), [event("a", "x", 1), event("a", "y", 1), event("b", "x", 0)]);
}

#[test]
fn the_order_of_lines_decides_nothing_but_ties() {
    let mut lines: Vec<String> = Vec::new();
    for event in 0..400u64 {
        let (user, item) = (event * 7 % 23, event * event % 31);
        // Of each item, one category is met more often than the other.
        let category = if event % 5 == 0 { "also".into() } else { format!("c{}", item % 4) };
        lines.push(format!(
            "u{user},{item},{},{},{}.5,{}.25,{category}",
            event * 1000,
            event % 5,
            item % 80,
            item % 170
        ));
    }
    let text = |lines: &[String]| format!("user,item,t,rating,lat,lon,category\n{}\n", lines.join("\n"));
    let options = |o: &mut PrepareOptions| (o.min_user, o.min_item) = (3, 3);
    let (sorted, report) = prepare_with("log.csv", text(&lines).as_bytes(), options).unwrap();
    assert_eq!(report.ties, 0);
    assert_eq!(sorted.categories, ["c0", "c1", "c2", "c3"]);
    let mut state = 1u64;
    for i in (1..lines.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        lines.swap(i, (state >> 33) as usize % (i + 1));
    }
    assert_eq!(sorted, prepare_with("log.csv", text(&lines).as_bytes(), options).unwrap().0);
}

#[test]
fn names_are_numbered_by_value() {
    let (dataset, _) = prepared("log.csv", b"user,item,t\n10,b,1\n9,10,2\n100,a,3\n");
    assert_eq!(
        (dataset.users, dataset.items),
        (vec!["9".into(), "10".into(), "100".to_string()], vec!["10".into(), "a".into(), "b".to_string()])
    );
}

#[test]
fn duplicates_are_counted_and_dropped_on_request() {
    let text = b"user,item,t,rating\na,x,1,5\na,y,1,5\na,x,1,5\na,x,1,4\na,x,2,5\nb,x,1,5\na,x,1,5\n";
    let (kept, report) = prepared("log.csv", text);
    assert_eq!((kept.n_events(), report.duplicates, report.duplicates_dropped), (7, 2, 0));
    let (dropped, report) = prepare_with("log.csv", text, |o| o.dedup = true).unwrap();
    assert_eq!((dropped.n_events(), report.duplicates, report.duplicates_dropped), (5, 2, 2));
    assert_eq!(dropped.rating, Some(vec![5.0, 5.0, 4.0, 5.0, 5.0]));
}

/// k-core by its definition, on sets of pairs.
fn naive_core(mut pairs: Vec<(u64, u64)>, min_user: usize, min_item: usize) -> Vec<(u64, u64)> {
    loop {
        let kept: Vec<_> = pairs
            .iter()
            .copied()
            .filter(|p| pairs.iter().filter(|q| q.0 == p.0).count() >= min_user)
            .filter(|p| pairs.iter().filter(|q| q.1 == p.1).count() >= min_item)
            .collect();
        if kept.len() == pairs.len() {
            return kept;
        }
        pairs = kept;
    }
}

#[test]
fn k_core_goes_on_until_nothing_changes() {
    // c goes, so z has one event less and goes, so b goes.
    let chain = b"user,item,t\na,x,1\na,y,2\na,x,3\nb,x,4\nb,z,5\nc,z,6\nd,x,7\nd,y,8\n";
    let (dataset, report) = prepare_with("log.csv", chain, |o| (o.min_user, o.min_item) = (2, 2)).unwrap();
    assert_eq!(dataset.users, ["a", "d"]);
    let core = report.k_core;
    assert_eq!((core.users_dropped, core.items_dropped, core.events_dropped, core.rounds), (2, 1, 3, 3));
    for (min_user, min_item) in [(1, 1), (3, 2), (2, 5), (6, 6), (7, 4)] {
        let pairs: Vec<(u64, u64)> = (0..300u64).map(|e| (10 + e * e % 53, 10 + e * 31 % 47 * (e % 3) % 41)).collect();
        let lines: Vec<String> = pairs.iter().map(|(u, i)| format!("{u},{i}")).collect();
        let text = format!("user,item\n{}\n", lines.join("\n"));
        let options = |o: &mut PrepareOptions| (o.min_user, o.min_item) = (min_user, min_item);
        let (dataset, _) = prepare_with("log.csv", text.as_bytes(), options).unwrap();
        let mut expected = naive_core(pairs, min_user, min_item);
        let mut found: Vec<(u64, u64)> =
            events(&dataset).iter().map(|(u, i, _)| (u.parse().unwrap(), i.parse().unwrap())).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{min_user} {min_item}");
    }
}

#[test]
fn ratings_below_the_least_go_and_missing_ones_become_the_mean() {
    let text = b"user,item,t,rating\na,x,1,5\na,y,2,\nb,x,3,1\nb,y,4,2\nb,x,5,NA\n";
    let (all, report) = prepared("log.csv", text);
    // The last two events of b are held out: what is known of them fills no gap.
    let mean = (5.0 + 1.0) / 2.0;
    assert_eq!(all.rating, Some(vec![5.0, mean, 1.0, 2.0, mean]));
    assert_eq!((report.missing[0].what.as_str(), report.missing[0].count), ("ratings", 2));
    assert!(report.missing[0].filled_with.starts_with("filled with the mean of those to learn from, 3"));
    let (some, report) = prepare_with("log.csv", text, |o| o.min_rating = Some(2.0)).unwrap();
    assert_eq!((some.rating, report.below_min_rating), (Some(vec![5.0, 3.5, 2.0, 3.5]), 1));
    let none = error("log.csv", b"user,item,t\na,x,1\nb,y,2\n", |o| o.min_rating = Some(2.0));
    assert!(none.contains("--min-rating needs ratings"), "{none}");
}

#[test]
fn missing_places_and_categories_are_reported() {
    let text = b"user,item,t,lat,lon,category\na,x,1,40,-74,Coffee Shop\na,y,2,,,\nb,x,3,40,,Bar\nb,z,4,41,-75,Bar\nb,x,5,40,-74,Coffee Shop\n";
    let (dataset, report) = prepared("log.csv", text);
    let place = dataset.place.unwrap();
    assert_eq!(
        (place[0], place[1][0].is_nan(), place[2][1].is_nan(), place[3]),
        ([40.0, -74.0], true, true, [41.0, -75.0])
    );
    assert_eq!(
        (dataset.categories, dataset.item_category),
        (vec!["Bar".into(), "Coffee Shop".into()], Some(vec![2, 0, 1]))
    );
    let missing =
        |what: &str, count, filled_with: &str| Missing { what: what.into(), count, filled_with: filled_with.into() };
    let expected = [
        missing("places of events", 2, "left unknown (NaN)"),
        missing("places of items", 1, "left unknown (NaN)"),
        missing("categories of items", 1, "0, the unknown category"),
    ];
    assert_eq!(report.missing, expected);
}

#[test]
fn items_have_a_place_if_most_of_them_stay() {
    // 0.0005 degrees of latitude are 56 m; x and z stay, y moves, w is seen once.
    let rows = "a,x,1,40,-74\nb,x,2,40.001,-74\na,z,3,-10,179.9999\nb,z,4,-10,-179.9999\na,y,5,40,-74\nb,y,6,40.01,-74\na,w,7,1,2\n";
    let text = format!("user,item,t,lat,lon\n{rows}");
    let (dataset, report) = prepared("log.csv", text.as_bytes());
    let place = dataset.item_place.unwrap(); // w x y z
    let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs() < 1e-4 && (a[1].abs() - b[1].abs()).abs() < 1e-4;
    assert!(near(place[0], [1.0, 2.0]) && near(place[1], [40.0005, -74.0]), "{place:?}");
    assert!(place[2][0].is_nan() && near(place[3], [-10.0, 180.0]), "across the date line: {place:?}");
    assert!(report.notes.iter().any(|n| n.starts_with("1 of 3 items")), "{:?}", report.notes);
    let moving = rows.replace("40.001", "40.1").replace("-10,-179", "10,-179");
    let (dataset, _) = prepared("log.csv", format!("user,item,t,lat,lon\n{moving}").as_bytes());
    assert!(dataset.item_place.is_none() && dataset.place.is_some());
}

#[test]
fn features_from_events_and_from_a_file_of_items() {
    let files = Files::new(&[
        ("log.csv", b"user,item,t,price\na,x,1,10\nb,x,2,30\nb,y,3,40\na,z,4,\n"),
        ("items.csv", b"item_id,weight,size,lat,lon,category\ny,1,7,50,8,B|C\nx,3,7,,,A\nq,9,9,9,9,Q\n"),
    ]);
    let mut options = files.options(&["log.csv"]);
    options.items = Some(files.path("items.csv"));
    options.features = ["price", "weight", "size"].map(String::from).to_vec();
    let (dataset, report) = desirepath::data::prepare(&options).unwrap();
    // Prices: x 20 (mean of two), y 40, z missing; sizes are all the same.
    assert_eq!(dataset.feature_dim, 3);
    assert_eq!(dataset.item_features.unwrap(), [-1.0, 1.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!((report.features[0].mean, report.features[0].std, report.features[2].std), (30.0, 10.0, 0.0));
    assert!(report.missing.iter().any(|m| m.what == "values of price" && m.count == 1), "{:?}", report.missing);
    assert!(report.notes.iter().any(|n| n.contains("size is the same")), "{:?}", report.notes);
    assert_eq!(dataset.item_place.unwrap()[1], [50.0, 8.0]);
    assert_eq!((dataset.place, dataset.categories), (None, vec!["A".to_string(), "B|C".into()]));
}

#[test]
fn the_summary_is_right() {
    let (_, report) = prepared("log.csv", b"user,item,t\na,x,0\na,y,86400\na,x,172800\nb,x,5\nc,y,6\nc,y,7\n");
    assert_eq!((report.users, report.items, report.events), (3, 2, 6));
    assert_eq!((report.history_mean, report.history_median, report.history_longest), (2.0, 2.0, 3));
    assert_eq!((report.density, report.revisit_share), (4.0 / 6.0, 2.0 / 6.0));
    assert_eq!(report.time_span, Some([0, 172_800]));
    let shown = report.to_string();
    for line in [
        "time          1970-01-01 to 1970-01-03 (2.0 days)",
        "3 users, 2 items, 6 events",
        "revisits 33.3 %",
        "2 users have fewer",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["events"], &json["files"][0]["format"]), (&6.into(), &"csv".into()));
}

#[test]
fn leave_one_out_by_index() {
    let (dataset, _) =
        prepared("log.csv", b"user,item,t\na,x,0\na,y,1\na,z,2\na,w,3\nb,x,5\nb,y,6\nc,y,6\nc,z,7\nc,w,8\n");
    let splits = leave_one_out(&dataset);
    let [a, b, c]: [_; 3] = splits.users().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((a.train.clone(), a.validation, a.test), (0..2, Some(2), Some(3)));
    assert_eq!((b.train.clone(), b.validation, b.test), (4..6, None, None));
    assert_eq!((c.train.clone(), c.validation, c.test), (6..7, Some(7), Some(8)));
    assert_eq!((a.history(Split::Validation), a.history(Split::Test), b.history(Split::Test)), (0..2, 0..3, 4..6));
    assert_eq!(splits.targets(Split::Test).collect::<Vec<_>>(), [(1, 3), (3, 8)]);
    assert_eq!(splits.targets(Split::Validation).collect::<Vec<_>>(), [(1, 2), (3, 7)]);
    assert_eq!(splits.user(3), c);
}
