//! The matrix product under `matmul` and `linear`: which kernel, how split, with what epilogue.

use super::ELEMENTWISE;
use crate::gpu::{AdapterInfo, Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static TILE: Kernel = kernel!("gemm_tile");
static LANES: Kernel = kernel!("gemm_lanes");
static LANES_ODD: Kernel = kernel!("gemm_lanes_odd");
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
#[derive(Default)]
pub(super) struct Epilogue<'a> {
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

/// Which kernel computes a product. See [`plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Tile,
    Lanes,
    LanesOdd,
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

/// [`gemm`] with an epilogue, in one dispatch unless the sums come in parts.
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
    let [m, n, k] = dims;
    assert!(
        a.len() == m * k && b.len() == n * k && y.len() == m * n,
        "gemm {layout:?} {m}x{n}x{k}: a {:?}, b {:?}, y {:?}",
        a.shape(),
        b.shape(),
        y.shape()
    );
    let plan = plan(gpu.info(), dims, epilogue);
    if plan.splits == 1 {
        return launch(gpu, layout, [a, b, y], dims, epilogue, plan);
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

/// `y = Σ parts[s]` (`+ y`), in the order of `s`.
fn add_parts(gpu: &Gpu, parts: &Tensor, y: &Tensor, accumulate: bool) {
    let params = [y.len() as u32, parts.shape()[0] as u32];
    let consts = [("ACCUMULATE", u32::from(accumulate))];
    gpu.dispatch(SUM.with(&consts), params, &[parts, y], y.len().div_ceil(ELEMENTWISE));
}

/// The kernel for an adapter and a size: `gemm_lanes` on drivers that run on the CPU with subgroups of at least its 8
/// lanes, `gemm_tile` everywhere else. Long sums of few outputs are split along k until they fill the device.
fn plan(info: &AdapterInfo, [m, n, k]: [usize; 3], epilogue: &Epilogue) -> Plan {
    // A binding of vec4 holds at least one.
    let tiny = (m * n).min(m * k).min(n * k) < 4;
    let lanes = info.software && info.subgroups && info.subgroup_min >= 8 && !tiny;
    let whole = n % 4 == 0 && (epilogue.sums.is_none() || m % 4 == 0);
    let fill = if info.software { 8 } else { 256 };
    let tiles = |rows: usize, cols: usize| (m.div_ceil(rows) * n.div_ceil(cols)).max(1);
    let tall = m > 32 && (epilogue.is_plain() || tiles(64, 32) >= fill);
    let (how, rows, cols) = match (lanes, whole) {
        (true, true) => (How::Lanes, if tall { 64 } else { 32 }, 32),
        (true, false) => (How::LanesOdd, if tall { 64 } else { 32 }, 32),
        (false, _) => (How::Tile, 64, 64),
    };
    let most = if epilogue.is_plain() { k.div_ceil(SHORTEST).max(1) } else { 1 };
    let splits = (fill / tiles(rows, cols)).clamp(1, most);
    let k_per_split = k.div_ceil(splits).next_multiple_of(16);
    let splits = k.div_ceil(k_per_split).max(1);
    Plan { how, splits, k_per_split, rows, groups: tiles(rows, cols) * splits }
}

fn launch(gpu: &Gpu, layout: Layout, [a, b, y]: [&Tensor; 3], [m, n, k]: [usize; 3], epilogue: &Epilogue, plan: Plan) {
    if y.is_empty() {
        return;
    }
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
    consts.push(("ROWS", plan.rows as u32));
    let kernel = if plan.how == How::Lanes { &LANES } else { &LANES_ODD };
    gpu.dispatch(kernel.with(&consts), params, &[a, a, b, b, bias, residual, y, z], plan.groups);
}
