// Scores of items for a tile of 16 queries, folded to one number per query and group of items: the best score (for
// top_k), or how many reach a threshold (for rank_of). The scores themselves are never stored.
//   score = dot(query, item) + bias, one chain of fma in the order of dim: the same bits wherever it is computed
// One workgroup per 64 items and 16 queries, one thread per item with its 16 sums in registers; 32 words of each item
// pass through workgroup memory at a time as they are, with the columns of the queries that they meet, so that every load
// is coalesced whatever dim is. Sums over int8 are whole numbers, and exact. Bound by memory.
const GROUP: u32 = 64u;     // items per group, 16 or 64
const COUNT: u32 = 0u;      // 1: count scores at or above the threshold; 0: the best score
const EXCLUDE: u32 = 0u;    // 1: leave out what `mask` has a bit for
const BIAS: u32 = 0u;
const FORMAT: u32 = 0u;     // of the table: 0 f32, 1 f16 (two in a word), 2 int8 (four)
struct Params {
    queries: u32, items: u32, dim: u32, start: u32, groups: u32, first: u32, words: u32, row: u32, stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> query: array<f32>;                   // [queries, stride]
@group(0) @binding(2) var<storage, read> table: array<u32>;                   // [items, row] words, item `start` first
@group(0) @binding(3) var<storage, read> bias: array<f32>;                    // [items]
@group(0) @binding(4) var<storage, read> mask: array<u32>;                    // [queries, words] of bits
@group(0) @binding(5) var<storage, read> threshold: array<f32>;               // [queries]
@group(0) @binding(6) var<storage, read_write> folded: array<atomic<u32>>;    // keys [queries, groups]; counts [queries]

const STEP: u32 = 32u;
const STRIDE: u32 = STEP + 1u;                                // odd: no two threads meet in one bank
var<workgroup> rows: array<u32, 64 * STRIDE>;                 // words of 64 items; later scores [16, 64]
var<workgroup> columns: array<vec4<u32>, STEP * 8u>;          // of 16 queries: numbers for f32 and f16, words for int8
var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) block: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tile = block.y * 16u;
    let item = block.x * 64u + thread;
    var a: array<vec4<f32>, 4>;
    var n: array<vec4<i32>, 4>;
    let n_words = params.dim >> FORMAT;
    let depth = select(STEP, 2u * STEP, FORMAT == 1u);
    for (var w0 = 0u; w0 < n_words; w0 += STEP) {
        for (var i = thread; i < 64u * STEP; i += 64u) {
            let row = i / STEP;
            let w = i % STEP;
            var v = 0u;
            if (block.x * 64u + row < params.items && w0 + w < n_words) {
                v = table[(block.x * 64u + row) * params.row + w0 + w];
            }
            rows[row * STRIDE + w] = v;
        }
        for (var i = thread; i < depth * 4u; i += 64u) {
            let q = tile + i % 4u * 4u;
            if (FORMAT == 2u) {
                let k = (w0 + i / 4u) * 4u;
                let c = array(four_queries(q, k), four_queries(q, k + 1u), four_queries(q, k + 2u), four_queries(q, k + 3u));
                columns[i] = vec4(word(c[0].x, c[1].x, c[2].x, c[3].x), word(c[0].y, c[1].y, c[2].y, c[3].y),
                                  word(c[0].z, c[1].z, c[2].z, c[3].z), word(c[0].w, c[1].w, c[2].w, c[3].w));
            } else {
                columns[i] = bitcast<vec4<u32>>(four_queries(q, (w0 << FORMAT) + i / 4u));
            }
        }
        workgroupBarrier();
        for (var w = 0u; w < STEP; w++) {
            let v = rows[thread * STRIDE + w];
            if (FORMAT == 2u) {
                n[0] += dots(columns[w * 4u], v);
                n[1] += dots(columns[w * 4u + 1u], v);
                n[2] += dots(columns[w * 4u + 2u], v);
                n[3] += dots(columns[w * 4u + 3u], v);
            } else if (FORMAT == 1u) {
                let two = unpack2x16float(v);
                for (var c = 0u; c < 4u; c++) {
                    a[c] = fma(bitcast<vec4<f32>>(columns[w * 8u + c]), vec4(two.x), a[c]);
                    a[c] = fma(bitcast<vec4<f32>>(columns[w * 8u + 4u + c]), vec4(two.y), a[c]);
                }
            } else {
                let one = vec4(bitcast<f32>(v));
                a[0] = fma(bitcast<vec4<f32>>(columns[w * 4u]), one, a[0]);
                a[1] = fma(bitcast<vec4<f32>>(columns[w * 4u + 1u]), one, a[1]);
                a[2] = fma(bitcast<vec4<f32>>(columns[w * 4u + 2u]), one, a[2]);
                a[3] = fma(bitcast<vec4<f32>>(columns[w * 4u + 3u]), one, a[3]);
            }
        }
        workgroupBarrier();    // before the next columns, and below before scores take the place of rows
    }
    let valid = item < params.items && item + params.start >= params.first;
    var b = 0.0;
    if (BIAS == 1u && valid) {
        b = bias[item];
    }
    for (var q = 0u; q < 16u; q++) {
        var score = a[q / 4u][q % 4u] + b;
        if (FORMAT == 2u) {
            let one = bitcast<f32>(table[(min(item, params.items - 1u) + 1u) * params.row - 1u]);
            let of_query = query[(min(tile + q, params.queries - 1u) + 1u) * params.stride - 4u];
            score = fma(f32(n[q / 4u][q % 4u]), one * of_query, b);
        }
        rows[q * 64u + thread] = bitcast<u32>(worth(score, valid, tile + q, item));
    }
    workgroupBarrier();
    var sum = bitcast<f32>(rows[thread * 16u]);    // a quarter of one query's 64 items
    for (var i = 1u; i < 16u; i++) {
        sum = fold(sum, bitcast<f32>(rows[thread * 16u + i]));
    }
    if (GROUP == 16u) {
        let first = block.x * 64u + thread % 4u * 16u;
        if (tile + thread / 4u < params.queries && first < params.items) {
            atomicStore(&folded[(tile + thread / 4u) * params.groups + (params.start + first) / 16u], key_of(sum));
        }
        return;
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
            atomicStore(&folded[q * params.groups + params.start / 64u + block.x], key_of(all));
        }
    }
}

fn four_queries(q: u32, k: u32) -> vec4<f32> {
    var v = vec4(0.0);
    for (var c = 0u; c < 4u; c++) {
        if (q + c < params.queries && k < params.dim) {
            v[c] = query[(q + c) * params.stride + k];
        }
    }
    return v;
}

// Four whole numbers in one word.
fn word(x: f32, y: f32, z: f32, w: f32) -> u32 {
    return pack4xI8(vec4<i32>(vec4(x, y, z, w)));
}

// Of the words of four queries with that of one item.
fn dots(q: vec4<u32>, item: u32) -> vec4<i32> {
    return vec4(dot4I8Packed(q.x, item), dot4I8Packed(q.y, item), dot4I8Packed(q.z, item), dot4I8Packed(q.w, item));
}

// What one score adds to the fold.
fn worth(score: f32, valid: bool, q: u32, item: u32) -> f32 {
    var take = valid && q < params.queries;
    if (EXCLUDE == 1u && take) {
        let id = params.start + item;
        take = ((mask[q * params.words + id / 32u] >> (id % 32u)) & 1u) == 0u;
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
