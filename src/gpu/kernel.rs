//! WGSL sources: sharing text, fixing constants, and what a shader binds.

use super::Buffer;
use crate::error::Error;

/// One WGSL file with one entry point `main`. Made by [`kernel!`](crate::kernel).
#[derive(Debug)]
pub struct Kernel {
    pub name: &'static str,
    pub source: &'static str,
}

/// A kernel with the constants of one use of it: `KERNEL.with(&[("HEAD_DIM", 32)])`.
#[derive(Debug, Clone, Copy)]
pub struct Variant<'a> {
    pub kernel: &'static Kernel,
    pub consts: &'a [(&'static str, u32)],
}

impl Kernel {
    pub const fn with<'a>(&'static self, consts: &'a [(&'static str, u32)]) -> Variant<'a> {
        Variant { kernel: self, consts }
    }
}

impl Variant<'_> {
    /// Marks what a dispatch that does not run leaves unwritten.
    pub(super) fn fail(self, buffers: &[&Buffer], error: &Error) {
        let writes = writes(self.kernel.name, &compose(self.kernel, self.consts));
        for (buffer, _) in buffers.iter().zip(writes).filter(|(_, written)| *written) {
            buffer.raw.failure.set(error);
        }
    }
}

impl From<&'static Kernel> for Variant<'_> {
    fn from(kernel: &'static Kernel) -> Self {
        Variant { kernel, consts: &[] }
    }
}

/// The kernel in `shaders/<name>.wgsl`: `static FORWARD: Kernel = kernel!("layer_norm");`
#[macro_export]
macro_rules! kernel {
    ($name:literal) => {
        $crate::gpu::Kernel {
            name: $name,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name, ".wgsl")),
        }
    };
}

/// Text that several shaders share, taken in by a line `// include: <name>`.
const SHARED: &[(&str, &str)] = &[
    ("element", include_str!("../../shaders/shared/element.wgsl")),
    ("element4", include_str!("../../shaders/shared/element4.wgsl")),
    ("lanes", include_str!("../../shaders/shared/lanes.wgsl")),
    ("softplus", include_str!("../../shaders/shared/softplus.wgsl")),
    ("random", include_str!("../../shaders/shared/random.wgsl")),
    ("dropout", include_str!("../../shaders/shared/dropout.wgsl")),
    ("activation", include_str!("../../shaders/shared/activation.wgsl")),
    ("spacetime", include_str!("../../shaders/shared/spacetime.wgsl")),
    ("gemm_load", include_str!("../../shaders/shared/gemm_load.wgsl")),
    ("gemm_registers", include_str!("../../shaders/shared/gemm_registers.wgsl")),
    ("gemm_tile", include_str!("../../shaders/shared/gemm_tile.wgsl")),
    ("gemm_mixed", include_str!("../../shaders/shared/gemm_mixed.wgsl")),
    ("fragment8", include_str!("../../shaders/shared/fragment8.wgsl")),
    ("fragment16", include_str!("../../shaders/shared/fragment16.wgsl")),
    ("gemm_store4", include_str!("../../shaders/shared/gemm_store4.wgsl")),
    ("gemm_lanes", include_str!("../../shaders/shared/gemm_lanes.wgsl")),
    ("gemm_end", include_str!("../../shaders/shared/gemm_end.wgsl")),
    ("gemm_store", include_str!("../../shaders/shared/gemm_store.wgsl")),
    ("lengths", include_str!("../../shaders/shared/lengths.wgsl")),
    ("segments", include_str!("../../shaders/shared/segments.wgsl")),
    ("gru_rows", include_str!("../../shaders/shared/gru_rows.wgsl")),
    ("gru", include_str!("../../shaders/shared/gru.wgsl")),
    ("attention", include_str!("../../shaders/shared/attention.wgsl")),
    ("attention_row", include_str!("../../shaders/shared/attention_row.wgsl")),
    ("attention_tile", include_str!("../../shaders/shared/attention_tile.wgsl")),
    ("attention_eight", include_str!("../../shaders/shared/attention_eight.wgsl")),
    ("attention_own_query", include_str!("../../shaders/shared/attention_own_query.wgsl")),
    ("attention_own_key", include_str!("../../shaders/shared/attention_own_key.wgsl")),
    ("attention_bins", include_str!("../../shaders/shared/attention_bins.wgsl")),
    ("attention_bins_eight", include_str!("../../shaders/shared/attention_bins_eight.wgsl")),
    ("pointer", include_str!("../../shaders/shared/pointer.wgsl")),
    ("pointer_tile", include_str!("../../shaders/shared/pointer_tile.wgsl")),
    ("pointer_eight", include_str!("../../shaders/shared/pointer_eight.wgsl")),
    ("mixture", include_str!("../../shaders/shared/mixture.wgsl")),
    ("top_k_fold", include_str!("../../shaders/shared/top_k_fold.wgsl")),
    ("item", include_str!("../../shaders/shared/item.wgsl")),
    ("score_key", include_str!("../../shaders/shared/score_key.wgsl")),
];

/// The WGSL that the device sees: shared text put in, and each `const NAME: u32 = …;` of `consts` given its value.
/// With `WIDTH` 4 the text `element4` stands in for `element`: the same kernel on `vec4<f32>`. With `FRAGMENT` 8 the text
/// `fragment8` stands in for `fragment16`.
///
/// # Panics
/// When the source includes what does not exist or lacks a constant.
pub fn compose(kernel: &Kernel, consts: &[(&str, u32)]) -> String {
    let (four, eight) = (consts.contains(&("WIDTH", 4)), consts.contains(&("FRAGMENT", 8)));
    let mut text = String::with_capacity(kernel.source.len() + 1024);
    for line in kernel.source.lines() {
        let Some(name) = line.strip_prefix("// include: ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let name = match name.trim() {
            "element" if four => "element4",
            "fragment16" if eight => "fragment8",
            name => name,
        };
        let shared = SHARED.iter().find(|(n, _)| *n == name);
        text.push_str(shared.unwrap_or_else(|| panic!("{}: no shared shader text named {name}", kernel.name)).1);
    }
    for (name, value) in consts {
        let head = format!("const {name}: u32 = ");
        let at = text.find(&head).unwrap_or_else(|| panic!("{}: no line `{head}…`", kernel.name)) + head.len();
        let end = at + text[at..].find(';').unwrap_or_else(|| panic!("{}: `{head}` has no end", kernel.name));
        text.replace_range(at..end, &format!("{value}u"));
    }
    text
}

/// For each storage binding 1, 2, … in order: whether the shader writes it.
///
/// # Panics
/// When bindings are not numbered 1, 2, … in the order in which they stand.
pub(super) fn writes(name: &str, source: &str) -> Vec<bool> {
    let mut found = Vec::new();
    for line in source.lines().filter(|l| l.contains("var<storage")) {
        found.push(line.contains("read_write"));
        let expected = format!("@binding({})", found.len());
        assert!(line.contains(&expected), "{name}: expected {expected} in `{line}`");
    }
    found
}
