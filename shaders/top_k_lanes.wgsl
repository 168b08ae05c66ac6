// Scores of items for a tile of 16 queries, folded to one number per query and group of 64 items: the best score (for
// top_k), or how many reach a threshold (for rank_of). For drivers that run on the CPU; the other one is top_k.wgsl.
//   score = dot(query, item) + bias, one chain of fma in the order of dim: the same bits wherever it is computed
// One workgroup of 8 lanes per 512 items and 16 queries. A lane owns one group of 64 items and takes 4 at a time, so that
// nothing is reduced across lanes. Loads cost most on such drivers: each lane loads two of the queries, and a broadcast
// hands them around. Needs subgroups of 8 lanes or more. Bound by arithmetic.
const COUNT: u32 = 0u;      // 1: count scores at or above the threshold; 0: the best score
const EXCLUDE: u32 = 0u;    // 1: leave out what `mask` has a bit for
const BIAS: u32 = 0u;
const ALIGNED: u32 = 1u;    // dim is a multiple of 4
struct Params { queries: u32, items: u32, dim: u32, start: u32, groups: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> query: array<f32>;                   // [queries, dim]
@group(0) @binding(2) var<storage, read> table: array<f32>;                   // [items, dim], item `start` first
@group(0) @binding(3) var<storage, read> bias: array<f32>;                    // [items]
@group(0) @binding(4) var<storage, read> mask: array<u32>;                    // [queries, 2 groups] of bits
@group(0) @binding(5) var<storage, read> threshold: array<f32>;               // [queries]
@group(0) @binding(6) var<storage, read_write> folded: array<atomic<u32>>;    // keys [queries, groups]; counts [queries]

var<private> valid: vec4<bool>;
var<private> step: u32;
var<private> group: u32;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) block: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = block.y * 16u;
    let here = block.x * 8u + lane;    // this lane's group among those of this part of the table
    group = params.start / 64u + here;
    let last = params.items - 1u;
    let qa_at = min(tile + lane, params.queries - 1u) * params.dim;
    let qb_at = min(tile + 8u + lane, params.queries - 1u) * params.dim;
    var m: array<f32, 16>;
    let empty = select(-1e30, 0.0, COUNT == 1u);
    m[0] = empty; m[1] = empty; m[2] = empty; m[3] = empty; m[4] = empty; m[5] = empty; m[6] = empty; m[7] = empty;
    m[8] = empty; m[9] = empty; m[10] = empty; m[11] = empty; m[12] = empty; m[13] = empty; m[14] = empty; m[15] = empty;
    for (var s = 0u; s < 16u; s++) {
        step = s;
        let item = here * 64u + s * 4u;
        let r0 = min(item, last) * params.dim;
        let r1 = min(item + 1u, last) * params.dim;
        let r2 = min(item + 2u, last) * params.dim;
        let r3 = min(item + 3u, last) * params.dim;
        var a: array<vec4<f32>, 16>;
        for (var k = 0u; k < params.dim; k += 4u) {
            let t0 = of_table(r0, k);
            let t1 = of_table(r1, k);
            let t2 = of_table(r2, k);
            let t3 = of_table(r3, k);
            let qa = of_query(qa_at, k);
            let qb = of_query(qb_at, k);
            let x = vec4(t0.x, t1.x, t2.x, t3.x);
            let y = vec4(t0.y, t1.y, t2.y, t3.y);
            let z = vec4(t0.z, t1.z, t2.z, t3.z);
            let w = vec4(t0.w, t1.w, t2.w, t3.w);
            a[0] = chain(a[0], subgroupBroadcast(qa, 0u), x, y, z, w);
            a[1] = chain(a[1], subgroupBroadcast(qa, 1u), x, y, z, w);
            a[2] = chain(a[2], subgroupBroadcast(qa, 2u), x, y, z, w);
            a[3] = chain(a[3], subgroupBroadcast(qa, 3u), x, y, z, w);
            a[4] = chain(a[4], subgroupBroadcast(qa, 4u), x, y, z, w);
            a[5] = chain(a[5], subgroupBroadcast(qa, 5u), x, y, z, w);
            a[6] = chain(a[6], subgroupBroadcast(qa, 6u), x, y, z, w);
            a[7] = chain(a[7], subgroupBroadcast(qa, 7u), x, y, z, w);
            a[8] = chain(a[8], subgroupBroadcast(qb, 0u), x, y, z, w);
            a[9] = chain(a[9], subgroupBroadcast(qb, 1u), x, y, z, w);
            a[10] = chain(a[10], subgroupBroadcast(qb, 2u), x, y, z, w);
            a[11] = chain(a[11], subgroupBroadcast(qb, 3u), x, y, z, w);
            a[12] = chain(a[12], subgroupBroadcast(qb, 4u), x, y, z, w);
            a[13] = chain(a[13], subgroupBroadcast(qb, 5u), x, y, z, w);
            a[14] = chain(a[14], subgroupBroadcast(qb, 6u), x, y, z, w);
            a[15] = chain(a[15], subgroupBroadcast(qb, 7u), x, y, z, w);
        }
        let id = vec4(item, item + 1u, item + 2u, item + 3u);
        valid = (id < vec4(params.items)) & (id + params.start >= vec4(params.first));
        var b = vec4(0.0);
        if (BIAS == 1u) {
            b = vec4(bias[min(id.x, last)], bias[min(id.y, last)], bias[min(id.z, last)], bias[min(id.w, last)]);
        }
        m[0] = fold(m[0], a[0] + b, tile);
        m[1] = fold(m[1], a[1] + b, tile + 1u);
        m[2] = fold(m[2], a[2] + b, tile + 2u);
        m[3] = fold(m[3], a[3] + b, tile + 3u);
        m[4] = fold(m[4], a[4] + b, tile + 4u);
        m[5] = fold(m[5], a[5] + b, tile + 5u);
        m[6] = fold(m[6], a[6] + b, tile + 6u);
        m[7] = fold(m[7], a[7] + b, tile + 7u);
        m[8] = fold(m[8], a[8] + b, tile + 8u);
        m[9] = fold(m[9], a[9] + b, tile + 9u);
        m[10] = fold(m[10], a[10] + b, tile + 10u);
        m[11] = fold(m[11], a[11] + b, tile + 11u);
        m[12] = fold(m[12], a[12] + b, tile + 12u);
        m[13] = fold(m[13], a[13] + b, tile + 13u);
        m[14] = fold(m[14], a[14] + b, tile + 14u);
        m[15] = fold(m[15], a[15] + b, tile + 15u);
    }
    if (here * 64u < params.items) {
        for (var q = 0u; q < 16u && tile + q < params.queries; q++) {
            if (COUNT == 1u) {
                atomicAdd(&folded[tile + q], u32(m[q]));
            } else {
                atomicStore(&folded[(tile + q) * params.groups + group], key_of(m[q]));
            }
        }
    }
}

fn chain(sum: vec4<f32>, q: vec4<f32>, x: vec4<f32>, y: vec4<f32>, z: vec4<f32>, w: vec4<f32>) -> vec4<f32> {
    return fma(vec4(q.w), w, fma(vec4(q.z), z, fma(vec4(q.y), y, fma(vec4(q.x), x, sum))));
}

// Takes four scores of query q into what is known of its group.
fn fold(known: f32, scores: vec4<f32>, q: u32) -> f32 {
    var take = valid;
    if (EXCLUDE == 1u) {
        let row = min(q, params.queries - 1u) * 2u * params.groups;
        let bits = mask[row + min(group * 2u + step / 8u, params.groups * 2u - 1u)] >> (step % 8u * 4u);
        take &= (vec4(bits) & vec4(1u, 2u, 4u, 8u)) == vec4(0u);
    }
    if (COUNT == 1u) {
        let reached = take & (scores >= vec4(threshold[min(q, params.queries - 1u)]));
        return known + dot(select(vec4(0.0), vec4(1.0), reached), vec4(1.0));
    }
    let s = select(vec4(-1e30), scores, take);
    return max(known, max(max(s.x, s.y), max(s.z, s.w)));
}

fn of_table(row: u32, k: u32) -> vec4<f32> {
    let i = row + k;
    if (ALIGNED == 1u) {
        return vec4(table[i], table[i + 1u], table[i + 2u], table[i + 3u]);
    }
    let end = row + params.dim - 1u;
    let inside = vec4(i, i + 1u, i + 2u, i + 3u) <= vec4(end);
    let v = vec4(table[i], table[min(i + 1u, end)], table[min(i + 2u, end)], table[min(i + 3u, end)]);
    return select(vec4(0.0), v, inside);
}

fn of_query(row: u32, k: u32) -> vec4<f32> {
    let i = row + k;
    if (ALIGNED == 1u) {
        return vec4(query[i], query[i + 1u], query[i + 2u], query[i + 3u]);
    }
    let end = row + params.dim - 1u;
    let inside = vec4(i, i + 1u, i + 2u, i + 3u) <= vec4(end);
    let v = vec4(query[i], query[min(i + 1u, end)], query[min(i + 2u, end)], query[min(i + 3u, end)]);
    return select(vec4(0.0), v, inside);
}
// include: score_key
