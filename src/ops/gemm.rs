//! The matrix product under `matmul` and `linear`: which kernel, how split, with what epilogue.

use super::{ELEMENTWISE, fill, mixed, width};
use crate::gpu::{AdapterInfo, Buffer, Choice, Gpu, Kernel, race};
use crate::kernel;
use crate::tensor::Tensor;
use std::time::Instant;

static TILE: Kernel = kernel!("gemm_tile");
static TILE_ODD: Kernel = kernel!("gemm_tile_odd");
static MIXED: Kernel = kernel!("gemm_mixed");
static MIXED_ODD: Kernel = kernel!("gemm_mixed_odd");
static ROW: Kernel = kernel!("gemm_row");
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
    /// Whether the sum goes out as it is, or with something added, so that it may come in parts.
    fn only_adds(&self) -> bool {
        self.bias.is_none() && self.activation == 0 && self.z.is_none()
    }
}

/// Which kernel computes a product. See [`kernels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Tiles of 64 x 64 in workgroup memory.
    Tile,
    /// Tiles of 128 x 128: the same bits, for large products.
    BigTile,
    /// Up to four rows, layout [`Layout::Nt`].
    Row,
    Lanes,
    Registers,
    /// Mixed precision, in tiles of 8 x 4 matrices.
    Mixed,
    /// In tiles of 8 x 8: the same bits.
    BigMixed,
}

impl How {
    pub(crate) fn is_mixed(self) -> bool {
        matches!(self, How::Mixed | How::BigMixed)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    how: How,
    splits: usize,
    k_per_split: usize,
    /// Of a tile.
    cols: usize,
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
    let fits = a.len() == m * k && b.len() == n * k && y.len() == m * n && (k > 0 || epilogue.only_adds());
    assert!(fits, "gemm {layout:?} {m}x{n}x{k}: a {:?}, b {:?}, y {:?}", a.shape(), b.shape(), y.shape());
    if y.is_empty() {
        return;
    }
    if k == 0 {
        let zeros = [(!epilogue.accumulate).then_some(y), epilogue.sums];
        zeros.into_iter().flatten().for_each(|y| fill(gpu, y, 0.0));
        if let Some(residual) = epilogue.residual {
            add_parts(gpu, &residual.reshape(&[1, m, n]), y, None, true);
        }
        return;
    }
    if let Some(rows) = rows_that_fit(gpu, layout, dims) {
        return in_pieces(gpu, how, layout, operands, dims, epilogue, rows);
    }
    let how = how.unwrap_or_else(|| choose(gpu, layout, dims, epilogue));
    let plan = plan(gpu.info(), how, dims, epilogue);
    if plan.splits == 1 {
        return launch(gpu, layout, operands, dims, epilogue, plan);
    }
    let parts = Tensor::empty(gpu, &[plan.splits, m, n]);
    let sums = epilogue.sums.map(|_| Tensor::empty(gpu, &[plan.splits, m]));
    let inner = Epilogue { sums: sums.as_ref(), ..Epilogue::default() };
    launch(gpu, layout, [a, b, &parts], dims, &inner, plan);
    add_parts(gpu, &parts, y, epilogue.residual, epilogue.accumulate);
    if let (Some(parts), Some(y)) = (&sums, epilogue.sums) {
        add_parts(gpu, parts, y, None, false);
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
                add_parts(gpu, &own.reshape(&[1, own.len()]), s, None, true);
            }
            continue;
        }
        let wide = |x: &Tensor| part(&x.reshape(&[m, n]));
        let (z, residual) = (epilogue.z.map(wide), epilogue.residual.map(wide));
        let inner = Epilogue { z: z.as_ref(), residual: residual.as_ref(), ..*epilogue };
        product_by(gpu, how, layout, [&part(a), b, &wide(y)], [rows, n, k], &inner);
    }
}

/// `y = Σ parts[s]` (`+ residual`, `+ y`), in the order of `s`.
pub(super) fn add_parts(gpu: &Gpu, parts: &Tensor, y: &Tensor, residual: Option<&Tensor>, accumulate: bool) {
    let (width, n) = (width(y.len()), y.len() / width(y.len()));
    let flag = |on: bool| u32::from(on);
    let consts = [("RESIDUAL", flag(residual.is_some())), ("ACCUMULATE", flag(accumulate)), ("WIDTH", width as u32)];
    let buffers: [&Buffer; 3] = [parts, residual.unwrap_or(parts), y];
    gpu.dispatch(SUM.with(&consts), [n as u32, parts.shape()[0] as u32], &buffers, n.div_ceil(ELEMENTWISE));
}

/// What can compute a product on an adapter, best first. Drivers that run on the CPU: `gemm_row` for few rows and
/// `gemm_lanes` with subgroups of at least their 8 lanes, else `gemm_registers`. Everywhere: `gemm_tile`, and mixed
/// precision where that is on.
pub(crate) fn kernels(info: &AdapterInfo, layout: Layout, [m, n, k]: [usize; 3]) -> Vec<How> {
    let tiny = (m * n).min(m * k).min(n * k) < 4;
    let lanes = info.has_eight_lanes();
    let mut list = match (tiny, info.cpu_kernels) {
        (true, _) => vec![How::Tile],
        (false, true) if lanes => vec![How::Lanes, How::Registers, How::Tile, How::BigTile],
        (false, true) => vec![How::Registers, How::Tile, How::BigTile],
        (false, false) if lanes => vec![How::Tile, How::BigTile, How::Lanes, How::Registers],
        (false, false) => vec![How::Tile, How::BigTile, How::Registers],
    };
    if lanes && m <= 4 && k.is_multiple_of(4) && layout == Layout::Nt && !tiny {
        list.insert(if info.cpu_kernels { 0 } else { list.len() }, How::Row);
    }
    if info.fragment > 0 {
        list.extend([How::Mixed, How::BigMixed]);
    }
    list
}

/// Tiles that keep a GPU busy.
const BUSY: usize = 256;

/// The kernel of a product, where the caller does not say: by size alone, or the faster of two that give the same bits
/// where the device lets them race. So the bits depend on the adapter and the size, and on no measurement.
fn choose(gpu: &Gpu, layout: Layout, dims: [usize; 3], epilogue: &Epilogue) -> How {
    let info = gpu.info();
    let [m, n, _] = dims;
    let [small, big] = match mixed::serves(gpu, dims) {
        true => [How::Mixed, How::BigMixed],
        false if info.cpu_kernels => return kernels(info, layout, dims)[0],
        // Sums of columns have another order in a larger tile.
        false if epilogue.sums.is_some() => return How::Tile,
        false => [How::Tile, How::BigTile],
    };
    let tiles = m.div_ceil(128) * n.div_ceil(128);
    if tiles < 16 || n <= 64 {
        return small;
    }
    let default = if tiles >= BUSY { big } else { small };
    let candidates = if default == small { [small, big] } else { [big, small] };
    let rounded = dims.map(usize::next_power_of_two);
    let key = format!(
        "gemm {layout:?} {}x{}x{}{}",
        rounded[0],
        rounded[1],
        rounded[2],
        if small.is_mixed() { " mixed" } else { "" }
    );
    let chosen = gpu.choice(&key, || contest(gpu, layout, rounded, candidates));
    candidates.into_iter().find(|how| chosen == Some(format!("{how:?}"))).unwrap_or(default)
}

/// Lets two kernels race on a product of about this size, after a look at what they compute. Also says how long it took.
fn contest(gpu: &Gpu, layout: Layout, dims: [usize; 3], candidates: [How; 2]) -> (Choice, f64) {
    let start = Instant::now();
    let choice = walkover(gpu, layout, dims, candidates).unwrap_or_else(|| {
        let mut dims = dims;
        while dims.iter().product::<usize>() > 1 << 33 {
            let largest = (0..3).max_by_key(|i| dims[*i]).unwrap_or(0);
            dims[largest] /= 2;
        }
        let [m, n, k] = dims;
        let [a, b, y] = [m * k, n * k, m * n].map(|n| Tensor::full(gpu, &[n], 0.5));
        // As many in a row as hide the cost of waiting for them.
        let repeats = ((1 << 31) / (m * n * k)).clamp(1, 16);
        let (at, seconds) = race(2, &mut |i| {
            let start = Instant::now();
            for _ in 0..repeats {
                product_by(gpu, Some(candidates[i]), layout, [&a, &b, &y], dims, &Epilogue::default());
            }
            let done = gpu.sync().is_ok();
            if done { start.elapsed().as_secs_f64() / repeats as f64 } else { f64::INFINITY }
        });
        let times = [0, 1].map(|i| format!("{:?} {:.0} us", candidates[i], seconds[i] * 1e6));
        Choice { name: format!("{:?}", candidates[at]), notes: times.join(", ") }
    });
    (choice, start.elapsed().as_secs_f64())
}

/// The choice between two kernels where one is wrong, or gives other bits than the default: then there is no race.
fn walkover(gpu: &Gpu, layout: Layout, dims: [usize; 3], candidates: [How; 2]) -> Option<Choice> {
    let [m, n, k] = dims.map(|d| d.min(136));
    let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
    let numbers = |n: usize| -> Vec<f32> { (0..n).map(number).collect() };
    let [a, b] = [m * k, n * k].map(|n| Tensor::from_slice(gpu, &numbers(n), &[n]));
    let y = candidates.map(|how| {
        let y = Tensor::full(gpu, &[m * n], 1e9); // not what the one before has left there
        product_by(gpu, Some(how), layout, [&a, &b, &y], [m, n, k], &Epilogue::default());
        y.to_vec::<f32>().unwrap_or_default()
    });
    let at_a = |row: usize, s: usize| number(if layout == Layout::Tn { s * m + row } else { row * k + s });
    let at_b = |col: usize, s: usize| number(if layout == Layout::Nt { col * k + s } else { s * n + col });
    let sum = |i: usize| -> f64 { (0..k).map(|s| f64::from(at_a(i / n, s)) * f64::from(at_b(i % n, s))).sum() };
    let expected: Vec<f64> = (0..m * n).map(sum).collect();
    let allowed = if candidates[0].is_mixed() { mixed::TOLERANCE } else { 1e-5 };
    let right = y.each_ref().map(|y| mixed::error(y, &expected) <= allowed);
    let [default, other] = candidates;
    let (name, left_out, why) = match right {
        [false, true] => (other, default, "is wrong"),
        [true, false] => (default, other, "is wrong"),
        _ if y[0] != y[1] => (default, other, "gives other bits"),
        _ => return None,
    };
    Some(Choice { name: format!("{name:?}"), notes: format!("{left_out:?} left out: it {why}") })
}

/// Tile and split for a kernel and a size. Long sums of few outputs are split along k until they fill the device; how,
/// depends on nothing else, so the same product has the same bits every time.
fn plan(info: &AdapterInfo, how: How, dims: [usize; 3], epilogue: &Epilogue) -> Plan {
    let [m, n, k] = dims;
    let fill = if info.cpu_kernels { 8 } else { BUSY };
    let tiles = |[rows, cols]: [usize; 2]| m.div_ceil(rows) * n.div_ceil(cols);
    let fragment = info.fragment as usize;
    let tile = match how {
        How::Row => [4, 8],
        How::Lanes => [32, if n > 32 { 64 } else { 32 }],
        How::Registers => [16, 64],
        How::Tile => [64, 64],
        How::BigTile => [128, 128],
        How::Mixed => [8 * fragment, 4 * fragment],
        How::BigMixed => [8 * fragment, 8 * fragment],
    };
    // Kernels that give the same bits split alike.
    let counted = match how {
        How::BigTile => [64, 64],
        How::BigMixed => [8 * fragment, 4 * fragment],
        _ => tile,
    };
    let most = if epilogue.only_adds() && how != How::Row { k.div_ceil(SHORTEST) } else { 1 };
    let splits = (fill / tiles(counted)).clamp(1, most);
    let k_per_split = k.div_ceil(splits).next_multiple_of(16);
    let splits = k.div_ceil(k_per_split);
    Plan { how, splits, k_per_split, cols: tile[1], groups: tiles(tile) * splits }
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
    let a_row = if layout == Layout::Tn { m } else { k };
    let b_row = if layout == Layout::Nt { k } else { n };
    consts.extend([("A_VEC", flag(a_row % 4 == 0)), ("B_VEC", flag(b_row % 4 == 0)), ("K_TAIL", flag(k % 4 != 0))]);
    let whole = n % 4 == 0 && (epilogue.sums.is_none() || m % 4 == 0);
    let kernel = match (plan.how, whole) {
        (How::Row, _) => &ROW,
        (How::Lanes, true) => &LANES,
        (How::Lanes, false) => &LANES_ODD,
        (How::Registers, true) => &REGISTERS,
        (How::Registers, false) => &REGISTERS_ODD,
        (How::Tile | How::BigTile, true) => &TILE,
        (How::Tile | How::BigTile, false) => &TILE_ODD,
        (How::Mixed | How::BigMixed, true) => &MIXED,
        (How::Mixed | How::BigMixed, false) => &MIXED_ODD,
    };
    match plan.how {
        How::Row => consts.push(("ROWS", m as u32)),
        How::Lanes => consts.push(("WIDE", plan.cols as u32 / 32)),
        How::Registers => {}
        How::Tile | How::BigTile => consts.push(("TILE", plan.cols as u32)),
        How::Mixed | How::BigMixed => {
            consts.extend(mixed::consts(gpu.info(), plan.how));
            let range = mixed::range(gpu, a, b);
            let buffers: [&Buffer; 9] = [a, a, b, b, bias, residual, y, z, &range];
            return gpu.dispatch(kernel.with(&consts), params, &buffers, plan.groups);
        }
    }
    gpu.dispatch(kernel.with(&consts), params, &[a, a, b, b, bias, residual, y, z], plan.groups);
}
