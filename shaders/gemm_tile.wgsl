// Matrix product by tiles in workgroup memory.
//   y = activation(a b + bias) + residual
// Layouts: 0 y = a b, a [m, k], b [k, n];  1 y = a b^T, b [n, k];  2 y = a^T b, a [k, m], b [k, n].
// One workgroup per 64 x 64 tile of y, 4 x 4 numbers per thread, 16 steps of k at a time; bound by arithmetic.
const LAYOUT: u32 = 0u;
const BIAS: u32 = 0u;
const ACT: u32 = 0u;
const KEEP: u32 = 0u;        // store what goes into the activation
const SUMS: u32 = 0u;        // z gets the sums of the columns of a instead: layout 2
const RESIDUAL: u32 = 0u;
const ACCUMULATE: u32 = 0u;  // add to y instead of overwriting it
// include: activation
struct Params { m: u32, n: u32, k: u32, k_per_split: u32, splits: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;          // [m, k], or [k, m]
@group(0) @binding(2) var<storage, read> b: array<f32>;          // [k, n], or [n, k]
@group(0) @binding(3) var<storage, read> bias: array<f32>;       // [n]
@group(0) @binding(4) var<storage, read> residual: array<f32>;   // [m, n]
@group(0) @binding(5) var<storage, read_write> y: array<f32>;    // [splits, m, n]
@group(0) @binding(6) var<storage, read_write> z: array<f32>;    // [m, n], before the activation

// [k][row / 4] and [k][col / 4]; 17 instead of 16, or transposing writes would all meet in one bank.
const STRIDE: u32 = 17u;
var<workgroup> tile_a: array<vec4<f32>, 272>;
var<workgroup> tile_b: array<vec4<f32>, 272>;

fn a_at(row: u32, k: u32, end: u32) -> f32 {
    if (row >= params.m || k >= end) {
        return 0.0;
    }
    return a[select(row * params.k + k, k * params.m + row, LAYOUT == 2u)];
}

fn b_at(col: u32, k: u32, end: u32) -> f32 {
    if (col >= params.n || k >= end) {
        return 0.0;
    }
    return b[select(k * params.n + col, col * params.k + k, LAYOUT == 1u)];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let id = group.y * groups.x + group.x;
    let across = (params.n + 63u) / 64u;
    let down = (params.m + 63u) / 64u;
    let split = id / (across * down);
    if (split >= params.splits) {
        return;
    }
    let row = id / across % down * 64u;
    let col = id % across * 64u;
    let fast = thread % 16u;
    let slow = thread / 16u;
    // Neighbouring threads read neighbouring numbers: along k where k is the last axis, else along the other one.
    let a_k = select(fast, slow, LAYOUT == 2u);
    let a_4 = select(slow, fast, LAYOUT == 2u);
    let b_k = select(slow, fast, LAYOUT == 1u);
    let b_4 = select(fast, slow, LAYOUT == 1u);
    let a_row = row + 4u * a_4;
    let b_col = col + 4u * b_4;
    var c0 = vec4(0.0);
    var c1 = vec4(0.0);
    var c2 = vec4(0.0);
    var c3 = vec4(0.0);
    var sums = vec4(0.0);
    let end = min((split + 1u) * params.k_per_split, params.k);
    for (var k = split * params.k_per_split; k < end; k += 16u) {
        let ak = k + a_k;
        let bk = k + b_k;
        let four =
            vec4(a_at(a_row, ak, end), a_at(a_row + 1u, ak, end), a_at(a_row + 2u, ak, end), a_at(a_row + 3u, ak, end));
        tile_a[a_k * STRIDE + a_4] = four;
        if (SUMS == 1u) {
            sums += four;
        }
        tile_b[b_k * STRIDE + b_4] =
            vec4(b_at(b_col, bk, end), b_at(b_col + 1u, bk, end), b_at(b_col + 2u, bk, end), b_at(b_col + 3u, bk, end));
        workgroupBarrier();
        for (var i = 0u; i < 16u; i += 1u) {
            let va = tile_a[i * STRIDE + slow];
            let vb = tile_b[i * STRIDE + fast];
            c0 += va.x * vb;
            c1 += va.y * vb;
            c2 += va.z * vb;
            c3 += va.w * vb;
        }
        workgroupBarrier();
    }
    let offset = split * params.m * params.n;
    let y_row = row + 4u * slow;
    let y_col = col + 4u * fast;
    store(y_row, y_col, offset, c0);
    store(y_row + 1u, y_col, offset, c1);
    store(y_row + 2u, y_col, offset, c2);
    store(y_row + 3u, y_col, offset, c3);
    if (SUMS == 1u && col == 0u) {
        tile_a[a_k * STRIDE + a_4] = sums; // nobody reads the tile any more: the loop ends with a barrier
        workgroupBarrier();
        if (thread < 16u) {
            var total = vec4(0.0);
            for (var i = 0u; i < 16u; i += 1u) {
                total += tile_a[i * STRIDE + thread];
            }
            store_sums(row + 4u * thread, split * params.m, total);
        }
    }
}
// include: gemm_store
