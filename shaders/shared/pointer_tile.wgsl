// A tile of queries or keys in workgroup memory, for the pointer's kernels that give a thread its own row.
var<workgroup> tile: array<vec4<f32>, TILE * HD4>;

// Rows start .. start + TILE. Those behind the length repeat the last: their weight is zero, but memory there may hold
// anything.
fn load_tile(thread: u32, rows: u32, start: u32, length: u32, half: u32) {
    for (var at = thread; at < TILE * HD4; at += 64u) {
        let row = rows + min(start + at / HD4, length - 1u);
        tile[at] = qk[row * 2u * HD4 + half + at % HD4];
    }
}
