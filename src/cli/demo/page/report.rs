//! What the page shows, as plain data: the caller measures, the page draws.

/// Everything on the page.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub facts: Facts,
    /// One learning curve per trained model.
    pub curves: Vec<Curve>,
    /// In the order in which they are to be drawn, best first reads best.
    pub scores: Vec<Score>,
    /// Log-weight over the time gap; `x` in hours.
    pub time_bias: BiasCurve,
    /// Log-weight over the distance; `x` in kilometres.
    pub place_bias: BiasCurve,
    pub people: Vec<Person>,
    pub map: MapPicture,
}

/// How the run was made and how large it was.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub adapter: String,
    pub date: String,
    pub command: String,
    pub seed: u64,
    pub seconds: f64,
    pub users: usize,
    pub items: usize,
    pub events: usize,
    pub parameters: usize,
}

#[derive(Clone, Debug, Default)]
pub struct Curve {
    pub name: String,
    pub points: Vec<Epoch>,
}

#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    pub epoch: usize,
    pub training_loss: f64,
    pub validation_ndcg10: f64,
}

/// What a row of the scores is; the headline and the highlights need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The generator's own distribution: nothing can do better on average.
    Optimum,
    /// The whole model.
    Model,
    /// The same model without time and place.
    Ablation,
    Baseline,
}

#[derive(Clone, Debug)]
pub struct Score {
    pub role: Role,
    pub name: String,
    pub hr10: Measured,
    pub ndcg10: Measured,
}

/// A mean over people between 0 and 1 with its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// A planted curve and what the model learned of it. Only shapes compare (a softmax ignores constants), so the page
/// shifts each curve to mean 0. The axis is logarithmic: points with `x <= 0` are left out.
#[derive(Clone, Debug, Default)]
pub struct BiasCurve {
    pub planted: Line,
    /// One per head.
    pub learned: Vec<Line>,
}

/// Points in ascending order of x.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub label: String,
    pub points: Vec<(f64, f64)>,
}

/// One person, what they did last, what was recommended and what they really did next.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    /// The last few visits, oldest first.
    pub visits: Vec<Visit>,
    /// Best first.
    pub recommendations: Vec<Recommendation>,
    pub next: Next,
}

#[derive(Clone, Debug)]
pub struct Visit {
    pub place: String,
    pub kind: String,
    /// Weekday and time, as in "Tue 08:15".
    pub when: String,
}

#[derive(Clone, Debug)]
pub struct Recommendation {
    pub place: String,
    pub kind: String,
    /// From the last visited place.
    pub km: f64,
    /// The model's.
    pub probability: f64,
    /// 1 for the place that is likeliest under the generator's own distribution.
    pub true_rank: usize,
    pub visited_next: bool,
}

/// The visit that really came next.
#[derive(Clone, Debug)]
pub struct Next {
    pub visit: Visit,
    /// 1 for the model's first choice.
    pub model_rank: usize,
}

/// One person's attention on the map. Places are named by their index in `places`.
#[derive(Clone, Debug, Default)]
pub struct MapPicture {
    pub person: String,
    pub kinds: Vec<String>,
    pub places: Vec<Place>,
    /// In order of time; the last one is where the person is.
    pub events: Vec<Attended>,
    /// Best first.
    pub recommended: Vec<usize>,
    pub next: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct Place {
    pub name: String,
    pub lat: f64,
    pub lon: f64,
    /// Index in `MapPicture::kinds`.
    pub kind: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Attended {
    pub place: usize,
    /// The attention this event got, at least 0.
    pub weight: f64,
}
