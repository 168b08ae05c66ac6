//! One request, as a server sees it: the history of one person in, the ten best of many items out, on the host.

use super::work::Cost;
use desirepath::check::Rng;
use desirepath::model::{self, Catalogue, Config, History, Model};
use desirepath::{Error, Gpu, Result};

const LEN: usize = 50;
const DIM: usize = 64;
const TOP: usize = 10;
pub const ITEMS: [usize; 2] = [3417, 1_000_000];

pub fn name(items: usize) -> String {
    match items {
        1_000_000 => format!("request-1x{LEN}x{DIM}x1m"),
        n => format!("request-1x{LEN}x{DIM}x{n}"),
    }
}

/// The preset `sasrec`, untrained: what it computes does not depend on what it has learned.
pub struct Request {
    model: Model,
    items: Vec<u32>,
    times: Vec<i64>,
}

impl Request {
    pub fn new(gpu: &Gpu, items: usize) -> Result<Request> {
        let config = Config { dim: DIM, len: LEN, ..Config::preset("sasrec")? };
        let catalogue = Catalogue { n_users: 1, n_items: items, ..Catalogue::default() };
        let mut rng = Rng::new(5);
        let request = Request {
            model: Model::new(gpu, &config, catalogue, 1),
            items: (0..LEN).map(|_| 1 + rng.below(items) as u32).collect(),
            times: (0..LEN as i64).collect(),
        };
        request.verify()?;
        Ok(request)
    }

    fn history(&self) -> History<'_> {
        let request = model::Request::default();
        History { user: 0, items: &self.items, times: &self.times, places: None, ratings: None, request }
    }

    pub fn answer(&self) -> Result<()> {
        self.model.recommend(&[self.history()], &[Vec::new()], TOP).map(drop)
    }

    /// The best ten are those that a ranking of each puts at 1 to 10.
    fn verify(&self) -> Result<()> {
        let found = self.model.recommend(&[self.history()], &[Vec::new()], TOP)?;
        for (i, best) in found[0].iter().enumerate() {
            let rank = self.model.ranks(&[self.history()], &[best.item], &[Vec::new()])?;
            if rank != [i as u32 + 1] {
                return Err(Error::Gpu(format!("recommendation {} has rank {rank:?}; not timed", i + 1)));
            }
        }
        Ok(())
    }

    /// Every weight once, for each event of the history, and every item once.
    pub fn cost(&self) -> Cost {
        let numbers = self.model.params().list().iter().map(|p| p.tensor.len()).sum::<usize>();
        let is_weight = |name: &str| !name.ends_with(".table") && !name.ends_with(".bias");
        let weights: usize =
            self.model.params().list().iter().filter(|p| is_weight(&p.name)).map(|p| p.tensor.len()).sum();
        let scored = self.model.catalogue().n_items * DIM;
        Cost { flops: (2 * (LEN * weights + scored)) as f64, bytes: 4.0 * numbers as f64 }
    }
}
