//! Readers, what `prepare` does and says, the dataset folder, and every kind of bad input.

use desirepath::Error;
use desirepath::data::{ColumnNames, Dataset, PrepareOptions, PrepareReport, TimeUnit, prepare};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn of(file: &Path) -> PrepareOptions {
    PrepareOptions { files: vec![file.into()], ..PrepareOptions::default() }
}

fn read(name: &str, content: impl AsRef<[u8]>) -> Result<(Dataset, PrepareReport), Error> {
    let folder = Folder::new();
    prepare(&of(&folder.file(name, content)))
}

/// The error of reading `content`, as text.
fn fails(content: impl AsRef<[u8]>) -> String {
    read("events.csv", content).map(|(_, report)| report).unwrap_err().to_string()
}

fn events(dataset: &Dataset, user: &str) -> Vec<(String, i64)> {
    let id = dataset.users.iter().position(|u| u == user).unwrap() + 1;
    let name = |e: usize| dataset.items[dataset.item[e] as usize - 1].clone();
    dataset.events_of(id).map(|e| (name(e), dataset.time[e])).collect()
}

const SMALL: &str = "user,item,time\nada,x,30\nben,y,5\nada,y,10\nada,z,20\nben,x,7\n";

#[test]
fn csv_is_grouped_by_user_and_ordered_by_time() {
    let (dataset, report) = read("events.csv", SMALL).unwrap();
    assert_eq!(dataset.users, ["ada", "ben"]);
    assert_eq!(dataset.items, ["x", "y", "z"]);
    assert_eq!(events(&dataset, "ada"), [("y".into(), 10), ("z".into(), 20), ("x".into(), 30)]);
    assert_eq!(events(&dataset, "ben"), [("y".into(), 5), ("x".into(), 7)]);
    assert_eq!((report.rows_read, report.users, report.items, report.events), (5, 2, 3, 5));
    assert_eq!(report.time_span, Some([5, 30]));
    assert!(report.to_string().contains("2 users, 3 items, 5 events"));
}

#[test]
fn delimiters_quotes_and_line_ends() {
    let (dataset, _) = read("e.tsv", "user_id\titem_id\tts\r\na\tx, y\t1\r\nb\tz\t2\r\n").unwrap();
    assert_eq!(dataset.items, ["x, y", "z"]);
    let (dataset, _) = read("e.csv", "user,item,time\na,\"one, \"\"two\"\"\",1\nb,three,2\n").unwrap();
    assert_eq!(dataset.items, ["one, \"two\"", "three"]);
    let (dataset, _) = read("e.txt", "uid;product;timestamp\na;x;1.5e3\nb;y;2\n").unwrap();
    assert_eq!(dataset.time, [1500, 2]);
    let (dataset, _) = read("bom.csv", "\u{feff}user,item,time\na,x,1\nb,y,2\n").unwrap();
    assert_eq!(dataset.users, ["a", "b"]);
}

#[test]
fn gzip_is_known_by_its_first_bytes() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(SMALL.as_bytes()).unwrap();
    let (dataset, _) = read("events.csv", packer.finish().unwrap()).unwrap();
    assert_eq!(dataset.n_events(), 5);
}

#[test]
fn equal_times_keep_the_order_of_the_file() {
    let text = "user,item,time\na,q,5\na,m,5\na,z,4\na,b,5\nb,q,1\nb,m,1\n";
    let (dataset, report) = read("e.csv", text).unwrap();
    let names: Vec<String> = events(&dataset, "a").into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["z", "q", "m", "b"], "by item name it would be z b m q");
    assert_eq!(report.ties, 3);
}

#[test]
fn shuffled_lines_change_nothing_but_ties() {
    let line = |i: usize| format!("u{},i{},{}", i % 7, (i * i) % 11, 1000 + (i * 37) % 501);
    let mut lines: Vec<String> = (0..400).map(line).collect();
    let by_user = |lines: &[String]| {
        let (dataset, _) = read("e.csv", format!("user,item,time\n{}\n", lines.join("\n"))).unwrap();
        let sorted = |u: usize| {
            let mut list = events(&dataset, &format!("u{u}"));
            assert!(list.is_sorted_by_key(|(_, t)| *t));
            list.sort_by_key(|(name, time)| (*time, name.clone())); // ties apart
            list
        };
        (0..7).map(sorted).collect::<Vec<_>>()
    };
    let before = by_user(&lines);
    lines.reverse();
    lines.rotate_left(123);
    assert_eq!(by_user(&lines), before);
}

#[test]
fn recbole_files_with_items() {
    let folder = Folder::new();
    let inter = "user_id:token\titem_id:token\trating:float\ttimestamp:float\r\n\
                 1\ta b\t3\t100\r\n1\tc\t5\t90.5\r\n2\tc\t4\t8.8E8\r\n";
    let file = folder.file("toy.inter", inter);
    let items = "item_id:token\tmovie_title:token_seq\trelease_year:float\tclass:token_seq\r\n\
                 a b\tA\t1990\tComedy Drama\r\nc\tC\t2000\tDrama\r\nunused\tU\t1\tWestern\r\n";
    folder.file("toy.item", items);
    let (dataset, report) = prepare(&of(&file)).unwrap();
    assert_eq!(dataset.items, ["a b", "c"]);
    assert_eq!(events(&dataset, "1"), [("c".into(), 90), ("a b".into(), 100)]);
    assert_eq!(dataset.rating, Some(vec![5.0, 3.0, 4.0]));
    assert_eq!(dataset.categories, ["Comedy", "Drama"]);
    assert_eq!(dataset.item_category, Some(vec![1, 2]));
    assert_eq!((dataset.feature_dim, dataset.item_features), (1, Some(vec![-1.0, 1.0])), "years, normalised");
    assert_eq!(report.features[0].mean, 1995.0);
}

#[test]
fn movielens_files() {
    for (name, text) in [
        ("u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n"),
        ("ratings.dat", "196::242::3::881250949\n186::302::3::891717742\n"),
    ] {
        let (dataset, report) = read(name, text).unwrap();
        assert_eq!((dataset.users, dataset.time), (vec!["196".into(), "186".into()], vec![881_250_949, 891_717_742]));
        assert_eq!(report.rows_read, 2);
    }
}

#[test]
fn columns_can_be_named_or_numbered() {
    let folder = Folder::new();
    let file = folder.file("odd.csv", "who,what,ms\na,x,1000\nb,y,2500\n");
    let name = |s: &str| Some(s.to_string());
    let columns = ColumnNames { user: name("who"), item: name("WHAT"), time: name("ms"), ..Default::default() };
    let (dataset, _) = prepare(&PrepareOptions { columns, time_unit: Some(TimeUnit::Ms), ..of(&file) }).unwrap();
    assert_eq!(dataset.time, [1, 2]);
    let file = folder.file("bare.csv", "7,a,x\n9,b,y\n");
    let columns = ColumnNames { user: name("2"), item: name("3"), time: name("1"), ..Default::default() };
    let (dataset, _) = prepare(&PrepareOptions { columns, header: false, ..of(&file) }).unwrap();
    assert_eq!((dataset.users, dataset.time), (vec!["a".into(), "b".into()], vec![7, 9]));
}

#[test]
fn several_files_are_read_in_order_and_without_times_their_order_stands() {
    let folder = Folder::new();
    let one = folder.file("1.csv", "user,item\na,x\nb,x\n");
    let two = folder.file("2.csv", "user,item\na,w\nb,y\n");
    let options = PrepareOptions { files: vec![two, one], ..PrepareOptions::default() };
    let (dataset, report) = prepare(&options).unwrap();
    assert!(!dataset.has_time && !report.has_time);
    assert_eq!(events(&dataset, "a"), [("w".into(), 0), ("x".into(), 2)]);
}

#[test]
fn the_core_is_repeated_until_it_holds() {
    // Dropping item z (1 event) leaves user c with one event, whose going leaves item y with one.
    let folder = Folder::new();
    let text = "user,item,time\na,x,1\na,w,2\nb,x,3\nb,w,4\nc,y,5\nc,z,6\na,y,7\n";
    let options = PrepareOptions { min_user: 2, min_item: 2, ..of(&folder.file("e.csv", text)) };
    let (dataset, report) = prepare(&options).unwrap();
    assert_eq!((dataset.users, dataset.items), (vec!["a".to_string(), "b".into()], vec!["x".to_string(), "w".into()]));
    assert_eq!((report.users_read, report.items_read, report.outside_core), (3, 4, 3));
}

#[test]
fn duplicates_are_counted_and_dropped_on_request() {
    let folder = Folder::new();
    let file = folder.file("e.csv", "user,item,time\na,x,1\na,x,1\na,x,2\nb,y,1\n");
    let (dataset, report) = prepare(&of(&file)).unwrap();
    assert_eq!((dataset.n_events(), report.duplicates, report.duplicates_dropped), (4, 1, 0));
    let (dataset, report) = prepare(&PrepareOptions { dedup: true, ..of(&file) }).unwrap();
    assert_eq!((dataset.n_events(), report.duplicates_dropped), (3, 1));
}

#[test]
fn missing_values_are_imputed_and_said() {
    let text = "user,item,time,rating,lat,lon\na,x,1,2,53.5,10\na,y,2,,,\nb,x,3,4,53.5,10\n";
    let (dataset, report) = read("e.csv", text).unwrap();
    assert_eq!(dataset.rating, Some(vec![2.0, 3.0, 4.0]));
    let place = dataset.place.unwrap();
    assert!(place[1][0].is_nan() && place[0] == [53.5, 10.0]);
    let what: Vec<&str> = report.missing.iter().map(|m| m.what.as_str()).collect();
    assert_eq!(what, ["rating", "place"]);
}

#[test]
fn items_have_a_place_where_they_stay() {
    let stays = "user,item,time,lat,lon\na,x,1,53.5,10\na,y,2,53.6,10\nb,x,3,53.5001,10\nb,y,9,53.6,10\n";
    let (dataset, _) = read("e.csv", stays).unwrap();
    let places = dataset.item_place.unwrap();
    assert!((places[0][0] - 53.50005).abs() < 1e-4 && places[1] == [53.6, 10.0]);
    let moves = stays.replace("53.5001", "54.5");
    assert_eq!(read("e.csv", moves).unwrap().0.item_place, None);
}

#[test]
fn bad_lines_are_refused_with_path_and_line() {
    let cases = [
        ("user,item,time\na,x,1\nb,y,soon\n", ":3: time \"soon\" is not a number"),
        ("user,item,time\na,x,-1\nb,y,2\n", ":2: time -1 is negative"),
        ("user,item,time\na,x,1700000000000\nb,y,2\n", ":2: time 1700000000000 lies beyond the year 2100"),
        ("user,item,time\na,x,1\nb,y\n", ":3: 2 fields, but time is field 3"),
        ("user,item,time\na,x,1\n,y,2\n", ":3: no user"),
        ("user,item,time\na,x,\nb,y,2\n", ":2: no time"),
        ("user,item,time,lat,lon\na,x,1,91,0\n", ":2: latitude 91 is outside"),
        ("user,item,time,lat,lon\na,x,1,0,0\nb,y,2,0,-181\n", ":3: longitude -181 is outside"),
        ("user,item,time,rating\na,x,1,NaN\n", ":2: rating \"NaN\" is not finite"),
    ];
    for (text, expected) in cases {
        let message = fails(text);
        assert!(message.contains("events.csv") && message.contains(expected), "{message:?} lacks {expected:?}");
        assert!(message.contains("--skip-bad"), "{message:?} does not say how to go on");
    }
    let message = fails(b"user,item,time\na,x,1\nb,caf\xe9,2\n");
    assert!(message.contains(":3: item is not UTF-8"), "{message}");
}

#[test]
fn bad_files_are_refused() {
    assert!(fails("").contains("is empty"));
    assert!(fails("user,item,time\n").contains("has a header and no events"));
    let message = fails("user,thing,time\na,x,1\n");
    assert!(message.contains("no column \"item\"; there are: user, thing, time"), "{message}");
    assert!(fails("user,item,time\na,x,1\na,y,2\n").contains("only one user"));
    assert!(fails("user,item,time\na,x,1\nb,x,2\n").contains("only one item"));
    let nowhere = prepare(&of(Path::new("no/such/file.csv"))).unwrap_err().to_string();
    assert!(nowhere.contains("no/such/file.csv: no such file"), "{nowhere}");
    let folder = Folder::new();
    let options = PrepareOptions { min_user: 9, ..of(&folder.file("e.csv", SMALL)) };
    assert!(prepare(&options).unwrap_err().to_string().contains("no event is left of 5"));
    let column = ColumnNames { time: Some("when".into()), ..Default::default() };
    let message = prepare(&PrepareOptions { columns: column, ..of(&folder.file("e.csv", SMALL)) }).unwrap_err();
    assert!(message.to_string().contains("no column \"when\""), "{message}");
}

#[test]
fn bad_lines_can_be_left_out_and_are_counted() {
    let folder = Folder::new();
    let file = folder.file("e.csv", "user,item,time\na,x,1\nghost,phantom,never\nb,y,2\n");
    let (dataset, report) = prepare(&PrepareOptions { skip_bad: true, ..of(&file) }).unwrap();
    assert_eq!((dataset.n_events(), report.bad_lines), (2, 1));
    assert!(report.bad_examples[0].contains(":3: time \"never\""), "{:?}", report.bad_examples);
    assert!(!dataset.users.contains(&"ghost".into()), "a bad line leaves no trace");
}

fn full() -> (Dataset, PrepareReport) {
    let text = "user,item,time,rating,lat,lon,category\na,x,1,2,53.5,10,bar\na,y,2,,,,\nb,x,3,4,53.5,10,bar\n";
    read("e.csv", text).unwrap()
}

/// Places hold NaN, which equals nothing.
fn text_of(dataset: &Dataset) -> String {
    format!("{dataset:?}")
}

#[test]
fn a_dataset_comes_back_as_it_was_saved() {
    let folder = Folder::new();
    let (dataset, report) = full();
    dataset.save(&folder.path("d"), Some(&report)).unwrap();
    dataset.save(&folder.path("d"), Some(&report)).unwrap(); // over itself
    assert_eq!(text_of(&Dataset::load(&folder.path("d")).unwrap()), text_of(&dataset));
    assert_eq!(std::fs::read_dir(folder.path("")).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_kill_between_the_two_renames_loses_nothing() {
    let folder = Folder::new();
    full().0.save(&folder.path("d"), None).unwrap();
    std::fs::rename(folder.path("d"), folder.path("d.old")).unwrap();
    assert!(Dataset::load(&folder.path("d")).is_ok());
}

#[test]
fn damaged_folders_are_refused() {
    let folder = Folder::new();
    let path = folder.path("d");
    let message = |what: &str| {
        let error = Dataset::load(&path).expect_err(what);
        assert!(matches!(error, Error::Format { .. }), "{what}: {error}");
        error.to_string()
    };
    assert!(message("nothing there").contains("not a dataset"));
    let fresh = || full().0.save(&path, None).unwrap();
    fresh();
    let columns = path.join("events.safetensors");
    let bytes = std::fs::read(&columns).unwrap();
    for keep in [0, 4, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&columns, &bytes[..keep]).unwrap();
        assert!(message("cut short").contains("damaged or cut short"));
    }
    fresh();
    let header = path.join("dataset.json");
    let text = std::fs::read_to_string(&header).unwrap();
    std::fs::write(&header, text.replace("\"format\":1", "\"format\":99")).unwrap();
    assert!(message("another version").contains("format 99, but this program reads 1"));
    std::fs::write(&header, &text[..text.len() / 2]).unwrap();
    assert!(message("half a header").contains("cut short"));
    std::fs::write(&header, text.replace("\"n_events\":3", "\"n_events\":4")).unwrap();
    assert!(message("wrong count").contains("damaged"));
    std::fs::write(&header, text.replace("\"x\",\"y\"", "\"x\"")).unwrap();
    assert!(message("an item too few").contains("damaged"));
}

#[test]
fn a_save_that_fails_leaves_what_was_there() {
    let folder = Folder::new();
    let (dataset, _) = full();
    dataset.save(&folder.path("d"), None).unwrap();
    std::fs::write(folder.path("d.tmp"), "in the way").unwrap(); // a file where the new folder has to go
    let error = dataset.save(&folder.path("d"), None).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    assert_eq!(text_of(&Dataset::load(&folder.path("d")).unwrap()), text_of(&dataset));
}

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
    }
    path.exists().then_some(path)
}

#[test]
fn real_files_have_the_counts_that_are_known() {
    if let Some(path) = shared("beauty.csv.gz") {
        let (dataset, _) = prepare(&of(&path)).unwrap();
        assert_eq!((dataset.n_users(), dataset.n_items(), dataset.n_events()), (22_363, 12_101, 198_502));
    }
    if let Some(path) = shared("nyc-checkins.csv.gz") {
        let (dataset, report) = prepare(&of(&path)).unwrap();
        assert_eq!((dataset.n_users(), dataset.n_items(), dataset.n_events()), (1_083, 5_135, 147_938));
        assert_eq!(report.duplicates, 458);
        assert!(dataset.item_place.is_some(), "places stay where they are");
        assert_eq!(dataset.time.iter().max().unwrap() % 60, 0, "minutes, from the name of the column");
    }
}
