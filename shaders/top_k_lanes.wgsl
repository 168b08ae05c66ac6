// Scores of items for a tile of up to 32 queries, folded to one number per query and group of items: the best score (for
// top_k), or how many reach a threshold (for rank_of). For drivers that run on the CPU; the other one is top_k.wgsl.
//   score = dot(query, item) + bias, one chain of fma in the order of dim: the same bits wherever it is computed
// One workgroup of 8 lanes per 8 groups and tile. A lane owns one group and takes 8 items at a time (4 with 32 queries),
// so that nothing is reduced across lanes. Loads cost most on such drivers: each lane loads one query of eight, and a
// broadcast hands them around. Sums over int8 are whole numbers below 2^24, so exact in f32 too. Needs subgroups of 8
// lanes or more. Bound by arithmetic.
const QUERIES: u32 = 16u;   // of the tile that there are: 1, 4, 8, 16 or 32
const GROUP: u32 = 64u;     // items per group, a multiple of 8
const COUNT: u32 = 0u;      // 1: count scores at or above the threshold; 0: the best score
const EXCLUDE: u32 = 0u;    // 1: leave out what `mask` has a bit for
const BIAS: u32 = 0u;
const FORMAT: u32 = 0u;     // of the table: 0 f32, 1 f16, 2 int8
const ALIGNED: u32 = 1u;    // dim is a multiple of 4 and FORMAT not 2: `table4` or `table2` is bound
struct Params {
    queries: u32, items: u32, dim: u32, start: u32, groups: u32, first: u32, words: u32, row: u32, stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> query: array<vec4<f32>>;             // [queries, stride]
@group(0) @binding(2) var<storage, read> table: array<u32>;                   // [items, row] words, item `start` first
@group(0) @binding(3) var<storage, read> table2: array<vec2<u32>>;            // the same memory, for f16
@group(0) @binding(4) var<storage, read> table4: array<vec4<u32>>;            // the same memory, for f32
@group(0) @binding(5) var<storage, read> bias: array<f32>;                    // [items]
@group(0) @binding(6) var<storage, read> mask: array<u32>;                    // [queries, words] of bits
@group(0) @binding(7) var<storage, read> threshold: array<f32>;               // [queries]
@group(0) @binding(8) var<storage, read_write> folded: array<atomic<u32>>;    // keys [queries, groups]; counts [queries]

const ITEMS: u32 = select(8u, 4u, QUERIES > 16u);
alias Sums = array<vec4<f32>, 8>;    // of eight queries with four items
alias Kept = array<f32, 8>;          // of eight queries
struct Four { x: vec4<f32>, y: vec4<f32>, z: vec4<f32>, w: vec4<f32> }    // numbers k to k + 3 of four items

// Of the four items at hand.
var<private> valid: vec4<bool>;
var<private> mask_at: vec2<u32>;    // word and bit of the first
var<private> extra: vec4<f32>;      // bias
var<private> one: vec4<f32>;        // what one is worth

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) block: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = block.y * max(QUERIES, 16u);
    let here = block.x * 8u + lane;    // this lane's group among those of this part of the table
    let at = min(vec4(tile + lane) + vec4(0u, 8u, 16u, 24u), vec4(params.queries - 1u)) * params.stride;
    let none = select(-1e30, 0.0, COUNT == 1u);
    var m0 = Kept(none, none, none, none, none, none, none, none);
    var m1 = m0;
    var m2 = m0;
    var m3 = m0;
    for (var s = 0u; s < GROUP; s += ITEMS) {
        let item = here * GROUP + s;
        let row = rows_of(item);
        let next = rows_of(item + 4u);
        var a: Sums;
        var b: Sums;
        var c: Sums;    // with 32 queries the others, with fewer the same at the next four items
        var d: Sums;
        for (var k = 0u; k < params.dim; k += 4u) {
            let t = four(row, k);
            let q0 = query[(at.x + k) / 4u];
            eight(&a, q0, t);
            if (QUERIES > 16u) {
                eight(&b, query[(at.y + k) / 4u], t);
                eight(&c, query[(at.z + k) / 4u], t);
                eight(&d, query[(at.w + k) / 4u], t);
            } else {
                let u = four(next, k);
                eight(&c, q0, u);
                if (QUERIES > 8u) {
                    let q1 = query[(at.y + k) / 4u];
                    eight(&b, q1, t);
                    eight(&d, q1, u);
                }
            }
        }
        look_at(item, row);
        fold_eight(&m0, &a, tile);
        if (QUERIES > 8u) {
            fold_eight(&m1, &b, tile + 8u);
        }
        if (QUERIES > 16u) {
            fold_eight(&m2, &c, tile + 16u);
            fold_eight(&m3, &d, tile + 24u);
        } else {
            look_at(item + 4u, next);
            fold_eight(&m0, &c, tile);
            if (QUERIES > 8u) {
                fold_eight(&m1, &d, tile + 8u);
            }
        }
    }
    if (here * GROUP < params.items) {
        for (var q = 0u; q < 8u; q++) {
            keep(tile + q, here, m0[q]);
            if (QUERIES > 8u) {
                keep(tile + 8u + q, here, m1[q]);
            }
            if (QUERIES > 16u) {
                keep(tile + 16u + q, here, m2[q]);
                keep(tile + 24u + q, here, m3[q]);
            }
        }
    }
}

fn keep(q: u32, group: u32, m: f32) {
    if (q >= params.queries) {
        return;
    }
    if (COUNT == 1u) {
        atomicAdd(&folded[q], u32(m));
    } else {
        atomicStore(&folded[q * params.groups + params.start / GROUP + group], key_of(m));
    }
}

fn rows_of(item: u32) -> vec4<u32> {
    return min(vec4(item) + vec4(0u, 1u, 2u, 3u), vec4(params.items - 1u)) * params.row;
}

fn four(row: vec4<u32>, k: u32) -> Four {
    let a = number(row.x, k);
    let b = number(row.y, k);
    let c = number(row.z, k);
    let d = number(row.w, k);
    return Four(vec4(a.x, b.x, c.x, d.x), vec4(a.y, b.y, c.y, d.y), vec4(a.z, b.z, c.z, d.z), vec4(a.w, b.w, c.w, d.w));
}

fn number(row: u32, k: u32) -> vec4<f32> {
    if (FORMAT == 0u && ALIGNED == 1u) {
        return bitcast<vec4<f32>>(table4[(row + k) / 4u]);
    }
    if (FORMAT == 1u) {
        let two = table2[row / 2u + k / 4u];
        return vec4(unpack2x16float(two.x), unpack2x16float(two.y));
    }
    return item_at(row, k);
}

fn eight(a: ptr<function, Sums>, q: vec4<f32>, t: Four) {
    (*a)[0] = chain((*a)[0], subgroupBroadcast(q, 0u), t);
    if (QUERIES > 1u) {
        (*a)[1] = chain((*a)[1], subgroupBroadcast(q, 1u), t);
        (*a)[2] = chain((*a)[2], subgroupBroadcast(q, 2u), t);
        (*a)[3] = chain((*a)[3], subgroupBroadcast(q, 3u), t);
    }
    if (QUERIES > 4u) {
        (*a)[4] = chain((*a)[4], subgroupBroadcast(q, 4u), t);
        (*a)[5] = chain((*a)[5], subgroupBroadcast(q, 5u), t);
        (*a)[6] = chain((*a)[6], subgroupBroadcast(q, 6u), t);
        (*a)[7] = chain((*a)[7], subgroupBroadcast(q, 7u), t);
    }
}

fn chain(sum: vec4<f32>, q: vec4<f32>, t: Four) -> vec4<f32> {
    return fma(vec4(q.w), t.w, fma(vec4(q.z), t.z, fma(vec4(q.y), t.y, fma(vec4(q.x), t.x, sum))));
}

fn look_at(item: u32, row: vec4<u32>) {
    let last = params.items - 1u;
    let id = vec4(item) + vec4(0u, 1u, 2u, 3u);
    valid = (id < vec4(params.items)) & (id + params.start >= vec4(params.first));
    mask_at = vec2(min((params.start + item) / 32u, params.words - 1u), (params.start + item) % 32u);
    extra = vec4(0.0);
    if (BIAS == 1u) {
        extra = vec4(bias[min(id.x, last)], bias[min(id.y, last)], bias[min(id.z, last)], bias[min(id.w, last)]);
    }
    if (FORMAT == 2u) {
        one = vec4(worth_of_one(row.x), worth_of_one(row.y), worth_of_one(row.z), worth_of_one(row.w));
    }
}
// include: top_k_fold
// include: item
// include: score_key
