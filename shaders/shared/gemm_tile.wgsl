// Matrix product by tiles in workgroup memory. One workgroup of 256 threads per TILE x TILE numbers of y:
// 64: 4 x 4 numbers per thread, 16 steps of k at a time; 128: 8 x 8 numbers and 8 steps, for large products.
// Bound by arithmetic. Whatever the tile, each number of y is one chain of multiply-adds in the order of k: the same bits.
const TILE: u32 = 64u;
const BLOCKS: u32 = TILE / 64u;
const STEPS: u32 = 16u / BLOCKS;
// [k][row / 4] and [k][col / 4]; one more than TILE / 4, or transposing writes would all meet in one bank.
const STRIDE: u32 = TILE / 4u + 1u;
var<workgroup> tile_a: array<vec4<f32>, STRIDE * STEPS>;
var<workgroup> tile_b: array<vec4<f32>, STRIDE * STEPS>;

// Four rows of a at one step of k; behind an edge zeros.
fn four_a(row: u32, k: u32, end: u32) -> vec4<f32> {
    if (row >= params.m || k >= end) {
        return vec4(0.0);
    }
    let at = select(row * params.k + k, k * params.m + row, LAYOUT == 2u);
    if (LAYOUT == 2u && A_VEC == 1u) {
        return a4[at / 4u];
    }
    let step = select(params.k, 1u, LAYOUT == 2u);
    var v = vec4(a1[at], 0.0, 0.0, 0.0);
    if (row + 1u < params.m) { v.y = a1[at + step]; }
    if (row + 2u < params.m) { v.z = a1[at + 2u * step]; }
    if (row + 3u < params.m) { v.w = a1[at + 3u * step]; }
    return v;
}

// Four columns of b at one step of k; behind an edge zeros.
fn four_b(col: u32, k: u32, end: u32) -> vec4<f32> {
    if (col >= params.n || k >= end) {
        return vec4(0.0);
    }
    let at = select(k * params.n + col, col * params.k + k, LAYOUT == 1u);
    if (LAYOUT != 1u && B_VEC == 1u) {
        return b4[at / 4u];
    }
    let step = select(1u, params.k, LAYOUT == 1u);
    var v = vec4(b1[at], 0.0, 0.0, 0.0);
    if (col + 1u < params.n) { v.y = b1[at + step]; }
    if (col + 2u < params.n) { v.z = b1[at + 2u * step]; }
    if (col + 3u < params.n) { v.w = b1[at + 3u * step]; }
    return v;
}

fn outer(c: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(fma(vec4(a.x), b, c[0]), fma(vec4(a.y), b, c[1]), fma(vec4(a.z), b, c[2]), fma(vec4(a.w), b, c[3]));
}

// A matrix per 4 x 4 numbers of a thread, a column of it per row of y.
struct Sums { near: mat4x4<f32>, right: mat4x4<f32>, below: mat4x4<f32>, far: mat4x4<f32> }

// One step of k.
fn step(c: Sums, at_a: u32, at_b: u32) -> Sums {
    let a = tile_a[at_a];
    let b = tile_b[at_b];
    if (BLOCKS == 1u) {
        return Sums(outer(c.near, a, b), c.right, c.below, c.far);
    }
    let a2 = tile_a[at_a + 16u];
    let b2 = tile_b[at_b + 16u];
    return Sums(outer(c.near, a, b), outer(c.right, a, b2), outer(c.below, a2, b), outer(c.far, a2, b2));
}

fn store_block(c: mat4x4<f32>, row: u32, col: u32, offset: u32) {
    store(row, col, offset, c[0]);
    store(row + 1u, col, offset, c[1]);
    store(row + 2u, col, offset, c[2]);
    store(row + 3u, col, offset, c[3]);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let id = group.y * groups.x + group.x;
    let across = (params.n + TILE - 1u) / TILE;
    let down = (params.m + TILE - 1u) / TILE;
    let split = id / (across * down);
    if (split >= params.splits) {
        return;
    }
    let row = id / across % down * TILE;
    let col = id % across * TILE;
    // Neighbouring threads read neighbouring numbers: along k where k is the last axis, else along the other one.
    let along = vec2(thread % STEPS, thread / STEPS);
    let aside = vec2(thread / (16u * BLOCKS), thread % (16u * BLOCKS));
    let of_a = select(along, aside, LAYOUT == 2u);
    let of_b = select(aside, along, LAYOUT == 1u);
    let a_row = row + 4u * of_a.y;
    let b_col = col + 4u * of_b.y;
    let fast = thread % 16u;
    let slow = thread / 16u;
    var c = Sums();
    var sums = vec4(0.0);
    let start = split * params.k_per_split;
    let end = min(start + params.k_per_split, params.k);
    var next_a = four_a(a_row, start + of_a.x, end);
    var next_b = four_b(b_col, start + of_b.x, end);
    for (var k = start; k < end; k += STEPS) {
        tile_a[of_a.x * STRIDE + of_a.y] = next_a;
        tile_b[of_b.x * STRIDE + of_b.y] = next_b;
        if (SUMS == 1u) {
            sums += next_a;
        }
        workgroupBarrier();
        // On their way from memory while this tile is worked on.
        next_a = four_a(a_row, k + STEPS + of_a.x, end);
        next_b = four_b(b_col, k + STEPS + of_b.x, end);
        for (var i = 0u; i < STEPS; i += 4u) {
            let at_a = i * STRIDE + slow;
            let at_b = i * STRIDE + fast;
            c = step(c, at_a, at_b);
            c = step(c, at_a + STRIDE, at_b + STRIDE);
            c = step(c, at_a + 2u * STRIDE, at_b + 2u * STRIDE);
            c = step(c, at_a + 3u * STRIDE, at_b + 3u * STRIDE);
        }
        workgroupBarrier();
    }
    let offset = split * params.m * params.n;
    let y_row = row + 4u * slow;
    let y_col = col + 4u * fast;
    store_block(c.near, y_row, y_col, offset);
    if (BLOCKS == 2u) {
        store_block(c.right, y_row, y_col + 64u, offset);
        store_block(c.below, y_row + 64u, y_col, offset);
        store_block(c.far, y_row + 64u, y_col + 64u, offset);
    }
    if (SUMS == 1u && col == 0u) {
        tile_a[of_a.x * STRIDE + of_a.y] = sums; // nobody reads the tile any more: the loop ends with a barrier
        workgroupBarrier();
        if (thread < 16u * BLOCKS) {
            var total = vec4(0.0);
            for (var i = 0u; i < STEPS; i += 1u) {
                total += tile_a[i * STRIDE + thread];
            }
            store_sums(row + 4u * thread, split * params.m, total);
        }
    }
}
