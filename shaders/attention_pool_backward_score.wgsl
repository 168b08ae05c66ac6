// Gradient of attention_pool's scores: ds = the sum of its terms over dim.
// One thread per position; bound by memory.
struct Params { rows: u32, dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> slopes: array<f32>;         // [rows, dim]
@group(0) @binding(2) var<storage, read_write> ds: array<f32>;       // [rows]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let at = (id.y * groups.x + id.x) * 64u + thread;
    if (at < params.rows) {
        var sum = 0.0;
        for (var d = 0u; d < params.dim; d++) {
            sum += slopes[at * params.dim + d];
        }
        ds[at] = sum;
    }
}
