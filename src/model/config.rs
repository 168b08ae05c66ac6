use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Every stage of the model, each with its switch. A preset is nothing but values of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Width of every vector.
    pub dim: usize,
    /// Longest history that the model sees; older events are cut off.
    pub len: usize,
    pub heads: usize,
    /// Transformer blocks.
    pub blocks: usize,
    /// Inner width of a block's feed-forward part, as a multiple of `dim`.
    pub ffn: usize,
    pub dropout: f32,
    /// Dropout on the event embedding.
    pub input_dropout: f32,
    /// Multiply event embeddings by `sqrt(dim)`, so that they weigh beside positions and norms.
    pub scale_inputs: bool,
    /// Learned position embedding.
    pub positions: bool,
    /// Events see those after them, too: trained by hiding some and asking what they were, and asked by a hidden event at
    /// the end. For a Transformer alone.
    pub bidirectional: bool,
    /// Items are scored by the vectors by which they are read, or by others of their own.
    pub tied: bool,

    /// User embedding: starts the GRU, scores items (the matrix-factorisation term).
    pub user: bool,
    /// Share of training rows whose user is made "never seen", so that unknown users are served well.
    pub user_dropout: f32,
    /// `dot(e_u, c_i)` in the score, with `c_i` a linear map of the item's vector.
    pub mf: bool,
    pub gru: bool,
    /// The spatio-temporal attention stage between GRU and Transformer.
    pub attention: bool,
    /// Causal attention pooling added to the state.
    pub pool: bool,
    /// A learned share of the probability goes to the items of the user's own history, for people who come back. Useless
    /// where seen items are filtered, and left out there.
    pub repeats: bool,
    /// Share of the catalogue's probability that goes, where items are ranked, to what others had near the newest items of
    /// the history, counted: collaborative filtering proper, for items with few events. 0 switches it off. Training does
    /// not know of it: what was learned of an event may not be mixed with counts that hold the same event.
    pub neighbours: f32,
    /// Weight, beside the ranking, of the sigmoid output `y = σ(w s + b)`; 0 switches it off. Where there are ratings it is
    /// the probability that the item will be liked, else that it is what comes next.
    pub output_weight: f32,

    /// Bias of attention scores by time gap, distance, category pair and position.
    pub time_bias: bool,
    pub place_bias: bool,
    pub category_bias: bool,
    pub position_bias: bool,
    /// What the event embedding holds besides the item.
    pub category_input: bool,
    pub place_input: bool,
    pub time_input: bool,
    pub rating_input: bool,
    pub feature_input: bool,
    /// The time of the event to be predicted is known, as a server knows the time of a request.
    pub request_time: bool,

    /// Knots of the time bias and its unit: gaps below the unit are told apart little.
    pub time_knots: usize,
    pub time_unit_s: f32,
    pub place_knots: usize,
    pub place_unit_km: f32,
    /// Per-item bias in the score.
    pub item_bias: bool,
    pub label_smoothing: f32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            dim: 64,
            len: 100,
            heads: 2,
            blocks: 1,
            ffn: 4,
            dropout: 0.2,
            input_dropout: 0.2,
            scale_inputs: true,
            positions: true,
            bidirectional: false,
            tied: true,
            user: true,
            user_dropout: 0.5,
            mf: true,
            gru: true,
            attention: true,
            pool: true,
            repeats: true,
            neighbours: 0.0,
            output_weight: 0.1,
            time_bias: true,
            place_bias: true,
            category_bias: true,
            position_bias: false,
            category_input: true,
            place_input: true,
            time_input: true,
            rating_input: false,
            feature_input: true,
            request_time: false,
            time_knots: 32,
            time_unit_s: 60.0,
            place_knots: 16,
            place_unit_km: 0.25,
            item_bias: true,
            label_smoothing: 0.0,
        }
    }
}

/// Names that [`Config::preset`] takes, each with what it is.
pub const PRESETS: [(&str, &str); 6] = [
    ("desirepath", "every stage (the default)"),
    ("gru4rec", "a GRU over item embeddings. Hidasi et al. 2016"),
    ("sasrec", "a causal Transformer over items and positions. Kang & McAuley 2018"),
    ("bert4rec", "a Transformer that looks both ways, trained on hidden events. Sun et al. 2019"),
    ("hstu", "a causal Transformer with time and position bias. Zhai et al. 2024"),
    ("mf", "user and item vectors alone. Koren et al. 2009"),
];

impl Config {
    /// # Errors
    /// When no preset has that name; the message lists those that exist.
    pub fn preset(name: &str) -> Result<Config> {
        // Items and nothing else: what the four classical models have in common.
        let plain = Config {
            user: false,
            mf: false,
            gru: false,
            attention: false,
            pool: false,
            repeats: false,
            neighbours: 0.0,
            output_weight: 0.0,
            time_bias: false,
            place_bias: false,
            category_bias: false,
            category_input: false,
            place_input: false,
            time_input: false,
            feature_input: false,
            positions: false,
            blocks: 0,
            ..Config::default()
        };
        Ok(match name {
            "desirepath" => Config::default(),
            "gru4rec" => Config { gru: true, ..plain },
            "sasrec" => Config { positions: true, blocks: 2, heads: 1, ..plain },
            "bert4rec" => Config { positions: true, bidirectional: true, blocks: 2, ..plain },
            "hstu" => Config { time_bias: true, position_bias: true, blocks: 2, ..plain },
            "mf" => Config { user: true, mf: true, user_dropout: 0.0, ..plain },
            _ => {
                let names: Vec<_> = PRESETS.iter().map(|(n, _)| *n).collect();
                return Err(Error::Config(format!("no preset {name:?}; there are: {}", names.join(", "))));
            }
        })
    }

    /// The same model without time and place: what the full one is compared with.
    pub fn without_time_and_place(&self) -> Config {
        Config {
            time_bias: false,
            place_bias: false,
            place_input: false,
            time_input: false,
            request_time: false,
            ..self.clone()
        }
    }

    /// Whether any stage looks at the sequence.
    pub fn sequential(&self) -> bool {
        self.gru || self.attention || self.pool || self.blocks > 0
    }

    /// Whether attention gets a learned bias at all.
    pub fn biased(&self) -> bool {
        self.time_bias || self.place_bias || self.category_bias || self.position_bias
    }

    /// # Errors
    /// When a value is out of range, naming it and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let check = |ok: bool, message: String| if ok { Ok(()) } else { Err(Error::Config(message)) };
        let share =
            |name: &str, v: f32| check((0.0..1.0).contains(&v), format!("{name} = {v}: expected 0 <= {name} < 1"));
        check((1..=1024).contains(&self.dim), format!("dim = {}: expected 1 to 1024", self.dim))?;
        check((1..=16_384).contains(&self.len), format!("len = {}: expected 1 to 16384", self.len))?;
        check(
            self.heads >= 1 && self.dim.is_multiple_of(self.heads) && self.dim / self.heads <= 128,
            format!("heads = {}: expected a divisor of dim = {} with at most 128 per head", self.heads, self.dim),
        )?;
        // Upper bounds far beyond use, so that no size overflows.
        let counts = [
            ("blocks", self.blocks, 0, 64),
            ("ffn", self.ffn, 1, 64),
            ("time_knots", self.time_knots, 2, 1024),
            ("place_knots", self.place_knots, 2, 1024),
        ];
        for (name, value, least, most) in counts {
            check((least..=most).contains(&value), format!("{name} = {value}: expected {least} to {most}"))?;
        }
        let positive = |v: f32| v > 0.0 && v.is_finite();
        check(
            positive(self.time_unit_s) && positive(self.place_unit_km),
            "time_unit_s, place_unit_km: expected more than 0".into(),
        )?;
        check(
            self.output_weight >= 0.0 && self.output_weight.is_finite(),
            format!("output_weight = {}: expected 0 or more", self.output_weight),
        )?;
        check(
            (0.0..1.0).contains(&self.neighbours),
            format!("neighbours = {}: expected 0 to 1 (without 1)", self.neighbours),
        )?;
        check(self.sequential() || self.mf, "every stage is off: switch on mf, gru, attention, pool or blocks".into())?;
        check(
            !self.repeats || self.sequential(),
            "repeats = true needs a stage that reads the history: gru, attention, pool or blocks".into(),
        )?;
        check(
            !self.bidirectional || !(self.gru || self.pool || self.repeats),
            "bidirectional = true needs gru = false, pool = false and repeats = false: they look backwards alone"
                .into(),
        )?;
        check(
            !self.bidirectional || (self.len >= 2 && (self.attention || self.blocks > 0)),
            "bidirectional = true needs attention or blocks, and len = 2 or more: the last place is for what is asked"
                .into(),
        )?;
        check(!self.mf || self.user, "mf = true needs user = true".into())?;
        share("dropout", self.dropout)?;
        share("input_dropout", self.input_dropout)?;
        share("label_smoothing", self.label_smoothing)?;
        check(
            (0.0..=1.0).contains(&self.user_dropout),
            format!("user_dropout = {}: expected 0 to 1", self.user_dropout),
        )
    }
}
