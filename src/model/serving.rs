//! A model that only answers: the vectors of the items are computed once, items that training never saw can join, and
//! the GRU can be moved on by single events.

use super::mixed::Mixed;
use super::{Batch, Config, History, Model, Recommendation, rows_of};
use crate::error::Result;
use crate::nn::{Linear, Params};
use crate::ops::{self, Activation, Ids};
use crate::tape::Tape;
use crate::tensor::Tensor;
use std::ops::Deref;

/// Score of a row of the catalogue that no item has yet: far below any, and above what `top_k` gives to nothing.
const FREE: f32 = -1e9;

/// What is known of an item that training never saw.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewItem {
    /// 0 where unknown.
    pub category: u32,
    /// Latitude and longitude in degrees.
    pub place: Option<[f32; 2]>,
    /// As many as the catalogue's items have; anything else counts as unknown.
    pub features: Vec<f32>,
}

/// A [`Model`] to serve from, with `spare` rows for new items. Everything that only reads a model works on it.
#[derive(Debug)]
pub struct Serving {
    model: Model,
    /// What an item's vector is made of besides its own: table of categories, maps of places and features.
    category: Option<Tensor>,
    maps: Vec<Linear>,
    /// Items that training saw; those in use; rows beyond are free.
    trained: usize,
    items: usize,
    prior: Option<Prior>,
}

/// What an item is like before anything is known of it.
#[derive(Debug)]
struct Prior {
    /// Mean own vector of the items of each category, and of all at 0; the same of those to score by, if they are others.
    means: Vec<Vec<f32>>,
    outputs: Option<Vec<Vec<f32>>>,
    /// The mean.
    bias: f32,
}

impl Deref for Serving {
    type Target = Model;
    fn deref(&self) -> &Model {
        &self.model
    }
}

impl Serving {
    /// `model` with its item vectors made and `spare` free rows. Its parameters are no longer listed.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new(mut model: Model, spare: usize) -> Result<Serving> {
        let items = model.catalogue.n_items;
        let tape = &mut Tape::off();
        let vectors = model.vectors(tape);
        let outputs = model.output_table.is_some().then(|| model.outputs(tape, &vectors));
        let prior = (spare > 0).then(|| prior(&model)).transpose()?;
        let category = model.category.take().map(|(table, _)| table);
        let maps = std::mem::take(&mut model.known).into_iter().map(|(_, map)| map).collect();
        model.params = Params::new(&model.gpu, 0);
        (model.item_table, model.output_table) = (vectors, outputs);
        let mut serving = Serving { model, category, maps, trained: items, items, prior };
        if spare > 0 {
            serving.grow(spare)?;
        }
        serving.gpu.sync()?;
        Ok(serving)
    }

    fn grow(&mut self, spare: usize) -> Result<()> {
        let Model { gpu, catalogue, item_table, output_table, item_bias, .. } = &mut self.model;
        // Row 0 is padding, which nobody reads: so are the free rows.
        let rows: Vec<u32> = (0..=self.items as u32).chain(std::iter::repeat_n(0, spare)).collect();
        let ids = Ids::new(gpu, &rows, &[rows.len()], self.items + 1);
        for table in std::iter::once(item_table).chain(output_table) {
            *table = ops::embedding(&mut Tape::off(), table, &ids, Some(0));
        }
        let mut bias = match item_bias {
            Some(bias) => bias.to_vec::<f32>()?,
            None => vec![0.0; self.items + 1],
        };
        bias.resize(rows.len(), FREE);
        *item_bias = Some(Tensor::from_slice(gpu, &bias, &[bias.len()]));
        catalogue.n_items = self.items + spare;
        if let Some(categories) = &mut catalogue.categories {
            categories.resize(rows.len(), 0);
        }
        if let Some(places) = &mut catalogue.places {
            places.resize(rows.len(), [f32::NAN; 2]);
        }
        Ok(())
    }

    /// Items in use.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Rows for items that are still free.
    pub fn spare(&self) -> usize {
        self.catalogue.n_items - self.items
    }

    /// Takes `item` into the catalogue, or changes what is known of it, and returns its id. It starts from the mean of its
    /// category (of all items, where that is unknown) and what the model has learned of categories, places and features.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When no row is free, or `id` is none of a new item.
    pub fn put(&mut self, id: Option<u32>, item: &NewItem) -> Result<u32> {
        let prior = self.prior.as_ref().expect("a catalogue with spare rows");
        let id = id.unwrap_or(self.items as u32 + 1);
        assert!((id as usize) < self.item_table.shape()[0], "no free row for item {id}");
        let (row, bias) = (self.vector_of(item, &prior.means)?, prior.bias);
        let output = prior.outputs.as_ref().map(|means| self.vector_of(item, means)).transpose()?;
        let at = id as usize;
        self.model.item_table.row_range(at, 1).write(&row);
        if let (Some(table), Some(output)) = (&self.model.output_table, output) {
            table.row_range(at, 1).write(&output);
        }
        if let Some(table) = &self.model.item_bias {
            table.row_range(at, 1).write(&[bias]);
        }
        if let Some(categories) = &mut self.model.catalogue.categories {
            categories[at] = item.category;
        }
        if let Some(places) = &mut self.model.catalogue.places {
            places[at] = item.place.unwrap_or([f32::NAN; 2]);
        }
        self.items = self.items.max(at);
        Ok(id)
    }

    /// The vector of an item that starts from one of `means`.
    fn vector_of(&self, item: &NewItem, means: &[Vec<f32>]) -> Result<Vec<f32>> {
        let own = means.get(item.category as usize).filter(|mean| !mean.is_empty()).unwrap_or(&means[0]);
        let (gpu, tape) = (&self.model.gpu, &mut Tape::off());
        let mut v = Tensor::from_slice(gpu, own, &[1, own.len()]);
        if let Some(table) = &self.category {
            let row = Ids::new(gpu, &[item.category], &[1], table.shape()[0]);
            let part = ops::embedding(tape, table, &row, Some(0));
            v = ops::add(tape, &v, &part);
        }
        for (map, known) in self.maps.iter().zip(self.known(item)) {
            let known = Tensor::from_slice(gpu, &known, &[1, known.len()]);
            v = map.forward(tape, &known, Activation::None, Some(&v));
        }
        v.to_vec()
    }

    /// What states are compared with.
    fn scored_by(&self) -> &Tensor {
        self.output_table.as_ref().unwrap_or(&self.item_table)
    }

    /// What goes into the maps for `item`, in their order.
    fn known(&self, item: &NewItem) -> Vec<Vec<f32>> {
        let (config, catalogue) = (&self.config, &self.catalogue);
        let mut list = Vec::new();
        if catalogue.places.is_some() && config.place_input {
            list.push(catalogue.waves_of(item.place, self.trained));
        }
        if config.feature_input && catalogue.feature_dim > 0 {
            let fits = item.features.len() == catalogue.feature_dim;
            list.push(if fits { item.features.clone() } else { vec![0.0; catalogue.feature_dim] });
        }
        list
    }

    /// The `k` items whose vectors point most nearly where that of `item` does, with the cosine as score.
    ///
    /// # Errors
    /// When the device fails.
    pub fn similar(&self, directions: &Tensor, item: u32, k: usize) -> Result<Vec<Recommendation>> {
        let gpu = &self.gpu;
        let query = directions.row_range(item as usize, 1).to_vec::<f32>()?;
        let query = Tensor::from_slice(gpu, &query, &[1, query.len()]);
        let apart = ops::Exclusions::new(gpu, &[vec![item]]);
        let k = k.min(self.catalogue.n_items);
        let (scores, ids) = ops::top_k(gpu, &query, directions, None, Some(&apart), k, 1);
        let (scores, ids) = (scores.to_vec::<f32>()?, ids.to_vec::<u32>()?);
        let found = ids.iter().zip(scores).filter(|(id, _)| **id as usize <= self.items);
        Ok(found.map(|(item, score)| Recommendation { item: *item, score, probability: None }).collect())
    }

    /// `[rows, dim]`: the item vectors at length one, for [`Serving::similar`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn directions(&self) -> Result<Tensor> {
        let mut values = self.scored_by().to_vec::<f32>()?;
        for row in values.chunks_exact_mut(self.config.dim) {
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter_mut().for_each(|v| *v /= length.max(1e-12));
        }
        Ok(Tensor::from_slice(&self.gpu, &values, self.scored_by().shape()))
    }
}

/// The GRU moved on by single events.
impl Serving {
    /// Whether the GRU's state says all there is to know of a history: no other stage looks at the sequence, and no event's
    /// embedding changes when others follow. Positions count back from the newest event, and change it.
    pub fn steps(&self) -> bool {
        let Config { gru, positions, request_time, attention, blocks, pool, .. } = *self.model.config();
        gru && !(positions || request_time || attention || blocks > 0 || pool || self.mixes())
    }

    /// The states `[rows, dim]` after all events of each history.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When the model does not [step](Serving::steps), or a history is empty or longer than the model's.
    pub fn states_after(&self, histories: &[History]) -> Result<Vec<f32>> {
        assert!(self.steps(), "a state alone does not say what this model needs");
        let tape = &mut Tape::off();
        let batch = Batch::new(&self.gpu, &self.config, &self.catalogue, histories);
        let h = self.sequence(tape, &batch, &self.item_table).expect("a GRU looks at the sequence");
        rows_of(tape, &h, &batch.last_positions(&self.gpu)).to_vec()
    }

    /// The states `[rows, dim]` after the newest event of each history: of what came before only the newest is needed.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When the model does not [step](Serving::steps), or a history is empty.
    pub fn step(&self, states: &[f32], histories: &[History]) -> Result<Vec<f32>> {
        assert!(self.steps(), "a state alone does not say what this model needs");
        let model = &self.model;
        let gru = model.gru.as_ref().expect("a model that steps has a GRU");
        let (gpu, tape) = (&model.gpu, &mut Tape::off());
        let newest: Vec<History> = histories.iter().map(|h| h.last(2)).collect();
        let batch = Batch::new(gpu, &model.config, &model.catalogue, &newest);
        let x = model.events(tape, &batch, &model.item_table);
        let x = rows_of(tape, &x, &batch.last_positions(gpu));
        let h = Tensor::from_slice(gpu, states, &[histories.len(), model.config.dim]);
        ops::gru_step(gpu, &x, &h, gru).to_vec()
    }

    /// [`Model::recommend`] from the GRU's states `[rows, dim]` of `users`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn recommend_from(
        &self,
        states: &[f32],
        users: &[u32],
        exclude: &[Vec<u32>],
        k: usize,
    ) -> Result<Vec<Vec<Recommendation>>> {
        let states = self.with_users(states, users);
        self.best(&states, self.scored_by(), &vec![Mixed::default(); users.len()], exclude, k)
    }

    /// [`Model::score`] from the GRU's states `[rows, dim]` of `users`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn score_from(&self, states: &[f32], users: &[u32], items: &[Vec<u32>]) -> Result<Vec<Vec<Recommendation>>> {
        let states = self.with_users(states, users);
        self.score_states(&states, self.scored_by(), &vec![Mixed::default(); users.len()], items)
    }

    fn with_users(&self, states: &[f32], users: &[u32]) -> Tensor {
        let (model, tape) = (&self.model, &mut Tape::off());
        let states = Tensor::from_slice(&model.gpu, states, &[users.len(), model.config.dim]);
        let mf = model.user.as_ref().and_then(|u| u.mf.as_ref().map(|mf| (&u.table, mf)));
        let Some((table, mf)) = mf else { return states };
        let ids = Ids::new(&model.gpu, users, &[users.len()], model.catalogue.n_users + 1);
        let e = ops::embedding(tape, table, &ids, None);
        mf.forward(tape, &e, Activation::None, Some(&states))
    }
}

fn prior(model: &Model) -> Result<Prior> {
    let bias = match &model.item_bias {
        Some(bias) => bias.to_vec::<f32>()?[1..].iter().sum::<f32>() / model.catalogue.n_items.max(1) as f32,
        None => 0.0,
    };
    let outputs = model.output_table.as_ref().map(|table| means(model, table)).transpose()?;
    Ok(Prior { means: means(model, &model.item_table)?, outputs, bias })
}

/// The mean row of `table` over the items of each category, and over all items at 0.
fn means(model: &Model, table: &Tensor) -> Result<Vec<Vec<f32>>> {
    let dim = model.config.dim;
    let table = table.to_vec::<f32>()?;
    let mut sums = vec![(vec![0.0f64; dim], 0usize); model.catalogue.n_categories + 1];
    for (item, row) in table.chunks_exact(dim).enumerate().skip(1) {
        let category = model.catalogue.category_of(item) as usize;
        for of in if category == 0 { vec![0] } else { vec![0, category] } {
            sums[of].0.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
            sums[of].1 += 1;
        }
    }
    let mean = |(sum, count): &(Vec<f64>, usize)| match count {
        0 => Vec::new(),
        _ => sum.iter().map(|s| (s / *count as f64) as f32).collect(),
    };
    Ok(sums.iter().map(mean).collect())
}
