// First step of attention_pool: the scores s_t = x_t . w.
// One thread per position; bound by memory.
struct Params { batch: u32, len: u32, dim: u32, events: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;              // [batch, len, dim]
@group(0) @binding(2) var<storage, read> w: array<f32>;              // [dim]
@group(0) @binding(3) var<storage, read> lengths: array<u32>;        // [batch]
@group(0) @binding(4) var<storage, read_write> stats: array<f32>;    // [2, batch, len]: the first half

// include: lengths
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let at = (id.y * groups.x + id.x) * 64u + thread;
    if (at >= params.events) {
        return;
    }
    var sum = 0.0;
    if (PACKED == 1u || at % params.len < lengths[at / params.len]) {
        for (var d = 0u; d < params.dim; d++) {
            sum += x[at * params.dim + d] * w[d];
        }
    }
    stats[at] = sum;
}
