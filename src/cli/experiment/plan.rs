//! What an experiment's file says.

use desirepath::data::Dataset;
use desirepath::data::city::{City, CityOptions};
use desirepath::model::Config;
use desirepath::train::{TrainOptions, set};
use desirepath::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    city: Option<CityTable>,
    baseline: Option<String>,
    #[serde(default)]
    all: BTreeMap<String, toml::Value>,
    #[serde(default)]
    run: Vec<RunTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CityTable {
    users: Option<usize>,
    places: Option<usize>,
    seed: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunTable {
    name: String,
    preset: Option<String>,
    #[serde(default)]
    set: BTreeMap<String, toml::Value>,
}

#[derive(Debug)]
pub enum Source {
    Folder(PathBuf),
    City(CityOptions),
}

/// One configuration; the seed is set by whoever runs it.
#[derive(Debug)]
pub struct Run {
    pub name: String,
    /// What was asked for beyond the defaults, for the table.
    pub says: String,
    pub config: Config,
    pub options: TrainOptions,
}

#[derive(Debug)]
pub struct Plan {
    pub source: Source,
    /// Of `runs`.
    pub baseline: usize,
    pub runs: Vec<Run>,
}

impl Run {
    /// The name of its folder.
    pub fn slug(&self) -> String {
        let plain = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let text: String = self.name.chars().map(plain).collect();
        text.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
    }
}

impl Plan {
    pub fn read(path: &Path) -> Result<Plan> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, &e))?;
        Plan::parse(&text).map_err(|e| Error::format(path, message(e)))
    }

    fn parse(text: &str) -> Result<Plan> {
        let file: File = toml::from_str(text).map_err(|e| Error::Config(e.to_string().trim().into()))?;
        let source = match (file.data, file.city) {
            (Some(folder), None) => Source::Folder(folder),
            (None, Some(table)) => Source::City(city(&table)?),
            _ => return Err(Error::Config("expected either data = \"FOLDER\" or a table [city]".into())),
        };
        let runs = file.run.iter().map(|table| run(table, &file.all)).collect::<Result<Vec<Run>>>()?;
        if runs.is_empty() {
            return Err(Error::Config("expected at least one [[run]]".into()));
        }
        for (i, run) in runs.iter().enumerate() {
            if run.slug().is_empty() || runs[..i].iter().any(|earlier| earlier.slug() == run.slug()) {
                return Err(Error::Config(format!("run {:?}: expected a name of its own", run.name)));
            }
        }
        let baseline = match &file.baseline {
            None => 0,
            Some(name) => runs.iter().position(|r| r.name == *name).ok_or_else(|| {
                let names: Vec<_> = runs.iter().map(|r| r.name.as_str()).collect();
                Error::Config(format!("baseline {name:?} is no run; there are: {}", names.join(", ")))
            })?,
        };
        Ok(Plan { source, baseline, runs })
    }

    /// The runs of these names, all where none is given, in the order of the file.
    pub fn chosen(&self, names: &[String]) -> Result<Vec<usize>> {
        if let Some(unknown) = names.iter().find(|name| self.runs.iter().all(|r| r.name != **name)) {
            let there: Vec<_> = self.runs.iter().map(|r| r.name.as_str()).collect();
            return Err(Error::Config(format!("no run {unknown:?}; there are: {}", there.join(", "))));
        }
        let wanted = |i: &usize| names.is_empty() || names.contains(&self.runs[*i].name);
        Ok((0..self.runs.len()).filter(wanted).collect())
    }

    pub fn dataset(&self) -> Result<Dataset> {
        match &self.source {
            Source::Folder(folder) => Dataset::load(folder),
            Source::City(options) => Ok(City::generate(options).dataset),
        }
    }
}

/// What is wrong, without the kind of error, which the outer one says.
fn message(error: Error) -> String {
    match error {
        Error::Config(message) => message,
        other => other.to_string(),
    }
}

fn city(table: &CityTable) -> Result<CityOptions> {
    let usual = CityOptions::default();
    let options = CityOptions {
        users: table.users.unwrap_or(usual.users),
        places: table.places.unwrap_or(usual.places),
        seed: table.seed.unwrap_or(usual.seed),
        ..usual
    };
    match options.users > 0 && options.places > 0 {
        true => Ok(options),
        false => Err(Error::Config("[city]: expected at least one user and one place".into())),
    }
}

fn run(table: &RunTable, all: &BTreeMap<String, toml::Value>) -> Result<Run> {
    let named = |e: Error| Error::Config(format!("run {:?}: {}", table.name, message(e)));
    let preset = table.preset.as_deref().unwrap_or("desirepath");
    let mut config = Config::preset(preset).map_err(named)?;
    let mut options = TrainOptions::default();
    let mut says = vec![preset.to_string()];
    for (key, value) in all.iter().chain(&table.set) {
        if key == "seed" || key == "train.seed" {
            return Err(Error::Config(format!("run {:?}: the seed comes from --seeds", table.name)));
        }
        set(&mut config, &mut options, key, &value.to_string()).map_err(named)?;
    }
    says.extend(table.set.iter().map(|(key, value)| format!("{key}={value}")));
    Ok(Run { name: table.name.clone(), says: says.join(" "), config, options })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "baseline = \"b\"\n[city]\nusers = 9\n[all]\nepochs = 2\n[[run]]\nname = \"a\"\n\
                        set = { gru = false, epochs = 3 }\n[[run]]\nname = \"b\"\npreset = \"sasrec\"\n";

    #[test]
    fn a_run_is_its_preset_then_the_settings_of_all_then_its_own() {
        let plan = Plan::parse(GOOD).expect("a plan");
        assert_eq!((plan.baseline, plan.runs.len()), (1, 2));
        let [a, b] = [&plan.runs[0], &plan.runs[1]];
        assert!(!a.config.gru && a.options.epochs == 3 && a.config.attention);
        assert_eq!((&b.config, b.options.epochs), (&Config::preset("sasrec").expect("it exists"), 2));
        assert_eq!(a.says, "desirepath epochs=3 gru=false");
        assert!(matches!(&plan.source, Source::City(city) if city.users == 9));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let bad = [
            (GOOD.replace("\"b\"\n[city]", "\"c\"\n[city]"), "\"c\" is no run; there are: a, b"),
            (GOOD.replace("name = \"b\"", "name = \"A\""), "a name of its own"),
            (GOOD.replace("gru", "grue"), "no setting \"grue\""),
            (GOOD.replace("sasrec", "sasrek"), "sasrek"),
            (GOOD.replace("[all]", "[every]"), "unknown field `every`"),
            (GOOD.replace("epochs = 2", "seed = 2"), "the seed comes from --seeds"),
            (GOOD.replace("[city]\nusers = 9\n", ""), "either data"),
            (GOOD.replace("users = 9", "users = 0"), "at least one user"),
            ("data = \"x\"".into(), "at least one [[run]]"),
        ];
        for (text, says) in bad {
            let error = Plan::parse(&text).expect_err(&text).to_string();
            assert!(error.contains(says), "{error} does not say {says}");
        }
    }
}
