// What the matrix products of software adapters load: vec4 where rows are whole vec4, else number by number.
// Layouts: 0 y = a b, a [m, k], b [k, n];  1 y = a b^T, b [n, k];  2 y = a^T b, a [k, m], b [k, n].
const LAYOUT: u32 = 0u;
const A_VEC: u32 = 1u;       // rows of a are whole vec4
const B_VEC: u32 = 1u;
const K_TAIL: u32 = 0u;      // k is no multiple of 4
const BIAS: u32 = 0u;
const ACT: u32 = 0u;
const KEEP: u32 = 0u;        // store what goes into the activation
const SUMS: u32 = 0u;        // z gets the sums of the columns of a instead: layout 2
const RESIDUAL: u32 = 0u;
const ACCUMULATE: u32 = 0u;  // add to y instead of overwriting it
struct Params { m: u32, n: u32, k: u32, k_per_split: u32, splits: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a4: array<vec4<f32>>;   // [m, k], or [k, m]
@group(0) @binding(2) var<storage, read> a1: array<f32>;         // the same memory
@group(0) @binding(3) var<storage, read> b4: array<vec4<f32>>;   // [k, n], or [n, k]
@group(0) @binding(4) var<storage, read> b1: array<f32>;         // the same memory
@group(0) @binding(5) var<storage, read> bias: array<f32>;       // [n]

fn a_row(at: u32, step: u32, last: u32) -> vec4<f32> {
    if (A_VEC == 1u) {
        return a4[(at + step) / 4u];
    }
    let i = min(vec4(step) + vec4(0u, 1u, 2u, 3u), vec4(last)) + at;
    return vec4(a1[i.x], a1[i.y], a1[i.z], a1[i.w]);
}

fn b_row(at: u32, step: u32, last: u32) -> vec4<f32> {
    if (B_VEC == 1u) {
        return b4[(at + step) / 4u];
    }
    let i = min(vec4(step) + vec4(0u, 1u, 2u, 3u), vec4(last)) + at;
    return vec4(b1[i.x], b1[i.y], b1[i.z], b1[i.w]);
}

// Steps behind k are zero.
fn there(v: vec4<f32>, k: u32) -> vec4<f32> {
    if (K_TAIL == 1u) {
        return select(vec4(0.0), v, vec4(k) + vec4(0u, 1u, 2u, 3u) < vec4(params.k));
    }
    return v;
}

// Four steps of k of one row of the tile; not in layout 2.
fn one_a(row: u32, k: u32) -> vec4<f32> {
    return there(a_row(row, k, params.k - 1u), k);
}

// Columns: four rows of the tile; components: four steps of k.
fn load_a(row: vec4<u32>, k: u32) -> mat4x4<f32> {
    if (LAYOUT != 2u) {
        return mat4x4(one_a(row.x, k), one_a(row.y, k), one_a(row.z, k), one_a(row.w, k));
    }
    let at = min(vec4(k) + vec4(0u, 1u, 2u, 3u), vec4(params.k - 1u)) * params.m;
    let last = params.m - 1u;
    let t = transpose(mat4x4(a_row(at.x, row.x, last), a_row(at.y, row.x, last), a_row(at.z, row.x, last),
        a_row(at.w, row.x, last)));
    return mat4x4(there(t[0], k), there(t[1], k), there(t[2], k), there(t[3], k));
}

// Columns: four steps of k; components: four columns of the tile.
fn load_b(col: vec4<u32>, k: u32) -> mat4x4<f32> {
    let last = params.k - 1u;
    if (LAYOUT == 1u) {
        return transpose(mat4x4(b_row(col.x, k, last), b_row(col.y, k, last), b_row(col.z, k, last),
            b_row(col.w, k, last)));
    }
    let at = min(vec4(k) + vec4(0u, 1u, 2u, 3u), vec4(last)) * params.n;
    let end = params.n - 1u;
    return mat4x4(b_row(at.x, col.x, end), b_row(at.y, col.x, end), b_row(at.z, col.x, end), b_row(at.w, col.x, end));
}

// Where load_b finds the four columns from `col` on.
fn columns_at(col: u32) -> vec4<u32> {
    if (LAYOUT == 1u) {
        return min(col + vec4(0u, 1u, 2u, 3u), vec4(params.n - 1u)) * params.k;
    }
    return vec4(select(col, min(col, params.n - 4u), B_VEC == 1u));
}
