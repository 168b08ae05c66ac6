// Scores, again, of the items in the groups that were chosen, as keys that order like them.
// One thread per candidate with the same chain of fma as the first pass, so that the bits agree; bound by memory.
const EXCLUDE: u32 = 0u;
const BIAS: u32 = 0u;
struct Params { queries: u32, items: u32, dim: u32, start: u32, groups: u32, first: u32, chosen: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> query: array<f32>;          // [queries, dim]
@group(0) @binding(2) var<storage, read> table: array<f32>;          // [items, dim], item `start` first
@group(0) @binding(3) var<storage, read> bias: array<f32>;           // [items]
@group(0) @binding(4) var<storage, read> mask: array<u32>;           // [queries, 2 groups] of bits
@group(0) @binding(5) var<storage, read> chosen: array<u32>;         // [queries, chosen] groups, ascending
@group(0) @binding(6) var<storage, read_write> keys: array<u32>;     // [queries, chosen * 64]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) block: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let q = block.y;
    let at = q * params.chosen + block.x;
    let group = chosen[at];
    let first_here = params.start / 64u;
    if (group < first_here || group >= first_here + (params.items + 63u) / 64u) {
        return;    // another part of the table has it
    }
    let id = group * 64u + thread;
    let item = id - params.start;
    var score = -1e30;
    var take = item < params.items && id >= params.first;
    if (EXCLUDE == 1u && take) {
        take = ((mask[q * 2u * params.groups + id / 32u] >> (id % 32u)) & 1u) == 0u;
    }
    if (take) {
        score = 0.0;
        for (var k = 0u; k < params.dim; k++) {
            score = fma(query[q * params.dim + k], table[item * params.dim + k], score);
        }
        if (BIAS == 1u) {
            score += bias[item];
        }
    }
    keys[at * 64u + thread] = key_of(score);
}
// include: score_key
