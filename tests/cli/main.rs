//! The program as a user runs it: every command, its JSON, its exit codes, and what it does about a bad world.
#![cfg(feature = "cli")]

mod experiment;
mod files;
mod kill;
mod learn;
mod reports;
mod safe;
#[cfg(target_os = "linux")]
mod setup;
mod usage;
mod way;
mod world;

use desirepath::data::city::{City, CityOptions};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The program with `args`, run to its end.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_desirepath"));
    command.args(args).stdin(std::process::Stdio::null());
    command
}

pub fn run(args: &[&str]) -> Run {
    ended(command(args).output().expect("the program starts"))
}

pub fn ended(output: Output) -> Run {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("an exit code, not a signal");
    Run { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Run {
    /// Succeeded; what it printed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }

    /// Succeeded with one JSON object and nothing else on standard output.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}"))
    }

    /// Failed with `code` and a message that has `says`; it did not panic.
    #[track_caller]
    pub fn fails(self, code: i32, says: &str) {
        let Run { code: found, stdout, stderr } = self;
        assert_eq!(found, code, "{stdout}{stderr}");
        assert!(stderr.contains(says), "{stderr:?} does not say {says:?}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

/// Every file under `folder` with its bytes.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => all.extend(contents(&path)),
            false => drop(all.insert(path.clone(), std::fs::read(&path).expect("a file"))),
        }
    }
    all
}

/// A copy of the folder `from`.
pub fn copy(from: &Path, to: &Path) {
    for (path, bytes) in contents(from) {
        let path = to.join(path.strip_prefix(from).expect("below"));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("create");
        std::fs::write(path, bytes).expect("write");
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// What most tests start from: a city's log as a file, prepared and trained on by the program itself.
pub struct Place {
    folder: tempfile::TempDir,
    pub city: City,
}

/// Settings under which the city is learned in a moment.
pub const SMALL: [&str; 14] = [
    "--set",
    "dim=16",
    "--set",
    "len=10",
    "--set",
    "batch=16",
    "--set",
    "epochs=3",
    "--set",
    "lr=0.005",
    "--set",
    "request_time=true",
    "--seed",
    "4",
];

impl Place {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn csv(&self) -> PathBuf {
        self.path("visits.csv")
    }

    pub fn dataset(&self) -> PathBuf {
        self.path("dataset")
    }

    pub fn model(&self) -> PathBuf {
        self.path("model")
    }
}

pub fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let city = City::generate(&CityOptions { users: 60, places: 40, events: [8, 14], seed: 6 });
        let place = Place { folder: tempfile::tempdir().expect("a folder"), city };
        std::fs::write(place.csv(), csv_of(&place.city)).expect("write");
        run(&["prepare", text(&place.csv()), "--out", text(&place.dataset())]).ok();
        let (data, model) = (place.dataset(), place.model());
        let train = ["train", text(&data), "--out", text(&model)];
        run(&[&train[..], &SMALL[..]].concat()).ok();
        place
    })
}

fn csv_of(city: &City) -> String {
    let d = &city.dataset;
    let mut lines = String::from("user,place,time,lat,lon,category\n");
    let (places, kinds) = (d.item_place.as_ref().expect("places"), d.item_category.as_ref().expect("categories"));
    for user in 1..=d.n_users() {
        for event in d.events_of(user) {
            let item = d.item[event] as usize - 1;
            let ([lat, lon], kind) = (places[item], &d.categories[kinds[item] as usize - 1]);
            lines += &format!("{},{},{},{lat},{lon},{kind}\n", d.users[user - 1], d.items[item], d.time[event]);
        }
    }
    lines
}
