use crate::{contents, copy, place, run, text};
use std::path::Path;

/// Every file that cannot be a log is refused with its name, a reason and exit code 1, and the dataset that was there
/// before stays.
#[test]
fn bad_logs_are_refused() {
    let out = place().path("kept");
    copy(&place().dataset(), &out);
    let before = contents(&out);
    let cases: [(&str, &[u8], &str); 14] = [
        ("empty", b"", "is empty"),
        ("no-column", b"user,thing,time\na,x,1\n", "no column is known as the item; there are: user, thing, time"),
        ("header-only", b"user,item,time\n", "has a header and nothing below it"),
        ("latin-1", b"user,item,time\na,x,1\nb,caf\xe9,2\n", ":3: byte 6 of the line is not UTF-8"),
        ("negative", b"user,item,time\na,x,5\nb,y,-1\n", ":3: time \"-1\" is before 1970"),
        ("far-future", b"user,item,time\na,x,1700000000000\nb,y,2\n", ":2: time \"1700000000000\" is beyond"),
        ("no-time", b"user,item,time\na,x,yesterday\nb,y,2\n", ":2: time \"yesterday\" is not a number"),
        ("latitude", b"user,item,time,lat,lon\na,x,1,91,0\nb,y,2,0,0\n", ":2: latitude 91 is outside"),
        ("longitude", b"user,item,time,lat,lon\na,x,1,0,0\nb,y,2,0,181\n", ":3: longitude 181 is outside"),
        ("one-user", b"user,item,time\na,x,1\na,y,2\n", "only one user is in the log"),
        ("one-item", b"user,item,time\na,x,1\nb,x,2\n", "only one item is in the log"),
        ("short-line", b"user,item,time\na,x,1\nb,y\n", ":3: 2 fields"),
        ("not-text", b"\x7fELF\x02\x01\x01\0\0\0\n\xff\xfe\n", "no column is known as the user"),
        ("cut-gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b", "the compressed file is cut off or damaged"),
    ];
    for (name, bytes, says) in cases {
        let file = place().path(&format!("{name}.csv"));
        std::fs::write(&file, bytes).expect("write");
        let run = run(&["prepare", text(&file), "--out", text(&out)]);
        assert!(run.stderr.contains(&format!("{name}.csv")), "{name}: {}", run.stderr);
        run.fails(1, says);
        assert!(contents(&out) == before, "{name}: the old dataset is gone");
    }
    run(&["prepare", "/no/such/file.csv", "--out", text(&out)]).fails(1, "/no/such/file.csv: no such file");
    run(&["prepare", text(&place().dataset()), "--out", text(&out)]).fails(1, "is a folder");
    assert!(contents(&out) == before);
}

/// Items that only the test has are ranked like any other; a dataset with other items is another dataset.
#[test]
fn items_that_training_never_saw() {
    let file = place().path("new-items.csv");
    let mut log = std::fs::read_to_string(place().csv()).expect("the log");
    let user = &place().city.dataset.users[0];
    log += &format!("{user},Opened Yesterday,1900000000,53.5,10.0,cafe\n");
    std::fs::write(&file, log).expect("write");
    let (data, model) = (place().path("new-items"), place().path("new-items-model"));
    run(&["prepare", text(&file), "--out", text(&data)]).ok();
    run(&["evaluate", text(&place().model()), text(&data)]).fails(1, "trained on other users or items than");
    let train = ["train", text(&data), "--out", text(&model), "--preset", "mf", "--set", "dim=8", "--set", "epochs=1"];
    run(&train).ok();
    let result = run(&["evaluate", text(&model), text(&data), "--json"]).json();
    assert_eq!(result["cases"], place().city.dataset.n_users());
    run(&["train", text(&place().dataset()), "--out", text(&model), "--resume"]).fails(1, "trained on another dataset");
}

/// A log is data: that it is too short is no wrong usage.
#[test]
fn histories_too_short_to_train_on() {
    let (file, data) = (place().path("short.csv"), place().path("short"));
    std::fs::write(&file, "user,item,time\na,x,1\na,y,2\na,x,3\nb,x,3\n").expect("write");
    run(&["prepare", text(&file), "--out", text(&data)]).ok();
    let run = run(&["train", text(&data), "--out", text(&place().path("short-model"))]);
    assert!(run.stderr.contains(text(&data)), "{}", run.stderr);
    run.fails(1, "no user has two events to train on");
}

#[test]
fn damaged_models_are_refused() {
    let (data, model) = (place().dataset(), place().path("damaged"));
    copy(&place().model(), &model);
    let user = place().city.dataset.users[0].as_str();
    let refused = |what: &str, says: &str| {
        for args in [["evaluate", text(&model), text(&data)].to_vec(), vec!["recommend", text(&model), "--user", user]]
        {
            let run = run(&args);
            assert!(run.stderr.contains("damaged"), "{what}: no file is named in {}", run.stderr);
            run.fails(1, says);
        }
    };
    let spoil = |name: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let bytes = std::fs::read(place().model().join(name)).expect("a file");
        std::fs::write(model.join(name), change(bytes)).expect("write");
    };
    let heal = |name: &str| spoil(name, &|bytes| bytes);
    for part in [0, 2] {
        spoil("model.safetensors", &|bytes| bytes[..bytes.len() * part / 3].to_vec());
        refused("cut short", "damaged or cut short");
    }
    heal("model.safetensors");
    spoil("config.json", &|b| String::from_utf8(b).expect("text").replace("\"format\": 1", "\"format\": 2").into());
    refused("another version", "format 2, but this program reads 1; train again");
    spoil("config.json", &|b| b[..b.len() / 2].to_vec());
    refused("half a configuration", "damaged");
    spoil("config.json", &|b| String::from_utf8(b).expect("text").replace("\"heads\": 2", "\"heads\": 5").into());
    refused("heads that do not fit", "config.json: heads = 5: expected a divisor of dim");
    heal("config.json");
    spoil("data/columns.bin", &|b| b[..b.len() - 8].to_vec());
    refused("cut short", "cut off or damaged");
    heal("data/columns.bin");
    std::fs::remove_file(model.join("model.safetensors")).expect("remove");
    refused("no weights", "incomplete");
    heal("model.safetensors");
    run(&["recommend", text(&model), "--user", user]).ok();
    let nowhere = place().path("no-model");
    run(&["evaluate", text(&nowhere), text(&data)]).fails(1, "not a model folder");
    run(&["evaluate", text(&model), text(&nowhere)]).fails(1, "no such file or folder");
    run(&["train", text(Path::new("/no/data")), "--out", text(&nowhere)]).fails(1, "/no/data: no such file or folder");
}
