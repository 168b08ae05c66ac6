// Matrix product for drivers that run on the CPU. One subgroup of 8 lanes per 64 x 32 tile of y (32 x 32 for few rows):
// each lane owns four columns, loads its share of a, and hands it to the others by broadcast. No workgroup memory, no
// barrier: there, a load is a loop over lanes and a barrier a switch of coroutines, so what pays is arithmetic per load.
// Layouts: 0 y = a b, a [m, k], b [k, n];  1 y = a b^T, b [n, k];  2 y = a^T b, a [k, m], b [k, n].
const LAYOUT: u32 = 0u;
const A_VEC: u32 = 1u;       // rows of a are whole vec4
const B_VEC: u32 = 1u;
const K_TAIL: u32 = 0u;      // k is no multiple of 4
const ROWS: u32 = 64u;       // rows of the tile, 32 or 64
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

// Columns: this lane's four rows of the tile; components: four steps of k. Steps behind k are zero.
fn load_a(row: vec4<u32>, k: u32) -> mat4x4<f32> {
    var t: mat4x4<f32>;
    if (LAYOUT == 2u) {
        let at = min(vec4(k) + vec4(0u, 1u, 2u, 3u), vec4(params.k - 1u)) * params.m;
        let last = params.m - 1u;
        t = transpose(mat4x4(a_row(at.x, row.x, last), a_row(at.y, row.x, last), a_row(at.z, row.x, last),
            a_row(at.w, row.x, last)));
    } else {
        let last = params.k - 1u;
        t = mat4x4(a_row(row.x, k, last), a_row(row.y, k, last), a_row(row.z, k, last), a_row(row.w, k, last));
    }
    if (K_TAIL == 1u) {
        let there = vec4(k) + vec4(0u, 1u, 2u, 3u) < vec4(params.k);
        let none = vec4(0.0);
        t = mat4x4(select(none, t[0], there), select(none, t[1], there), select(none, t[2], there),
            select(none, t[3], there));
    }
    return t;
}

// Columns: four steps of k; components: this lane's four columns of the tile.
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

struct Eight { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>,
               r4: vec4<f32>, r5: vec4<f32>, r6: vec4<f32>, r7: vec4<f32> }

fn multiply(c: Eight, a: vec4<f32>, b: mat4x4<f32>) -> Eight {
    return Eight(c.r0 + b * subgroupBroadcast(a, 0u), c.r1 + b * subgroupBroadcast(a, 1u),
        c.r2 + b * subgroupBroadcast(a, 2u), c.r3 + b * subgroupBroadcast(a, 3u),
        c.r4 + b * subgroupBroadcast(a, 4u), c.r5 + b * subgroupBroadcast(a, 5u),
        c.r6 + b * subgroupBroadcast(a, 6u), c.r7 + b * subgroupBroadcast(a, 7u));
}

// The row of lane `i` in its column `g` of load_a.
fn row_of(row: u32, g: u32, i: u32) -> u32 {
    return row + select(8u * g + i, 4u * i + g, LAYOUT == 2u);
}

fn store_eight(c: Eight, row: u32, g: u32, col: u32, offset: u32) {
    store(row_of(row, g, 0u), col, offset, c.r0);
    store(row_of(row, g, 1u), col, offset, c.r1);
    store(row_of(row, g, 2u), col, offset, c.r2);
    store(row_of(row, g, 3u), col, offset, c.r3);
    store(row_of(row, g, 4u), col, offset, c.r4);
    store(row_of(row, g, 5u), col, offset, c.r5);
    store(row_of(row, g, 6u), col, offset, c.r6);
    store(row_of(row, g, 7u), col, offset, c.r7);
}

// Where load_a finds this lane's rows of the 32 from `row` on.
fn rows_of(row: u32, lane: u32) -> vec4<u32> {
    if (LAYOUT == 2u) {
        let first = row + 4u * lane;
        return vec4(select(first, min(first, params.m - 4u), A_VEC == 1u));
    }
    return min(row + lane + vec4(0u, 8u, 16u, 24u), vec4(params.m - 1u)) * params.k;
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let id = group.y * groups.x + group.x;
    let across = (params.n + 31u) / 32u;
    let down = (params.m + ROWS - 1u) / ROWS;
    let split = id / (across * down);
    if (split >= params.splits) {
        return;
    }
    let row = id / across % down * ROWS;
    let col = id % across * 32u + 4u * lane;
    // Lanes behind the edge load what is inside, and store nothing.
    let rows = rows_of(row, lane);
    let rows2 = rows_of(row + 32u, lane);
    var cols: vec4<u32>;
    if (LAYOUT == 1u) {
        cols = min(col + vec4(0u, 1u, 2u, 3u), vec4(params.n - 1u)) * params.k;
    } else {
        cols = vec4(select(col, min(col, params.n - 4u), B_VEC == 1u));
    }
    var c0 = Eight();
    var c1 = Eight();
    var c2 = Eight();
    var c3 = Eight();
    var d0 = Eight();
    var d1 = Eight();
    var d2 = Eight();
    var d3 = Eight();
    var sums = vec4(0.0);
    var sums2 = vec4(0.0);
    let end = min((split + 1u) * params.k_per_split, params.k);
    for (var k = split * params.k_per_split; k < end; k += 4u) {
        let a = load_a(rows, k);
        let b = load_b(cols, k);
        c0 = multiply(c0, a[0], b);
        c1 = multiply(c1, a[1], b);
        c2 = multiply(c2, a[2], b);
        c3 = multiply(c3, a[3], b);
        if (SUMS == 1u) {
            sums += vec4(1.0) * a;
        }
        if (ROWS == 64u) {
            let a2 = load_a(rows2, k);
            d0 = multiply(d0, a2[0], b);
            d1 = multiply(d1, a2[1], b);
            d2 = multiply(d2, a2[2], b);
            d3 = multiply(d3, a2[3], b);
            if (SUMS == 1u) {
                sums2 += vec4(1.0) * a2;
            }
        }
    }
    let offset = split * params.m * params.n;
    store_eight(c0, row, 0u, col, offset);
    store_eight(c1, row, 1u, col, offset);
    store_eight(c2, row, 2u, col, offset);
    store_eight(c3, row, 3u, col, offset);
    if (ROWS == 64u) {
        store_eight(d0, row + 32u, 0u, col, offset);
        store_eight(d1, row + 32u, 1u, col, offset);
        store_eight(d2, row + 32u, 2u, col, offset);
        store_eight(d3, row + 32u, 3u, col, offset);
    }
    if (SUMS == 1u && id % across == 0u) {
        store_sums(row + 4u * lane, split * params.m, sums);
        if (ROWS == 64u) {
            store_sums(row + 32u + 4u * lane, split * params.m, sums2);
        }
    }
}
