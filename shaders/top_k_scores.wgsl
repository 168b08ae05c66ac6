// Scores, again, of the items in the groups that were chosen, as keys that order like them.
// One thread per four candidates of one group, with the same chain of fma as the first pass, so that the bits agree;
// bound by memory.
const GROUP: u32 = 64u;
const EXCLUDE: u32 = 0u;
const BIAS: u32 = 0u;
const FORMAT: u32 = 0u;    // of the table: 0 f32, 1 f16, 2 int8
struct Params {
    queries: u32, items: u32, dim: u32, start: u32, groups: u32, first: u32, words: u32, row: u32, stride: u32, chosen: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> query: array<f32>;          // [queries, stride]
@group(0) @binding(2) var<storage, read> table: array<u32>;          // [items, row] words, item `start` first
@group(0) @binding(3) var<storage, read> bias: array<f32>;           // [items]
@group(0) @binding(4) var<storage, read> mask: array<u32>;           // [queries, words] of bits
@group(0) @binding(5) var<storage, read> chosen: array<u32>;         // [queries, chosen] groups, ascending
@group(0) @binding(6) var<storage, read_write> keys: array<u32>;     // [queries, chosen * GROUP]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) block: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let q = block.y;
    let candidate = (block.x * 64u + thread) * 4u;
    if (candidate >= params.chosen * GROUP) {
        return;
    }
    let id = chosen[q * params.chosen + candidate / GROUP] * GROUP + candidate % GROUP;
    if (id < params.start || id - params.start >= (params.items + GROUP - 1u) / GROUP * GROUP) {
        return;    // another part of the table has it
    }
    let items = vec4(id - params.start) + vec4(0u, 1u, 2u, 3u);
    let inside = min(items, vec4(params.items - 1u));
    let row = inside * params.row;
    var score = vec4(0.0);
    for (var k = 0u; k < params.dim; k += 4u) {
        let at = q * params.stride + k;
        let t0 = item_at(row.x, k);
        let t1 = item_at(row.y, k);
        let t2 = item_at(row.z, k);
        let t3 = item_at(row.w, k);
        score = fma(vec4(query[at]), vec4(t0.x, t1.x, t2.x, t3.x), score);
        score = fma(vec4(query[at + 1u]), vec4(t0.y, t1.y, t2.y, t3.y), score);
        score = fma(vec4(query[at + 2u]), vec4(t0.z, t1.z, t2.z, t3.z), score);
        score = fma(vec4(query[at + 3u]), vec4(t0.w, t1.w, t2.w, t3.w), score);
    }
    var b = vec4(0.0);
    if (BIAS == 1u) {
        b = vec4(bias[inside.x], bias[inside.y], bias[inside.z], bias[inside.w]);
    }
    if (FORMAT == 2u) {
        let one = vec4(worth_of_one(row.x), worth_of_one(row.y), worth_of_one(row.z), worth_of_one(row.w));
        score = fma(score, one * vec4(query[(q + 1u) * params.stride - 4u]), b);
    } else {
        score += b;
    }
    var take = (items < vec4(params.items)) & (items + params.start >= vec4(params.first));
    if (EXCLUDE == 1u) {
        let bits = mask[q * params.words + id / 32u] >> (id % 32u);
        take &= (vec4(bits) & vec4(1u, 2u, 4u, 8u)) == vec4(0u);
    }
    score = select(vec4(-1e30), score, take);
    let at = q * params.chosen * GROUP + candidate;
    keys[at] = key_of(score.x);
    keys[at + 1u] = key_of(score.y);
    keys[at + 2u] = key_of(score.z);
    keys[at + 3u] = key_of(score.w);
}
// include: item
// include: score_key
