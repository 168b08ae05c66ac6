//! One thread owns the device. Requests that come within a moment are answered by one batch.

use super::loaded::{Loaded, Past, Weights};
use super::metrics::Metrics;
use super::store::{Moved, State, Writer};
use super::thread::Thread;
use crate::error::{Error, Result};
use crate::model::{History, Recommendation, Request};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TrySendError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Steps by which a state that lags behind is moved on; further behind it is computed from the history.
const LAG: usize = 4;

#[derive(Debug)]
pub enum What {
    Recommend {
        exclude: Vec<u32>,
        top: usize,
        explain: bool,
    },
    Score {
        items: Vec<u32>,
    },
    Similar {
        item: u32,
        top: usize,
    },
    /// Move the user's state on, where the model has one.
    Advance,
}

/// A user's state in the store, and where it goes when it has moved.
#[derive(Debug, Default)]
pub struct Keeping {
    pub name: String,
    pub state: Option<State>,
    pub last: Vec<u8>,
}

#[derive(Debug)]
pub struct Ask {
    pub loaded: Arc<Loaded>,
    /// At least one event, but for similar items.
    pub past: Past,
    pub keeping: Option<Keeping>,
    pub request: Request,
    pub what: What,
    pub reply: oneshot::Sender<std::result::Result<Answer, Refusal>>,
}

#[derive(Debug, Default, Clone)]
pub struct Answer {
    pub items: Vec<Recommendation>,
    /// Share of attention of the newest events, where that was asked for and the model has attention.
    pub weights: Option<Vec<f32>>,
}

#[derive(Debug, Clone)]
pub enum Refusal {
    /// More requests wait than the queue holds.
    Busy,
    /// The device was lost and is being replaced.
    Lost,
    /// The server shuts down.
    Closed,
    Failed(Error),
}

/// How requests are gathered.
#[derive(Debug, Clone, Copy)]
pub struct Gather {
    pub wait: Duration,
    pub batch: usize,
    pub queue: usize,
}

/// Tells that the device of a model is gone. Does not wait for another: what is in the queue has to be refused meanwhile.
pub type Lost = Box<dyn Fn(&Arc<Loaded>) + Send>;

#[derive(Debug)]
pub struct Engine {
    thread: Thread<Ask>,
    metrics: Arc<Metrics>,
}

impl Engine {
    pub fn start(gather: Gather, metrics: Arc<Metrics>, writer: Writer, lost: Lost) -> Engine {
        let worker = Worker { gather, metrics: metrics.clone(), writer, lost };
        Engine { thread: Thread::start("engine", gather.queue.max(1), move |receive| worker.run(receive)), metrics }
    }

    /// Hands a request in, or refuses it at once.
    pub fn ask(&self, ask: Ask) -> std::result::Result<(), Refusal> {
        self.metrics.waiting.inc();
        self.thread.hand(ask).map_err(|e| {
            self.metrics.waiting.dec();
            match e {
                TrySendError::Full(_) => Refusal::Busy,
                TrySendError::Disconnected(_) => Refusal::Closed,
            }
        })
    }

    /// Takes no more, answers what waits, and ends the thread.
    pub fn close(&self) {
        self.thread.close();
    }
}

struct Worker {
    gather: Gather,
    metrics: Arc<Metrics>,
    writer: Writer,
    lost: Lost,
}

impl Worker {
    fn run(&self, receive: &Receiver<Ask>) {
        while let Ok(first) = receive.recv() {
            let mut asks = vec![first];
            let until = Instant::now() + self.gather.wait;
            while asks.len() < self.gather.batch {
                match receive.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(ask) => asks.push(ask),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            self.metrics.waiting.dec_by(asks.len() as i64);
            asks.retain(|a| !a.reply.is_closed() || matches!(a.what, What::Advance)); // who asked may be gone
            while let Some(loaded) = asks.first().map(|a| a.loaded.clone()) {
                let (now, later) = asks.into_iter().partition(|a| Arc::ptr_eq(&a.loaded, &loaded));
                self.answer(&loaded, now);
                asks = later;
            }
        }
    }

    /// One batch on one model.
    fn answer(&self, loaded: &Arc<Loaded>, asks: Vec<Ask>) {
        let started = Instant::now();
        let attempt = || {
            let mut weights = loaded.model.lock().unwrap_or_else(PoisonError::into_inner);
            let batch = Batch { worker: self, loaded, weights: &mut weights, asks: &asks };
            catch_unwind(AssertUnwindSafe(|| batch.run()))
                .unwrap_or_else(|_| Err(Error::Gpu("a request could not be computed".into())))
        };
        let outcome = match attempt() {
            // What another thread asked of the device may have failed in its place.
            Err(e) if !matches!(e, Error::DeviceLost(_)) => attempt(),
            outcome => outcome,
        };
        self.metrics.batch.observe(asks.len() as f64);
        self.metrics.batch_seconds.observe(started.elapsed().as_secs_f64());
        match outcome {
            Ok(answers) => {
                for (ask, answer) in asks.into_iter().zip(answers) {
                    drop(ask.reply.send(Ok(answer)));
                }
            }
            Err(error) => {
                let lost = matches!(error, Error::DeviceLost(_));
                tracing::error!("{error}");
                // Before the answers: who has one must not be let in to the lost device again.
                if lost {
                    (self.lost)(loaded);
                }
                let refusal = if lost { Refusal::Lost } else { Refusal::Failed(error) };
                for ask in asks {
                    drop(ask.reply.send(Err(refusal.clone())));
                }
            }
        }
    }
}

struct Batch<'a> {
    worker: &'a Worker,
    loaded: &'a Loaded,
    weights: &'a mut Weights,
    asks: &'a [Ask],
}

impl Batch<'_> {
    fn run(mut self) -> Result<Vec<Answer>> {
        let mut answers = vec![Answer::default(); self.asks.len()];
        let steps = self.weights.serving.steps();
        let short = |n: &usize| self.asks[*n].past.items.len() <= self.loaded.config.len;
        let of = |want: fn(&What) -> bool| (0..self.asks.len()).filter(move |n| want(&self.asks[*n].what));
        let whole: Vec<usize> = of(|w| !matches!(w, What::Similar { .. })).collect();
        let (stepped, whole): (Vec<usize>, Vec<usize>) = whole.into_iter().partition(|n| steps && short(n));
        let similar: Vec<usize> = of(|w| matches!(w, What::Similar { .. })).collect();
        if !stepped.is_empty() {
            let states = self.move_on(&stepped)?;
            self.judge(&stepped, Some(&states), &mut answers)?;
        }
        if !whole.is_empty() {
            self.judge(&whole, None, &mut answers)?;
        }
        for n in similar {
            answers[n].items = self.similar(n)?;
        }
        self.worker.metrics.device_live.set(self.weights.serving.gpu().memory().live as i64);
        self.worker.metrics.device_reserved.set(self.weights.serving.gpu().memory().reserved as i64);
        Ok(answers)
    }

    fn history(&self, n: usize) -> History<'_> {
        self.asks[n].past.history(self.asks[n].request)
    }

    /// Recommendations and scores for requests `which`, from their `states` or from their histories.
    fn judge(&self, which: &[usize], states: Option<&[f32]>, answers: &mut [Answer]) -> Result<()> {
        let dim = self.loaded.config.dim;
        let serving = &self.weights.serving;
        let place = |n: &usize| which.iter().position(|w| w == n).unwrap_or(0);
        let of_states = |list: &[usize]| -> Option<(Vec<f32>, Vec<u32>)> {
            let states = states?;
            let rows = list.iter().flat_map(|n| states[place(n) * dim..][..dim].iter().copied()).collect();
            Some((rows, list.iter().map(|n| self.asks[*n].past.user).collect()))
        };
        let (mut best, mut exclude, mut k) = (Vec::new(), Vec::new(), 1);
        let (mut given, mut items) = (Vec::new(), Vec::new());
        for n in which {
            match &self.asks[*n].what {
                What::Recommend { exclude: without, top, .. } => {
                    best.push(*n);
                    exclude.push(without.clone());
                    k = k.max(*top);
                }
                What::Score { items: list } => {
                    given.push(*n);
                    items.push(list.clone());
                }
                What::Similar { .. } | What::Advance => (),
            }
        }
        let histories = |list: &[usize]| -> Vec<History> { list.iter().map(|n| self.history(*n)).collect() };
        if !best.is_empty() {
            let found = match of_states(&best) {
                Some((states, users)) => serving.recommend_from(&states, &users, &exclude, k)?,
                None => serving.recommend(&histories(&best), &exclude, k)?,
            };
            for (n, mut list) in best.into_iter().zip(found) {
                let What::Recommend { top, explain, .. } = self.asks[n].what else { continue };
                list.retain(|r| r.item as usize <= serving.items());
                list.truncate(top);
                answers[n].items = list;
                if explain {
                    answers[n].weights = serving.explain(&self.history(n).last(self.loaded.config.len))?;
                }
            }
        }
        if !given.is_empty() {
            let found = match of_states(&given) {
                Some((states, users)) => serving.score_from(&states, &users, &items)?,
                None => serving.score(&histories(&given), &items)?,
            };
            given.into_iter().zip(found).for_each(|(n, list)| answers[n].items = list);
        }
        Ok(())
    }

    /// The GRU's states after the histories of requests `which`, from the states that the store has; those that moved are
    /// kept there.
    fn move_on(&self, which: &[usize]) -> Result<Vec<f32>> {
        let dim = self.loaded.config.dim;
        let mut states = vec![0.0; which.len() * dim];
        let mut done: Vec<usize> =
            which.iter().enumerate().map(|(at, n)| self.start(*n, &mut states[at * dim..][..dim])).collect();
        let before = done.clone();
        let behind = |done: &[usize], at: usize| self.asks[which[at]].past.items.len() - done[at];
        let far: Vec<usize> = (0..which.len()).filter(|at| done[*at] == 0 || behind(&done, *at) > LAG).collect();
        if !far.is_empty() {
            let histories: Vec<History> = far.iter().map(|at| self.history(which[*at])).collect();
            let rows = self.weights.serving.states_after(&histories)?;
            for (at, row) in far.iter().zip(rows.chunks_exact(dim)) {
                states[at * dim..][..dim].copy_from_slice(row);
                done[*at] = self.asks[which[*at]].past.items.len();
            }
            self.worker.metrics.rebuilt.inc_by(far.len() as u64);
        }
        loop {
            let next: Vec<usize> = (0..which.len()).filter(|at| behind(&done, *at) > 0).collect();
            if next.is_empty() {
                break;
            }
            let histories: Vec<History> =
                next.iter().map(|at| up_to(self.history(which[*at]), done[*at] + 1)).collect();
            let rows: Vec<f32> = next.iter().flat_map(|at| states[at * dim..][..dim].iter().copied()).collect();
            let rows = self.weights.serving.step(&rows, &histories)?;
            for (at, row) in next.iter().zip(rows.chunks_exact(dim)) {
                states[at * dim..][..dim].copy_from_slice(row);
                done[*at] += 1;
            }
            self.worker.metrics.steps.inc_by(next.len() as u64);
        }
        self.keep(which, &before, &states);
        Ok(states)
    }

    /// Copies the state that the store has for request `n`, and says how many events it covers.
    fn start(&self, n: usize, row: &mut [f32]) -> usize {
        let past = &self.asks[n].past;
        let state = self.asks[n].keeping.as_ref().and_then(|k| k.state.as_ref());
        let fits = |s: &&State| {
            let count = s.count as usize;
            s.model == self.loaded.mark
                && s.values.len() == row.len()
                && (1..=past.items.len()).contains(&count)
                && s.digest == past.digest(count, &self.loaded.items())
        };
        let Some(state) = state.filter(fits) else { return 0 };
        row.copy_from_slice(&state.values);
        state.count as usize
    }

    fn keep(&self, which: &[usize], before: &[usize], states: &[f32]) {
        let dim = self.loaded.config.dim;
        let mut moved = Vec::new();
        for (at, n) in which.iter().enumerate() {
            let past = &self.asks[*n].past;
            let Some(keeping) = self.asks[*n].keeping.as_ref().filter(|k| !k.last.is_empty()) else { continue };
            if before[at] == past.items.len() {
                continue;
            }
            let count = past.items.len();
            let values = states[at * dim..][..dim].to_vec();
            let state = State {
                model: self.loaded.mark,
                count: count as u64,
                digest: past.digest(count, &self.loaded.items()),
                values,
            };
            moved.push(Moved { user: keeping.name.clone(), last: keeping.last.clone(), state });
        }
        if !moved.is_empty() {
            self.worker.writer.states(moved);
        }
    }

    fn similar(&mut self, n: usize) -> Result<Vec<Recommendation>> {
        let What::Similar { item, top } = self.asks[n].what else { return Ok(Vec::new()) };
        let Weights { serving, directions } = &mut *self.weights;
        let table = match directions {
            Some(table) => table,
            None => directions.insert(serving.directions()?),
        };
        serving.similar(table, item, top)
    }
}

/// The first `count` events of a history.
fn up_to(history: History<'_>, count: usize) -> History<'_> {
    History {
        items: &history.items[..count],
        times: &history.times[..count],
        places: history.places.map(|p| &p[..count]),
        ratings: history.ratings.map(|r| &r[..count]),
        ..history
    }
}
