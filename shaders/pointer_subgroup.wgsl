// The share of a causal attention over the history that falls on one item, for drivers that run on the CPU.
// Vinyals et al. 2015, https://arxiv.org/abs/1506.03134; Merity et al. 2017, https://arxiv.org/abs/1609.07843
//   y_t = sum_{j <= t} softmax_j(q_t . k_j * scale + bias_tj) [items_j = targets_t]
// One workgroup of eight lanes per (batch, 16 queries), two queries per lane; lanes hold eight keys at a time and
// broadcast them, as in attention_subgroup.wgsl. Bound by loads.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_eight
// include: attention_own_query
// include: pointer
// include: pointer_eight
@group(0) @binding(1) var<storage, read> qk: array<vec4<f32>>;          // [batch, len, 2 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;           // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;     // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;             // [1, n]
@group(0) @binding(5) var<storage, read> items: array<u32>;             // [batch, len]
@group(0) @binding(6) var<storage, read> targets: array<u32>;           // [batch, len]
@group(0) @binding(7) var<storage, read_write> y: array<f32>;           // [batch, len]
@group(0) @binding(8) var<storage, read_write> kept: array<vec4<u32>>;  // [batch, len]: see shared/pointer.wgsl

// The softmax of one query as far as it has run.
struct Running { most: f32, sum: f32, hit: f32 }

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    let tiles = (params.len + 15u) / 16u;
    let batch = group / tiles;
    if (batch >= params.batch) {
        return;
    }
    let length = length_at(batch);
    let first = (group % tiles) * 16u;
    let rows = begin_of(batch);
    let i0 = first + lane;
    let i1 = i0 + 8u;
    var run0 = Running(MASKED, 0.0, 0.0);
    var run1 = run0;
    if (first < length) {
        // A lane beyond the end repeats the last query; what it finds is not written.
        let r0 = rows + min(i0, length - 1u);
        let r1 = rows + min(i1, length - 1u);
        let wanted0 = targets[r0];
        let wanted1 = targets[r1];
        var q0: Row;
        load_half(r0, QUERY, &q0);
        var q1: Row;
        load_half(r1, QUERY, &q1);
        let e0 = own_event(r0);
        let e1 = own_event(r1);
        for (var j = 0u; j < min(length, first + 16u); j += 8u) {
            // Clamped, not skipped: its weight is zero, but memory behind the length may hold anything.
            let r = rows + min(j + lane, length - 1u);
            var key: Row;
            load_half(r, KEY, &key);
            var s0: Eight;
            var s1: Eight;
            products(&q0, &q1, &key, &s0, &s1);
            var plus0 = Eight();
            var plus1 = Eight();
            if (PARTS != 0u) {
                let others = spread_events(context[3u * r + 1u], context[3u * r + 2u].y);
                plus0 = biases(0u, i0, j, e0, others);
                plus1 = biases(0u, i1, j, e1, others);
            }
            let ids = spread_ids(items[r]);
            run0 = further(run0, allowed(scaled(s0, params.scale, plus0), i0, j, length), ids, wanted0);
            run1 = further(run1, allowed(scaled(s1, params.scale, plus1), i1, j, length), ids, wanted1);
        }
    }
    finish(i0, rows, length, run0);
    finish(i1, rows, length, run1);
}

fn further(run: Running, s: Eight, ids: EightIds, wanted: u32) -> Running {
    let most = max(run.most, largest(s));
    let shrink = exp(run.most - most);
    let p = Eight(exp(s.lo - most), exp(s.hi - most));
    let found = times(p, matches(ids, wanted));
    return Running(most, run.sum * shrink + dot(p.lo + p.hi, vec4(1.0)),
                   run.hit * shrink + dot(found.lo + found.hi, vec4(1.0)));
}

fn finish(i: u32, rows: u32, length: u32, run: Running) {
    if (i >= room(length)) {
        return;
    }
    let at = rows + i;
    let wanted = select(IGNORE, targets[at], i < length);
    let mass = select(run.hit / max(run.sum, 1e-30), 0.0, wanted == IGNORE);
    y[at] = mass;
    kept[at] = kept_of(items[at], wanted, run.most + log(max(run.sum, 1e-30)), mass, i < length);
}
