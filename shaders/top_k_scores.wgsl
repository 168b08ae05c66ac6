// Scores, again, of the items in the groups that were chosen, as keys that order like them.
// One thread per four candidates of one group, with the same chain of fma as the first pass, so that the bits agree;
// bound by memory.
const GROUP: u32 = 64u;
const EXCLUDE: u32 = 0u;
const BIAS: u32 = 0u;
struct Params { queries: u32, items: u32, dim: u32, start: u32, groups: u32, first: u32, words: u32, chosen: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> query: array<f32>;          // [queries, dim]
@group(0) @binding(2) var<storage, read> table: array<f32>;          // [items, dim], item `start` first
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
    let row = inside * params.dim;
    var score = vec4(0.0);
    for (var k = 0u; k < params.dim; k++) {
        let t = vec4(table[row.x + k], table[row.y + k], table[row.z + k], table[row.w + k]);
        score = fma(vec4(query[q * params.dim + k]), t, score);
    }
    if (BIAS == 1u) {
        score += vec4(bias[inside.x], bias[inside.y], bias[inside.z], bias[inside.w]);
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
// include: score_key
