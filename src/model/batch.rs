//! From histories on the host to the tensors of one forward pass.

use super::{Catalogue, Config};
use crate::gpu::Gpu;
use crate::ops::{BiasLayout, Ids, Moment, Packed, SpaceTime};
use crate::tensor::Tensor;

/// When and where a recommendation is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Request {
    pub time: Option<i64>,
    /// Latitude and longitude in degrees.
    pub place: Option<[f32; 2]>,
}

/// One user's history, oldest first. Borrowed columns, so that making a batch copies nothing but what it keeps.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// 0 is a user never seen.
    pub user: u32,
    pub items: &'a [u32],
    /// Seconds.
    pub times: &'a [i64],
    /// Latitude and longitude of each event, in degrees; NaN where unknown.
    pub places: Option<&'a [[f32; 2]]>,
    pub ratings: Option<&'a [f32]>,
    pub request: Request,
}

impl<'a> History<'a> {
    /// The last `len` events.
    #[must_use]
    pub fn last(&self, len: usize) -> History<'a> {
        self.part(self.items.len().saturating_sub(len)..self.items.len())
    }

    /// The first `len` events.
    #[must_use]
    pub fn first(&self, len: usize) -> History<'a> {
        self.part(0..len.min(self.items.len()))
    }

    fn part(&self, events: std::ops::Range<usize>) -> History<'a> {
        History {
            items: &self.items[events.clone()],
            times: &self.times[events.clone()],
            places: self.places.map(|p| &p[events.clone()]),
            ratings: self.ratings.map(|r| &r[events]),
            ..*self
        }
    }
}

/// The columns of a history, for one that no dataset holds as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    pub items: Vec<u32>,
    pub times: Vec<i64>,
    pub places: Option<Vec<[f32; 2]>>,
    pub ratings: Option<Vec<f32>>,
}

impl Columns {
    pub fn history(&self, user: u32, request: Request) -> History<'_> {
        let Columns { items, times, places, ratings } = self;
        History { user, items, times, places: places.as_deref(), ratings: ratings.as_deref(), request }
    }

    /// From now on nothing is known of event `t` but its time.
    pub fn hide(&mut self, t: usize) {
        self.items[t] = 0;
        if let Some(places) = &mut self.places {
            places[t] = [f32::NAN; 2];
        }
        if let Some(ratings) = &mut self.ratings {
            ratings[t] = f32::NAN;
        }
    }

    /// `history` with a hidden event behind it, which stands for what is asked for: at the time of the request where that
    /// is known, else at that of the newest event.
    pub(super) fn asking(config: &Config, history: &History) -> Columns {
        let newest = history.times.last().copied().unwrap_or(0);
        let mut asked = Columns {
            items: [history.items, &[0]].concat(),
            times: [history.times, &[history.request.time.filter(|_| config.request_time).unwrap_or(newest)]].concat(),
            places: history.places.map(|p| [p, &[[f32::NAN; 2]]].concat()),
            ratings: history.ratings.map(|r| [r, &[f32::NAN]].concat()),
        };
        asked.hide(history.items.len());
        asked
    }
}

/// One table of the event embedding: its name, its rows, and the row of an event. Row 0 is for padding and "unknown".
pub(super) struct Input {
    pub name: &'static str,
    pub rows: usize,
    row: fn(&Config, &History, usize) -> u32,
}

/// The tables of the event embedding besides items and positions.
pub(super) fn inputs(config: &Config) -> Vec<Input> {
    const WEEK_HOURS: u32 = 168;
    // Knots a factor of sqrt(2) apart, from a minute to two years.
    const GAPS: u32 = 40;
    let mut list = Vec::new();
    if config.time_input {
        list.push(Input {
            name: "week_hour",
            rows: 169,
            row: |c, h, t| 1 + hour_of_week(query_time(c, h, t)) % WEEK_HOURS,
        });
        list.push(Input { name: "day_hour", rows: 25, row: |c, h, t| 1 + hour_of_week(query_time(c, h, t)) % 24 });
        list.push(Input {
            name: "gap",
            rows: GAPS as usize + 2,
            row: |c, h, t| 1 + ((2.0 * (1.0 + gap(c, h, t) / 60.0).log2()) as u32).min(GAPS),
        });
    }
    if config.rating_input {
        list.push(Input { name: "rating", rows: 12, row: |_, h, t| h.ratings.map_or(0, |r| rating_bucket(r[t])) });
    }
    if config.bidirectional {
        list.push(Input { name: "mask", rows: 2, row: |_, h, t| u32::from(h.items[t] == 0) });
    }
    list
}

/// Whether each position asks for what comes next, at a time that is known. One that looks both ways asks at its own.
fn asks_ahead(config: &Config) -> bool {
    config.request_time && !config.bidirectional
}

/// Seconds from event `t` to the one asked for where that is known, else from the one before to event `t`.
fn gap(config: &Config, h: &History, t: usize) -> f32 {
    let (from, to) = match asks_ahead(config) {
        true => (h.times[t], query_time(config, h, t)),
        false => (h.times[t.saturating_sub(1)], h.times[t]),
    };
    to.saturating_sub(from).max(0) as f32
}

/// Tensors of one forward pass over `rows` histories, one behind the other: nothing is padded.
#[derive(Debug)]
pub struct Batch {
    pub rows: usize,
    /// Events of the longest history.
    pub len: usize,
    /// Where each history begins.
    pub packed: Packed,
    /// `[events]` items, 0 for hidden ones.
    pub items: Ids,
    /// `[rows]`
    pub users: Ids,
    /// The history of each event.
    pub(super) row_of: Vec<u32>,
    /// `[events]` positions, counted back from the newest event of each history, which has 1.
    pub positions: Option<Ids>,
    /// `[events]` rows of the tables of the event embedding, in their order.
    pub(super) inputs: Vec<Ids>,
    pub context: Option<Tensor>,
}

impl Batch {
    /// # Panics
    /// When there are no histories, or one is empty or longer than `config.len`.
    #[track_caller]
    pub fn new(gpu: &Gpu, config: &Config, catalogue: &Catalogue, histories: &[History]) -> Batch {
        let rows = histories.len();
        let lengths = || histories.iter().map(|h| h.items.len());
        let (shortest, len) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
        assert!(
            shortest >= 1 && len <= config.len,
            "batch: histories of 1 to {} events, got {shortest} to {len}",
            config.len
        );
        let lengths: Vec<usize> = lengths().collect();
        let packed = Packed::new(gpu, &lengths);
        let of_all = |value: &dyn Fn(&History, usize) -> u32| -> Vec<u32> {
            histories.iter().flat_map(|h| (0..h.items.len()).map(move |t| value(h, t))).collect()
        };
        let ids = |values: Vec<u32>, n: usize| Ids::new(gpu, &values, &[values.len()], n);
        let position = |h: &History, t: usize| (h.items.len() - t) as u32;
        let row_of = (0u32..).zip(&lengths).flat_map(|(row, n)| std::iter::repeat_n(row, *n)).collect();
        Batch {
            rows,
            len,
            items: ids(of_all(&|h, t| h.items[t]), catalogue.n_items + 1),
            users: ids(histories.iter().map(|h| h.user).collect(), catalogue.n_users + 1),
            row_of,
            positions: config.positions.then(|| ids(of_all(&position), config.len + 1)),
            inputs: inputs(config).iter().map(|i| ids(of_all(&|h, t| (i.row)(config, h, t)), i.rows)).collect(),
            context: config.biased().then(|| context(gpu, config, catalogue, histories, &lengths)),
            packed,
        }
    }

    /// Events of all histories.
    pub fn events(&self) -> usize {
        self.row_of.len()
    }

    /// Where each history begins among them.
    pub fn begins(&self) -> Vec<u32> {
        let first = |at: &usize| *at == 0 || self.row_of[at - 1] != self.row_of[*at];
        (0..self.row_of.len()).filter(first).map(|at| at as u32).collect()
    }

    /// `[rows]` rows of an `[events, dim]` tensor that hold each history's last event.
    pub fn last_positions(&self, gpu: &Gpu) -> Ids {
        let next = |at: usize| self.row_of.get(at + 1);
        let ids: Vec<u32> =
            (0..self.row_of.len()).filter(|at| next(*at) != Some(&self.row_of[*at])).map(|at| at as u32).collect();
        Ids::new(gpu, &ids, &[self.rows], self.row_of.len())
    }

    pub(super) fn bias(&self, layout: BiasLayout, table: &Tensor) -> Option<SpaceTime> {
        let context = self.context.clone()?;
        Some(SpaceTime { context, table: table.clone(), layout })
    }
}

/// The time by which position `t` is asked what comes next.
fn query_time(config: &Config, h: &History, t: usize) -> i64 {
    if !asks_ahead(config) {
        return h.times[t];
    }
    let next = h.times.get(t + 1).copied().or(h.request.time);
    next.unwrap_or(h.times[t])
}

fn context(gpu: &Gpu, config: &Config, catalogue: &Catalogue, histories: &[History], lengths: &[usize]) -> Tensor {
    let unknown = [f32::NAN; 2];
    let (mut queries, mut keys) = (Vec::new(), Vec::new());
    for h in histories {
        for (t, item) in h.items.iter().map(|i| *i as usize).enumerate() {
            let of_item = || catalogue.places.as_ref().map_or(unknown, |p| p[item]);
            let lat_lon = h.places.map(|p| p[t]).filter(|p| p[0].is_finite()).unwrap_or_else(of_item);
            let key = Moment { time_s: h.times[t], lat_lon, category: catalogue.category_of(item) };
            let asked = h.request.place.filter(|_| t + 1 == h.items.len());
            queries.push(Moment { time_s: query_time(config, h, t), lat_lon: asked.unwrap_or(lat_lon), ..key });
            keys.push(key);
        }
    }
    SpaceTime::packed_context(gpu, &queries, &keys, lengths)
}

/// Hours since Monday midnight, UTC.
fn hour_of_week(seconds: i64) -> u32 {
    const WEEK: i64 = 7 * 86_400;
    const MONDAY: i64 = 4 * 86_400; // 1970-01-01 was a Thursday
    ((seconds.rem_euclid(WEEK) - MONDAY).rem_euclid(WEEK) / 3600) as u32
}

fn rating_bucket(rating: f32) -> u32 {
    if rating.is_nan() { 0 } else { ((rating * 2.0).round().clamp(0.0, 10.0) as u32) + 1 }
}
