// Sums over blocks of elements, scaled: y[b] = scale * sum of x[b * block .. (b + 1) * block]. Twice gives a mean.
// One workgroup per block: strided sums, then 16 sums of 16, then one of 16. Bound by memory.
struct Params { n: u32, block: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;             // [n]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;       // [blocks]

var<workgroup> shared_sums: array<f32, 256>;
var<workgroup> shared_sixteen: array<f32, 16>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let block = group.y * groups.x + group.x;
    let start = block * params.block;
    let end = min(start + params.block, params.n);
    var sum = 0.0;
    for (var i = start + thread; i < end; i += 256u) {
        sum += x[i];
    }
    shared_sums[thread] = sum;
    workgroupBarrier();
    if (thread < 16u) {
        sum = 0.0;
        for (var k = 0u; k < 16u; k++) {
            sum += shared_sums[16u * thread + k];
        }
        shared_sixteen[thread] = sum;
    }
    workgroupBarrier();
    if (thread == 0u && start < params.n) {
        sum = 0.0;
        for (var k = 0u; k < 16u; k++) {
            sum += shared_sixteen[k];
        }
        y[block] = sum * params.scale;
    }
}
