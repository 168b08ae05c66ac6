// Matrix product in mixed precision: f16 operands, f32 sums, by the matrix units of a GPU. The operands come and the
// result goes in f32; on the way to workgroup memory each operand is multiplied by the power of two that brings its
// largest number to [2^14, 2^15). So nothing overflows, what is smaller than the largest by 2^29 loses digits, and what is
// smaller by 2^40 is lost. Eight subgroups, four down and two across, each 2 x WIDE fragments of y.
const SUBGROUP: u32 = 32u;      // of a subgroup
const WIDE: u32 = 2u;        // 2 or 4: 64 or 128 columns of y per workgroup, and 128 rows, with fragments of 16
const THREADS: u32 = 8u * SUBGROUP;
const ROWS: u32 = 8u * FRAGMENT;
const COLS: u32 = 2u * WIDE * FRAGMENT;
const STEPS: u32 = 2u * FRAGMENT;
// Numbers four by four. Two more per row, or the rows of a fragment would all meet in one bank.
var<workgroup> tile_a: array<vec4<f16>, ROWS * (STEPS / 4u + 2u)>;
var<workgroup> tile_b: array<vec4<f16>, 4u * FRAGMENT * WIDE / 2u * (STEPS / 4u + 2u)>;
var<workgroup> out: array<f32, 8u * FRAGMENT * FRAGMENT>;

// Four numbers of a from `at` on, of which `n` are there.
fn four_a(at: u32, n: u32) -> vec4<f32> {
    if (A_VEC == 1u) {
        return a4[at / 4u];
    }
    var v = vec4(a1[at], 0.0, 0.0, 0.0);
    if (n > 1u) { v.y = a1[at + 1u]; }
    if (n > 2u) { v.z = a1[at + 2u]; }
    if (n > 3u) { v.w = a1[at + 3u]; }
    return v;
}

fn four_b(at: u32, n: u32) -> vec4<f32> {
    if (B_VEC == 1u) {
        return b4[at / 4u];
    }
    var v = vec4(b1[at], 0.0, 0.0, 0.0);
    if (n > 1u) { v.y = b1[at + 1u]; }
    if (n > 2u) { v.z = b1[at + 2u]; }
    if (n > 3u) { v.w = b1[at + 3u]; }
    return v;
}

// The exponent, as f32 stores it, of the largest number.
fn exponent(most: f32) -> u32 {
    return clamp(bitcast<u32>(most) >> 23u, 20u, 240u);
}

// One sub-tile of a, [row][k] or [k][row] in layout 2.
fn fragment_a(at: u32, pitch: u32) -> FragmentA {
    if (LAYOUT == 2u) {
        return coopLoad<FragmentA>(&tile_a[at], pitch);
    }
    return coopLoadT<FragmentA>(&tile_a[at], pitch);
}

// One of b, [k][col] or [col][k] in layout 1.
fn fragment_b(at: u32, pitch: u32) -> FragmentB {
    if (LAYOUT == 1u) {
        return coopLoad<FragmentB>(&tile_b[at], pitch);
    }
    return coopLoadT<FragmentB>(&tile_b[at], pitch);
}

// What a subgroup has put at `own`, scaled back, to y.
fn store_fragment(own: u32, lane: u32, first: vec2<u32>, offset: u32, back: vec2<f32>) {
    workgroupBarrier();
    for (var i = lane; i < FRAGMENT * FRAGMENT / 4u; i += SUBGROUP) {
        let at = own + 4u * i;
        let v = vec4(out[at], out[at + 1u], out[at + 2u], out[at + 3u]) * back.x * back.y;
        store(first.x + i / (FRAGMENT / 4u), first.y + i % (FRAGMENT / 4u) * 4u, offset, v);
    }
    workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32,
        @builtin(subgroup_invocation_id) lane: u32) {
    let id = group.y * groups.x + group.x;
    let across = (params.n + COLS - 1u) / COLS;
    let down = (params.m + ROWS - 1u) / ROWS;
    let split = id / (across * down);
    if (split >= params.splits) {
        return;
    }
    let row = id / across % down * ROWS;
    let col = id % across * COLS;

    var most = vec2(0.0);
    for (var i = thread; i < 256u; i += THREADS) {
        most = max(most, vec2(range[i], range[256u + i]));
    }
    most = subgroupMax(most);
    if (lane == 0u) {
        out[2u * subgroup] = most.x;
        out[2u * subgroup + 1u] = most.y;
    }
    workgroupBarrier();
    for (var i = 0u; i < 8u; i += 1u) {
        most = max(most, vec2(out[2u * i], out[2u * i + 1u]));
    }
    let e = vec2(exponent(most.x), exponent(most.y));
    let scale = bitcast<vec2<f32>>((268u - e) << vec2(23u));
    let back = bitcast<vec2<f32>>((e - 14u) << vec2(23u));

    // Neighbouring threads read neighbouring numbers: along k where k is the last axis, else along the other one.
    let along = vec2(thread % (STEPS / 4u), thread / (STEPS / 4u));
    let of_a = select(along, vec2(thread % (ROWS / 4u), thread / (ROWS / 4u)), LAYOUT == 2u);
    let of_b = select(vec2(thread % (COLS / 4u), thread / (COLS / 4u)), along, LAYOUT == 1u);
    let pitch_a = select(STEPS / 4u + 2u, ROWS / 4u + 2u, LAYOUT == 2u);
    let pitch_b = select(COLS / 4u + 2u, STEPS / 4u + 2u, LAYOUT == 1u);
    let frag_row = subgroup / 2u * 2u * FRAGMENT;
    let frag_col = subgroup % 2u * WIDE * FRAGMENT;
    var c00: FragmentC; var c01: FragmentC; var c02: FragmentC; var c03: FragmentC;
    var c10: FragmentC; var c11: FragmentC; var c12: FragmentC; var c13: FragmentC;
    var sums = vec4(0.0);
    let start = split * params.k_per_split;
    let end = min(start + params.k_per_split, params.k);
    for (var k = start; k < end; k += STEPS) {
        for (var j = 0u; j < 4u; j += 1u) {
            let slow = of_a.y + j * (ROWS * STEPS / 16u / select(STEPS / 4u, ROWS / 4u, LAYOUT == 2u));
            let r = row + select(slow, 4u * of_a.x, LAYOUT == 2u);
            let s = k + select(4u * of_a.x, slow, LAYOUT == 2u);
            var v = vec4(0.0);
            if (r < params.m && s < end) {
                let at = select(r * params.k + s, s * params.m + r, LAYOUT == 2u);
                v = four_a(at, select(end - s, params.m - r, LAYOUT == 2u));
            }
            if (SUMS == 1u) {
                sums += v;
            }
            tile_a[slow * pitch_a + of_a.x] = vec4<f16>(v * scale.x);
        }
        for (var j = 0u; j < WIDE; j += 1u) {
            let slow = of_b.y + j * (THREADS / select(COLS / 4u, STEPS / 4u, LAYOUT == 1u));
            let q = col + select(4u * of_b.x, slow, LAYOUT == 1u);
            let s = k + select(slow, 4u * of_b.x, LAYOUT == 1u);
            var v = vec4(0.0);
            if (q < params.n && s < end) {
                let at = select(s * params.n + q, q * params.k + s, LAYOUT == 1u);
                v = four_b(at, select(params.n - q, end - s, LAYOUT == 1u));
            }
            tile_b[slow * pitch_b + of_b.x] = vec4<f16>(v * scale.y);
        }
        workgroupBarrier();
        for (var s = 0u; s < STEPS; s += FRAGMENT) {
            let at_a = select(frag_row * pitch_a + s / 4u, s * pitch_a + frag_row / 4u, LAYOUT == 2u);
            let at_b = select(s * pitch_b + frag_col / 4u, frag_col * pitch_b + s / 4u, LAYOUT == 1u);
            let next_a = select(FRAGMENT * pitch_a, FRAGMENT / 4u, LAYOUT == 2u);
            let next_b = select(FRAGMENT / 4u, FRAGMENT * pitch_b, LAYOUT == 1u);
            let above = fragment_a(at_a, pitch_a);
            let below = fragment_a(at_a + next_a, pitch_a);
            let b0 = fragment_b(at_b, pitch_b);
            let b1 = fragment_b(at_b + next_b, pitch_b);
            c00 = coopMultiplyAdd(above, b0, c00);
            c10 = coopMultiplyAdd(below, b0, c10);
            c01 = coopMultiplyAdd(above, b1, c01);
            c11 = coopMultiplyAdd(below, b1, c11);
            if (WIDE == 4u) {
                let b2 = fragment_b(at_b + 2u * next_b, pitch_b);
                let b3 = fragment_b(at_b + 3u * next_b, pitch_b);
                c02 = coopMultiplyAdd(above, b2, c02);
                c12 = coopMultiplyAdd(below, b2, c12);
                c03 = coopMultiplyAdd(above, b3, c03);
                c13 = coopMultiplyAdd(below, b3, c13);
            }
        }
        workgroupBarrier();
    }
    let offset = split * params.m * params.n;
    let first = vec2(row + frag_row, col + frag_col);
    let own = subgroup * FRAGMENT * FRAGMENT;
    coopStoreT(c00, &out[own], FRAGMENT);
    store_fragment(own, lane, first, offset, back);
    coopStoreT(c01, &out[own], FRAGMENT);
    store_fragment(own, lane, first + vec2(0u, 1u) * FRAGMENT, offset, back);
    coopStoreT(c10, &out[own], FRAGMENT);
    store_fragment(own, lane, first + vec2(1u, 0u) * FRAGMENT, offset, back);
    coopStoreT(c11, &out[own], FRAGMENT);
    store_fragment(own, lane, first + vec2(1u, 1u) * FRAGMENT, offset, back);
    if (WIDE == 4u) {
        coopStoreT(c02, &out[own], FRAGMENT);
        store_fragment(own, lane, first + vec2(0u, 2u) * FRAGMENT, offset, back);
        coopStoreT(c03, &out[own], FRAGMENT);
        store_fragment(own, lane, first + vec2(0u, 3u) * FRAGMENT, offset, back);
        coopStoreT(c12, &out[own], FRAGMENT);
        store_fragment(own, lane, first + vec2(1u, 2u) * FRAGMENT, offset, back);
        coopStoreT(c13, &out[own], FRAGMENT);
        store_fragment(own, lane, first + vec2(1u, 3u) * FRAGMENT, offset, back);
    }
    if (SUMS == 1u && col == 0u) {
        for (var c = 0u; c < 4u; c += 1u) {
            out[4u * thread + c] = sums[c];
        }
        workgroupBarrier();
        if (thread < ROWS / 4u) {
            var total = vec4(0.0);
            for (var i = thread; i < THREADS; i += ROWS / 4u) {
                total += vec4(out[4u * i], out[4u * i + 1u], out[4u * i + 2u], out[4u * i + 3u]);
            }
            store_sums(row + 4u * thread, split * params.m, total);
        }
    }
}
