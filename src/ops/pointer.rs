use super::attention::{Call, THREADS, WEIGHTS};
use super::lengths::{Lengths, Rows};
use super::spacetime::SpaceTime;
use crate::gpu::{Gpu, Kernel};
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("pointer");
static FORWARD_SUBGROUP: Kernel = kernel!("pointer_subgroup");
static QUERY: Kernel = kernel!("pointer_backward_query");
static QUERY_SUBGROUP: Kernel = kernel!("pointer_backward_query_subgroup");
static KEY: Kernel = kernel!("pointer_backward_key");
static KEY_SUBGROUP: Kernel = kernel!("pointer_backward_key_subgroup");

/// Where a [`pointer()`] may look, and what else it goes by.
#[derive(Debug, Clone, Copy)]
pub struct Pointer<'a> {
    /// How the histories lie in the tensors; padded or packed.
    pub lengths: Lengths<'a>,
    /// Its table is `[1, layout.size()]`.
    pub bias: Option<&'a SpaceTime>,
}

/// The share of attention that falls on one item: `y_t = Σ_{j ≤ t} softmax_j(q_t · k_j / √dim + bias_tj) [items_j =
/// targets_t]`. `qk: [batch, len, 2 · dim]` holds the queries and keys of one head, `items, targets: u32 [batch, len]`;
/// `y: [batch, len]`. Rows behind the length, and those whose target is [`IGNORE`](super::IGNORE), give 0 and no gradient.
/// Packed (see [`Lengths`]), `[events, ..]` takes the place of `[batch, len, ..]`.
///
/// With [`mixture`](super::mixture) it is a pointer into a user's own history: Vinyals et al. 2015,
/// <https://arxiv.org/abs/1506.03134>, Merity et al. 2017, <https://arxiv.org/abs/1609.07843>. Nothing of size `[len, len]`
/// is stored: the softmax runs along, and the gradient computes probabilities anew. The same bits in every run.
///
/// # Panics
/// When shapes do not fit each other, `dim` is above 256, or the layout of the bias has a single knot.
#[track_caller]
pub fn pointer(tape: &mut Tape, qk: &Tensor, items: &Tensor, targets: &Tensor, options: &Pointer) -> Tensor {
    let call = new_call("pointer", qk, options);
    items.expect_shape("pointer: items", &call.rows.shape(&[]));
    targets.expect_shape("pointer: targets", &call.rows.shape(&[]));
    let gpu = qk.gpu();
    let padded = call.pad_to_fours(qk, 2);
    let y = Tensor::empty(gpu, &call.rows.shape(&[]));
    // For the gradient, four words for each event: see shared/pointer.wgsl.
    let kept = Tensor::empty(gpu, &call.rows.shape(&[4]));
    let (context, table) = call.bias_or(&padded);
    let buffers = [&padded, call.lengths(), context, table, items, targets, &y, &kept].map(|t| &**t);
    let groups = |rows| call.rows.batch * call.rows.len.div_ceil(rows);
    match gpu.info().eight_lanes() {
        true => gpu.dispatch(FORWARD_SUBGROUP.with(&call.consts()), call.params(), &buffers, groups(16)),
        false => gpu.dispatch(FORWARD.with(&tiled(&call)), call.params(), &buffers, groups(THREADS)),
    }
    let mut inputs = vec![qk];
    inputs.extend(options.bias.map(|b| &b.table));
    let qk = qk.clone();
    tape.record(&y, &inputs, move |gpu, grads, dy| {
        let table = call.bias.as_ref().map(|b| b.table.clone()).filter(|t| grads.wants(t));
        let (dqk, dtable) = backward(&call, gpu, [&padded, &kept, dy], grads.wants(&qk), table.is_some());
        if let Some(dqk) = dqk {
            grads.add(&qk, call.cut_from_fours(&dqk, 2));
        }
        if let (Some(table), Some(dtable)) = (table, dtable) {
            grads.add(&table, dtable);
        }
    });
    y
}

/// The shares with which each row's last valid query looks at the events: `[batch, len]`, zeros where there are none.
/// They are those of [`pointer()`], for serving: what an item gets is the sum over its events.
///
/// # Panics
/// As [`pointer()`].
#[track_caller]
pub fn pointer_weights(gpu: &Gpu, qk: &Tensor, options: &Pointer) -> Tensor {
    let call = new_call("pointer_weights", qk, options);
    let padded = call.pad_to_fours(qk, 2);
    let weights = Tensor::empty(gpu, &[call.rows.batch, call.rows.len]);
    let (context, table) = call.bias_or(&padded);
    let buffers = [&padded, call.lengths(), context, table, &weights].map(|t| &**t);
    let mut consts = call.consts();
    consts.push(("ROWS", 2));
    gpu.dispatch(WEIGHTS.with(&consts), call.params(), &buffers, call.rows.batch);
    weights
}

#[track_caller]
fn new_call(op: &str, qk: &Tensor, options: &Pointer) -> Call {
    let rows = Rows::of(op, "qk", qk, options.lengths);
    let (_, width) = qk.rows();
    assert!(width > 0 && width.is_multiple_of(2), "{op}: qk: a width of {width} is not twice a dimension");
    assert!(width <= 512, "{op}: {} dimensions, at most 256 are possible", width / 2);
    Call::of(op, rows, [1, width / 2], options.bias)
}

/// The constants of a kernel that holds a tile in workgroup memory: 8 KiB of rows.
fn tiled(call: &Call) -> Vec<(&'static str, u32)> {
    let mut consts = call.consts();
    consts.push(("TILE", (2048 / call.head_dim.next_multiple_of(4) / 4 * 4).min(32) as u32));
    consts
}

/// The gradients of the padded input and of the bias table.
fn backward(
    call: &Call,
    gpu: &Gpu,
    [qk, kept, dy]: [&Tensor; 3],
    wants_qk: bool,
    wants_table: bool,
) -> (Option<Tensor>, Option<Tensor>) {
    let dqk = Tensor::empty(gpu, qk.shape());
    let (context, table) = call.bias_or(qk);
    let subgroups = gpu.info().eight_lanes();
    let (query, key, rows, lanes) = match subgroups {
        true => (&QUERY_SUBGROUP, &KEY_SUBGROUP, 16, 8),
        false => (&QUERY, &KEY, THREADS, THREADS),
    };
    let tiles = call.rows.len.div_ceil(rows);
    let buffers = [qk, call.lengths(), context, table, kept, dy, &dqk].map(|t| &**t);
    let consts = if subgroups { call.consts() } else { tiled(call) };
    if wants_qk {
        gpu.dispatch(key.with(&consts), call.params(), &buffers, call.rows.batch * tiles);
    }
    let dtable = call.query_and_table(gpu, query, &consts, &buffers, [tiles, lanes], wants_table);
    (wants_qk.then_some(dqk), dtable)
}
