use super::dropout::Mask;
use super::ids::Plan;
use super::{Activation, ELEMENTWISE, Ids, lanes, pieces, width};
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("embedding");
static BACKWARD: Kernel = kernel!("embedding_backward");

/// Rows of `table: [.., dim]` by id: `[ids.shape.., dim]`. Positions with the id `padding` are zeros and send no gradient.
///
/// The table may be anything with rows: weights, or activations of which some rows are wanted. The gradient covers the
/// whole table and is summed in a fixed order, without atomics. A table or an output beyond one binding goes in pieces of
/// rows.
///
/// # Panics
/// When `ids` were made for another number of rows.
#[track_caller]
pub fn embedding(tape: &mut Tape, table: &Tensor, ids: &Ids, padding: Option<u32>) -> Tensor {
    embedding_onto(tape, None, Rows { table, ids, padding, factor: 1.0 }, 0.0)
}

/// Which rows of a table, and how they count.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub table: &'a Tensor,
    pub ids: &'a Ids,
    pub padding: Option<u32>,
    pub factor: f32,
}

/// `dropout(onto + factor · rows)` in one dispatch: [`embedding`], [`scale`](super::scale), [`add`](super::add) and
/// [`dropout`](super::dropout) in turn.
///
/// # Panics
/// As these.
#[track_caller]
pub(crate) fn embedding_onto(tape: &mut Tape, onto: Option<&Tensor>, rows: Rows, dropout: f32) -> Tensor {
    let Rows { table, ids, padding, factor } = rows;
    let (n_rows, dim) = table.rows();
    assert!(n_rows == ids.rows(), "embedding: ids for {} rows, and a table of {:?}", ids.rows(), table.shape());
    let n = ids.host().len();
    let y = Tensor::empty(table.gpu(), &[ids.shape(), &[dim]].concat());
    if let Some(onto) = onto {
        onto.expect_shape("embedding: onto", y.shape());
    }
    let mask = Mask::draw("embedding: dropout", tape, dropout);
    let flat = table.reshape(&[n_rows, dim]);
    let (width, lanes) = (width(dim), lanes(table.gpu()));
    let kernel = [
        ("PLUS", u32::from(onto.is_some())),
        ("DROPOUT", u32::from(mask.is_some())),
        ("LANES", lanes),
        ("WIDTH", width as u32),
    ];
    let [seed, p] = mask.map_or([0; 2], Mask::params);
    let (flat_ids, flat_y) = (ids.tensor().reshape(&[n]), y.reshape(&[n, dim]));
    for (begin, n) in pieces(table.gpu(), n, dim) {
        let part = |x: &Tensor| x.row_range(begin, n);
        let (ids, y, onto) = (part(&flat_ids), part(&flat_y), onto.map(|x| part(&x.reshape(flat_y.shape()))));
        for (first, rows) in pieces(table.gpu(), n_rows, dim) {
            // No row can have the number u32::MAX: the table would not fit any device.
            let [n, dim, first, rows_here, before] = [n, dim / width, first, rows, begin * (dim / width)].map(word);
            let params = [n, dim, first, rows_here, padding.unwrap_or(u32::MAX), factor.to_bits(), seed, p, before];
            let piece = flat.row_range(first as usize, rows);
            let buffers = [&piece, &ids, onto.as_ref().unwrap_or(&piece), &y].map(|t| &**t);
            let groups = (n as usize * lanes as usize).div_ceil(256);
            table.gpu().dispatch(FORWARD.with(&kernel), params, &buffers, groups);
        }
    }
    let (saved, ids, saved_onto) = (table.clone(), ids.clone(), onto.cloned());
    let inputs: Vec<&Tensor> = [table].into_iter().chain(onto).collect();
    tape.record(&y, &inputs, move |_, grads, dy| {
        let dy = mask.map_or_else(|| dy.clone(), |mask| mask.end(Activation::None, dy, None));
        if grads.wants(&saved) {
            // What the table has got on another way is added on this one.
            let plus = grads.take(&saved);
            let dtable = sum_by_row(&dy, &ids, padding, &saved, factor, plus.as_ref());
            grads.add(&saved, dtable);
        }
        if let Some(onto) = &saved_onto {
            grads.add(onto, dy);
        }
    });
    y
}

fn word(n: usize) -> u32 {
    n as u32
}

/// `plus + factor ·` every row of `dy` added to the row of the table that its id names, in the shape of `table`.
pub(super) fn sum_by_row(
    dy: &Tensor,
    ids: &Ids,
    padding: Option<u32>,
    table: &Tensor,
    factor: f32,
    plus: Option<&Tensor>,
) -> Tensor {
    // Of dy only the order is known: what it is the gradient of may have been reshaped.
    let (plan, n, dim) = (ids.plan(padding), ids.host().len(), table.rows().1);
    let flat = dy.reshape(&[n, dim]);
    let mut sum = plus.cloned();
    for (first, n) in pieces(dy.gpu(), n, dim) {
        // Each piece adds to what those before have given.
        sum = Some(sum_of_piece(&flat.row_range(first, n), first, &plan, table, factor, sum.as_ref()));
    }
    // Without rows there is nothing to add.
    sum.unwrap_or_else(|| Tensor::zeros(dy.gpu(), table.shape()))
}

/// The same of the rows `first_row..` of `dy` that are at hand.
fn sum_of_piece(
    dy: &Tensor,
    first_row: usize,
    plan: &Plan,
    table: &Tensor,
    factor: f32,
    plus: Option<&Tensor>,
) -> Tensor {
    let gpu = dy.gpu();
    let (whole, dim) = table.rows();
    let sum = |partial: &Tensor, order: &Tensor, starts: &Tensor, factor: f32, plus: Option<&Tensor>, y: &Tensor| {
        let width = width(dim);
        let [segments, dim, first, n] = [y.shape()[0], dim / width, first_row, dy.shape()[0]].map(word);
        let params = [segments, dim, factor.to_bits(), first, n];
        let kernel = [("PLUS", u32::from(plus.is_some())), ("WIDTH", width as u32)];
        let groups = (y.len() / width).div_ceil(ELEMENTWISE);
        let buffers = [dy, partial, order, starts, plus.unwrap_or(dy), y].map(|t| &**t);
        gpu.dispatch(BACKWARD.with(&kernel), params, &buffers, groups);
    };
    let partial = plan.chunks.as_ref().map(|(order, starts, chunks)| {
        let partial = Tensor::empty(gpu, &[*chunks, dim]);
        sum(dy, order, starts, 1.0, None, &partial);
        partial
    });
    let dtable = Tensor::empty(gpu, &[whole, dim]);
    for (first, rows) in pieces(gpu, whole, dim) {
        let starts = plan.starts.row_range(first, rows + 1);
        let plus = plus.map(|p| p.reshape(&[whole, dim]).row_range(first, rows));
        let partial = partial.as_ref().unwrap_or(dy);
        sum(partial, &plan.order, &starts, factor, plus.as_ref(), &dtable.row_range(first, rows));
    }
    dtable.reshape(table.shape())
}
