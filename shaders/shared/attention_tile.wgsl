// Tiles of two kinds of rows in workgroup memory, for kernels that also take in attention_row.
var<workgroup> tile_a: array<vec4<f32>, TILE * HD4>;
var<workgroup> tile_b: array<vec4<f32>, TILE * HD4>;

// Rows start .. start + TILE of `qkv` from two of its columns. Rows behind the length repeat the last: their weight is
// zero, but memory there may hold anything.
fn load(thread: u32, rows: u32, start: u32, length: u32, width: u32, a: u32, b: u32) {
    for (var at = thread; at < TILE * HD4; at += 64u) {
        let row = (rows + min(start + at / HD4, length - 1u)) * width + at % HD4;
        tile_a[at] = qkv[row + a];
        tile_b[at] = qkv[row + b];
    }
}
