//! A small synthetic city, whose best possible score is known.
//!
//! People have a home, tastes that drift and habits; places have a kind, opening hours and a spot on the map. Where
//! somebody goes next is drawn from a softmax over all places with planted effects of time, distance and sequence
//! (`city/choice.rs` has the formula), so the true probabilities say how well any model could do: see [`Truth`] and
//! [`crate::eval::optimum`].
//!
//! Test HR@10 of the default city: popularity .110, transitions of the last place .234, the user's own visits .276; the
//! optimum .624, and .462 for one who does not know when the next event is.

mod choice;
mod names;

pub use choice::{Chooser, Truth};

use super::Dataset;
use choice::{Person, Place, STYLES, hours, normal};
use names::KINDS;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Monday, 1 January 2024. The clock of the city is used as if it were universal time.
const START: i64 = 1_704_067_200;
const CENTRE: [f64; 2] = [53.55, 9.99];
const KM_PER_DEGREE: f64 = 111.195;
const DISTRICTS: usize = 9;
/// Kinds of people: tastes are a variation of one of these.
const CIRCLES: usize = 6;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CityOptions {
    pub users: usize,
    pub places: usize,
    /// Events of one user, drawn evenly between the two, both included.
    pub events: [usize; 2],
    pub seed: u64,
}

impl Default for CityOptions {
    fn default() -> Self {
        CityOptions { users: 500, places: 400, events: [40, 60], seed: 1 }
    }
}

#[derive(Debug, Clone)]
pub struct City {
    pub dataset: Dataset,
    pub truth: Truth,
}

impl City {
    /// The same options give the same city.
    ///
    /// # Panics
    /// If there are no users or places, or the range of events is empty or starts at 0.
    pub fn generate(options: &CityOptions) -> City {
        let [fewest, most] = options.events;
        assert!(options.users > 0 && options.places > 0, "City::generate: users and places must be at least 1");
        assert!(1 <= fewest && fewest <= most, "City::generate: events must be a range from at least 1");
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let districts: Vec<[f64; 2]> = (0..DISTRICTS).map(|_| around([0.0, 0.0], 3.0, &mut rng)).collect();
        let places = (0..options.places).map(|number| place(number, &districts, &mut rng)).collect();
        let circles: Vec<[f64; KINDS.len()]> = (0..CIRCLES).map(|_| normals(0.8, &mut rng)).collect();
        let people = (0..options.users).map(|_| person(&circles, &districts, &mut rng)).collect();
        let truth = Truth { places, people, hours: hours() };

        let mut dataset = empty_dataset(&truth);
        for user in 1..=options.users as u32 {
            let n_events = rng.random_range(fewest as u32..=most as u32);
            live(&truth, user, n_events as usize, &mut dataset, &mut rng);
        }
        City { dataset, truth }
    }
}

/// Draws the events of one user.
fn live(truth: &Truth, user: u32, n_events: usize, dataset: &mut Dataset, rng: &mut ChaCha8Rng) {
    let chooser = truth.chooser(user);
    let first = dataset.item.len();
    let mut time = START + (rng.random_range(7.0..22.0) * HOUR as f64) as i64 + rng.random_range(0..14i64) * DAY;
    for event in 0..n_events {
        if event > 0 {
            time = Truth::draw_time(time, rng);
        }
        let log_probabilities = chooser.log_probabilities(&dataset.item[first..], &dataset.time[first..], time);
        let mut left: f64 = rng.random();
        let drawn = log_probabilities.iter().position(|log_p| {
            left -= log_p.exp();
            left < 0.0
        });
        // Rounding may leave a last grain of probability to nobody.
        dataset.item.push(drawn.unwrap_or(log_probabilities.len() - 1) as u32 + 1);
        dataset.time.push(time);
    }
    if let (Some(place), Some(item_place)) = (&mut dataset.place, &dataset.item_place) {
        place.extend(dataset.item[first..].iter().map(|&item| item_place[item as usize - 1]));
    }
    dataset.offsets.push(dataset.item.len());
}

fn empty_dataset(truth: &Truth) -> Dataset {
    let mut of_kind = [0; KINDS.len()];
    let name = |place: &Place| {
        of_kind[place.kind] += 1;
        names::place(place.kind, of_kind[place.kind] - 1)
    };
    Dataset {
        users: (0..truth.people.len()).map(names::person).collect(),
        items: truth.places.iter().map(name).collect(),
        offsets: vec![0],
        place: Some(Vec::new()),
        item_category: Some(truth.places.iter().map(|place| place.kind as u32 + 1).collect()),
        categories: KINDS.iter().map(|kind| kind.category.into()).collect(),
        item_place: Some(truth.places.iter().map(|place| degrees(place.at)).collect()),
        has_time: true,
        ..Dataset::default()
    }
}

fn place(number: usize, districts: &[[f64; 2]], rng: &mut ChaCha8Rng) -> Place {
    let district = districts[rng.random_range(0..DISTRICTS as u32) as usize];
    Place {
        kind: number % KINDS.len(),
        at: around(district, 0.8, rng),
        appeal: 0.4 * normal(rng),
        style: normals(1.0, rng),
    }
}

fn person(circles: &[[f64; KINDS.len()]], districts: &[[f64; 2]], rng: &mut ChaCha8Rng) -> Person {
    let circle = rng.random_range(0..CIRCLES as u32) as usize;
    // Two in five move on to what another circle likes.
    let other = if rng.random_bool(0.4) { rng.random_range(0..CIRCLES as u32) as usize } else { circle };
    let own: [f64; KINDS.len()] = normals(0.4, rng);
    let taste = |circle: usize| std::array::from_fn(|kind| circles[circle][kind] + own[kind]);
    Person {
        home: around(districts[rng.random_range(0..DISTRICTS as u32) as usize], 1.0, rng),
        style: normals::<STYLES>(0.5, rng),
        taste: [taste(circle), taste(other)],
    }
}

fn around(at: [f64; 2], km: f64, rng: &mut ChaCha8Rng) -> [f64; 2] {
    let [east, north] = normals(km, rng);
    [at[0] + east, at[1] + north]
}

fn normals<const N: usize>(scale: f64, rng: &mut ChaCha8Rng) -> [f64; N] {
    std::array::from_fn(|_| scale * normal(rng))
}

/// Latitude and longitude. Within a city, the flat map and the globe agree to a thousandth.
fn degrees([east, north]: [f64; 2]) -> [f32; 2] {
    let latitude = CENTRE[0] + north / KM_PER_DEGREE;
    let longitude = CENTRE[1] + east / (KM_PER_DEGREE * CENTRE[0].to_radians().cos());
    [latitude as f32, longitude as f32]
}
