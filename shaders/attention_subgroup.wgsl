// Scaled dot-product attention with a running softmax and a learned bias, for drivers that run on the CPU.
// Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Dao et al. 2022, https://arxiv.org/abs/2205.14135
//   y_i = sum_j softmax_j(q_i . k_j * scale + bias_ij) v_j
// One workgroup of eight lanes per (batch, head, 16 queries), two queries per lane; lanes hold eight keys at a time and
// broadcast them. No workgroup memory and no barrier, which such drivers pay dearly for. Bound by loads.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_eight
// include: attention_own_query
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;       // [batch, len, 3 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;         // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;   // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;           // [heads, n]
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;   // [batch, len, dim]
@group(0) @binding(6) var<storage, read_write> stats: array<f32>;     // [batch, heads, len]: log of the sum of exp

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    let tiles = (params.len + 15u) / 16u;
    let pair = group / tiles;
    let batch = pair / params.heads;
    if (batch >= params.batch) {
        return;
    }
    let head = pair % params.heads;
    let length = length_at(batch);
    let first = (group % tiles) * 16u;
    let dim = params.heads * HD4;
    let rows = begin_of(batch);
    let i0 = first + lane;
    let i1 = i0 + 8u;
    var acc0 = Row();
    var acc1 = Row();
    var max0 = MASKED;
    var max1 = MASKED;
    var sum0 = 0.0;
    var sum1 = 0.0;
    if (first < length) {
        // A lane beyond the end repeats the last query; what it finds is not written.
        let r0 = rows + min(i0, length - 1u);
        let r1 = rows + min(i1, length - 1u);
        var q0: Row;
        var q1: Row;
        for (var d = 0u; d < HD4; d++) {
            q0[d] = qkv[r0 * 3u * dim + head * HD4 + d];
            q1[d] = qkv[r1 * 3u * dim + head * HD4 + d];
        }
        let e0 = own_event(r0);
        let e1 = own_event(r1);
        let end = select(length, min(length, first + 16u), CAUSAL == 1u);
        for (var j = 0u; j < end; j += 8u) {
            // Clamped, not skipped: its weight is zero, but memory behind the length may hold anything.
            let r = rows + min(j + lane, length - 1u);
            var key: Row;
            for (var d = 0u; d < HD4; d++) {
                key[d] = qkv[r * 3u * dim + dim + head * HD4 + d];
            }
            var s0: Eight;
            var s1: Eight;
            products(&q0, &q1, &key, &s0, &s1);
            var plus0 = Eight();
            var plus1 = Eight();
            if (PARTS != 0u) {
                let others = spread_events(context[3u * r + 1u], context[3u * r + 2u].y);
                plus0 = biases(head, i0, j, e0, others);
                plus1 = biases(head, i1, j, e1, others);
            }
            s0 = allowed(scaled(s0, params.scale, plus0), i0, j, length);
            s1 = allowed(scaled(s1, params.scale, plus1), i1, j, length);
            let old0 = max0;
            let old1 = max1;
            max0 = max(max0, largest(s0));
            max1 = max(max1, largest(s1));
            var p0 = Eight(exp(s0.lo - max0), exp(s0.hi - max0));
            var p1 = Eight(exp(s1.lo - max1), exp(s1.hi - max1));
            let shrink0 = exp(old0 - max0);
            let shrink1 = exp(old1 - max1);
            sum0 = sum0 * shrink0 + dot(p0.lo + p0.hi, vec4(1.0));
            sum1 = sum1 * shrink1 + dot(p1.lo + p1.hi, vec4(1.0));
            if (DROPOUT != 0u) {
                p0 = times(p0, keeps(pair * params.len, i0, j));
                p1 = times(p1, keeps(pair * params.len, i1, j));
            }
            for (var d = 0u; d < HD4; d++) {
                key[d] = qkv[r * 3u * dim + 2u * dim + head * HD4 + d];
                acc0[d] *= shrink0;
                acc1[d] *= shrink1;
            }
            accumulate(&acc0, &acc1, p0, p1, &key);
        }
    }
    finish(i0, length, (rows + i0) * dim + head * HD4, pair * params.len + i0, &acc0, max0, sum0);
    finish(i1, length, (rows + i1) * dim + head * HD4, pair * params.len + i1, &acc1, max1, sum1);
}

fn finish(i: u32, length: u32, at: u32, stat: u32, acc: ptr<function, Row>, most: f32, sum: f32) {
    if (i >= room(length)) {
        return;
    }
    let valid = i < length;
    let factor = 1.0 / max(sum, 1e-30);
    for (var d = 0u; d < HD4; d++) {
        y[at + d] = select(vec4(0.0), (*acc)[d] * factor, valid);
    }
    stats[stat] = select(0.0, most + log(max(sum, 1e-30)), valid);
}
