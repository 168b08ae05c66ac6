use super::*;
use desirepath::data::{Format, TimeUnit, prepare};

const FOUR: [(&str, &str, i64); 4] = [("a", "x", 10), ("a", "y", 20), ("b", "x", 5), ("b", "z", 7)];

fn four() -> Vec<(String, String, i64)> {
    FOUR.iter().map(|(u, i, t)| event(u, i, *t)).collect()
}

#[test]
fn text_with_any_delimiter() {
    for delimiter in [",", "\t", ";", "|", "::", "<>"] {
        let text = "user,item,t\na,x,10\nb,x,5\na,y,20\nb,z,7\n".replace(',', delimiter);
        let (dataset, report) = prepare_with("log.txt", text.as_bytes(), |o| {
            o.delimiter = (delimiter.len() > 1).then(|| delimiter.into());
        })
        .unwrap();
        assert_eq!(events(&dataset), four(), "{delimiter:?}");
        assert_eq!((report.rows_read, report.files[0].format), (4, Format::Csv));
        assert!(dataset.has_time && dataset.rating.is_none() && dataset.place.is_none());
    }
    let tab =
        prepare_with("log", b"user\titem\tt\na\tx\t1\nb\ty\t2\n", |o| o.delimiter = Some("tab".into())).unwrap().0;
    assert_eq!(events(&tab), [event("a", "x", 1), event("b", "y", 2)]);
}

#[test]
fn line_ends_blank_lines_and_the_byte_order_mark() {
    let unix = prepared("log.csv", b"user,item,t\na,x,10\nb,x,5\na,y,20\nb,z,7\n").0;
    let windows = prepared("log.csv", b"\xef\xbb\xbfuser,item,t\r\na,x,10\r\n\r\nb,x,5\r\n  \r\na,y,20\r\nb,z,7").0;
    assert_eq!(unix, windows);
}

#[test]
fn quoted_fields_hold_delimiters_quotes_and_line_ends() {
    let text = "\"user\",item,\"t\"\n\"Doe, Jane\",\"say \"\"hi\"\"\",10\nb,\"two\nlines\",20\n b , \"x\" ,30\n5\" pipe,x,40\n";
    let (dataset, _) = prepared("log.csv", text.as_bytes());
    let expected = [
        event("5\" pipe", "x", 40),
        event("Doe, Jane", "say \"hi\"", 10),
        event("b", "two\nlines", 20),
        event("b", "x", 30),
    ];
    assert_eq!(events(&dataset), expected);
    // A line after a field of two lines is still counted right.
    let bad = error("log.csv", b"user,item,t\nb,\"two\nlines\",20\nb,x,never\n", |_| {});
    assert!(bad.starts_with("log.csv:4: time \"never\" is not a number"), "{bad}");
}

#[test]
fn gzip_is_known_by_its_bytes() {
    let text = b"user,item,t\na,x,10\nb,x,5\na,y,20\nb,z,7\n";
    assert_eq!(events(&prepared("log.csv", &gzip(text)).0), four());
    assert_eq!(events(&prepared("log.csv.gz", text).0), four());
    // Two members one after the other, as `cat a.gz b.gz` makes them.
    let (head, tail) = text.split_at(20);
    assert_eq!(events(&prepared("log.gz", &[gzip(head), gzip(tail)].concat()).0), four());
}

#[test]
fn columns_go_by_many_names() {
    for header in
        ["userId,movieId,timestamp", "uid,poi,ts", "customer_id,Product ID,Time", "user_id,asin,unixReviewTime"]
    {
        let text = format!("{header}\na,x,10\nb,x,5\na,y,20\nb,z,7\n");
        assert_eq!(events(&prepared("log.csv", text.as_bytes()).0), four(), "{header}");
    }
    // A name that was given wins over one that is known.
    let (dataset, report) = prepare_with("log.csv", b"user,who,what,when,item\n1,a,x,10,9\n1,b,y,20,9\n", |o| {
        o.columns.user = Some("who".into());
        o.columns.item = Some("what".into());
        o.columns.time = Some("when".into());
    })
    .unwrap();
    assert_eq!(events(&dataset), [event("a", "x", 10), event("b", "y", 20)]);
    assert_eq!(report.files[0].columns, "user=who, item=what, time=when");
}

#[test]
fn columns_by_number_without_a_header() {
    let three = prepare_with("log.csv", b"a,x,10\nb,x,5\na,y,20\nb,z,7\n", |o| o.no_header = true).unwrap().0;
    assert_eq!(events(&three), four());
    let chosen = prepare_with("log.csv", b"0,10,x,4.5,a\n0,5,x,2,b\n0,20,y,3,a\n0,7,z,1,b\n", |o| {
        o.no_header = true;
        o.columns.user = Some("5".into());
        o.columns.item = Some("3".into());
        o.columns.time = Some("2".into());
        o.columns.rating = Some("4".into());
    });
    let dataset = chosen.unwrap().0;
    assert_eq!((events(&dataset), dataset.rating), (four(), Some(vec![4.5, 3.0, 2.0, 1.0])));
    let five = error("log.csv", b"0,10,x,4.5,a\n", |o| o.no_header = true);
    assert!(five.starts_with("log.csv:1: 5 columns and no header; say which is which: --user-column 1"), "{five}");
    let named = error("log.csv", b"a,x,1\n", |o| {
        o.no_header = true;
        o.columns.user = Some("who".into());
    });
    assert!(named.contains("log.csv:1: --user-column \"who\": without a header give a number from 1 to 3"), "{named}");
}

#[test]
fn recbole_atomic_files_with_crlf_and_the_items_beside() {
    let inter = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\r\nu1\t\"A\" (1975)\t5\t8.8E8\r\nu1\tB\t3\t881250949.0\r\nu2\tB\t4\t7\r\n";
    let item = b"item_id:token\tmovie_title:token\trelease_year:float\tgenre:token\tvec:float_seq\r\nB\tBee\t1995\tAction Crime\t1 2\r\n\"A\" (1975)\tAy\t1975\tDrama\t3 6\r\nnever seen\t\t1900\tHorror\t0 0\r\n";
    let files = Files::new(&[
        ("ml.inter", inter),
        ("ml.item", item),
        ("ml.user", b"user_id:token\tage:token\r\nu1\t5\r\nu9\t6\r\n"),
    ]);
    let (dataset, report) = prepare(&files.options(&["ml.inter", "ml.user"])).unwrap();
    let expected = [event("u1", "\"A\" (1975)", 880_000_000), event("u1", "B", 881_250_949), event("u2", "B", 7)];
    assert_eq!(events(&dataset), expected);
    assert_eq!(dataset.rating, Some(vec![5.0, 3.0, 4.0]));
    assert_eq!(dataset.categories, ["Action", "Drama"]);
    assert_eq!(dataset.item_category, Some(vec![2, 1]));
    assert_eq!((dataset.feature_dim, dataset.item_features), (3, Some(vec![-1.0, 1.0, 1.0, 1.0, -1.0, -1.0])));
    let names: Vec<_> = report.features.iter().map(|f| (f.name.as_str(), f.mean, f.std)).collect();
    assert_eq!(names, [("release_year", 1985.0, 10.0), ("vec[0]", 2.0, 1.0), ("vec[1]", 4.0, 2.0)]);
    assert_eq!(report.files.iter().map(|f| f.format).collect::<Vec<_>>(), [Format::Recbole; 3]);
    assert_eq!(report.files[2].columns, "user=user_id");
    let note = "ml.user: 1 of 2 users are in the log; their attributes are not used";
    assert!(report.notes[0].ends_with(note), "{:?}", report.notes);
    // What is not used must be what it is taken for all the same.
    let refused = |bytes: Option<&[u8]>, says: &str| {
        let _ = std::fs::remove_file(files.path("ml.user"));
        bytes.into_iter().for_each(|b| std::fs::write(files.path("ml.user"), b).unwrap());
        let text = prepare(&files.options(&["ml.inter", "ml.user"])).unwrap_err().to_string();
        assert!(text.contains("ml.user") && text.contains(says), "{text}");
    };
    refused(None, "no such file or folder");
    refused(Some(b""), "is empty");
    refused(Some(b"age:token\r\n5\r\n"), "no column is known as the user; there are: age");
    refused(Some(b"user_id:token\tage:token\r\nu1\r\n"), ":2: 1 fields, but the first line has 2");
    // Without the file beside there are no attributes; the header is enough to know the format.
    let alone = prepared("log.txt", inter).0;
    assert_eq!((events(&alone), alone.item_category, alone.feature_dim), (expected.to_vec(), None, 0));
}

#[test]
fn recbole_token_sequences_and_a_chosen_category() {
    let files = Files::new(&[
        ("x.inter", b"user_id:token\titem_id:token\ttimestamp:float\na\t1\t1\nb\t2\t2\n"),
        ("x.item", b"item_id:token\tclass:token_seq\tcountry:token\n1\tComedy Drama\tNew Zealand\n2\tDrama\tPeru\n"),
    ]);
    let first = prepare(&files.options(&["x.inter"])).unwrap().0;
    assert_eq!((first.categories, first.item_category), (vec!["Comedy".into(), "Drama".into()], Some(vec![1, 2])));
    let mut options = files.options(&["x.inter"]);
    options.columns.category = Some("country".into());
    assert_eq!(prepare(&options).unwrap().0.categories, ["New Zealand", "Peru"]);
    // A name that was given for the events need not be that of the items.
    std::fs::write(files.path("x.inter"), b"who:token\twhat:token\ttimestamp:float\na\t1\t1\nb\t2\t2\n").unwrap();
    (options.columns.user, options.columns.item) = (Some("who".into()), Some("what:token".into()));
    assert_eq!(prepare(&options).unwrap().0.item_category, Some(vec![1, 2]));
}

#[test]
fn movielens_files_as_grouplens_wrote_them() {
    let files = Files::new(&[
        ("ratings.dat", b"1::1193::5::978300760\n1::661::3::978302109\n2::661::4::978298413\n"),
        ("movies.dat", b"661::James (1996)::Animation|Children's\n1193::Caf\xe9 (1975)::Drama\n"),
        ("u.data", b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n"),
    ]);
    let (dataset, report) = prepare(&files.options(&["ratings.dat"])).unwrap();
    let expected = [event("1", "1193", 978_300_760), event("1", "661", 978_302_109), event("2", "661", 978_298_413)];
    assert_eq!(events(&dataset), expected);
    assert_eq!((&dataset.rating, report.files[0].format), (&Some(vec![5.0, 3.0, 4.0]), Format::Movielens));
    // Items are numbered by value: 661 comes first.
    assert_eq!(
        (dataset.categories, dataset.item_category),
        (vec!["Animation".into(), "Drama".into()], Some(vec![1, 2]))
    );
    std::fs::copy(files.path("u.data"), files.path("u1.base")).unwrap();
    for name in ["u.data", "u1.base"] {
        let (dataset, report) = prepare(&files.options(&[name])).unwrap();
        assert_eq!(events(&dataset), [event("186", "302", 891_717_742), event("196", "242", 881_250_949)]);
        assert_eq!((report.files[0].format, dataset.item_category), (Format::Movielens, None));
    }
}

/// Titles in ISO 8859-1, a column for each genre; users without a header.
#[test]
fn movielens_100k_items_and_users() {
    let item = |id: u32, title: &[u8], genres: [usize; 2]| {
        let flags: Vec<&str> = (0..19).map(|g| if genres.contains(&g) { "1" } else { "0" }).collect();
        let id = format!("{id}|");
        [id.as_bytes(), title, b"|24-Jan-1997||http://a.b/c|", flags.join("|").as_bytes(), b"\n"].concat()
    };
    let items = [item(242, b"Kolya (1996)", [5, 8]), item(302, b"Caf\xe9 (1997)", [18, 16]), item(7, b"?", [0, 0])];
    let files = Files::new(&[
        ("u.data", b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n186\t7\t3\t891717743\n"),
        ("u.item", &items.concat()),
        ("u.user", b"196|49|M|writer|55105\n1|24|M|technician|85711\n"),
    ]);
    for format in [Format::Auto, Format::Movielens] {
        let options = PrepareOptions { format, ..files.options(&["u.data", "u.item", "u.user"]) };
        let (dataset, report) = prepare(&options).unwrap();
        assert_eq!(dataset.categories, ["Comedy", "Thriller"]);
        assert_eq!(dataset.item_category, Some(vec![0, 1, 2]), "7, 242 and 302");
        assert!(report.notes[0].contains("u.user: 1 of 2 users are in the log"), "{:?}", report.notes);
        let by_option = PrepareOptions { items: Some(files.path("u.item")), format, ..files.options(&["u.data"]) };
        assert_eq!(prepare(&by_option).unwrap().0.item_category, dataset.item_category);
    }
}

#[test]
fn several_files_are_read_in_order_and_may_differ() {
    let files = Files::new(&[
        ("1.csv", b"user,item,t\na,x,10\nb,x,5\n"),
        ("2.tsv", b"when\tpoi\tuid\tstars\n10\ty\ta\t4\n5\tz\tb\t2\n"),
    ]);
    let mut options = files.options(&["1.csv", "2.tsv"]);
    let refused = prepare(&options).unwrap_err().to_string();
    assert!(refused.contains("2.tsv:1: either all files have times or none"), "{refused}");
    options.files.reverse();
    std::fs::write(files.path("2.tsv"), b"time\tpoi\tuid\tstars\n10\ty\ta\t4\n5\tz\tb\t2\n").unwrap();
    let reversed = prepare(&options).unwrap().0;
    assert_eq!(events(&reversed), [event("a", "y", 10), event("a", "x", 10), event("b", "z", 5), event("b", "x", 5)]);
    assert_eq!(reversed.rating, Some(vec![4.0, 3.0, 2.0, 3.0]));
}

#[test]
fn units_and_dates_become_seconds() {
    let times = |header: &str, values: [&str; 2], unit: Option<TimeUnit>| {
        let text = format!("user,item,{header}\na,x,{}\nb,y,{}\n", values[0], values[1]);
        prepare_with("log.csv", text.as_bytes(), |o| o.time_unit = unit).unwrap().0.time
    };
    assert_eq!(times("t", ["881250949", "8.8E8"], None), [881_250_949, 880_000_000]);
    assert_eq!(times("t", ["1.9", "0"], Some(TimeUnit::S)), [1, 0]);
    assert_eq!(times("t", ["1318896000999", "2000"], Some(TimeUnit::Ms)), [1_318_896_000, 2]);
    assert_eq!(times("t_min", ["5743", "1.5"], None), [344_580, 90]);
    assert_eq!(times("t_min", ["5743", "1.5"], Some(TimeUnit::S)), [5743, 1], "a unit given wins over the name");
    assert_eq!(times("day", ["2", "0.5"], None), [172_800, 43_200]);
    assert_eq!(times("date", ["1970-01-02", "2000-02-29"], None), [86_400, 951_782_400]);
    assert_eq!(times("utc_time", ["2012-04-03T18:00:06Z", "2012-04-03 20:00:06.5+02:00"], None), [1_333_476_006; 2]);
    assert_eq!(times("date", ["1999-12-31 23:59", "2024-03-01"], None), [946_684_740, 1_709_251_200]);
}

#[test]
fn without_times_the_order_of_the_file_counts() {
    let (dataset, report) = prepared("log.csv", b"user,item\nb,x\na,x\nb,y\n");
    assert_eq!(events(&dataset), [event("a", "x", 1), event("b", "x", 0), event("b", "y", 2)]);
    assert!(!dataset.has_time && report.time_span.is_none());
    assert!(report.notes[0].contains("the order of the files is taken"), "{:?}", report.notes);
}
