//! The recommender: from histories to states, and from states to scores. One `forward` for training and serving.
//!
//! ```text
//! items, categories, places, features → item vectors v ──────────────┐
//! event embedding x = (v[item] + time + rating) √dim + position      │
//! h = x + GRU(x; h₀ = tanh(W_u e_u)) → attention → blocks → norm → H │
//! state = H + W_p pool(H) + M e_u            score = state · v + b ──┘ (or v of their own: `tied = false`)
//! p = (1 − g) softmax(score) + g pointer(H), g = σ(W_g H): where people come back (`repeats.rs`)
//! ```

mod batch;
mod catalogue;
mod config;
mod loss;
mod mixed;
mod neighbours;
mod repeats;
mod score;
mod serving;

pub use batch::{Batch, Columns, History, Request};
pub use catalogue::Catalogue;
pub use config::{Config, PRESETS};
pub use loss::{Drawn, Objective, OutputTask, Targets};
pub use neighbours::Neighbours;
pub use score::Recommendation;
pub use serving::{NewItem, Serving};

use crate::gpu::Gpu;
use crate::nn::{Block, BlockInput, Init, LayerNorm, Linear, Params, gru_weights};
use crate::ops::{self, Activation, BiasLayout, GruWeights, Ids, ItemTable, Items, Rows};
use crate::tape::Tape;
use crate::tensor::Tensor;
use repeats::Repeats;

/// Standard deviation of a fresh embedding, as in the papers' code.
const EMBEDDING: Init = Init::Normal(0.02);

/// The model on a device: parameters, and constants of the catalogue.
#[derive(Debug)]
pub struct Model {
    gpu: Gpu,
    config: Config,
    catalogue: Catalogue,
    /// Items that training saw: a server may have room for more.
    trained_items: usize,
    params: Params,
    item_table: Tensor,
    /// What items are scored by, where that is not what they are read by.
    output_table: Option<Tensor>,
    /// The same in fewer bits, to score with.
    packed: Option<ItemTable>,
    item_bias: Option<Tensor>,
    /// Category table and the category of each item.
    category: Option<(Tensor, Ids)>,
    /// What is known of each item, and its map into vectors: waves of its place, numeric features.
    known: Vec<(Tensor, Linear)>,
    positions: Option<Tensor>,
    /// Tables of the event embedding: see [`batch::inputs`].
    inputs: Vec<Tensor>,
    user: Option<User>,
    gru: Option<GruWeights>,
    /// The attention stage (if any) and the Transformer blocks, each with its bias table.
    blocks: Vec<(Block, Option<Tensor>)>,
    norm: Option<LayerNorm>,
    pool: Option<(Tensor, Linear)>,
    output: Option<Linear>,
    repeats: Option<Repeats>,
    layout: BiasLayout,
}

#[derive(Debug)]
struct User {
    table: Tensor,
    start: Option<Linear>,
    mf: Option<Linear>,
}

impl Model {
    /// Fresh parameters from `seed`. `config` must be valid: see [`Config::validate`].
    pub fn new(gpu: &Gpu, config: &Config, catalogue: Catalogue, seed: u64) -> Model {
        let mut params = Params::new(gpu, seed);
        let p = &mut params;
        let dim = config.dim;
        let item_table = p.add("item.table", &[catalogue.n_items + 1, dim], EMBEDDING);
        let item_bias = config.item_bias.then(|| p.add("item.bias", &[catalogue.n_items + 1], Init::Zero));
        let category = catalogue.categories.as_ref().filter(|_| config.category_input).map(|of_item| {
            let table = p.add("category.table", &[catalogue.n_categories + 1, dim], EMBEDDING);
            (table, Ids::new(gpu, of_item, &[catalogue.n_items + 1], catalogue.n_categories + 1))
        });
        let known = known_of_items(gpu, p, config, &catalogue);
        let mut table = |name: &str, rows: usize, on: bool| on.then(|| p.add(name, &[rows, dim], EMBEDDING));
        let positions = table("position.table", config.len + 1, config.positions);
        let inputs = batch::inputs(config);
        let inputs = inputs.iter().filter_map(|i| table(&format!("{}.table", i.name), i.rows, true)).collect();
        let users = table("user.table", catalogue.n_users + 1, config.user);
        let user = users.map(|table| User {
            table,
            start: config.gru.then(|| Linear::new(p, "user.start", [dim, dim], false)),
            mf: config.mf.then(|| Linear::new(p, "user.mf", [dim, dim], false)),
        });
        let gru = config.gru.then(|| gru_weights(p, "gru", [dim, dim]));
        let layout = bias_layout(config, &catalogue);
        let blocks = blocks(p, config, layout);
        let norm = (!blocks.is_empty()).then(|| LayerNorm::new(p, "norm", dim));
        let pool = config
            .pool
            .then(|| (p.add("pool.weight", &[dim], Init::ZeroMatrix), Linear::zero(p, "pool.out", [dim, dim])));
        // One to start with: a random sign could begin with better items being less probable.
        let output = (config.output_weight > 0.0).then(|| Linear {
            w: p.add("output.weight", &[1, 1], Init::One),
            b: Some(p.add("output.bias", &[1], Init::Zero)),
        });
        let repeats = config.repeats.then(|| Repeats::new(p, dim, layout));
        let output_table = (!config.tied).then(|| p.add("item.output", &[catalogue.n_items + 1, dim], EMBEDDING));
        Model {
            gpu: gpu.clone(),
            config: config.clone(),
            trained_items: catalogue.n_items,
            catalogue,
            params,
            item_table,
            output_table,
            packed: None,
            item_bias,
            category,
            known,
            positions,
            inputs,
            user,
            gru,
            blocks,
            norm,
            pool,
            output,
            repeats,
            layout,
        }
    }

    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub fn params(&self) -> &Params {
        &self.params
    }

    pub fn layout(&self) -> BiasLayout {
        self.layout
    }

    /// Whether the catalogue shares the probability with others.
    fn mixes(&self) -> bool {
        self.repeats.is_some() || self.catalogue.neighbours.is_some()
    }

    /// Bias tables `[heads, n]` of the attention stage and the blocks, in order.
    pub fn bias_tables(&self) -> Vec<&Tensor> {
        self.blocks.iter().filter_map(|(_, table)| table.as_ref()).collect()
    }

    /// Bias table `[1, n]` of the pointer into the own history.
    pub fn pointer_bias(&self) -> Option<&Tensor> {
        self.repeats.as_ref().and_then(|r| r.table.as_ref())
    }

    /// `[n_items + 1, dim]`: each item's own vector with what its category, place and features add.
    pub fn vectors(&self, tape: &mut Tape) -> Tensor {
        self.with_known(tape, &self.item_table)
    }

    /// `[n_items + 1, dim]`: what states are compared with: `vectors`, or the output's own with the same additions.
    pub fn outputs(&self, tape: &mut Tape, vectors: &Tensor) -> Tensor {
        self.output_table.as_ref().map_or_else(|| vectors.clone(), |table| self.with_known(tape, table))
    }

    fn with_known(&self, tape: &mut Tape, table: &Tensor) -> Tensor {
        let mut v = table.clone();
        if let Some((table, of_item)) = &self.category {
            let rows = Rows { table, ids: of_item, padding: Some(0), factor: 1.0 };
            v = ops::embedding_onto(tape, Some(&v), rows, 0.0);
        }
        for (known, map) in &self.known {
            v = map.forward(tape, known, Activation::None, Some(&v));
        }
        v
    }

    /// From now on `values: [n_items + 1, dim]` are the vectors of the items, `outputs` those to score with where they are
    /// others, and `packed` the latter in fewer bits: a model to serve from.
    pub(crate) fn fix_items(&mut self, values: &[f32], outputs: Option<&[f32]>, packed: Option<ItemTable>) {
        self.item_table.write(values);
        if let (Some(table), Some(outputs)) = (&self.output_table, outputs) {
            table.write(outputs);
        }
        self.category = None;
        self.known.clear();
        self.packed = packed;
    }

    /// What scores are computed with, where `vectors` are those of all items.
    fn scored<'a>(&'a self, vectors: &'a Tensor) -> Items<'a> {
        let packed = self.packed.as_ref().filter(|packed| packed.rows() == vectors.rows());
        packed.map_or(Items::from(vectors), Items::from)
    }

    /// `[events, dim]`: event embedding.
    fn events(&self, tape: &mut Tape, batch: &Batch, vectors: &Tensor) -> Tensor {
        let factor = if self.config.scale_inputs { (self.config.dim as f32).sqrt() } else { 1.0 };
        let tables = std::iter::once((vectors, &batch.items)).chain(self.inputs.iter().zip(&batch.inputs));
        let mut terms: Vec<Rows> = tables.map(|(table, ids)| Rows { table, ids, padding: Some(0), factor }).collect();
        if let (Some(table), Some(ids)) = (&self.positions, &batch.positions) {
            terms.push(Rows { table, ids, padding: Some(0), factor: 1.0 });
        }
        let last = terms.len() - 1;
        let dropout = |i: usize| if i == last { self.config.input_dropout } else { 0.0 };
        let add = |x: Option<Tensor>, (i, rows)| Some(ops::embedding_onto(tape, x.as_ref(), rows, dropout(i)));
        terms.into_iter().enumerate().fold(None, add).expect("items are always there")
    }

    /// `[events, dim]`: what the sequence says at each event. `None` where no stage looks at it.
    fn sequence(&self, tape: &mut Tape, batch: &Batch, vectors: &Tensor) -> Option<Tensor> {
        if !self.config.sequential() {
            return None;
        }
        let mut x = self.events(tape, batch, vectors);
        if let Some(h) = self.recur(tape, batch, &x) {
            // Where other stages follow, the GRU joins as a residual: alone in the path it hurts them.
            let followed = !self.blocks.is_empty() || self.pool.is_some();
            x = if followed { ops::add(tape, &x, &h) } else { h };
        }
        for (block, table) in &self.blocks {
            let bias = table.as_ref().and_then(|table| batch.bias(self.layout, table));
            x = block.forward(tape, &x, self.block_input(batch, bias.as_ref()));
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(tape, &x);
        }
        if let Some((w, out)) = &self.pool {
            let pooled = ops::attention_pool(tape, &x, w, &batch.packed);
            x = out.forward(tape, &pooled, Activation::None, Some(&x));
        }
        Some(x)
    }

    /// The GRU over the events, started from the user's vector.
    fn recur(&self, tape: &mut Tape, batch: &Batch, x: &Tensor) -> Option<Tensor> {
        let gru = self.gru.as_ref()?;
        let start = self.user.as_ref().and_then(|u| u.start.as_ref().map(|map| (u, map))).map(|(user, map)| {
            let e = ops::embedding(tape, &user.table, &batch.users, None);
            map.forward(tape, &e, Activation::Tanh, None)
        });
        Some(ops::gru(tape, x, gru, start.as_ref(), &batch.packed))
    }

    fn block_input<'a>(&self, batch: &'a Batch, bias: Option<&'a ops::SpaceTime>) -> BlockInput<'a> {
        let Config { dropout, bidirectional, .. } = self.config;
        BlockInput { lengths: (&batch.packed).into(), bias, dropout, causal: !bidirectional }
    }

    /// `[n, dim]`: user states at `n` events of the batch, which score items by `state · v + b`.
    pub fn states(&self, tape: &mut Tape, batch: &Batch, vectors: &Tensor, at: &Ids) -> Tensor {
        let h = self.sequence(tape, batch, vectors);
        let own = h.map(|h| rows_of(tape, &h, at));
        self.states_from(tape, batch, own.as_ref(), at)
    }

    /// The same from `own: [n, dim]`, what the sequence says at these positions.
    fn states_from(&self, tape: &mut Tape, batch: &Batch, own: Option<&Tensor>, at: &Ids) -> Tensor {
        let mut state = own.cloned();
        if let Some((user, mf)) = self.user.as_ref().and_then(|u| u.mf.as_ref().map(|mf| (u, mf))) {
            let of = |event: &u32| batch.users.host()[batch.row_of[*event as usize] as usize];
            let users: Vec<u32> = at.host().iter().map(of).collect();
            let ids = Ids::new(&self.gpu, &users, &[users.len()], self.catalogue.n_users + 1);
            let e = ops::embedding(tape, &user.table, &ids, None);
            state = Some(mf.forward(tape, &e, Activation::None, state.as_ref()));
        }
        state.expect("a valid configuration has a stage that makes a state")
    }

    /// `[rows, heads, len]`: what each row's last event attends to in the first attention of the model, if there is one.
    pub fn attention_weights(&self, batch: &Batch) -> Option<Tensor> {
        let (block, table) = self.blocks.first()?;
        let tape = &mut Tape::off();
        let vectors = self.vectors(tape);
        let mut x = self.events(tape, batch, &vectors);
        if let Some(h) = self.recur(tape, batch, &x) {
            x = ops::add(tape, &x, &h);
        }
        let bias = table.as_ref().and_then(|table| batch.bias(self.layout, table));
        Some(block.last_weights(&x, self.block_input(batch, bias.as_ref())))
    }
}

/// `[n, dim]`: rows `at` of `x: [events, dim]`; `x` itself where these are all of them.
fn rows_of(tape: &mut Tape, x: &Tensor, at: &Ids) -> Tensor {
    let all = at.host().len() == x.shape()[0] && at.host().iter().copied().eq(0..x.shape()[0] as u32);
    if all { x.clone() } else { ops::embedding(tape, x, at, None) }
}

/// Waves of the places and numeric features, where the configuration uses them and the catalogue has them.
fn known_of_items(gpu: &Gpu, p: &mut Params, config: &Config, catalogue: &Catalogue) -> Vec<(Tensor, Linear)> {
    let mut known = Vec::new();
    let mut add = |name: &str, values: &[f32], width: usize| {
        let values = Tensor::from_slice(gpu, values, &[catalogue.n_items + 1, width]);
        known.push((values, Linear::zero(p, name, [width, config.dim])));
    };
    if let Some((waves, width)) = catalogue.place_waves().filter(|_| config.place_input) {
        add("place.map", &waves, width);
    }
    if config.feature_input && catalogue.feature_dim > 0 {
        add("feature.map", &catalogue.features, catalogue.feature_dim);
    }
    known
}

fn bias_layout(config: &Config, catalogue: &Catalogue) -> BiasLayout {
    let places = config.place_bias && (catalogue.places.is_some() || catalogue.event_places);
    BiasLayout {
        time_knots: if config.time_bias { config.time_knots } else { 0 },
        place_knots: if places { config.place_knots } else { 0 },
        categories: if config.category_bias && catalogue.categories.is_some() { catalogue.n_categories + 1 } else { 0 },
        positions: if config.position_bias { config.len } else { 0 },
        time_unit_s: config.time_unit_s,
        // A gap of 30 years takes the last knot.
        time_per_octave: (config.time_knots - 1) as f32 / (1.0 + 30.0 * 3.156e7 / config.time_unit_s).log2(),
        place_unit_km: config.place_unit_km,
        // As does the other side of the globe.
        place_per_octave: (config.place_knots - 1) as f32 / (1.0 + 12_742.0 / config.place_unit_km).log2(),
    }
}

fn blocks(p: &mut Params, config: &Config, layout: BiasLayout) -> Vec<(Block, Option<Tensor>)> {
    let stage = config.attention.then(|| ("attention".to_string(), None));
    let deep = (0..config.blocks).map(|i| (format!("block{i}"), Some(config.ffn * config.dim)));
    let biased = layout.size() > 0;
    let mut make = |(name, ffn_dim): (String, Option<usize>)| {
        let block = Block::new(p, &name, config.dim, config.heads, ffn_dim);
        let table = || p.add(&format!("{name}.bias"), &[config.heads, layout.size()], Init::Zero);
        (block, biased.then(table))
    };
    stage.into_iter().chain(deep).map(&mut make).collect()
}
