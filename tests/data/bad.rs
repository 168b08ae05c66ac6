//! Everything that can be wrong with a file is refused with its line and with what to do.

use super::*;

fn refused(bytes: &[u8], start: &str, mend: &str) {
    let text = error("log.csv", bytes, |_| {});
    assert!(text.starts_with(start), "{text:?} does not start with {start:?}");
    assert!(text.contains(mend), "{text:?} does not say {mend:?}");
}

const SKIP: &str = "mend the line, or leave such lines out with --skip-bad";

#[test]
fn files_without_events() {
    refused(b"", "log.csv: is empty", "there must be a header or events");
    refused(b"\n \r\n\n", "log.csv: is empty", "header");
    refused(b"user,item,t\n", "log.csv:1: has a header and nothing below it", "export");
    refused(b"user,item,t", "log.csv:1: has a header and nothing below it", "export");
    let missing = desirepath::data::prepare(&Files::new(&[]).options(&["none.csv"])).unwrap_err().to_string();
    assert!(missing.ends_with("none.csv: no such file or folder"), "{missing}");
    let folder = Files::new(&[]);
    let text = desirepath::data::prepare(&folder.options(&["."])).unwrap_err().to_string();
    assert!(text.ends_with("is a folder; name the files in it"), "{text}");
}

#[test]
fn missing_columns_list_those_that_are_there() {
    refused(
        b"who,item,t\na,x,1\n",
        "log.csv:1: no column is known as the user; there are: who, item, t",
        "--user-column",
    );
    refused(
        b"user,what,t\na,x,1\n",
        "log.csv:1: no column is known as the item; there are: user, what, t",
        "--item-column",
    );
    refused(b"1,7873,1318896000\n", "log.csv:1: no column is known as the user; there are: 1, 7873", "--no-header");
    refused(b"user,item,t,lat\na,x,1,2\n", "log.csv:1: a latitude alone", "--lon-column");
    for option in ["time", "rating", "lat", "category", "feature"] {
        let text = error("log.csv", b"user,item,t\na,x,1\nb,y,2\n", |o| match option {
            "time" => o.columns.time = Some("nope".into()),
            "rating" => o.columns.rating = Some("nope".into()),
            "lat" => o.columns.lat = Some("nope".into()),
            "category" => o.columns.category = Some("nope".into()),
            _ => o.features = vec!["nope".into()],
        });
        assert!(text.starts_with("log.csv:1: no column \"nope\"") && text.contains(option), "{text}");
        assert!(text.ends_with("there are: user, item, t"), "{text}");
    }
}

#[test]
fn malformed_lines() {
    refused(b"user,item,t\na,x,1\na,x\n", "log.csv:3: 2 fields, but the first line has 3", SKIP);
    refused(b"user,item,t\r\na,x,1\r\n\r\na,x,1,9\r\n", "log.csv:4: 4 fields", SKIP);
    refused(b"user,item,t\n,x,1\n", "log.csv:2: the user is missing", SKIP);
    refused(b"user,item,t\na, ,1\n", "log.csv:2: the item is missing", SKIP);
    refused(b"user,item,t\na,x,\n", "log.csv:2: the time is missing", SKIP);
    refused(b"user,item,t\na,x,soon\n", "log.csv:2: time \"soon\" is not a number", SKIP);
    refused(b"user,item,t\na,x,inf\n", "log.csv:2: time \"inf\" is not finite", SKIP);
    refused(b"user,item,t,rating\na,x,1,1e300\n", "log.csv:2: rating \"1e300\" is larger than 32 bits can hold", SKIP);
    let text = error("log.csv", b"user,item,t,price\na,x,1,2\nb,y,1,-1e300\n", |o| o.features = vec!["price".into()]);
    assert!(text.starts_with("log.csv:3: price \"-1e300\" is larger than 32 bits can hold"), "{text}");
    for date in ["2012-02-31", "2011-02-29", "1900-02-29", "2012-04-31T10:00", "2012-13-01", "2012-01-01 24:00"] {
        let says = format!("log.csv:2: time {date:?} is no moment that there was");
        refused(format!("user,item,t\na,x,{date}\n").as_bytes(), &says, SKIP);
    }
    refused(b"user,item,t,rating\na,x,1,good\n", "log.csv:2: rating \"good\" is not a number", SKIP);
    refused(b"user,item,t\na,x,1\nb,\"y,2\nc,z,3\n", "log.csv:3: the quote opened here is not closed by line 4", SKIP);
}

#[test]
fn times_and_places_out_of_range() {
    refused(b"user,item,t\na,x,1\na,x,-5\n", "log.csv:3: time \"-5\" is before 1970", SKIP);
    refused(
        b"user,item,t\na,x,1318896000000\n",
        "log.csv:2: time \"1318896000000\" is beyond the year 2100",
        "--time-unit",
    );
    refused(b"user,item,t\na,x,2101-01-02\n", "log.csv:2: time \"2101-01-02\" is beyond the year 2100", SKIP);
    refused(b"user,item,t,lat,lon\na,x,1,90.5,0\n", "log.csv:2: latitude 90.5 is outside -90 to 90 degrees", SKIP);
    refused(b"user,item,t,lat,lon\na,x,1,-91,0\n", "log.csv:2: latitude -91 is outside", SKIP);
    refused(
        b"user,item,t,lat,lon\na,x,1,40,-180.1\n",
        "log.csv:2: longitude -180.1 is outside -180 to 180 degrees",
        SKIP,
    );
    let edge = prepared("log.csv", b"user,item,t,lat,lon\na,x,0,90,180\nb,y,4102444800,-90,-180\n").0;
    assert_eq!(edge.place, Some(vec![[90.0, 180.0], [-90.0, -180.0]]));
}

#[test]
fn bytes_that_are_no_text() {
    refused(b"user,item,t\na,x,1\nb,caf\xe9,2\n", "log.csv:3: byte 6 of the line is not UTF-8", "iconv");
    refused(b"us\xffer,item,t\na,x,1\n", "log.csv:1: byte 3 of the line is not UTF-8", "iconv");
    refused(b"\xff\xfeu\0s\0", "log.csv:1: is UTF-16", "iconv");
    refused(b"PK\x03\x04rest", "log.csv: is a zip archive", "unpack");
    refused(&vec![b'a'; 3 << 20], "log.csv:1: is longer than 1 MiB", "text file");
    let mut cut = gzip("user,item,t\na,x,1\nb,y,2\n".repeat(50).as_bytes());
    cut.truncate(cut.len() - 12);
    let text = error("log.csv", &cut, |o| o.skip_bad = true);
    assert!(text.contains("the compressed file is cut off or damaged here"), "{text}");
}

#[test]
fn one_user_or_one_item() {
    refused(b"user,item,t\na,x,1\na,y,2\n", "log.csv: only one user is in the log", "two at least");
    refused(b"user,item,t\na,x,1\nb,x,2\n", "log.csv: only one item is in the log", "two at least");
    let text = error("log.csv", b"user,item,t\na,x,1\nb,y,2\n", |o| o.min_user = 5);
    assert!(text.starts_with("log.csv: no user is left by the filters; lower --min-user"), "{text}");
    let text = error("log.csv", b"user,item,t\na,x,1\na,y,2\nb,y,2\n", |o| o.min_user = 2);
    assert!(text.starts_with("log.csv: only one user is left by the filters"), "{text}");
    let text = error("log.csv", b"user,item,t\nbad\n", |o| o.skip_bad = true);
    assert!(text.starts_with("log.csv: no user is in the log"), "{text}");
}

#[test]
fn skip_bad_counts_and_quotes_the_first_lines() {
    let mut text = b"user,item,t,lat,lon\na,x,1,0,0\n".to_vec();
    for line in ["b,y,-1,0,0", "b,y", "b,y,1,99,0", "caf\u{e9},y,1,0,0", ",y,1,0,0", "b,y,1,0,x", "b,y,z,0,0"] {
        text.extend(line.chars().map(|c| c as u8)); // é as one byte: not UTF-8
        text.push(b'\n');
    }
    text.extend(b"b,y,2,0,0\n");
    let (dataset, report) = prepare_with("log.csv", &text, |o| o.skip_bad = true).unwrap();
    // Nothing of a bad line is kept, not even a name.
    assert_eq!((events(&dataset), report.rows_read), (vec![event("a", "x", 1), event("b", "y", 2)], 9));
    assert_eq!((report.malformed, report.malformed_examples.len()), (7, 5));
    for (example, line) in report.malformed_examples.iter().zip(3..) {
        assert!(example.contains(&format!("log.csv:{line}: ")), "{example}");
    }
    let shown = report.to_string();
    assert!(
        shown.contains("malformed     7 lines left out, the first:") && shown.contains("log.csv:3: time"),
        "{shown}"
    );
}
