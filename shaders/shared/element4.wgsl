// What a thread loads at once: four neighbours. See element.wgsl.
const WIDTH: u32 = 4u;
alias Element = vec4<f32>;

fn total(v: Element) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn highest(v: Element) -> f32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

// v with component k set.
fn put(v: Element, k: u32, value: f32) -> Element {
    var changed = v;
    changed[k] = value;
    return changed;
}

fn part(v: Element, k: u32) -> f32 {
    return v[k];
}
