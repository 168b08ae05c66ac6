// Dropout factors of what a thread loads at once, whose first number is element `index` of all. Goes with element.wgsl and
// random.wgsl.
fn dropout_element(seed: u32, index: u32, p: f32) -> Element {
    var factors = Element();
    for (var k = 0u; k < WIDTH; k += 2u) {
        let pair = dropout_pair(seed, (index + k) / 2u, p);
        if (WIDTH == 1u) {
            factors = put(factors, 0u, pair[index & 1u]);
        } else {
            factors = put(put(factors, k, pair.x), k + 1u, pair.y);
        }
    }
    return factors;
}
