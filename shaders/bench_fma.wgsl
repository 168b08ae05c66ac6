// Multiply-adds out of registers and nothing else: the rate that no kernel exceeds. For the benchmark.
//   ROUNDS rounds of eight independent chains c = c * a + b per thread, so that the latency of one hides behind others.
// One thread per number; bound by arithmetic.
const ROUNDS: u32 = 4096u;

struct Params { a: f32, b: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;    // [groups * 64]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let a = params.a;
    let b = params.b;
    let start = f32(id.x);
    var c0 = start;
    var c1 = start + 1.0;
    var c2 = start + 2.0;
    var c3 = start + 3.0;
    var c4 = start + 4.0;
    var c5 = start + 5.0;
    var c6 = start + 6.0;
    var c7 = start + 7.0;
    for (var i = 0u; i < ROUNDS; i += 1u) {
        c0 = fma(c0, a, b);
        c1 = fma(c1, a, b);
        c2 = fma(c2, a, b);
        c3 = fma(c3, a, b);
        c4 = fma(c4, a, b);
        c5 = fma(c5, a, b);
        c6 = fma(c6, a, b);
        c7 = fma(c7, a, b);
    }
    // Stored, so that no compiler can leave the sums out.
    y[id.x] = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7));
}
