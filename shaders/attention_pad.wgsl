// Rows of `from` numbers become rows of `to`, cut or filled with zeros: attention reads heads in fours.
// One thread per number written; bound by memory.
struct Params { rows: u32, from_dim: u32, to_dim: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;                 // [rows, from_dim]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;           // [rows, to_dim]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let at = (id.y * groups.x + id.x) * 256u + thread;
    if (at < params.rows * params.to_dim) {
        let d = at % params.to_dim;
        var value = 0.0;
        if (d < params.from_dim) {
            value = x[at / params.to_dim * params.from_dim + d];
        }
        y[at] = value;
    }
}
