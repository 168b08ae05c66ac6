// The score of each query's target: the threshold that top_k.wgsl counts against for rank_of.
// One thread per query with the same chain of fma, so that an equal item has an equal score; bound by memory.
const BIAS: u32 = 0u;
const BOOST: u32 = 0u;
const FORMAT: u32 = 0u;    // of the table: 0 f32, 1 f16, 2 int8
struct Params { queries: u32, items: u32, dim: u32, start: u32, total: u32, first: u32, row: u32, stride: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> query: array<f32>;               // [queries, stride]
@group(0) @binding(2) var<storage, read> table: array<u32>;               // [items, row] words, item `start` first
@group(0) @binding(3) var<storage, read> bias: array<f32>;                // [items]
@group(0) @binding(4) var<storage, read> targets: array<u32>;             // [queries]
@group(0) @binding(5) var<storage, read> boost: array<f32>;               // [queries]
@group(0) @binding(6) var<storage, read_write> threshold: array<f32>;     // [queries]
@group(0) @binding(7) var<storage, read_write> ranks: array<u32>;         // [queries]: zeros

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let q = (group.y * groups.x + group.x) * 64u + thread;
    if (q >= params.queries) {
        return;
    }
    let id = targets[q];
    if (id < params.first || id >= params.total) {
        threshold[q] = 3e38;    // nothing reaches it
    } else if (id >= params.start && id - params.start < params.items) {
        let item = id - params.start;
        let row = item * params.row;
        var score = 0.0;
        for (var k = 0u; k < params.dim; k += 4u) {
            let at = q * params.stride + k;
            let t = item_at(row, k);
            score = fma(query[at], t.x, score);
            score = fma(query[at + 1u], t.y, score);
            score = fma(query[at + 2u], t.z, score);
            score = fma(query[at + 3u], t.w, score);
        }
        var b = 0.0;
        if (BIAS == 1u) {
            b = bias[item];
        }
        if (FORMAT == 2u) {
            score = fma(score, worth_of_one(row) * query[(q + 1u) * params.stride - 4u], b);
        } else {
            score += b;
        }
        threshold[q] = score;
        if (BOOST == 1u) {
            let boosted = score + boost[q];
            threshold[q] = boosted;
            // The target does not reach what lies above its own score, and so it would not be counted.
            ranks[q] = select(0u, 1u, score < boosted);
        }
    }
}
// include: item
