// Matrix product for drivers that run on the CPU. One subgroup of 8 lanes per 64 x 32 tile of y (32 x 32 for few rows):
// each lane owns four columns, loads its share of a, and hands it to the others by broadcast. No workgroup memory, no
// barrier: there, a load is a loop over lanes and a barrier a switch of coroutines, so what pays is arithmetic per load.
const ROWS: u32 = 64u;       // rows of the tile, 32 or 64

struct Eight { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>,
               r4: vec4<f32>, r5: vec4<f32>, r6: vec4<f32>, r7: vec4<f32> }

fn multiply(c: Eight, a: vec4<f32>, b: mat4x4<f32>) -> Eight {
    return Eight(c.r0 + b * subgroupBroadcast(a, 0u), c.r1 + b * subgroupBroadcast(a, 1u),
        c.r2 + b * subgroupBroadcast(a, 2u), c.r3 + b * subgroupBroadcast(a, 3u),
        c.r4 + b * subgroupBroadcast(a, 4u), c.r5 + b * subgroupBroadcast(a, 5u),
        c.r6 + b * subgroupBroadcast(a, 6u), c.r7 + b * subgroupBroadcast(a, 7u));
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
    let across = (params.n + 31u) / 32u;
    let down = (params.m + ROWS - 1u) / ROWS;
    let split = id / (across * down);
    if (split >= params.splits) {
        return;
    }
    let row = id / across % down * ROWS;
    let col = id % across * 32u + 4u * lane;
    // Lanes behind the edge load what is inside, and store nothing.
    let rows = rows_of(row, lane);
    let rows2 = rows_of(row + 32u, lane);
    let cols = columns_at(col);
    var c0 = Eight();
    var c1 = Eight();
    var c2 = Eight();
    var c3 = Eight();
    var d0 = Eight();
    var d1 = Eight();
    var d2 = Eight();
    var d3 = Eight();
    var sums = vec4(0.0);
    var sums2 = vec4(0.0);
    let end = min((split + 1u) * params.k_per_split, params.k);
    for (var k = split * params.k_per_split; k < end; k += 4u) {
        let a = load_a(rows, k);
        let b = load_b(cols, k);
        c0 = multiply(c0, a[0], b);
        c1 = multiply(c1, a[1], b);
        c2 = multiply(c2, a[2], b);
        c3 = multiply(c3, a[3], b);
        if (SUMS == 1u) {
            sums += vec4(1.0) * a;
        }
        if (ROWS == 64u) {
            let a2 = load_a(rows2, k);
            d0 = multiply(d0, a2[0], b);
            d1 = multiply(d1, a2[1], b);
            d2 = multiply(d2, a2[2], b);
            d3 = multiply(d3, a2[3], b);
            if (SUMS == 1u) {
                sums2 += vec4(1.0) * a2;
            }
        }
    }
    let offset = split * params.m * params.n;
    store_eight(c0, row, 0u, col, offset);
    store_eight(c1, row, 1u, col, offset);
    store_eight(c2, row, 2u, col, offset);
    store_eight(c3, row, 3u, col, offset);
    if (ROWS == 64u) {
        store_eight(d0, row + 32u, 0u, col, offset);
        store_eight(d1, row + 32u, 1u, col, offset);
        store_eight(d2, row + 32u, 2u, col, offset);
        store_eight(d3, row + 32u, 3u, col, offset);
    }
    if (SUMS == 1u && id % across == 0u) {
        store_sums(row + 4u * lane, split * params.m, sums);
        if (ROWS == 64u) {
            store_sums(row + 32u + 4u * lane, split * params.m, sums2);
        }
    }
}
