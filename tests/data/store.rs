use super::*;
use std::fs;

fn rich() -> (Dataset, PrepareReport) {
    let files = Files::new(&[
        ("log.csv", "user,item,t,rating,lat,lon,category\na,\u{e9}t\u{e9},1,5,40,-74,A\na,y,2,3,50,8,\nb,y,4000000000,1,50,8,B\n".as_bytes()),
        ("items.csv", b"item,price\ny,4\n"),
    ]);
    let mut options = files.options(&["log.csv"]);
    options.items = Some(files.path("items.csv"));
    options.features = vec!["price".into()];
    desirepath::data::prepare(&options).unwrap()
}

fn plain() -> Dataset {
    prepared("log.csv", b"user,item\na,x\nb,y\n").0
}

#[test]
fn what_is_saved_is_loaded() {
    let folder = Files::new(&[]);
    let (dataset, report) = rich();
    let path = folder.path("deep/er/set");
    dataset.save(&path, Some(&report)).unwrap();
    assert_eq!(Dataset::load(&path).unwrap(), dataset);
    assert_eq!(PrepareReport::load(&path).unwrap(), Some(report));
    // Replacing leaves nothing of the old one, and nothing beside it.
    plain().save(&path, None).unwrap();
    assert_eq!(Dataset::load(&path).unwrap(), plain());
    assert_eq!(PrepareReport::load(&path).unwrap(), None);
    assert_eq!(names_in(path.parent().unwrap()), ["set"]);
    assert_eq!(names_in(&path), ["columns.bin", "dataset.json"]);
}

#[test]
fn unknown_places_survive() {
    let (dataset, _) = prepared("log.csv", b"user,item,t,lat,lon\na,x,1,40,-74\nb,y,2,,\n");
    let folder = Files::new(&[]);
    dataset.save(&folder.path("set"), None).unwrap();
    let loaded = Dataset::load(&folder.path("set")).unwrap();
    let bits = |d: &Dataset| d.place.as_ref().map(|p| p.iter().map(|v| v.map(f32::to_bits)).collect::<Vec<_>>());
    assert_eq!((bits(&loaded), loaded.item_place.unwrap()[1][0].is_nan()), (bits(&dataset), true));
}

fn load_error(folder: &Files) -> String {
    let error = Dataset::load(&folder.path("set")).expect_err("should have been refused");
    assert!(matches!(error, desirepath::Error::Format { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn a_truncated_folder_is_refused_at_every_length() {
    let folder = Files::new(&[]);
    let path = folder.path("set");
    rich().0.save(&path, None).unwrap();
    for name in ["columns.bin", "dataset.json"] {
        let whole = fs::read(path.join(name)).unwrap();
        for length in 0..whole.len() {
            fs::write(path.join(name), &whole[..length]).unwrap();
            let text = load_error(&folder);
            assert!(text.contains(name) && text.contains("prepare it again"), "{text}");
        }
        fs::remove_file(path.join(name)).unwrap();
        let text = load_error(&folder);
        assert!(text.contains(&format!("there is no {name}")), "{text}");
        fs::write(path.join(name), whole).unwrap();
    }
    assert_eq!(Dataset::load(&path).unwrap(), rich().0);
}

#[test]
fn any_changed_byte_of_the_columns_is_noticed() {
    let folder = Files::new(&[]);
    let file = folder.path("set/columns.bin");
    rich().0.save(&folder.path("set"), None).unwrap();
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        let text = load_error(&folder);
        assert!(text.contains("is damaged (checksum)"), "{text}");
    }
}

#[test]
fn an_index_that_lies_is_refused() {
    let folder = Files::new(&[]);
    let file = folder.path("set/dataset.json");
    rich().0.save(&folder.path("set"), None).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let changes = [
        ("\"version\": 1", "\"version\": 9", "has version 9, this program reads 1"),
        ("desirepath dataset", "desirepath model", "is not the index of a dataset"),
        ("\"users\": 2", "\"users\": 3", "the counts of dataset.json are not those"),
        ("\"feature_dim\": 1", "\"feature_dim\": 2", "a column has the wrong length"),
        ("\"name\": \"item\"", "\"name\": \"rating\"", "prepare it again"),
        ("\"name\": \"time\"", "\"name\": \"spin\"", "column spin is not as expected"),
    ];
    for (from, to, expected) in changes {
        assert!(text.contains(from), "{from}");
        fs::write(&file, text.replace(from, to)).unwrap();
        let text = load_error(&folder);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn what_is_no_dataset_is_left_alone() {
    let folder = Files::new(&[("notes.txt", b"mine")]);
    let error = plain().save(folder.0.path(), None).unwrap_err().to_string();
    assert!(error.contains("exists and is no dataset; it is left alone"), "{error}");
    let error = plain().save(&folder.path("notes.txt"), None).unwrap_err().to_string();
    assert!(error.contains("is left alone"), "{error}");
    assert_eq!(fs::read(folder.path("notes.txt")).unwrap(), b"mine");
    for (name, expected) in [("notes.txt", "is a file"), (".", "is no dataset"), ("none", "no such file or folder")] {
        let text = Dataset::load(&folder.path(name)).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
    fs::create_dir(folder.path("empty")).unwrap();
    plain().save(&folder.path("empty"), None).unwrap();
    assert_eq!(Dataset::load(&folder.path("empty")).unwrap(), plain());
}

#[test]
fn a_kill_between_the_two_renames_loses_nothing() {
    let folder = Files::new(&[]);
    let path = folder.path("set");
    rich().0.save(&path, None).unwrap();
    fs::rename(&path, folder.path(".set.desirepath-old")).unwrap();
    assert_eq!(Dataset::load(&path).unwrap(), rich().0);
    assert_eq!(PrepareReport::load(&path).unwrap(), None);
    plain().save(&path, None).unwrap();
    assert_eq!((Dataset::load(&path).unwrap(), names_in(folder.0.path())), (plain(), vec!["set".to_string()]));
}

#[test]
fn a_save_that_fails_leaves_what_was_there() {
    let folder = Files::new(&[]);
    let path = folder.path("set");
    plain().save(&path, None).unwrap();
    fs::write(folder.path(".set.desirepath-tmp"), "in the way").unwrap();
    let error = rich().0.save(&path, None).unwrap_err();
    assert!(matches!(error, desirepath::Error::File { .. }), "{error:?}");
    assert_eq!(Dataset::load(&path).unwrap(), plain());
}

/// Backups of the user's own, whatever they are called, are neither deleted nor taken for the dataset.
#[test]
fn folders_beside_are_left_alone() {
    let folder = Files::new(&[]);
    let path = folder.path("set");
    rich().0.save(&folder.path("set.old"), None).unwrap();
    assert!(Dataset::load(&path).is_err(), "set.old is no set");
    fs::create_dir(folder.path("set.tmp")).unwrap();
    for name in [".set.desirepath-old", "set.old", "set.tmp"] {
        fs::create_dir_all(folder.path(name)).unwrap();
        fs::write(folder.path(name).join("thesis.txt"), "mine").unwrap();
    }
    plain().save(&path, None).unwrap();
    assert_eq!(Dataset::load(&folder.path("set.old")).unwrap(), rich().0);
    let error = rich().0.save(&path, None).unwrap_err();
    assert!(matches!(error, desirepath::Error::File { .. }), "it is in the way: {error:?}");
    assert_eq!(Dataset::load(&path).unwrap(), plain());
    for name in [".set.desirepath-old", "set.old", "set.tmp"] {
        assert_eq!(fs::read(folder.path(name).join("thesis.txt")).unwrap(), b"mine", "{name}");
    }
}

const FOLDER: &str = "DESIREPATH_TEST_FULL_DISK";

/// Run by the next test in a process whose files may not grow: a disk that is full.
#[test]
fn full_disk_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let lines: String = (0..30_000).map(|i| format!("{},{}\n", i % 100, i % 77)).collect();
    let big = prepared_in_memory(&lines);
    let error = big.save(Path::new(&folder), None).expect_err("the disk is full");
    assert!(matches!(error, desirepath::Error::File { .. }), "{error:?}");
    assert!(error.to_string().contains("columns.bin"), "{error}");
}

/// A dataset made without writing a file.
fn prepared_in_memory(lines: &str) -> Dataset {
    let item: Vec<u32> = lines.lines().map(|l| l.split(',').nth(1).unwrap().parse::<u32>().unwrap() + 1).collect();
    Dataset {
        users: vec!["a".into(), "b".into()],
        items: (0..77).map(|i| i.to_string()).collect(),
        offsets: vec![0, 1, item.len()],
        time: (0..item.len() as i64).collect(),
        item,
        ..Dataset::default()
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_dataset() {
    let folder = Files::new(&[]);
    let path = folder.path("set");
    plain().save(&path, None).unwrap();
    let test = std::env::current_exe().unwrap();
    // 8 blocks of 512 bytes (or of 1 KiB in some shells); the signal is ignored so that the write itself fails.
    let script =
        format!("trap '' XFSZ; ulimit -f 8; exec '{}' --exact store::full_disk_child --nocapture", test.display());
    let child = std::process::Command::new("sh").args(["-c", &script]).env(FOLDER, &path).output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&child.stderr));
    assert_eq!(Dataset::load(&path).unwrap(), plain());
    assert_eq!(names_in(folder.0.path()), ["set"], "nothing half written is left");
}
