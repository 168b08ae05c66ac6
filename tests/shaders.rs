//! Every shader is valid, leaves the process as SPIR-V, MSL and HLSL, keeps WebGPU's limits, and passes Tint where there
//! is one (it finds barriers under non-uniform control flow, which naga accepts).

use desirepath::gpu::{Kernel, compose};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

type Consts = Vec<(&'static str, u32)>;

/// Constants that ops set, and their values: in every kernel, or in those whose names start so.
const VALUES: &[(&str, &str, &[u32])] = &[
    ("", "LAYOUT", &[0, 1, 2]),
    ("", "BIAS", &[0, 1]),
    ("", "ACT", &[0, 1, 2, 3, 4, 5]),
    ("", "KEEP", &[0, 1]),
    ("", "SUMS", &[0, 1]),
    ("", "RESIDUAL", &[0, 1]),
    ("", "ACCUMULATE", &[0, 1]),
    ("", "A_VEC", &[0, 1]),
    ("", "B_VEC", &[0, 1]),
    ("", "K_TAIL", &[0, 1]),
    ("", "CAUSAL", &[0, 1]),
    ("", "DROPOUT", &[0, 1]),
    ("", "PARTS", &[0, 1, 2, 4, 8, 15]),
    ("", "TABLE", &[0, 1]),
    ("", "COUNT", &[0, 1]),
    ("", "EXCLUDE", &[0, 1]),
    ("", "BOOST", &[0, 1]),
    ("", "CLIP", &[0, 1]),
    ("", "ALIGNED", &[0, 1]),
    ("", "GROUP", &[16, 64]),
    ("", "QUERIES", &[1, 4, 8, 16, 32]),
    ("", "FORMAT", &[0, 1, 2]),
    ("", "LANES", &[1, 16, 64]),
    ("gemm_lanes", "WIDE", &[1, 2]),
    ("gemm_row", "ROWS", &[1, 2, 3, 4]),
    ("gemm_tile", "TILE", &[64, 128]),
    ("gemm_mixed", "WIDE", &[2, 4]),
    ("gemm_mixed", "FRAGMENT", &[8, 16]),
    ("", "PLUS", &[0, 1]),
    ("", "PACKED", &[0, 1]),
    ("layer_norm", "DIM", &[0, 1, 32]),
    ("gemm_lanes", "ROWS", &[32, 64]),
    ("attention_weights", "ROWS", &[2, 3]),
    ("cross_entropy", "THREADS", &[8, 256]),
    ("sampled_mask", "THREADS", &[8, 256]),
    ("", "SPANS", &[0, 1]),
    ("top_k_select", "THREADS", &[16, 256]),
    ("gru", "WIDTH", &[32, 64, 128, 256]),
];
/// What ops set together, where one alone would not be a use or not the hardest one.
const TOGETHER: &[(&str, &[(&str, u32)])] = &[
    ("gemm", &[("LAYOUT", 2), ("SUMS", 1)]),
    ("gemm", &[("LAYOUT", 2), ("SUMS", 1), ("A_VEC", 0), ("B_VEC", 0), ("K_TAIL", 1)]),
    ("gemm", &[("LAYOUT", 1), ("BIAS", 1), ("ACT", 2), ("KEEP", 1), ("RESIDUAL", 1)]),
    ("gemm_mixed", &[("FRAGMENT", 8), ("SUBGROUP", 8), ("WIDE", 4), ("LAYOUT", 2), ("SUMS", 1)]),
    ("gemm_mixed", &[("WIDE", 4), ("LAYOUT", 1)]),
    ("attention", &[("HEAD_DIM", 4), ("TILE", 32)]),
    ("attention", &[("HEAD_DIM", 128), ("TILE", 8), ("DROPOUT", 1)]),
    ("attention", &[("HEAD_DIM", 100), ("TILE", 8), ("CAUSAL", 0), ("PARTS", 0), ("TABLE", 0)]),
    ("pointer", &[("HEAD_DIM", 4), ("TILE", 32)]),
    ("pointer", &[("HEAD_DIM", 256), ("TILE", 8)]),
];

/// The uses of a kernel, of which `text` is the plain one, besides that.
fn uses(name: &str, text: &str) -> Vec<Consts> {
    let has = |constant: &str| text.contains(&format!("const {constant}: u32 = "));
    let alone = VALUES.iter().filter(|(kernel, constant, _)| name.starts_with(kernel) && has(constant));
    let mut list: Vec<Consts> = alone.flat_map(|(_, c, values)| values.iter().map(|v| vec![(*c, *v)])).collect();
    if text.contains("alias Element = ") {
        list.push(vec![("WIDTH", 4)]);
    }
    for (_, consts) in TOGETHER.iter().filter(|(kernel, consts)| name.starts_with(kernel) && has(consts[0].0)) {
        list.push(consts.iter().copied().filter(|(constant, _)| has(constant)).collect());
    }
    list
}

fn shaders() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let entries = std::fs::read_dir(&folder).expect("shaders/ exists");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "wgsl"));
    paths.sort();
    assert!(paths.len() >= 3, "found only {paths:?}");
    let load = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        let source = std::fs::read_to_string(&path).unwrap().leak();
        let kernel = Kernel { name: name.clone().leak(), source };
        let plain = compose(&kernel, &[]);
        let texts =
            uses(&name, &plain).into_iter().map(|consts| (format!("{name} {consts:?}"), compose(&kernel, &consts)));
        texts.chain([(name.clone(), plain.clone())]).collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(load).collect()
}

/// Shaders for the matrix units of some GPUs: only Vulkan runs them, and only where the device was asked for what they
/// take, so they keep other limits.
fn multiplies_matrices(source: &str) -> bool {
    source.contains("enable wgpu_cooperative_matrix;")
}

fn validated(name: &str, source: &str) -> (naga::Module, naga::valid::ModuleInfo) {
    let module = naga::front::wgsl::parse_str(source);
    let module = module.unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)));
    // The last is `unpack2x16float`, which WGSL has without any feature.
    let mut capabilities =
        Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    if multiplies_matrices(source) {
        capabilities |= Capabilities::COOPERATIVE_MATRIX;
    }
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)));
    (module, info)
}

#[test]
fn every_shader_is_written_out_for_every_backend() {
    for (name, source) in shaders() {
        let (module, info) = validated(&name, &source);
        let words = naga::back::spv::write_vec(&module, &info, &spv_options(), None);
        assert!(words.unwrap_or_else(|e| panic!("{name}: SPIR-V: {e}")).len() > 20);
        if multiplies_matrices(&source) {
            continue;
        }
        let msl = naga::back::msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
        let (text, _) = naga::back::msl::write_string(&module, &info, &msl, &Default::default())
            .unwrap_or_else(|e| panic!("{name}: MSL: {e}"));
        assert!(text.contains("kernel void"), "{name}: MSL without a kernel");
        let hlsl = naga::back::hlsl::Options {
            shader_model: naga::back::hlsl::ShaderModel::V6_2,
            fake_missing_bindings: true,
            ..Default::default()
        };
        let mut text = String::new();
        let pipeline = naga::back::hlsl::PipelineOptions::default();
        naga::back::hlsl::Writer::new(&mut text, &hlsl, &pipeline)
            .write(&module, &info, None)
            .unwrap_or_else(|e| panic!("{name}: HLSL: {e}"));
        assert!(text.contains("numthreads"), "{name}: HLSL without an entry point");
    }
}

fn spv_options() -> naga::back::spv::Options<'static> {
    naga::back::spv::Options { lang_version: (1, 3), ..Default::default() }
}

#[test]
fn every_shader_keeps_the_limits_of_webgpu() {
    for (name, source) in shaders() {
        let (module, _) = validated(&name, &source);
        assert_eq!(module.entry_points.len(), 1, "{name}: one file is one dispatch");
        let [x, y, z] = module.entry_points[0].workgroup_size;
        let (buffers, memory) = if multiplies_matrices(&source) { (9, 32_768) } else { (8, 16_384) };
        assert!(x * y * z <= 256, "{name}: {} invocations", x * y * z);
        let storage = |v: &naga::GlobalVariable| matches!(v.space, naga::AddressSpace::Storage { .. });
        let n = module.global_variables.iter().filter(|(_, v)| storage(v)).count();
        assert!(n <= buffers, "{name}: {n} storage buffers");
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let shared = module.global_variables.iter().filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
        let bytes: u32 = shared.map(|(_, v)| layouter[v.ty].size).sum();
        assert!(bytes <= memory, "{name}: {bytes} bytes of workgroup memory");
    }
}

#[test]
fn a_shader_with_a_fault_is_noticed() {
    let (name, source) = shaders().into_iter().find(|(n, _)| n == "scale").unwrap();
    let broken = source.replace("* params.factor", "* params.n");
    assert_ne!(source, broken);
    assert!(std::panic::catch_unwind(|| validated(&name, &broken)).is_err());
}

fn tint(source: &str) -> Option<Result<(), String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shader.wgsl");
    let mut file = std::fs::File::create(&path).unwrap();
    // naga wants no such line, Tint does.
    if source.contains("subgroup") {
        writeln!(file, "enable subgroups;").unwrap();
    }
    file.write_all(source.as_bytes()).unwrap();
    let output = Command::new("tint").arg("--format=wgsl").arg(&path).stdout(Stdio::null()).output().ok()?;
    Some(if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) })
}

#[test]
fn tint_accepts_every_shader() {
    let uneven = "@compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) {\n\
                  if (i < 3u) { workgroupBarrier(); } }";
    match tint(uneven) {
        None => return println!("skipped: no `tint` on the path"),
        Some(result) => assert!(result.is_err(), "tint lets a barrier under uneven control flow pass"),
    }
    for (name, source) in shaders().into_iter().filter(|(_, source)| !multiplies_matrices(source)) {
        if let Some(Err(message)) = tint(&source) {
            panic!("{name}: {message}");
        }
    }
}
