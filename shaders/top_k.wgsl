// Scores of items for a tile of 16 queries, folded to one number per query and group of 64 items: the best score (for
// top_k), or how many reach a threshold (for rank_of). The scores themselves are never stored.
//   score = dot(query, item) + bias, one chain of fma in the order of dim: the same bits wherever it is computed
// One workgroup per group of 64 items and 16 queries, one thread per item with its 16 sums in registers; 32 columns of
// both pass through workgroup memory at a time, so that every load is coalesced whatever dim is. Bound by memory.
const COUNT: u32 = 0u;      // 1: count scores at or above the threshold; 0: the best score
const EXCLUDE: u32 = 0u;    // 1: leave out what `mask` has a bit for
const BIAS: u32 = 0u;
struct Params { queries: u32, items: u32, dim: u32, start: u32, groups: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> query: array<f32>;                   // [queries, dim]
@group(0) @binding(2) var<storage, read> table: array<f32>;                   // [items, dim], item `start` first
@group(0) @binding(3) var<storage, read> bias: array<f32>;                    // [items]
@group(0) @binding(4) var<storage, read> mask: array<u32>;                    // [queries, 2 groups] of bits
@group(0) @binding(5) var<storage, read> threshold: array<f32>;               // [queries]
@group(0) @binding(6) var<storage, read_write> folded: array<atomic<u32>>;    // keys [queries, groups]; counts [queries]

const STEP: u32 = 32u;
const STRIDE: u32 = STEP + 1u;                                // odd: no two threads meet in one bank
var<workgroup> rows: array<f32, 64 * STRIDE>;                 // columns of 64 items; later scores [16, 64]
var<workgroup> columns: array<vec4<f32>, STEP * 4u>;          // [STEP, 16 queries]
var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) block: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tile = block.y * 16u;
    let group = params.start / 64u + block.x;
    let item = block.x * 64u + thread;
    var a0 = vec4(0.0);
    var a1 = vec4(0.0);
    var a2 = vec4(0.0);
    var a3 = vec4(0.0);
    for (var k0 = 0u; k0 < params.dim; k0 += STEP) {
        for (var i = thread; i < 64u * STEP; i += 64u) {
            let row = i / STEP;
            let k = i % STEP;
            var v = 0.0;
            if (block.x * 64u + row < params.items && k0 + k < params.dim) {
                v = table[(block.x * 64u + row) * params.dim + k0 + k];
            }
            rows[row * STRIDE + k] = v;
        }
        for (var i = thread; i < STEP * 4u; i += 64u) {
            columns[i] = four_queries(tile + i % 4u * 4u, k0 + i / 4u);
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
            let v = vec4(rows[thread * STRIDE + k]);
            a0 = fma(columns[k * 4u], v, a0);
            a1 = fma(columns[k * 4u + 1u], v, a1);
            a2 = fma(columns[k * 4u + 2u], v, a2);
            a3 = fma(columns[k * 4u + 3u], v, a3);
        }
        workgroupBarrier();    // before the next columns, and below before scores take the place of rows
    }
    let valid = item < params.items && item + params.start >= params.first;
    var b = 0.0;
    if (BIAS == 1u && valid) {
        b = bias[item];
    }
    for (var c = 0u; c < 4u; c++) {
        rows[c * 64u + thread] = worth(a0[c] + b, valid, tile + c, item);
        rows[(c + 4u) * 64u + thread] = worth(a1[c] + b, valid, tile + c + 4u, item);
        rows[(c + 8u) * 64u + thread] = worth(a2[c] + b, valid, tile + c + 8u, item);
        rows[(c + 12u) * 64u + thread] = worth(a3[c] + b, valid, tile + c + 12u, item);
    }
    workgroupBarrier();
    var sum = rows[thread * 16u];    // a quarter of one query's 64 items
    for (var i = 1u; i < 16u; i++) {
        sum = fold(sum, rows[thread * 16u + i]);
    }
    parts[thread] = sum;
    workgroupBarrier();
    let q = tile + thread;
    if (thread < 16u && q < params.queries) {
        let p = thread * 4u;
        let all = fold(fold(parts[p], parts[p + 1u]), fold(parts[p + 2u], parts[p + 3u]));
        if (COUNT == 1u) {
            atomicAdd(&folded[q], u32(all));
        } else {
            atomicStore(&folded[q * params.groups + group], key_of(all));
        }
    }
}

fn four_queries(q: u32, k: u32) -> vec4<f32> {
    var v = vec4(0.0);
    for (var c = 0u; c < 4u; c++) {
        if (q + c < params.queries && k < params.dim) {
            v[c] = query[(q + c) * params.dim + k];
        }
    }
    return v;
}

// What one score adds to the fold.
fn worth(score: f32, valid: bool, q: u32, item: u32) -> f32 {
    var take = valid && q < params.queries;
    if (EXCLUDE == 1u && take) {
        let id = params.start + item;
        take = ((mask[q * 2u * params.groups + id / 32u] >> (id % 32u)) & 1u) == 0u;
    }
    if (COUNT == 1u) {
        if (take) {
            return select(0.0, 1.0, score >= threshold[q]);
        }
        return 0.0;
    }
    return select(-1e30, score, take);
}

fn fold(a: f32, b: f32) -> f32 {
    return select(max(a, b), a + b, COUNT == 1u);
}
// include: score_key
