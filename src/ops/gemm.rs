//! The matrix product under `matmul` and `linear`: which kernel, how split, with what epilogue.

use super::{ELEMENTWISE, fill, width};
use crate::gpu::{AdapterInfo, Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static TILE: Kernel = kernel!("gemm_tile");
static LANES: Kernel = kernel!("gemm_lanes");
static LANES_ODD: Kernel = kernel!("gemm_lanes_odd");
static REGISTERS: Kernel = kernel!("gemm_registers");
static REGISTERS_ODD: Kernel = kernel!("gemm_registers_odd");
static SUM: Kernel = kernel!("gemm_sum");

/// How the operands lie in memory; the number is that of `LAYOUT` in the shaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `y = a·b`: `a [m, k]`, `b [k, n]`.
    Nn,
    /// `y = a·bᵀ`: `a [m, k]`, `b [n, k]`.
    Nt,
    /// `y = aᵀ·b`: `a [k, m]`, `b [k, n]`.
    Tn,
}

/// What happens to a sum before it is stored: `y = activation(sum + bias) + residual`, `z = sum + bias`.
#[derive(Default, Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    pub bias: Option<&'a Tensor>,
    pub activation: u32,
    pub z: Option<&'a Tensor>,
    pub residual: Option<&'a Tensor>,
    /// Gets the sums of the columns of `a` on the way: `[m]`, layout [`Layout::Tn`], without `z`.
    pub sums: Option<&'a Tensor>,
    /// Adds to `y` instead of overwriting it.
    pub accumulate: bool,
}

impl Epilogue<'_> {
    /// Whether the sum goes out as it is, so that it may come in parts.
    fn is_plain(&self) -> bool {
        self.bias.is_none() && self.activation == 0 && self.z.is_none() && self.residual.is_none()
    }
}

/// Which kernel computes a product. See [`kernels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Tile,
    Lanes,
    Registers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    how: How,
    splits: usize,
    k_per_split: usize,
    /// Rows of a tile.
    rows: usize,
    groups: usize,
}

/// Steps of k that are worth a part of their own.
const SHORTEST: usize = 256;

/// `y[m, n] = a·b` (`+ y` when `accumulate`), operands as [`Layout`] says. Any sizes; views by row range are fine where
/// the device accepts their offset.
pub(crate) fn gemm(gpu: &Gpu, layout: Layout, a: &Tensor, b: &Tensor, y: &Tensor, dims: [usize; 3], accumulate: bool) {
    product(gpu, layout, a, b, y, dims, &Epilogue { accumulate, ..Epilogue::default() });
}

/// [`gemm`] with an epilogue, in one dispatch unless the sums come in parts or an operand exceeds a binding.
#[track_caller]
pub(super) fn product(
    gpu: &Gpu,
    layout: Layout,
    a: &Tensor,
    b: &Tensor,
    y: &Tensor,
    dims: [usize; 3],
    epilogue: &Epilogue,
) {
    product_by(gpu, None, layout, [a, b, y], dims, epilogue);
}

/// [`product`] by a given kernel: one of [`kernels`].
#[track_caller]
pub(crate) fn product_by(
    gpu: &Gpu,
    how: Option<How>,
    layout: Layout,
    operands: [&Tensor; 3],
    dims: [usize; 3],
    epilogue: &Epilogue,
) {
    let [m, n, k] = dims;
    let [a, b, y] = operands;
    // Nothing to sum is a sum of 0, as long as nothing else is to be done.
    let fits = a.len() == m * k && b.len() == n * k && y.len() == m * n && (k > 0 || epilogue.is_plain());
    assert!(fits, "gemm {layout:?} {m}x{n}x{k}: a {:?}, b {:?}, y {:?}", a.shape(), b.shape(), y.shape());
    if y.is_empty() {
        return;
    }
    if k == 0 {
        let zeros = [(!epilogue.accumulate).then_some(y), epilogue.sums];
        return zeros.into_iter().flatten().for_each(|y| fill(gpu, y, 0.0));
    }
    if let Some(rows) = rows_that_fit(gpu, layout, dims) {
        return in_pieces(gpu, how, layout, operands, dims, epilogue, rows);
    }
    let plan = plan(gpu.info(), how, dims, epilogue);
    if plan.splits == 1 {
        return launch(gpu, layout, operands, dims, epilogue, plan);
    }
    let parts = Tensor::empty(gpu, &[plan.splits, m, n]);
    let sums = epilogue.sums.map(|_| Tensor::empty(gpu, &[plan.splits, m]));
    let inner = Epilogue { sums: sums.as_ref(), ..Epilogue::default() };
    launch(gpu, layout, [a, b, &parts], dims, &inner, plan);
    add_parts(gpu, &parts, y, epilogue.accumulate);
    if let (Some(parts), Some(y)) = (&sums, epilogue.sums) {
        add_parts(gpu, parts, y, false);
    }
}

/// Rows of the long operands per piece where they exceed a binding: rows of `a` and `y`, or steps of k in layout
/// [`Layout::Tn`]. A table that is too large to be `b` itself is the caller's to split.
fn rows_that_fit(gpu: &Gpu, layout: Layout, [m, n, k]: [usize; 3]) -> Option<usize> {
    let (rows, widths) = if layout == Layout::Tn { (k, [m, n]) } else { (m, [n, k]) };
    let granule = [1, 2, 4, 8, 16, 32, 64].into_iter().find(|g| widths.iter().all(|w| (g * w).is_multiple_of(64)));
    let granule = granule.unwrap_or(64); // numbers from one legal offset to the next: 256 bytes
    let most = gpu.info().max_binding as usize / (4 * widths[0].max(widths[1])) / granule * granule;
    (rows > most && most > 0).then_some(most)
}

fn in_pieces(
    gpu: &Gpu,
    how: Option<How>,
    layout: Layout,
    [a, b, y]: [&Tensor; 3],
    [m, n, k]: [usize; 3],
    epilogue: &Epilogue,
    most: usize,
) {
    let (a, b) = match layout {
        Layout::Tn => (&a.reshape(&[k, m]), &b.reshape(&[k, n])),
        _ => (&a.reshape(&[m, k]), b),
    };
    let rows = if layout == Layout::Tn { k } else { m };
    for start in (0..rows).step_by(most) {
        let rows = most.min(rows - start);
        let part = |x: &Tensor| x.row_range(start, rows);
        if layout == Layout::Tn {
            // The sums of columns add up in a tensor of their own.
            let sums = epilogue.sums.map(|s| (s, Tensor::empty(gpu, s.shape())));
            let first = start == 0;
            let into = sums.as_ref().map(|(s, own)| if first { *s } else { own });
            let accumulate = epilogue.accumulate || !first;
            let inner = Epilogue { sums: into, accumulate, ..Epilogue::default() };
            product_by(gpu, how, layout, [&part(a), &part(b), y], [m, n, rows], &inner);
            if let (Some((s, own)), false) = (&sums, first) {
                add_parts(gpu, &own.reshape(&[1, own.len()]), s, true);
            }
            continue;
        }
        let wide = |x: &Tensor| part(&x.reshape(&[m, n]));
        let (z, residual) = (epilogue.z.map(wide), epilogue.residual.map(wide));
        let inner = Epilogue { z: z.as_ref(), residual: residual.as_ref(), ..*epilogue };
        product_by(gpu, how, layout, [&part(a), b, &wide(y)], [rows, n, k], &inner);
    }
}

/// `y = Σ parts[s]` (`+ y`), in the order of `s`.
pub(super) fn add_parts(gpu: &Gpu, parts: &Tensor, y: &Tensor, accumulate: bool) {
    let (width, n) = (width(y.len()), y.len() / width(y.len()));
    let consts = [("ACCUMULATE", u32::from(accumulate)), ("WIDTH", width as u32)];
    gpu.dispatch(SUM.with(&consts), [n as u32, parts.shape()[0] as u32], &[parts, y], n.div_ceil(ELEMENTWISE));
}

/// What can compute a product of this size on an adapter, best first. Drivers that run on the CPU: `gemm_lanes` with
/// subgroups of at least its 8 lanes, else `gemm_registers`. Everywhere: `gemm_tile`.
pub(crate) fn kernels(info: &AdapterInfo, [m, n, k]: [usize; 3]) -> Vec<How> {
    // A binding of vec4 holds at least one.
    let tiny = (m * n).min(m * k).min(n * k) < 4 || info.max_storage_buffers < 8;
    let lanes = info.has_eight_lanes();
    match (tiny, info.cpu_kernels) {
        (true, _) => vec![How::Tile],
        (false, true) if lanes => vec![How::Lanes, How::Registers, How::Tile],
        (false, true) => vec![How::Registers, How::Tile],
        (false, false) if lanes => vec![How::Tile, How::Lanes, How::Registers],
        (false, false) => vec![How::Tile, How::Registers],
    }
}

/// Kernel, tile and split for an adapter and a size. Long sums of few outputs are split along k until they fill the
/// device; how, depends on nothing else, so the same product has the same bits every time.
fn plan(info: &AdapterInfo, how: Option<How>, dims: [usize; 3], epilogue: &Epilogue) -> Plan {
    let [m, n, k] = dims;
    let how = how.unwrap_or(kernels(info, dims)[0]);
    let fill = if info.cpu_kernels { 8 } else { 256 };
    let tiles = |rows: usize, cols: usize| m.div_ceil(rows) * n.div_ceil(cols);
    let tall = m > 32 && (epilogue.is_plain() || tiles(64, 32) >= fill);
    let (rows, cols) = match how {
        How::Lanes => (if tall { 64 } else { 32 }, 32),
        How::Registers => (16, 64),
        How::Tile => (64, 64),
    };
    let most = if epilogue.is_plain() { k.div_ceil(SHORTEST) } else { 1 };
    let splits = (fill / tiles(rows, cols)).clamp(1, most);
    let k_per_split = k.div_ceil(splits).next_multiple_of(16);
    let splits = k.div_ceil(k_per_split);
    Plan { how, splits, k_per_split, rows, groups: tiles(rows, cols) * splits }
}

fn launch(gpu: &Gpu, layout: Layout, [a, b, y]: [&Tensor; 3], [m, n, k]: [usize; 3], epilogue: &Epilogue, plan: Plan) {
    let params = [m, n, k, plan.k_per_split, plan.splits].map(|v| v as u32);
    let second = epilogue.z.or(epilogue.sums);
    let unused = if second.is_none() { Tensor::empty(gpu, &[4]) } else { y.clone() };
    let z = second.unwrap_or(&unused);
    let (bias, residual) = (epilogue.bias.unwrap_or(a), epilogue.residual.unwrap_or(a));
    let flag = |on: bool| u32::from(on);
    let mut consts = vec![
        ("LAYOUT", layout as u32),
        ("BIAS", flag(epilogue.bias.is_some())),
        ("ACT", epilogue.activation),
        ("KEEP", flag(epilogue.z.is_some())),
        ("SUMS", flag(epilogue.sums.is_some())),
        ("RESIDUAL", flag(epilogue.residual.is_some())),
        ("ACCUMULATE", flag(epilogue.accumulate)),
    ];
    if plan.how == How::Tile {
        return gpu.dispatch(TILE.with(&consts), params, &[a, b, bias, residual, y, z], plan.groups);
    }
    let a_row = if layout == Layout::Tn { m } else { k };
    let b_row = if layout == Layout::Nt { k } else { n };
    consts.extend([("A_VEC", flag(a_row % 4 == 0)), ("B_VEC", flag(b_row % 4 == 0)), ("K_TAIL", flag(k % 4 != 0))]);
    let whole = n % 4 == 0 && (epilogue.sums.is_none() || m % 4 == 0);
    let kernel = match (plan.how, whole) {
        (How::Lanes, true) => &LANES,
        (How::Lanes, false) => &LANES_ODD,
        (_, true) => &REGISTERS,
        (_, false) => &REGISTERS_ODD,
    };
    if plan.how == How::Lanes {
        consts.push(("ROWS", plan.rows as u32));
    }
    gpu.dispatch(kernel.with(&consts), params, &[a, a, b, b, bias, residual, y, z], plan.groups);
}
