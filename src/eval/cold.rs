//! How somebody is served of whom little is known, and whether what few have had is found.
//!
//! A user is new to the model when it is told few events and not whose they are; but the model has learned from the
//! others of those events, so that it has seen this user's taste as one of many.

use super::baselines::Baselines;
use super::metrics::Metrics;
use super::{Case, Seen, ranks_as_new};
use crate::data::Dataset;
use crate::error::Result;
use crate::model::Model;
use serde::Serialize;
use std::fmt;
use std::ops::Range;

/// So many events of a history are told.
pub const EVENTS: [usize; 4] = [1, 2, 5, 10];
/// An item is rare with fewer training events.
pub const RARE_BELOW: u32 = 5;

/// The newest `events` of the history of `case`; all of it, where there are no more.
pub fn newest(case: &Case, events: usize) -> Range<usize> {
    case.history.end.saturating_sub(events).max(case.history.start)..case.history.end
}

/// For each case whether its history has `events`: one with fewer says nothing about so many.
pub fn reaching(cases: &[Case], events: usize) -> Vec<bool> {
    cases.iter().map(|case| case.history.len() >= events).collect()
}

/// For each case whether its target has fewer than `below` training events; `counts` is [`super::training_counts`].
pub fn rare(dataset: &Dataset, cases: &[Case], counts: &[u32], below: u32) -> Vec<bool> {
    cases.iter().map(|case| counts[dataset.item[case.target] as usize - 1] < below).collect()
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cold {
    /// For each of [`EVENTS`].
    pub users: Vec<NewUsers>,
    pub items: RareItems,
}

/// The cases whose history has `events`, all asked with so many. What was seen before is asked of the whole history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewUsers {
    pub events: usize,
    pub model: Metrics,
    /// The model on the same cases with the whole history and the user's name.
    pub known: Metrics,
    /// It looks at the last event alone.
    pub markov: Metrics,
    pub pop: Metrics,
}

/// The cases whose target has fewer than `below` training events, with all that is known of the user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RareItems {
    pub below: u32,
    pub model: Metrics,
    pub markov: Metrics,
    pub pop: Metrics,
}

impl Cold {
    /// `known` are the ranks of `cases` with all that is known; `watch` is told how many of `EVENTS.len() * cases.len()`
    /// are done, or need not be.
    ///
    /// # Errors
    /// As [`super::rank`].
    pub fn of(
        model: &Model,
        dataset: &Dataset,
        cases: &[Case],
        known: &[u32],
        seen: Seen,
        seed: u64,
        watch: &mut dyn FnMut(usize),
    ) -> Result<Cold> {
        let counters = Baselines::new(dataset);
        let (markov, pop) = (counters.markov(cases, seen).ranks, counters.pop(cases, seen).ranks);
        let of = |ranks: &[u32], keep: &[bool]| Metrics::of_ranks(&kept(ranks, keep), seed);
        let mut users = Vec::new();
        for (n, events) in EVENTS.into_iter().enumerate() {
            let keep = reaching(cases, events);
            let asked = kept(cases, &keep);
            let ranks = ranks_as_new(model, dataset, &asked, events, seen, &mut |done| watch(n * cases.len() + done))?;
            users.push(NewUsers {
                events,
                model: Metrics::of_ranks(&ranks, seed),
                known: of(known, &keep),
                markov: of(&markov, &keep),
                pop: of(&pop, &keep),
            });
            watch((n + 1) * cases.len());
        }
        let keep = rare(dataset, cases, counters.counts(), RARE_BELOW);
        let items =
            RareItems { below: RARE_BELOW, model: of(known, &keep), markov: of(&markov, &keep), pop: of(&pop, &keep) };
        Ok(Cold { users, items })
    }
}

fn kept<T: Clone>(list: &[T], keep: &[bool]) -> Vec<T> {
    list.iter().zip(keep).filter(|(_, keep)| **keep).map(|(value, _)| value.clone()).collect()
}

/// A table for people.
impl fmt::Display for Cold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = |f: &mut fmt::Formatter<'_>, names: &[&str]| {
            write!(f, "{:<14}{:>7}", "hr@10 ndcg@10", "cases")?;
            names.iter().try_for_each(|name| write!(f, "{name:>17}"))?;
            writeln!(f)
        };
        let row = |f: &mut fmt::Formatter<'_>, name: &str, all: &[&Metrics]| {
            write!(f, "{name:<14}{:>7}", all[0].cases)?;
            for metrics in all {
                match (metrics.get("hr@10"), metrics.get("ndcg@10")) {
                    (Some(hr), Some(ndcg)) => write!(f, "{hr:>10.4}{ndcg:>7.4}")?,
                    _ => write!(f, "{:>17}", "no cases")?,
                }
            }
            writeln!(f)
        };
        writeln!(
            f,
            "users never seen, of whom the newest events alone are told; known: the whole history, and whose it is"
        )?;
        head(f, &["model", "known", "markov", "pop"])?;
        for NewUsers { events, model, known, markov, pop } in &self.users {
            let name = format!("{events} event{}", if *events == 1 { "" } else { "s" });
            row(f, &name, &[model, known, markov, pop])?;
        }
        let RareItems { below, model, markov, pop } = &self.items;
        writeln!(f, "\nitems with fewer than {below} training events, asked for by known users")?;
        head(f, &["model", "markov", "pop"])?;
        row(f, "rare items", &[model, markov, pop])
    }
}
