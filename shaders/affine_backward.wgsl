// Gradients of a line: dx = w dy, dw = sum of dy x, db = sum of dy.
// One workgroup, which walks over all elements: strided sums, then 16 sums of 16, then one of 16. Bound by latency.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [n]
@group(0) @binding(2) var<storage, read> w: array<f32>;         // [1]
@group(0) @binding(3) var<storage, read> dy: array<f32>;        // [n]
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;  // [n]
@group(0) @binding(5) var<storage, read_write> dw: array<f32>;  // [1]
@group(0) @binding(6) var<storage, read_write> db: array<f32>;  // [1]

var<workgroup> shared_sums: array<vec2<f32>, 256>;
var<workgroup> shared_sixteen: array<vec2<f32>, 16>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    let slope = w[0];
    var sums = vec2<f32>();     // dw, db
    for (var i = thread; i < params.n; i += 256u) {
        let d = dy[i];
        dx[i] = slope * d;
        sums += d * vec2(x[i], 1.0);
    }
    shared_sums[thread] = sums;
    workgroupBarrier();
    if (thread < 16u) {
        sums = vec2<f32>();
        for (var k = 0u; k < 16u; k++) {
            sums += shared_sums[16u * thread + k];
        }
        shared_sixteen[thread] = sums;
    }
    workgroupBarrier();
    if (thread == 0u) {
        sums = vec2<f32>();
        for (var k = 0u; k < 16u; k++) {
            sums += shared_sixteen[k];
        }
        dw[0] = sums.x;
        db[0] = sums.y;
    }
}
