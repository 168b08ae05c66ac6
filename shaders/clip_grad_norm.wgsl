// Sums of squares over blocks of elements: sums[at + b] = sum of x[b * block .. (b + 1) * block]².
// One workgroup per block: strided sums, then 16 sums of 16, then one of 16. Bound by memory. Up to seven gradients go
// in one dispatch: the workgroups of one follow those of the other.
struct Params {
    block: u32,                     // n and block count Elements
    segments: array<vec4<u32>, 7>,  // each: n, at, first workgroup
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;         // [n] of the first segment
@group(0) @binding(2) var<storage, read> x1: array<Element>;
@group(0) @binding(3) var<storage, read> x2: array<Element>;
@group(0) @binding(4) var<storage, read> x3: array<Element>;
@group(0) @binding(5) var<storage, read> x4: array<Element>;
@group(0) @binding(6) var<storage, read> x5: array<Element>;
@group(0) @binding(7) var<storage, read> x6: array<Element>;
@group(0) @binding(8) var<storage, read_write> sums: array<f32>;    // [at + blocks ..], shared by all gradients

// include: element
var<workgroup> shared_sums: array<f32, 256>;
var<workgroup> shared_sixteen: array<f32, 16>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let id = group.y * groups.x + group.x;
    var s = 0u;
    for (var k = 1u; k < 7u; k++) {
        s += u32(id >= params.segments[k].z);
    }
    let segment = params.segments[s];
    let block = id - segment.z;
    let start = block * params.block;
    let end = min(start + params.block, segment.x);
    var part = Element();
    for (var i = start + thread; i < end; i += 256u) {
        let v = element_of(s, i);
        part += v * v;
    }
    var sum = total(part);
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
    if (thread == 0u && start < segment.x) {
        sum = 0.0;
        for (var k = 0u; k < 16u; k++) {
            sum += shared_sixteen[k];
        }
        sums[segment.y + block] = sum;
    }
}

fn element_of(s: u32, i: u32) -> Element {
    switch s {
        case 0u: { return x[i]; }
        case 1u: { return x1[i]; }
        case 2u: { return x2[i]; }
        case 3u: { return x3[i]; }
        case 4u: { return x4[i]; }
        case 5u: { return x5[i]; }
        default: { return x6[i]; }
    }
}
