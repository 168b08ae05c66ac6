use super::embedding::sum_by_row;
use super::{ELEMENTWISE, Ids, lanes, pieces, width};
use crate::gpu::{Gpu, Kernel};
use crate::kernel;
use crate::tape::{Grads, Tape};
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("dot_rows");
static INPUT: Kernel = kernel!("dot_rows_backward_input");
static TABLE: Kernel = kernel!("dot_rows_backward_table");

/// Inner products of each row of `x: [rows, dim]` with rows of `table: [items, dim]` by id, plus their `bias: [items]`:
/// `ids: [rows]` or `[rows, n]` give as many. It is [`embedding`](super::embedding), [`dot`](super::dot) and a lookup of
/// the biases in one, and nothing of size `[rows, n, dim]` is stored. Gradients are summed in a fixed order.
///
/// # Panics
/// When the shapes do not fit, or the ids exceed one binding of the device.
#[track_caller]
pub fn dot_rows(tape: &mut Tape, x: &Tensor, table: &Tensor, bias: Option<&Tensor>, ids: &Ids) -> Tensor {
    let ((rows, dim), (items, _)) = (x.rows(), table.rows());
    table.expect_shape("dot_rows: table", &[items, dim]);
    assert!(items == ids.rows(), "dot_rows: ids for {} rows, and a table of {:?}", ids.rows(), table.shape());
    let (gpu, n) = (x.gpu().clone(), ids.host().len());
    assert!(n > 0 && n.is_multiple_of(rows), "dot_rows: ids of shape {:?} for {rows} rows of x", ids.shape());
    let most = gpu.info().max_binding;
    assert!(4 * n as u64 <= most, "dot_rows: {n} ids exceed one binding of {most} bytes");
    if let Some(bias) = bias {
        bias.expect_shape("dot_rows: bias", &[items]);
    }
    let y = Tensor::empty(&gpu, ids.shape());
    let call = Call { x: x.clone(), table: table.clone(), bias: bias.cloned(), ids: ids.clone() };
    call.forward(&gpu, &y);
    let inputs: Vec<&Tensor> = [x, table].into_iter().chain(bias).collect();
    tape.record(&y, &inputs, move |gpu, grads, dy| call.backward(gpu, grads, dy));
    y
}

struct Call {
    x: Tensor,
    table: Tensor,
    bias: Option<Tensor>,
    ids: Ids,
}

impl Call {
    /// Numbers of products, of those of one row of `x`, and of a row's Elements.
    fn sizes(&self) -> [usize; 3] {
        let (rows, dim) = self.x.rows();
        let n = self.ids.host().len();
        [n, n / rows, dim / width(dim)]
    }

    fn width(&self) -> (&'static str, u32) {
        ("WIDTH", width(self.x.rows().1) as u32)
    }

    fn forward(&self, gpu: &Gpu, y: &Tensor) {
        let [n, per_row, dim] = self.sizes();
        let lanes = lanes(gpu);
        let kernel = [("BIAS", u32::from(self.bias.is_some())), ("LANES", lanes), self.width()];
        let (items, whole) = self.table.rows();
        for (first, rows) in pieces(gpu, items, whole) {
            let params = [n, per_row, dim, first, rows].map(|v| v as u32);
            let piece = self.table.row_range(first, rows);
            let buffers = [&self.x, &piece, self.ids.tensor(), self.bias.as_ref().unwrap_or(&self.x), y].map(|t| &**t);
            gpu.dispatch(FORWARD.with(&kernel), params, &buffers, (n * lanes as usize).div_ceil(256));
        }
    }

    fn backward(&self, gpu: &Gpu, grads: &mut Grads, dy: &Tensor) {
        // What an input has got on another way is added on this one.
        if grads.wants(&self.x) {
            let plus = grads.take(&self.x);
            grads.add(&self.x, self.dx(gpu, dy, plus.as_ref()));
        }
        if grads.wants(&self.table) {
            let plus = grads.take(&self.table);
            grads.add(&self.table, self.dtable(gpu, dy, plus.as_ref()));
        }
        if let Some(bias) = self.bias.as_ref().filter(|b| grads.wants(b)) {
            let plus = grads.take(bias);
            let column = bias.reshape(&[bias.len(), 1]);
            grads.add(bias, sum_by_row(dy, &self.ids, None, &column, 1.0, plus.as_ref()));
        }
    }

    fn dx(&self, gpu: &Gpu, dy: &Tensor, plus: Option<&Tensor>) -> Tensor {
        let [n, per_row, dim] = self.sizes();
        let dx = Tensor::empty(gpu, self.x.shape());
        let (items, whole) = self.table.rows();
        for (first, rows) in pieces(gpu, items, whole) {
            let params = [n, per_row, dim, first, rows].map(|v| v as u32);
            let piece = self.table.row_range(first, rows);
            let plus = plus.filter(|_| first == 0);
            let kernel = [("PLUS", u32::from(plus.is_some())), ("ACCUMULATE", u32::from(first > 0)), self.width()];
            let buffers = [dy, &piece, self.ids.tensor(), plus.unwrap_or(&piece), &dx].map(|t| &**t);
            gpu.dispatch(INPUT.with(&kernel), params, &buffers, (n / per_row * dim).div_ceil(ELEMENTWISE));
        }
        dx
    }

    fn dtable(&self, gpu: &Gpu, dy: &Tensor, plus: Option<&Tensor>) -> Tensor {
        let [_, per_row, dim] = self.sizes();
        let plan = self.ids.plan(None);
        let (items, whole) = self.table.rows();
        let sum = |partial: &Tensor, [order, starts]: [&Tensor; 2], plus: Option<&Tensor>, y: &Tensor| {
            let params = [y.shape()[0], per_row, dim].map(|v| v as u32);
            let kernel = [("PLUS", u32::from(plus.is_some())), self.width()];
            let buffers = [dy, &self.x, partial, order, starts, plus.unwrap_or(&self.x), y].map(|t| &**t);
            gpu.dispatch(TABLE.with(&kernel), params, &buffers, (y.shape()[0] * dim).div_ceil(ELEMENTWISE));
        };
        let partial = plan.chunks.as_ref().map(|(order, starts, chunks)| {
            let partial = Tensor::empty(gpu, &[*chunks, whole]);
            sum(&self.x, [order, starts], None, &partial);
            partial
        });
        let dtable = Tensor::empty(gpu, self.table.shape());
        for (first, rows) in pieces(gpu, items, whole) {
            let starts = plan.starts.row_range(first, rows + 1);
            let plus = plus.map(|p| p.row_range(first, rows));
            let partial = partial.as_ref().unwrap_or(&self.x);
            sum(partial, [&plan.order, &starts], plus.as_ref(), &dtable.row_range(first, rows));
        }
        dtable
    }
}
