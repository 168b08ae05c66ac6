// Sum with something that repeats: y[i] = x[i] + b[i % m].
// One thread per element; bound by memory.
struct Params { n: u32, m: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // [n]
@group(0) @binding(2) var<storage, read> b: array<f32>;          // [m]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;    // [n]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.n) {
        y[i] = x[i] + b[i % params.m];
    }
}
