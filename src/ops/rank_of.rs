use super::cut;
use super::item_table::Items;
use super::scoring::{Exclusions, Fold, Scoring};
use crate::gpu::{Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static TARGET: Kernel = kernel!("rank_of");

/// The place of each query's target in the ranking of the whole catalogue: `queries: [q, dim]`, `table: [items, dim]`,
/// `bias: [items]`, `targets: [q]` of `u32` give `[q]` of `u32`, 1 for the best.
///
/// `1 + #{other items, not excluded and not below first_item, whose score is at least the target's}`: ties count against
/// the target, so a model that scores everything alike gets no credit. Equal vectors tie exactly. It does not matter
/// whether the target itself is excluded; a target outside of `first_item..items` gets rank 0.
///
/// `boost: [q]` is added to the target's score before it is compared: what the target gets from elsewhere, and the others
/// do not.
///
/// # Panics
/// When shapes disagree.
#[track_caller]
#[allow(clippy::too_many_arguments)] // top_k's, a target and its boost
pub fn rank_of<'a>(
    gpu: &Gpu,
    queries: &Tensor,
    table: impl Into<Items<'a>>,
    bias: Option<&Tensor>,
    targets: &Tensor,
    exclude: Option<&Exclusions>,
    first_item: usize,
    boost: Option<&Tensor>,
) -> Tensor {
    let scoring = Scoring::new("rank_of", gpu, queries, table.into(), bias, exclude, first_item);
    let (n, _) = queries.rows();
    targets.expect_shape("rank_of: targets", &[n]);
    if let Some(boost) = boost {
        boost.expect_shape("rank_of: boost", &[n]);
    }
    let (ranks, threshold) = (Tensor::zeros(gpu, &[n]), Tensor::empty(gpu, &[n]));
    let bytes = if exclude.is_some() { 4 * scoring.words() } else { 4 };
    for (start, n) in scoring.batches(n, bytes) {
        let part = |x: &Tensor| cut(x, start, n);
        let (queries, targets, threshold) = (scoring.queries(&part(queries)), part(targets), part(&threshold));
        let (boost, counts) = (boost.map(part), part(&ranks));
        let consts =
            [("BIAS", u32::from(bias.is_some())), ("BOOST", u32::from(boost.is_some())), ("FORMAT", scoring.format)];
        for shard in scoring.shards() {
            let [queries_n, items, dim, start, _, first, _, row, stride] = scoring.params(n, &shard);
            let params = [queries_n, items, dim, start, scoring.items as u32, first, row, stride];
            let boost = boost.as_ref().unwrap_or(&queries); // any: it is not read
            let buffers = [&queries, &shard.table, &shard.bias, &targets, boost, &threshold, &counts].map(|t| &**t);
            gpu.dispatch(TARGET.with(&consts), params, &buffers, n.div_ceil(64));
        }
        // The target is one of those that reach its own score: the 1 in the formula, unless a boost lifts it above that.
        let mask = scoring.mask(start, n, Some(&targets));
        scoring.fold(&queries, mask.as_ref(), &Fold::Count { threshold: &threshold, counts: &counts });
    }
    ranks
}
