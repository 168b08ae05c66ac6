// What a thread loads at once: one number. A kernel set to WIDTH 4 takes in element4.wgsl in place of this.
const WIDTH: u32 = 1u;
alias Element = f32;

fn total(v: Element) -> f32 {
    return v;
}

fn highest(v: Element) -> f32 {
    return v;
}

// v with component k set.
fn put(v: Element, k: u32, value: f32) -> Element {
    return value;
}

fn part(v: Element, k: u32) -> f32 {
    return v;
}
