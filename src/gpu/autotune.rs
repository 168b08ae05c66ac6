//! Which of several kernels is fastest on this adapter: found once by a short race, kept in a text file.
//!
//! A choice shows in time and nowhere else: ops let only kernels race that give the same bits, so a run with the file,
//! one without, and one that measured something else compute the same numbers.

use super::{Gpu, Options};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const HEAD: &str = "desirepath autotune 1";
/// Samples of each kernel, after one that compiles it.
const ROUNDS: usize = 5;
/// A kernel so much slower than the best is measured no further.
const HOPELESS: f64 = 1.5;
/// A kernel must be so much faster than the default to take its place: a race between equals is noise.
const CLEARLY: f64 = 0.97;
/// Seconds of samples per race, and of all races of a process: then the defaults stand.
const RACE_S: f64 = 0.3;
const ALL_S: f64 = 2.0;

/// The outcome of one race.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The kernel chosen.
    pub name: String,
    /// For people: what was measured, and what was left out because it was wrong.
    pub notes: String,
}

/// Seconds per candidate, the least of its samples: a disturbance only adds. `sample` runs candidate `i` once. The first
/// candidate is the default. Returns the choice and the times.
pub fn race(n: usize, sample: &mut dyn FnMut(usize) -> f64) -> (usize, Vec<f64>) {
    for i in 0..n {
        sample(i);
    }
    let mut best = vec![f64::INFINITY; n];
    let mut spent = 0.0;
    for _ in 0..ROUNDS {
        let least = best.iter().copied().fold(f64::INFINITY, f64::min);
        for i in (0..n).filter(|i| best[*i] == f64::INFINITY || best[*i] <= HOPELESS * least).collect::<Vec<_>>() {
            let seconds = sample(i);
            best[i] = best[i].min(seconds);
            spent += seconds;
        }
        if spent > RACE_S {
            break;
        }
    }
    let fastest = (0..n).min_by(|a, b| best[*a].total_cmp(&best[*b])).unwrap_or(0);
    let chosen = if best[fastest] < CLEARLY * best[0] { fastest } else { 0 };
    (chosen, best)
}

/// The outcomes so far, and where they are kept.
pub(super) struct Choices {
    on: bool,
    path: Option<PathBuf>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    choices: BTreeMap<String, Choice>,
    spent_s: f64,
}

impl Choices {
    /// `adapter`: what tells adapters and versions of their drivers apart.
    pub fn open(options: &Options, adapter: &str) -> Choices {
        let adapter = format!("{adapter} {}", env!("CARGO_PKG_VERSION"));
        let path = options.cache.as_ref().filter(|_| options.autotune).map(|folder| folder.join(file_name(&adapter)));
        let choices = path.as_deref().map(read).unwrap_or_default();
        Choices { on: options.autotune, path, known: Mutex::new(Known { choices, spent_s: 0.0 }) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The choice for `key`; `measure` finds it and says how many seconds that took, where nobody has before.
    fn get(&self, key: &str, measure: impl FnOnce() -> Option<(Choice, f64)>) -> Option<String> {
        let known = self.known();
        if let Some(choice) = known.choices.get(key) {
            return Some(choice.name.clone());
        }
        if !self.on || known.spent_s > ALL_S {
            return None;
        }
        drop(known); // the race runs kernels, and other threads may want theirs meanwhile
        let (choice, seconds) = measure()?;
        let mut known = self.known();
        known.spent_s += seconds;
        // What another process has found since comes first, so that all of them run the same.
        let stored = self.path.as_deref().map(read).unwrap_or_default();
        known.choices.extend(stored);
        let choice = known.choices.entry(key.to_string()).or_insert(choice).clone();
        if let Some(path) = &self.path {
            write(path, &known.choices);
        }
        Some(choice.name)
    }
}

impl Gpu {
    /// The name of the kernel that is fastest for `key`, found by `measure` (which also says how many seconds it took)
    /// unless it is known. `None` where no race is run: see [`Options::autotune`].
    pub fn choice(&self, key: &str, measure: impl FnOnce() -> (Choice, f64)) -> Option<String> {
        self.inner.choices.get(key, || self.apart(measure))
    }

    /// Runs what waits for the device in the middle of somebody's work: an error of theirs stays theirs, and then nothing
    /// is run; one of its own goes no further. What it dispatches and the memory that it takes are not counted as theirs.
    pub(super) fn apart<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        if let Err(error) = self.sync() {
            self.inner.fault.set(error);
            return None;
        }
        let (counts, peak) = (self.recorder().counts.clone(), self.memory().peak);
        let outcome = work();
        drop(self.sync());
        self.recorder().counts = counts;
        self.inner.pool.set_peak(peak);
        Some(outcome)
    }

    /// Every choice made so far on this adapter, and the file that keeps them.
    pub fn choices(&self) -> (BTreeMap<String, Choice>, Option<&Path>) {
        let choices = &self.inner.choices;
        (choices.known().choices.clone(), choices.path.as_deref())
    }

    pub fn autotunes(&self) -> bool {
        self.inner.choices.on
    }
}

fn file_name(adapter: &str) -> String {
    let word: String = adapter.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("autotune-{word}.txt")
}

/// A line per choice behind the head, then a line with the checksum of all of them.
fn text(choices: &BTreeMap<String, Choice>) -> String {
    let mut text = format!("{HEAD}\n");
    for (key, Choice { name, notes }) in choices {
        let _ = writeln!(text, "{key}\t{name}\t{notes}");
    }
    let sum = checksum(text.as_bytes());
    text + &format!("{sum:016x}\n")
}

/// The choices in a text; none where it is not whole.
fn parse(content: &str) -> Option<BTreeMap<String, Choice>> {
    let (body, sum) = content.strip_suffix('\n')?.rsplit_once('\n')?;
    let body = format!("{body}\n");
    if u64::from_str_radix(sum, 16) != Ok(checksum(body.as_bytes())) {
        return None;
    }
    let lines = body.strip_prefix(HEAD)?.strip_prefix('\n')?.lines();
    let choice = |line: &str| {
        let mut fields = line.splitn(3, '\t').map(String::from);
        Some((fields.next()?, Choice { name: fields.next()?, notes: fields.next()? }))
    };
    lines.map(choice).collect()
}

fn read(path: &Path) -> BTreeMap<String, Choice> {
    std::fs::read_to_string(path).ok().and_then(|content| parse(&content)).unwrap_or_default()
}

/// Losing the file costs a race, so failures are not worth a word.
fn write(path: &Path, choices: &BTreeMap<String, Choice>) {
    super::record::replace(path, text(choices).as_bytes());
}

fn checksum(data: &[u8]) -> u64 {
    super::record::checksum(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds that each candidate always takes, and how often it was asked.
    fn run(seconds: &[f64]) -> (usize, Vec<usize>) {
        let mut asked = vec![0; seconds.len()];
        let (chosen, best) = race(seconds.len(), &mut |i| {
            asked[i] += 1;
            seconds[i]
        });
        assert_eq!(best, seconds);
        (chosen, asked)
    }

    #[test]
    fn the_fastest_wins_and_the_hopeless_leave_early() {
        assert_eq!(run(&[2e-3, 1e-3, 1.4e-3, 9e-3]), (1, vec![2, 6, 6, 2]));
        assert_eq!(run(&[1e-3, 0.98e-3]), (0, vec![6, 6]), "equals: the default stays");
        assert_eq!(run(&[0.25, 0.2]), (1, vec![2, 2]), "the budget ends a slow race");
        assert_eq!(run(&[1.0]), (0, vec![2]));
    }

    fn choice(name: &str) -> Choice {
        Choice { name: name.into(), notes: "a 1 us".into() }
    }

    #[test]
    fn a_choice_is_kept_and_a_damaged_file_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { cache: Some(folder.path().into()), autotune: true, ..Options::default() };
        let open = || Choices::open(&options, "An adapter/1.0");
        let known = |c: &Choices, key| c.get(key, || panic!("measured again"));
        assert_eq!(open().get("k 1", || Some((choice("a"), 0.1))).as_deref(), Some("a"));
        let second = open();
        assert_eq!(known(&second, "k 1").as_deref(), Some("a"));
        // Another process finds something else meanwhile: the first to write is right for both.
        assert_eq!(open().get("k 2", || Some((choice("b"), 0.1))).as_deref(), Some("b"));
        assert_eq!(second.get("k 2", || Some((choice("c"), 0.1))).as_deref(), Some("b"));
        let path = second.path.unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        for damaged in [&whole[..whole.len() - 20], &whole.replace("\ta\t", "\tb\t"), "", "x", "\n\n"] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(open().get("k 1", || Some((choice("new"), 0.1))).as_deref(), Some("new"), "{damaged:?}");
        }
        let other = Choices::open(&options, "An adapter/1.1");
        assert_eq!(other.get("k 1", || Some((choice("d"), 0.1))).as_deref(), Some("d"), "another driver");
    }

    #[test]
    fn nothing_is_measured_when_off_or_out_of_time() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { cache: Some(folder.path().into()), ..Options::default() };
        assert_eq!(Choices::open(&options, "x").get("k", || panic!("measured")), None);
        let choices = Choices::open(&Options { autotune: true, ..options }, "x");
        assert!(choices.get("k 1", || Some((choice("a"), ALL_S + 0.1))).is_some());
        assert_eq!(choices.get("k 2", || panic!("measured")), None);
    }
}
