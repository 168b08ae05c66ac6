//! A second package that depends on this one with default features and owns the wgpu device: see `tests/host`.

use std::path::Path;
use std::process::Command;

/// It is compiled into the same target folder, so that dependencies are compiled once.
#[test]
fn a_program_with_its_own_device_trains() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--offline", "--locked", "--manifest-path"]).arg(root.join("tests/host/Cargo.toml"));
    let output = cargo.env("CARGO_TARGET_DIR", target).current_dir(root).output().expect("cargo starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("a_linear_layer_and_a_gru_learn_on_the_hosts_device ... ok"), "it did not run: {out}");
}

/// `name version` of every package in a lock file.
fn packages(lock: &str) -> Vec<String> {
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|l| l.strip_prefix(name)).expect("a field");
        line.trim_matches(['"', ' ', '=']).to_string()
    };
    lock.split("[[package]]").skip(1).map(|b| field(b, "name = ") + " " + &field(b, "version = ")).collect()
}

/// Both lock files choose the same versions: else everything would be compiled twice.
#[test]
fn it_uses_the_same_versions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| packages(&std::fs::read_to_string(root.join(name)).expect(name));
    let (all, of_host) = (read("Cargo.lock"), read("tests/host/Cargo.lock"));
    let other: Vec<_> = of_host.iter().filter(|p| !p.starts_with("desirepath-host ") && !all.contains(p)).collect();
    assert!(of_host.len() > 20 && other.is_empty(), "run `cp Cargo.lock tests/host/` and cargo there: {other:?}");
}
