//! The rules of the house. Each is a function from text to complaints, tried on bad text at the end.

use std::path::{Path, PathBuf};

/// A file: its path from the root of the package, with `/`, and its text.
struct File {
    path: String,
    text: String,
}

fn files(folder: &str, extension: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut list) = (vec![root.join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for path in entries.map(|e| e.unwrap().path()) {
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path); // what a package inside this one has built is nobody's text
            } else if path.extension().is_some_and(|e| e == extension) {
                list.push(load(root, path));
            }
        }
    }
    list.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!list.is_empty(), "no .{extension} in {folder}/");
    list
}

fn load(root: &Path, path: PathBuf) -> File {
    let text = std::fs::read_to_string(&path).unwrap();
    let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    File { path, text }
}

fn all_rust() -> Vec<File> {
    ["src", "tests", "benches"].into_iter().flat_map(|folder| files(folder, "rs")).collect()
}

#[track_caller]
fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

// ---- One op, one word, five places ----

/// Ops that are other ops at work: nothing of their own to place.
const COMPOSED: &[(&str, &str)] = &[("adamw_all", "adamw for each parameter")];
/// Ops whose shader has the name of what they share.
const SHADER_OF: &[(&str, &str)] = &[("linear", "gemm"), ("matmul", "gemm"), ("pointer_weights", "attention_weights")];
/// Ops that live in the file of a larger one, whose types they take.
const FILE_OF: &[(&str, &str)] =
    &[("gru_step", "gru"), ("attention_weights", "attention"), ("pointer_weights", "pointer")];

fn other_or_own<'a>(list: &[(&str, &'a str)], op: &'a str) -> &'a str {
    list.iter().find(|(name, _)| *name == op).map_or(op, |(_, other)| other)
}

/// Functions that `src/ops/mod.rs` exports.
fn exported_ops(text: &str) -> Vec<String> {
    let exports =
        text.split(';').filter_map(|s| s.trim_start().rsplit("pub use ").next().filter(|_| s.contains("pub use ")));
    let names = exports.flat_map(|s| s.split_once("::").map_or("", |(_, names)| names).split(['{', '}', ',']));
    let is_function = |name: &&str| name.chars().next().is_some_and(char::is_lowercase);
    let mut ops: Vec<String> = names.map(str::trim).filter(is_function).map(String::from).collect();
    ops.retain(|op| COMPOSED.iter().all(|(name, _)| name != op));
    ops
}

struct Places {
    shaders: Vec<File>,
    ops: Vec<File>,
    reference: Vec<File>,
    check: Vec<File>,
    tests: Vec<File>,
    bench: String,
}

fn missing_places(op: &str, places: &Places) -> Vec<String> {
    let begins = [format!("pub fn {op}("), format!("pub fn {op}<")];
    let defined = |files: &[File]| files.iter().any(|f| begins.iter().any(|b| f.text.contains(b)));
    let kernel = format!("shaders/{}", other_or_own(SHADER_OF, op));
    let has_kernel = |f: &File| f.path == format!("{kernel}.wgsl") || f.path.starts_with(&format!("{kernel}_"));
    let home = format!("src/ops/{}.rs", other_or_own(FILE_OF, op));
    let at_home: Vec<File> = places
        .ops
        .iter()
        .filter(|f| f.path == home)
        .map(|f| File { path: f.path.clone(), text: f.text.clone() })
        .collect();
    let used = |f: &File| f.text.contains(&format!("{op}(")) && f.text.contains("check");
    let row = format!("(\"{op}\",");
    let found = [
        (places.shaders.iter().any(has_kernel), format!("{kernel}.wgsl")),
        (defined(&at_home), format!("`pub fn {op}` in {home}")),
        (defined(&places.reference), format!("`pub fn {op}` in src/reference")),
        (defined(&places.check), format!("`pub fn {op}` in src/check")),
        (places.check.iter().any(|f| f.text.contains(&row)), format!("a case of {op} in src/check/all.rs")),
        (places.tests.iter().any(used), format!("a test that calls {op}'s check in tests/ops")),
        (places.bench.contains(&row), format!("a row of {op} in benches/ops.rs")),
    ];
    found.into_iter().filter(|(there, _)| !there).map(|(_, place)| format!("{op} lacks {place}")).collect()
}

#[test]
fn every_op_has_its_places() {
    let places = Places {
        shaders: files("shaders", "wgsl"),
        ops: files("src/ops", "rs"),
        reference: files("src/reference", "rs"),
        check: files("src/check", "rs"),
        tests: files("tests/ops", "rs"),
        bench: load(
            Path::new(env!("CARGO_MANIFEST_DIR")),
            Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/ops.rs"),
        )
        .text,
    };
    let exports = &places.ops.iter().find(|f| f.path == "src/ops/mod.rs").unwrap().text;
    let ops = exported_ops(exports);
    assert!(ops.len() >= 20 && ops.contains(&"gru_step".to_string()), "found only {ops:?}");
    assert_none(ops.iter().flat_map(|op| missing_places(op, &places)).collect());
}

// ---- Who may know whom ----

/// Files, and the modules of this crate that they must not name.
const UNKNOWN_TO: &[(&str, &[&str])] = &[
    ("src/error", &["gpu", "tensor", "tape", "ops", "nn", "model", "data", "train", "eval", "check", "reference"]),
    ("src/data", &["gpu", "tensor", "tape", "ops", "nn", "model", "train", "eval", "serve", "check", "reference"]),
    ("src/reference", &["gpu", "tensor", "tape", "ops", "nn", "model", "data", "train", "eval", "check", "error"]),
    ("src/gpu", &["tensor", "tape", "ops", "nn", "model", "data", "train", "eval", "check", "reference"]),
    ("src/tensor", &["tape", "nn", "model", "data", "train", "eval", "check", "reference"]),
    ("src/tape", &["nn", "model", "data", "train", "eval", "check", "reference"]),
    ("src/ops", &["nn", "model", "data", "train", "eval", "check", "reference"]),
    ("src/check", &["nn", "model", "data", "train", "eval"]),
    ("src/nn", &["model", "data", "train", "eval", "check", "reference"]),
    ("src/model", &["data", "train", "eval", "serve", "check", "reference"]),
    ("src/train", &["serve", "check", "reference"]),
    ("src/eval", &["serve", "check", "reference"]),
    ("src/serve", &["check", "reference"]),
];

/// Words that only some files may contain.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("wgpu::", &["src/gpu/"]),
    ("clap::", &["src/cli/", "src/main.rs"]),
    ("indicatif::", &["src/cli/"]),
    ("println!", &["src/cli/", "src/main.rs"]),
    ("std::fs", &["src/gpu/record.rs", "src/gpu/autotune.rs", "src/data/", "src/train/", "src/serve/", "src/cli/"]),
];

/// Modules that a text names after `crate::`, alone or in braces; what the root exports counts for its module.
fn modules(text: &str) -> Vec<String> {
    let home = |name: &str| match name {
        "Gpu" | "Options" => "gpu".to_string(),
        "Tape" | "Grads" => "tape".into(),
        "Tensor" => "tensor".into(),
        other => other.into(),
    };
    let name = |s: &str| s.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_string();
    let named = |rest: &str| -> Vec<String> {
        match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or("").split(',').map(name).collect(),
            None => vec![name(rest)],
        }
    };
    text.split("crate::").skip(1).flat_map(named).map(|n| home(&n)).collect()
}

/// A file's code without comments, without its tests, and without what the program has derived on the library's types.
fn code(file: &File) -> String {
    if file.path.ends_with("/tests.rs") {
        return String::new();
    }
    let shipped = file.text.split("#[cfg(test)]").next().unwrap_or("");
    let ignored = ["//", "#[cfg_attr(feature = \"cli\""];
    let code = shipped.lines().filter(|l| !ignored.iter().any(|start| l.trim_start().starts_with(start)));
    code.map(|l| l.split(" // ").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

fn layer_breaks(file: &File) -> Vec<String> {
    let code = code(file);
    let known = modules(&code);
    let of_layer = |layer: &str| file.path == format!("{layer}.rs") || file.path.starts_with(&format!("{layer}/"));
    let layers = UNKNOWN_TO.iter().filter(|(layer, _)| of_layer(layer)).flat_map(|(_, names)| *names);
    let up = layers.filter(|name| known.iter().any(|k| k == *name)).map(|name| format!("crate::{name}"));
    let allowed = |places: &[&str]| places.iter().any(|p| file.path.starts_with(p));
    let words = ONLY_IN.iter().filter(|(word, places)| code.contains(word) && !allowed(places));
    let words = words.map(|(word, places)| format!("{word}, which only {} may", places.join(", ")));
    up.chain(words).map(|what| format!("{} names {what}", file.path)).collect()
}

#[test]
fn layers_do_not_know_what_is_above_them() {
    assert_none(files("src", "rs").iter().flat_map(layer_breaks).collect());
}

// ---- Sizes ----

const FILE_LINES: usize = 400;
const SHADER_LINES: usize = 200;
const FUNCTION_LINES: usize = 70;
/// What may be longer, and why.
const LONGER: &[(&str, &str)] = &[];

fn too_long(file: &File, most: usize) -> Option<String> {
    let n = file.text.lines().count();
    let excused = LONGER.iter().any(|(path, _)| *path == file.path);
    (n > most && !excused).then(|| format!("{} has {n} lines, allowed {most}", file.path))
}

/// Formatted code: a function ends at the first `}` as far left as its `fn`.
fn long_functions(file: &File) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let begins = |line: &str| {
        let words = line.trim_start();
        !words.starts_with("//") && (words.starts_with("fn ") || words.starts_with("pub") && words.contains("fn "))
    };
    let mut list = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, l)| begins(l)) {
        let end = lines[at..].iter().position(|l| l.trim() == "}" && indent(l) == indent(line));
        let n = end.map_or(0, |end| end + 1);
        if n > FUNCTION_LINES && !line.trim_end().ends_with([';', '}']) {
            list.push(format!("{}:{}: {n} lines in one function, allowed {FUNCTION_LINES}", file.path, at + 1));
        }
    }
    list
}

#[test]
fn files_and_functions_stay_readable() {
    let rust = all_rust();
    let long = rust.iter().filter_map(|f| too_long(f, FILE_LINES));
    let shaders = files("shaders", "wgsl");
    let long = long.chain(shaders.iter().filter_map(|f| too_long(f, SHADER_LINES)));
    assert_none(long.chain(rust.iter().flat_map(long_functions)).collect());
}

// ---- Words ----

/// Panics without a reason in what ships, and work put off anywhere.
fn bad_words(file: &File) -> Vec<String> {
    let put_off =
        [["TO", "DO"], ["FIX", "ME"], ["todo", "!("], ["unimplemented", "!("], ["dbg", "!("]].map(|w| w.concat());
    let mut bad: Vec<String> = put_off.into_iter().filter(|word| file.text.contains(word.as_str())).collect();
    let panics = ["unwrap", "()"].concat();
    if file.path.starts_with("src/") && code(file).contains(&panics) {
        bad.push(panics);
    }
    bad.into_iter().map(|word| format!("{} contains {word}", file.path)).collect()
}

#[test]
fn nothing_is_put_off_and_nothing_panics_without_a_reason() {
    let shaders = files("shaders", "wgsl");
    assert_none(all_rust().iter().chain(&shaders).flat_map(bad_words).collect());
}

// ---- The rules themselves ----

fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}

#[test]
fn a_missing_place_is_named() {
    assert_eq!(
        exported_ops("mod a;\npub use a::{A, MAX, a,\n  b_c};\npub(crate) use x::y;\npub use d::d;"),
        ["a", "b_c", "d"]
    );
    let mut places = Places {
        shaders: vec![file("shaders/a.wgsl", "")],
        ops: vec![file("src/ops/a.rs", "pub fn a(")],
        reference: vec![file("src/reference/mod.rs", "pub fn a(")],
        check: vec![file("src/check/all.rs", "pub fn a( (\"a\", f)")],
        tests: vec![file("tests/ops/a.rs", "check::a(1)")],
        bench: "(\"a\", \"a-1\")".into(),
    };
    assert!(missing_places("a", &places).is_empty());
    places.shaders[0].path = "shaders/ab.wgsl".into();
    places.reference[0].text = "pub fn ab(".into();
    places.bench.clear();
    let missing = ["shaders/a.wgsl", "`pub fn a` in src/reference", "a row of a in benches/ops.rs"];
    assert_eq!(missing_places("a", &places), missing.map(|m| format!("a lacks {m}")));
    places.ops[0].path = "src/ops/b.rs".into();
    places.check[0].text.clear();
    places.tests[0].text = "a".into();
    assert_eq!(missing_places("a", &places).len(), 7);
}

#[test]
fn an_arrow_upwards_is_noticed() {
    let breaks = |path: &str, text: &str| layer_breaks(&file(path, text)).len();
    assert_eq!(breaks("src/data/a.rs", "use crate::gpu::Gpu;"), 1);
    assert_eq!(breaks("src/data/a.rs", "use crate::{Error, Tensor, ops};"), 2);
    assert_eq!(breaks("src/tensor.rs", "crate::tape::Tape"), 1);
    assert_eq!(breaks("src/ops/a.rs", "let x = crate::nn::f();"), 1);
    assert_eq!(breaks("src/model/a.rs", "std::fs::read(p); wgpu::X"), 2);
    assert_eq!(breaks("src/train/a.rs", "println!()"), 1);
    assert_eq!(breaks("src/data/a.rs", "use clap::ValueEnum;"), 1);
    assert_eq!(breaks("src/data/a.rs", "#[cfg_attr(feature = \"cli\", derive(clap::ValueEnum))]"), 0);
    assert_eq!(breaks("src/ops/a.rs", "// crate::nn\nuse crate::gpu;\n#[cfg(test)]\nuse crate::nn;"), 0);
}

#[test]
fn long_and_bad_text_is_noticed() {
    assert!(too_long(&file("src/a.rs", &"\n".repeat(401)), FILE_LINES).is_some());
    assert!(too_long(&file("src/a.rs", &"\n".repeat(400)), FILE_LINES).is_none());
    let function = |n: usize| file("src/a.rs", &format!("    pub fn f() {{\n{}    }}\n", "        x;\n".repeat(n)));
    assert_eq!(long_functions(&function(69)).len(), 1);
    assert!(long_functions(&function(68)).is_empty());
    let call = ["x.unwrap", "()"].concat();
    assert_eq!(bad_words(&file("src/a.rs", &call)).len(), 1);
    assert!(bad_words(&file("tests/a.rs", &call)).is_empty());
    assert!(bad_words(&file("src/a.rs", &format!("#[cfg(test)]\n{call}"))).is_empty());
    assert_eq!(bad_words(&file("shaders/a.wgsl", &["// TO", "DO: later"].concat())).len(), 1);
}
