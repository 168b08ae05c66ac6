// Multiply-adds out of registers and nothing else: the rate that no kernel exceeds. For the benchmark.
//   ROUNDS rounds of eight steps of twelve independent chains c = c * a + b per thread: the latency of one hides behind
//   the others, and the cost of the loop behind the steps.
// One thread per number; bound by arithmetic.
const ROUNDS: u32 = 512u;

struct Params { a: f32, b: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;    // [groups * 64]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let a = vec4(params.a);
    let b = vec4(params.b);
    var c0 = vec4(f32(id.x)) + vec4(0.0, 1.0, 2.0, 3.0);
    var c1 = c0 + 4.0;
    var c2 = c0 + 8.0;
    for (var i = 0u; i < ROUNDS; i += 1u) {
        c0 = fma(c0, a, b);
        c1 = fma(c1, a, b);
        c2 = fma(c2, a, b);
        c0 = fma(c0, a, b);
        c1 = fma(c1, a, b);
        c2 = fma(c2, a, b);
        c0 = fma(c0, a, b);
        c1 = fma(c1, a, b);
        c2 = fma(c2, a, b);
        c0 = fma(c0, a, b);
        c1 = fma(c1, a, b);
        c2 = fma(c2, a, b);
        c0 = fma(c0, a, b);
        c1 = fma(c1, a, b);
        c2 = fma(c2, a, b);
        c0 = fma(c0, a, b);
        c1 = fma(c1, a, b);
        c2 = fma(c2, a, b);
        c0 = fma(c0, a, b);
        c1 = fma(c1, a, b);
        c2 = fma(c2, a, b);
        c0 = fma(c0, a, b);
        c1 = fma(c1, a, b);
        c2 = fma(c2, a, b);
    }
    // Stored, so that no compiler can leave the sums out.
    y[id.x] = dot((c0 + c1) + c2, vec4(1.0));
}
