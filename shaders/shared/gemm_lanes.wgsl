// Matrix product for drivers that run on the CPU. One subgroup of 8 lanes per 32 x 64 tile of y (32 x 32 for few columns):
// each lane owns four columns, and four more 32 further on, loads its share of a, and hands it to the others by broadcast.
// No workgroup memory, no barrier: there, a load is a loop over lanes and a barrier a switch of coroutines, so what pays is
// arithmetic per load. Without its loads this kernel would be three times as fast.
const WIDE: u32 = 2u;        // 1 or 2: columns of the tile by 32

struct Eight { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>,
               r4: vec4<f32>, r5: vec4<f32>, r6: vec4<f32>, r7: vec4<f32> }
struct Pair { left: Eight, right: Eight }

// Four steps of k of one row; a chain in the order of k.
fn four(c: vec4<f32>, a: vec4<f32>, b: mat4x4<f32>) -> vec4<f32> {
    return fma(vec4(a.w), b[3], fma(vec4(a.z), b[2], fma(vec4(a.y), b[1], fma(vec4(a.x), b[0], c))));
}

fn multiply(c: Pair, a: vec4<f32>, b: mat4x4<f32>, b2: mat4x4<f32>) -> Pair {
    let x0 = subgroupBroadcast(a, 0u);
    let x1 = subgroupBroadcast(a, 1u);
    let x2 = subgroupBroadcast(a, 2u);
    let x3 = subgroupBroadcast(a, 3u);
    let x4 = subgroupBroadcast(a, 4u);
    let x5 = subgroupBroadcast(a, 5u);
    let x6 = subgroupBroadcast(a, 6u);
    let x7 = subgroupBroadcast(a, 7u);
    let left = Eight(four(c.left.r0, x0, b), four(c.left.r1, x1, b), four(c.left.r2, x2, b), four(c.left.r3, x3, b),
        four(c.left.r4, x4, b), four(c.left.r5, x5, b), four(c.left.r6, x6, b), four(c.left.r7, x7, b));
    if (WIDE == 1u) {
        return Pair(left, c.right);
    }
    return Pair(left, Eight(four(c.right.r0, x0, b2), four(c.right.r1, x1, b2), four(c.right.r2, x2, b2), four(c.right.r3, x3, b2),
        four(c.right.r4, x4, b2), four(c.right.r5, x5, b2), four(c.right.r6, x6, b2), four(c.right.r7, x7, b2)));
}

// The row of lane `i` in its column `g` of load_a.
fn row_of(row: u32, g: u32, i: u32) -> u32 {
    return row + select(8u * g + i, 4u * i + g, LAYOUT == 2u);
}

fn store_eight(c: Eight, row: u32, g: u32, col: u32, offset: u32) {
    store(row_of(row, g, 0u), col, offset, c.r0);
    store(row_of(row, g, 1u), col, offset, c.r1);
    store(row_of(row, g, 2u), col, offset, c.r2);
    store(row_of(row, g, 3u), col, offset, c.r3);
    store(row_of(row, g, 4u), col, offset, c.r4);
    store(row_of(row, g, 5u), col, offset, c.r5);
    store(row_of(row, g, 6u), col, offset, c.r6);
    store(row_of(row, g, 7u), col, offset, c.r7);
}

fn store_pair(c: Pair, row: u32, g: u32, col: u32, offset: u32) {
    store_eight(c.left, row, g, col, offset);
    if (WIDE == 2u) {
        store_eight(c.right, row, g, col + 32u, offset);
    }
}

// Where load_a finds this lane's rows of the 32 from `row` on.
fn rows_of(row: u32, lane: u32) -> vec4<u32> {
    if (LAYOUT == 2u) {
        let first = row + 4u * lane;
        return vec4(select(first, min(first, params.m - 4u), A_VEC == 1u));
    }
    return min(row + lane + vec4(0u, 8u, 16u, 24u), vec4(params.m - 1u)) * params.k;
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let id = group.y * groups.x + group.x;
    let across = (params.n + 32u * WIDE - 1u) / (32u * WIDE);
    let down = (params.m + 31u) / 32u;
    let split = id / (across * down);
    if (split >= params.splits) {
        return;
    }
    let row = id / across % down * 32u;
    let col = id % across * 32u * WIDE + 4u * lane;
    // Lanes behind the edge load what is inside, and store nothing.
    let rows = rows_of(row, lane);
    let cols = columns_at(col);
    let cols2 = columns_at(col + 32u);
    var c0 = Pair();
    var c1 = Pair();
    var c2 = Pair();
    var c3 = Pair();
    var sums = vec4(0.0);
    let end = min((split + 1u) * params.k_per_split, params.k);
    for (var k = split * params.k_per_split; k < end; k += 4u) {
        let b = load_b(cols, k);
        var b2 = b;
        if (WIDE == 2u) {
            b2 = load_b(cols2, k);
        }
        if (LAYOUT == 2u) {
            let a = load_a(rows, k);
            c0 = multiply(c0, a[0], b, b2);
            c1 = multiply(c1, a[1], b, b2);
            c2 = multiply(c2, a[2], b, b2);
            c3 = multiply(c3, a[3], b, b2);
            if (SUMS == 1u) {
                sums += vec4(1.0) * a;
            }
        } else {
            // Each row loaded where it is used: all before would not stay in registers.
            c0 = multiply(c0, one_a(rows.x, k), b, b2);
            c1 = multiply(c1, one_a(rows.y, k), b, b2);
            c2 = multiply(c2, one_a(rows.z, k), b, b2);
            c3 = multiply(c3, one_a(rows.w, k), b, b2);
        }
    }
    let offset = split * params.m * params.n;
    store_pair(c0, row, 0u, col, offset);
    store_pair(c1, row, 1u, col, offset);
    store_pair(c2, row, 2u, col, offset);
    store_pair(c3, row, 3u, col, offset);
    if (SUMS == 1u && id % across == 0u) {
        store_sums(row + 4u * lane, split * params.m, sums);
    }
}
