// Gradient of attention's bias table, last step: dtable = the sum of the parts of attention_backward_table.
// One thread per entry; bound by memory.
struct Params { n: u32, parts: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;              // [parts, n]
@group(0) @binding(2) var<storage, read_write> dtable: array<f32>;      // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let at = (id.y * groups.x + id.x) * 64u + thread;
    if (at < params.n) {
        var sum = 0.0;
        for (var part = 0u; part < params.parts; part++) {
            sum += sums[part * params.n + at];
        }
        dtable[at] = sum;
    }
}
