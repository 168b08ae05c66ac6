// Backwards through the end of a linear layer: dz = dy * slope(z), with dropout also times the mask of dropout.wgsl.
// One thread per Element; bound by memory (with dropout on the CPU by the random numbers).
const ACT: u32 = 0u;
const DROPOUT: u32 = 0u;
// include: activation
// include: random
struct Params { n: u32, first: u32, seed: u32, p: f32 } // n counts Elements; first is that of dy[0] in the whole
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Element>;         // [n]
@group(0) @binding(2) var<storage, read> z: array<Element>;          // [n], before the activation
@group(0) @binding(3) var<storage, read_write> dz: array<Element>;   // [n]

// include: element
// include: dropout

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i >= params.n) {
        return;
    }
    let input = z[i];
    var slope = input;
    for (var k = 0u; k < WIDTH; k += 1u) {
        slope = put(slope, k, activate_slope(ACT, part(input, k)));
    }
    var value = dy[i] * slope;
    if (DROPOUT == 1u) {
        value *= dropout_element(params.seed, params.first + WIDTH * i, params.p);
    }
    dz[i] = value;
}
