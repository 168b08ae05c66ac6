// Gradient of the sampled softmax with respect to the scores of the target and of what was drawn.
//   dnegatives = dy scale exp(z - lse),   dpositive = dy scale (exp(p - lse) - 1)
// One thread per Element; bound by memory.
struct Params { rows: u32, count: u32, scale: f32 } // count: of Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> positive: array<f32>;             // [rows]
@group(0) @binding(2) var<storage, read> negatives: array<Element>;        // [rows, count]
@group(0) @binding(3) var<storage, read> lse: array<f32>;                  // [rows]
@group(0) @binding(4) var<storage, read> dy: array<f32>;                   // [rows]
@group(0) @binding(5) var<storage, read_write> dpositive: array<f32>;      // [rows]
@group(0) @binding(6) var<storage, read_write> dnegatives: array<Element>; // [rows, count]

// include: element

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i >= params.rows * params.count) {
        return;
    }
    let row = i / params.count;
    let d = dy[row] * params.scale;
    dnegatives[i] = d * exp(params.scale * negatives[i] - lse[row]);
    if (i % params.count == 0u) {
        dpositive[row] = d * (exp(params.scale * positive[row] - lse[row]) - 1.0);
    }
}
