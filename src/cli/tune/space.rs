//! What a search draws from.

use desirepath::model::Config;
use desirepath::train::{TrainOptions, set};
use desirepath::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Where one setting comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum From {
    Choice(Vec<toml::Value>),
    Log { log: [f64; 2] },
    Real { real: [f64; 2] },
    Int { int: [i64; 2] },
}

#[derive(Debug)]
pub struct Space(BTreeMap<String, From>);

const DEFAULT: &str = "
lr = { log = [5e-4, 5e-3] }
decay = { log = [1e-4, 0.1] }
batch = [16, 32, 64, 128]
dropout = [0.0, 0.1, 0.2, 0.3, 0.5]
input_dropout = [0.0, 0.1, 0.2, 0.3, 0.5]
dim = [32, 64, 96]
heads = [1, 2, 4]
blocks = { int = [1, 3] }
neighbours = [0.0, 0.1, 0.3, 0.5]
";

impl Space {
    pub fn read(path: Option<&Path>) -> Result<Space> {
        let Some(path) = path else { return Space::parse(DEFAULT) };
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, &e))?;
        Space::parse(&text).map_err(|e| Error::format(path, e.to_string()))
    }

    fn parse(text: &str) -> Result<Space> {
        let space: BTreeMap<String, From> =
            toml::from_str(text).map_err(|e| Error::Config(e.to_string().trim().into()))?;
        let bad = |key: &str, what: &str| Err(Error::Config(format!("{key}: {what}")));
        for (key, from) in &space {
            match from {
                From::Choice(values) if values.is_empty() => return bad(key, "nothing to choose from"),
                From::Log { log: [low, high] } if !(*low > 0.0 && low < high) => {
                    return bad(key, "log = [low, high] with 0 < low < high");
                }
                From::Real { real: [low, high] } if low >= high => {
                    return bad(key, "real = [low, high] with low < high");
                }
                From::Int { int: [low, high] } if low > high => return bad(key, "int = [low, high] with low <= high"),
                _ => {}
            }
        }
        match space.is_empty() {
            true => Err(Error::Config("a space with nothing to draw".into())),
            false => Ok(Space(space)),
        }
    }

    /// Settings for each of `n` trials, each of which makes a valid configuration on top of `base`: the same for the same
    /// seed.
    pub fn draw(&self, n: usize, seed: u64, base: &(Config, TrainOptions)) -> Result<Vec<Vec<(String, String)>>> {
        /// Draws in a row that fit nothing, until the space is at fault.
        const PATIENCE: usize = 200;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut draws, mut refused) = (Vec::new(), 0);
        while draws.len() < n {
            let one: Vec<(String, String)> =
                self.0.iter().map(|(key, from)| (key.clone(), from.draw(&mut rng))).collect();
            match fits(&one, base) {
                Ok(()) => draws.push(one),
                Err(e) if refused >= PATIENCE => {
                    return Err(Error::Config(format!("hardly a draw from this space is valid: {e}")));
                }
                Err(_) => refused += 1,
            }
        }
        Ok(draws)
    }
}

fn fits(settings: &[(String, String)], base: &(Config, TrainOptions)) -> Result<()> {
    let (mut config, mut options) = base.clone();
    for (key, value) in settings {
        set(&mut config, &mut options, key, value)?;
    }
    config.validate()?;
    options.validate()
}

impl From {
    fn draw(&self, rng: &mut ChaCha8Rng) -> String {
        match self {
            From::Choice(values) => values[rng.random_range(0..values.len() as u32) as usize].to_string(),
            // Four digits say enough, and can be typed.
            From::Log { log: [low, high] } => four((low.ln() + rng.random::<f64>() * (high / low).ln()).exp()),
            From::Real { real: [low, high] } => four(low + rng.random::<f64>() * (high - low)),
            From::Int { int: [low, high] } => rng.random_range(*low..=*high).to_string(),
        }
    }
}

/// Four digits of a number, so that it is a number with a point in TOML, too.
fn four(v: f64) -> String {
    let short: f64 = format!("{v:.3e}").parse().expect("a number that was just written");
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> (Config, TrainOptions) {
        (Config::default(), TrainOptions::default())
    }

    #[test]
    fn draws_are_valid_within_bounds_and_the_same_for_a_seed() {
        let space = Space::read(None).expect("the default");
        let draws = space.draw(50, 3, &base()).expect("draws");
        assert_eq!(draws, space.draw(50, 3, &base()).expect("draws"));
        assert_ne!(draws, space.draw(50, 4, &base()).expect("draws"));
        let of = |key: &str| -> Vec<f64> {
            let value =
                |d: &Vec<(String, String)>| d.iter().find(|(k, _)| k == key).map(|(_, v)| v.parse().expect("a number"));
            draws.iter().map(|d| value(d).expect("drawn")).collect()
        };
        assert!(of("lr").iter().all(|lr| (5e-4..=5e-3).contains(lr)));
        // Evenly in the logarithm: half below the geometric mean, give or take.
        let below = of("lr").iter().filter(|lr| **lr < (5e-4f64 * 5e-3).sqrt()).count();
        assert!((12..=38).contains(&below), "{below} of 50");
        assert!([1.0, 2.0, 3.0].iter().all(|n| of("blocks").contains(n)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("lr = { log = [0.0, 1.0] }", "0 < low < high"),
            ("dim = []", "nothing to choose from"),
            ("dim = { whole = [1, 2] }", "dim"),
            ("blocks = { int = [3, 1] }", "low <= high"),
            ("", "nothing to draw"),
        ] {
            let error = Space::parse(text).expect_err(text).to_string();
            assert!(error.contains(says), "{error} does not say {says}");
        }
        let space = Space::parse("dim = [-3]").expect("it reads");
        let error = space.draw(1, 1, &base()).expect_err("no width").to_string();
        assert!(error.contains("hardly a draw"), "{error}");
        let space = Space::parse("wisdom = [1]").expect("it reads");
        assert!(space.draw(1, 1, &base()).expect_err("no such setting").to_string().contains("wisdom"));
    }
}
