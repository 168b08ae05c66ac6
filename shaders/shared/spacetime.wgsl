// Where a time gap or a distance falls in a table of log-spaced knots: value(p) is linear between knots floor(p) and
// floor(p) + 1, so the bias is continuous and no rounding near a knot matters.
//   p = clamp(per_octave * log2(1 + |x| / unit), 0, knots - 1)
fn knot(x: f32, unit: f32, per_octave: f32, knots: u32) -> f32 {
    return clamp(per_octave * log2(1.0 + abs(x) / unit), 0.0, f32(knots - 1u));
}

// Kilometres of chord between two points on the unit sphere, times the Earth's mean radius. A zero vector is "unknown".
const EARTH_KM: f32 = 6371.0088;

fn chord_km(a: vec3<f32>, b: vec3<f32>) -> f32 {
    let d = a - b;
    return EARTH_KM * sqrt(dot(d, d));
}
