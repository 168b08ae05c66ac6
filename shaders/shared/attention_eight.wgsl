// Keys (or queries) eight at a time, one per lane, handed around by broadcasts from constant lanes.
struct Eight { lo: vec4<f32>, hi: vec4<f32> }

// Products of the lane's own rows a0 and a1 with the eight rows b of the lanes.
fn products(a0: ptr<function, Row>, a1: ptr<function, Row>, b: ptr<function, Row>,
            s0: ptr<function, Eight>, s1: ptr<function, Eight>) {
    *s0 = Eight();
    *s1 = Eight();
    for (var d = 0u; d < HD4; d++) {
        let x = (*a0)[d];
        let y = (*a1)[d];
        let all = (*b)[d];
        let b0 = subgroupBroadcast(all, 0u);
        let b1 = subgroupBroadcast(all, 1u);
        let b2 = subgroupBroadcast(all, 2u);
        let b3 = subgroupBroadcast(all, 3u);
        (*s0).lo = quad(x, b0, b1, b2, b3, (*s0).lo);
        (*s1).lo = quad(y, b0, b1, b2, b3, (*s1).lo);
        let b4 = subgroupBroadcast(all, 4u);
        let b5 = subgroupBroadcast(all, 5u);
        let b6 = subgroupBroadcast(all, 6u);
        let b7 = subgroupBroadcast(all, 7u);
        (*s0).hi = quad(x, b4, b5, b6, b7, (*s0).hi);
        (*s1).hi = quad(y, b4, b5, b6, b7, (*s1).hi);
    }
}

fn quad(x: vec4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
    let s = fma(vec4(x.x), vec4(a.x, b.x, c.x, d.x), sum);
    let t = fma(vec4(x.y), vec4(a.y, b.y, c.y, d.y), s);
    let u = fma(vec4(x.z), vec4(a.z, b.z, c.z, d.z), t);
    return fma(vec4(x.w), vec4(a.w, b.w, c.w, d.w), u);
}

// acc += sum over the eight rows b of the lanes, weighted by p: for both of the lane's own rows.
fn accumulate(acc0: ptr<function, Row>, acc1: ptr<function, Row>, p0: Eight, p1: Eight, b: ptr<function, Row>) {
    for (var d = 0u; d < HD4; d++) {
        let all = (*b)[d];
        let b0 = subgroupBroadcast(all, 0u);
        let b1 = subgroupBroadcast(all, 1u);
        let b2 = subgroupBroadcast(all, 2u);
        let b3 = subgroupBroadcast(all, 3u);
        var x = four(p0.lo, b0, b1, b2, b3, (*acc0)[d]);
        var y = four(p1.lo, b0, b1, b2, b3, (*acc1)[d]);
        let b4 = subgroupBroadcast(all, 4u);
        let b5 = subgroupBroadcast(all, 5u);
        let b6 = subgroupBroadcast(all, 6u);
        let b7 = subgroupBroadcast(all, 7u);
        (*acc0)[d] = four(p0.hi, b4, b5, b6, b7, x);
        (*acc1)[d] = four(p1.hi, b4, b5, b6, b7, y);
    }
}

fn four(p: vec4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
    return fma(vec4(p.w), d, fma(vec4(p.z), c, fma(vec4(p.y), b, fma(vec4(p.x), a, sum))));
}

fn scaled(s: Eight, factor: f32, plus: Eight) -> Eight {
    return Eight(fma(s.lo, vec4(factor), plus.lo), fma(s.hi, vec4(factor), plus.hi));
}

fn times(a: Eight, b: Eight) -> Eight {
    return Eight(a.lo * b.lo, a.hi * b.hi);
}

// The values of the eight lanes, to all.
fn spread(x: f32) -> Eight {
    return Eight(vec4(subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u),
                      subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u)),
                 vec4(subgroupBroadcast(x, 4u), subgroupBroadcast(x, 5u),
                      subgroupBroadcast(x, 6u), subgroupBroadcast(x, 7u)));
}

fn largest(s: Eight) -> f32 {
    let m = max(s.lo, s.hi);
    return max(max(m.x, m.y), max(m.z, m.w));
}

fn chance(s: Eight, lse: Eight) -> Eight {
    return Eight(exp(s.lo - lse.lo), exp(s.hi - lse.hi));
}

// What follows asks the kernel, by `sees`, `keep_at` and `bias_at`, which of (own, other) is the query.

// Scores of pairs that may not see each other become MASKED.
fn allowed(s: Eight, own: u32, other: u32, length: u32) -> Eight {
    let lo = vec4(other) + vec4(0u, 1u, 2u, 3u);
    return Eight(select(vec4(MASKED), s.lo, sees(own, lo, length)),
                 select(vec4(MASKED), s.hi, sees(own, lo + 4u, length)));
}

// Dropout factors; `rows` is the first row of probabilities of this batch and head.
fn keeps(rows: u32, own: u32, o: u32) -> Eight {
    return Eight(vec4(keep_at(rows, own, o), keep_at(rows, own, o + 1u),
                      keep_at(rows, own, o + 2u), keep_at(rows, own, o + 3u)),
                 vec4(keep_at(rows, own, o + 4u), keep_at(rows, own, o + 5u),
                      keep_at(rows, own, o + 6u), keep_at(rows, own, o + 7u)));
}

struct Events { e0: Event, e1: Event, e2: Event, e3: Event, e4: Event, e5: Event, e6: Event, e7: Event }

// The events that the eight lanes hold, to all.
fn spread_events(at: vec4<u32>, kind: u32) -> Events {
    return Events(event_of(subgroupBroadcast(at, 0u), subgroupBroadcast(kind, 0u)),
                  event_of(subgroupBroadcast(at, 1u), subgroupBroadcast(kind, 1u)),
                  event_of(subgroupBroadcast(at, 2u), subgroupBroadcast(kind, 2u)),
                  event_of(subgroupBroadcast(at, 3u), subgroupBroadcast(kind, 3u)),
                  event_of(subgroupBroadcast(at, 4u), subgroupBroadcast(kind, 4u)),
                  event_of(subgroupBroadcast(at, 5u), subgroupBroadcast(kind, 5u)),
                  event_of(subgroupBroadcast(at, 6u), subgroupBroadcast(kind, 6u)),
                  event_of(subgroupBroadcast(at, 7u), subgroupBroadcast(kind, 7u)));
}

// The biases of one's own event and eight others.
fn biases(head: u32, own: u32, o: u32, e: Event, others: Events) -> Eight {
    return Eight(vec4(bias_at(head, own, o, e, others.e0), bias_at(head, own, o + 1u, e, others.e1),
                      bias_at(head, own, o + 2u, e, others.e2), bias_at(head, own, o + 3u, e, others.e3)),
                 vec4(bias_at(head, own, o + 4u, e, others.e4), bias_at(head, own, o + 5u, e, others.e5),
                      bias_at(head, own, o + 6u, e, others.e6), bias_at(head, own, o + 7u, e, others.e7)));
}
