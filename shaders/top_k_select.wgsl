// The k largest of n keys, of equal ones those with the smallest index, in ascending order of index.
// Radix selection, e.g. Alabi et al. 2012, "Fast k-selection algorithms for GPUs": four histograms of 8 bits narrow down
// the k-th largest key; then each thread copies from its own stretch what is above it and the first of what equals it.
// One workgroup per query; bound by memory, six passes.
const THREADS: u32 = 256u;
struct Params { queries: u32, n: u32, k: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> keys: array<u32>;             // [queries, n]
@group(0) @binding(2) var<storage, read_write> index: array<u32>;      // [queries, k], k <= n
@group(0) @binding(3) var<storage, read_write> chosen: array<u32>;     // [queries, k]: keys[index]

var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> prefix: u32;      // the bits of the k-th largest key found so far
var<workgroup> missing: u32;     // how many keys with these bits belong to the k largest
var<workgroup> above: array<u32, THREADS>;
var<workgroup> equal: array<u32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let q = group.y * groups.x + group.x;
    if (q >= params.queries) {
        return;
    }
    let base = q * params.n;
    if (thread == 0u) {
        prefix = 0u;
        missing = params.k;
    }
    for (var level = 0u; level < 4u; level++) {
        let shift = 24u - 8u * level;
        for (var i = thread; i < 256u; i += THREADS) {
            atomicStore(&bins[i], 0u);
        }
        workgroupBarrier();
        let known = prefix;
        for (var i = thread; i < params.n; i += THREADS) {
            let key = keys[base + i];
            // Shifts by 32 are not defined, hence the two steps.
            if (((key >> shift) >> 8u) == ((known >> shift) >> 8u)) {
                atomicAdd(&bins[(key >> shift) & 255u], 1u);
            }
        }
        workgroupBarrier();
        if (thread == 0u) {
            var bin = 255u;
            var left = missing;
            for (; bin > 0u; bin--) {
                let n = atomicLoad(&bins[bin]);
                if (n >= left) {
                    break;
                }
                left -= n;
            }
            missing = left;
            prefix = known | (bin << shift);
        }
        workgroupBarrier();
    }
    let least = prefix;
    let stretch = (params.n + THREADS - 1u) / THREADS;
    let begin = min(thread * stretch, params.n);
    let to = min(begin + stretch, params.n);
    var n_above = 0u;
    var n_equal = 0u;
    for (var i = begin; i < to; i++) {
        let key = keys[base + i];
        n_above += select(0u, 1u, key > least);
        n_equal += select(0u, 1u, key == least);
    }
    above[thread] = n_above;
    equal[thread] = n_equal;
    workgroupBarrier();
    var before = 0u;
    var equal_before = 0u;
    for (var t = 0u; t < thread; t++) {
        before += above[t];
        equal_before += equal[t];
    }
    var at = q * params.k + before + min(equal_before, missing);
    for (var i = begin; i < to; i++) {
        let key = keys[base + i];
        let tie = key == least;
        if (key > least || (tie && equal_before < missing)) {
            index[at] = i;
            chosen[at] = key;
            at++;
        }
        equal_before += select(0u, 1u, tie);
    }
}
