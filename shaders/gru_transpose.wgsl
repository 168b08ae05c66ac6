// The recurrent weights of the GRU with the hidden unit that they come from first, so that threads next to each other
// read weights next to each other: y[k, j] = w[j, k].
// One thread per element; bound by memory.
struct Params { rows: u32, dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;          // [rows, dim]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;    // [dim, rows]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.rows * params.dim) {
        y[i] = w[(i % params.rows) * params.dim + i / params.rows];
    }
}
