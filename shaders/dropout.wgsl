// Dropout: y = x * factor, 0 with probability p and 1 / (1 - p) else. Srivastava et al. 2014,
// https://jmlr.org/papers/v15/srivastava14a.html. The factor comes from (seed, element), so the backward pass draws it
// again with the same kernel and nothing is stored. After a linear layer, what follows its product goes along:
//   y = residual + factor * activation(x)
// One thread per Element; bound by memory (on the CPU by the random numbers).
const ACT: u32 = 0u;
const RESIDUAL: u32 = 0u;
// include: activation
// include: random
struct Params { n: u32, first: u32, seed: u32, p: f32 } // n counts Elements; first is the number of x[0] in the whole
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;          // [n]
@group(0) @binding(2) var<storage, read> residual: array<Element>;   // [n]
@group(0) @binding(3) var<storage, read_write> y: array<Element>;    // [n]

// include: element
// include: dropout

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i >= params.n) {
        return;
    }
    let input = x[i];
    var value = input;
    if (ACT != ACT_NONE) {
        for (var k = 0u; k < WIDTH; k++) {
            value = put(value, k, activate(ACT, part(input, k)));
        }
    }
    value *= dropout_element(params.seed, params.first + WIDTH * i, params.p);
    if (RESIDUAL == 1u) {
        value += residual[i];
    }
    y[i] = value;
}
