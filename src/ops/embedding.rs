use super::{ELEMENTWISE, Ids, pieces};
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
    let (rows, dim) = table.rows();
    assert!(rows == ids.rows(), "embedding: ids for {} rows, and a table of {:?}", ids.rows(), table.shape());
    let n = ids.host().len();
    let y = Tensor::empty(table.gpu(), &[ids.shape(), &[dim]].concat());
    let flat = table.reshape(&[rows, dim]);
    for (first, rows) in pieces(table.gpu(), rows, dim) {
        // No row can have the number u32::MAX: the table would not fit any device.
        let params = [n as u32, dim as u32, first as u32, rows as u32, padding.unwrap_or(u32::MAX)];
        let piece = flat.row_range(first, rows);
        table.gpu().dispatch(&FORWARD, params, &[&piece, ids.tensor(), &y], y.len().div_ceil(ELEMENTWISE));
    }
    let (saved, ids) = (table.clone(), ids.clone());
    tape.record(&y, &[table], move |_, grads, dy| {
        let dtable = sum_by_row(dy, &ids, padding, &saved);
        grads.add(&saved, dtable);
    });
    y
}

/// Every row of `dy` added to the row of the table that its id names, in the shape of `table`.
fn sum_by_row(dy: &Tensor, ids: &Ids, padding: Option<u32>, table: &Tensor) -> Tensor {
    let gpu = dy.gpu();
    let plan = ids.plan(padding);
    let (rows, dim) = table.rows();
    let sum = |partial: &Tensor, order: &Tensor, starts: &Tensor, y: &Tensor| {
        let params = [y.shape()[0] as u32, dim as u32];
        gpu.dispatch(&BACKWARD, params, &[dy, partial, order, starts, y], y.len().div_ceil(ELEMENTWISE));
    };
    let partial = plan.chunks.as_ref().map(|(order, starts, chunks)| {
        let partial = Tensor::empty(gpu, &[*chunks, dim]);
        sum(dy, order, starts, &partial);
        partial
    });
    let dtable = Tensor::empty(gpu, &[rows, dim]);
    for (first, rows) in pieces(gpu, rows, dim) {
        let starts = plan.starts.row_range(first, rows + 1);
        sum(partial.as_ref().unwrap_or(dy), &plan.order, &starts, &dtable.row_range(first, rows));
    }
    dtable.reshape(table.shape())
}
