// Gradient of paired inner products with respect to one side: each row of the other side times its dy.
//   da[r, c] = dy[r] * b[r, c] (+ plus[r, c], what reached that side on another way)
// One thread per Element; bound by memory.
struct Params { rows: u32, dim: u32 } // dim counts Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b: array<Element>;          // [rows, dim]
@group(0) @binding(2) var<storage, read> dy: array<f32>;         // [rows]
@group(0) @binding(3) var<storage, read> plus: array<Element>;       // [rows, dim]
@group(0) @binding(4) var<storage, read_write> da: array<Element>;   // [rows, dim]

// include: element
const PLUS: u32 = 0u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i < params.rows * params.dim) {
        var d = b[i] * dy[i / params.dim];
        if (PLUS == 1u) {
            d += plus[i];
        }
        da[i] = d;
    }
}
