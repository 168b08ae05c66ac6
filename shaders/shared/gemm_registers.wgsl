// Matrix product for drivers that run on the CPU, without subgroups. One workgroup of 8 threads per 16 x 64 tile of y,
// 16 rows x 2 vec4 per thread. No workgroup memory, no barrier: see gemm_lanes.

// Where load_a finds the four rows from `row` on.
fn rows_at(row: u32) -> vec4<u32> {
    if (LAYOUT == 2u) {
        return vec4(select(row, min(row, params.m - 4u), A_VEC == 1u));
    }
    return min(row + vec4(0u, 1u, 2u, 3u), vec4(params.m - 1u)) * params.k;
}

fn store_four(c: mat4x4<f32>, row: u32, col: u32, offset: u32) {
    store(row, col, offset, c[0]);
    store(row + 1u, col, offset, c[1]);
    store(row + 2u, col, offset, c[2]);
    store(row + 3u, col, offset, c[3]);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let id = group.y * groups.x + group.x;
    let across = (params.n + 63u) / 64u;
    let down = (params.m + 15u) / 16u;
    let split = id / (across * down);
    if (split >= params.splits) {
        return;
    }
    let row = id / across % down * 16u;
    let col = id % across * 64u + 4u * thread;
    let left = columns_at(col);
    let right = columns_at(col + 32u);
    let rows0 = rows_at(row + 0u);
    let rows1 = rows_at(row + 4u);
    let rows2 = rows_at(row + 8u);
    let rows3 = rows_at(row + 12u);
    var l0 = mat4x4<f32>();
    var r0 = mat4x4<f32>();
    var sums0 = vec4(0.0);
    var l1 = mat4x4<f32>();
    var r1 = mat4x4<f32>();
    var sums1 = vec4(0.0);
    var l2 = mat4x4<f32>();
    var r2 = mat4x4<f32>();
    var sums2 = vec4(0.0);
    var l3 = mat4x4<f32>();
    var r3 = mat4x4<f32>();
    var sums3 = vec4(0.0);
    let end = min((split + 1u) * params.k_per_split, params.k);
    for (var k = split * params.k_per_split; k < end; k += 4u) {
        let bl = load_b(left, k);
        let br = load_b(right, k);
        let a0 = load_a(rows0, k);
        l0 += bl * a0;
        r0 += br * a0;
        let a1 = load_a(rows1, k);
        l1 += bl * a1;
        r1 += br * a1;
        let a2 = load_a(rows2, k);
        l2 += bl * a2;
        r2 += br * a2;
        let a3 = load_a(rows3, k);
        l3 += bl * a3;
        r3 += br * a3;
        if (SUMS == 1u) {
            sums0 += vec4(1.0) * a0;
            sums1 += vec4(1.0) * a1;
            sums2 += vec4(1.0) * a2;
            sums3 += vec4(1.0) * a3;
        }
    }
    let offset = split * params.m * params.n;
    store_four(l0, row + 0u, col, offset);
    store_four(r0, row + 0u, col + 32u, offset);
    store_four(l1, row + 4u, col, offset);
    store_four(r1, row + 4u, col + 32u, offset);
    store_four(l2, row + 8u, col, offset);
    store_four(r2, row + 8u, col + 32u, offset);
    store_four(l3, row + 12u, col, offset);
    store_four(r3, row + 12u, col + 32u, offset);
    if (SUMS == 1u && id % across == 0u && thread == 0u) {
        store_sums(row, split * params.m, sums0);
        store_sums(row + 4u, split * params.m, sums1);
        store_sums(row + 8u, split * params.m, sums2);
        store_sums(row + 12u, split * params.m, sums3);
    }
}
