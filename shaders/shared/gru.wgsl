// Gates of the GRU, four at a time. exp overflows to infinity beyond 88, and infinity may be assumed absent.
fn sigmoid4(z: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-clamp(z, vec4(-80.0), vec4(80.0))));
}

// tanh from one exp: its error is absolute, about one unit in the last place of 1, like that of the built-in.
fn tanh4(z: vec4<f32>) -> vec4<f32> {
    return 2.0 * sigmoid4(2.0 * z) - 1.0;
}
