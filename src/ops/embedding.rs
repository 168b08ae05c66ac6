use super::dropout::Mask;
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
/// whole table and is summed in a fixed order, without atomics. A table beyond one binding goes in pieces of rows.
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
    for (first, rows) in pieces(table.gpu(), n_rows, dim) {
        // No row can have the number u32::MAX: the table would not fit any device.
        let [n, dim, first, rows_here] = [n, dim / width, first, rows].map(|v| v as u32);
        let params = [n, dim, first, rows_here, padding.unwrap_or(u32::MAX), factor.to_bits(), seed, p];
        let piece = flat.row_range(first as usize, rows);
        let buffers = [&piece, ids.tensor(), onto.unwrap_or(&piece), &y].map(|t| &**t);
        let groups = (n as usize * lanes as usize).div_ceil(256);
        table.gpu().dispatch(FORWARD.with(&kernel), params, &buffers, groups);
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

/// `plus + factor ·` every row of `dy` added to the row of the table that its id names, in the shape of `table`.
pub(super) fn sum_by_row(
    dy: &Tensor,
    ids: &Ids,
    padding: Option<u32>,
    table: &Tensor,
    factor: f32,
    plus: Option<&Tensor>,
) -> Tensor {
    let gpu = dy.gpu();
    let plan = ids.plan(padding);
    let (whole, dim) = table.rows();
    let sum = |partial: &Tensor, order: &Tensor, starts: &Tensor, factor: f32, plus: Option<&Tensor>, y: &Tensor| {
        let width = width(dim);
        let params = [y.shape()[0] as u32, (dim / width) as u32, factor.to_bits()];
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
