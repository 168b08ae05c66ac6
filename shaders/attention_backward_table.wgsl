// Gradient of attention's bias table: adds up what the threads and rows of attention_backward_query kept apart.
// One thread per (part, head, column), where a part is every `parts`-th batch: it alone adds to its sums, in a fixed
// order. Bound by memory.
struct Params {
    batch: u32, len: u32, heads: u32, slots: u32, parts: u32,
    n: u32, near: u32, categories: u32, positions: u32,
    first: u32, // the batch from which these count; from the second time on, sums are added to what is there
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> lengths: array<u32>;           // [batch]
@group(0) @binding(2) var<storage, read> context: array<u32>;           // [batch, len, 12]
@group(0) @binding(3) var<storage, read> bins: array<f32>;              // see shared/attention_bins.wgsl
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;        // [parts, heads, n]

// include: lengths
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let at = (id.y * groups.x + id.x) * 64u + thread;
    let tables = params.near + params.positions;
    let columns = tables + params.categories;
    let part = at / (params.heads * columns);
    if (part >= params.parts) {
        return;
    }
    let head = at / columns % params.heads;
    let column = at % columns;
    let to = (part * params.heads + head) * params.n;
    if (column < tables) {
        var sum = 0.0;
        for (var b = part; b < params.batch; b += params.parts) {
            let pair = b * params.heads + head;
            for (var slot = pair * params.slots; slot < (pair + 1u) * params.slots; slot++) {
                sum += bins[slot * tables + column];
            }
        }
        // Positions stand last in the table.
        let i = to + select(column, params.n - params.positions + column - params.near, column >= params.near);
        sums[i] = before(i) + sum;
        return;
    }
    let key = to + params.near + column - tables;
    for (var query = 0u; query < params.categories; query++) {
        let i = key + query * params.categories;
        sums[i] = before(i);
    }
    let behind = params.batch * params.heads * params.slots * tables;
    for (var b = part; b < params.batch; b += params.parts) {
        let row = (b * params.heads + head) * params.len;
        for (var i = 0u; i < length_at(params.first + b); i++) {
            let query = min(context[(begin_of(params.first + b) + i) * 12u + 8u], params.categories - 1u);
            sums[key + query * params.categories] += bins[behind + (row + i) * params.categories + column - tables];
        }
    }
}

fn before(i: u32) -> f32 {
    if (params.first == 0u) {
        return 0.0;
    }
    return sums[i];
}
