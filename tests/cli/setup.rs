//! `tools/setup.sh` on machines that lack something: a package manager of the test's own tells what it would install.

use crate::{Run, ended};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A machine with these programs and no others, but for those that every Linux has.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(programs: &[&str]) -> Machine {
        let machine = Machine(tempfile::tempdir().expect("a folder"));
        for name in ["sh", "uname", "id", "ls", "grep", "sed", "head", "tr", "dirname"] {
            let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
            let found = found.iter().find(|path| path.exists()).expect("a tool that every Linux has");
            symlink(found, machine.path(name)).expect("a link");
        }
        let linked = "echo 'libvulkan.so.1 => /lib/libvulkan.so.1'";
        let install = format!("echo \"$@\" >> {}", machine.path("installed").display());
        let words = |name: &str| match name {
            "ldconfig" => linked.to_string(),
            "apt-get" | "sudo" => install.clone(),
            _ => String::new(),
        };
        programs.iter().for_each(|name| machine.write(name, &format!("#!/bin/sh\n{}\n", words(name))));
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("write");
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o755)).expect("a program");
    }

    /// What `setup.sh` says there with these drivers registered, and what it installs.
    fn setup(&self, drivers: &str) -> (Run, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/setup.sh");
        let mut shell = Command::new("/bin/sh");
        shell.arg(script).env("PATH", self.0.path()).env("VK_DRIVER_FILES", drivers);
        shell.env_remove("VK_ICD_FILENAMES").env_remove("DESIREPATH_BROWSER");
        let run = ended(shell.output().expect("it starts"));
        (run, std::fs::read_to_string(self.path("installed")).unwrap_or_default())
    }
}

const WHOLE: [&str; 5] = ["cargo", "cc", "ldconfig", "apt-get", "sudo"];

#[test]
fn a_driver_counts_where_it_can_run() {
    let machine = Machine::new(&WHOLE);
    let file = |name: &str, library: &str| {
        machine.write(name, &format!("{{\n \"ICD\": {{ \"library_path\": \"{library}\" }}\n}}\n"));
        machine.path(name).to_str().expect("UTF-8").to_string()
    };
    machine.write("libvulkan_lvp.so", "");
    let (here, gone) = (file("lvp.json", "./libvulkan_lvp.so"), file("gone.json", "./libvulkan_gone.so"));
    let unlinked = file("unlinked.json", "libvulkan_lvp.so");
    let both = format!("{gone}:{here}");
    for drivers in [&here, &both] {
        let (run, installed) = machine.setup(drivers);
        assert_eq!((run.code, installed.as_str()), (0, ""), "{drivers}: {}", run.stderr);
    }
    machine.write("libGLX_nvidia.so", "");
    let nvidia = file("nvidia.json", "./libGLX_nvidia.so");
    let gpu = ["/dev/dri/renderD128", "/dev/nvidia0", "/dev/dxg"].iter().any(|p| Path::new(p).exists());
    let unusable = ["/nonexistent", &gone, &unlinked, &nvidia];
    for drivers in unusable.into_iter().filter(|d| !gpu || *d != nvidia) {
        let (run, installed) = machine.setup(drivers);
        assert_eq!(installed, "", "another driver would not be looked at");
        run.fails(1, &format!("names no driver that works here ({drivers}): unset it"));
    }
}

#[test]
fn what_is_missing_is_installed() {
    if Path::new("/usr/sbin/cc").exists() {
        println!("skipped: setup.sh looks into /usr/sbin, and everything is there");
        return;
    }
    let (run, installed) = Machine::new(&["cc"]).setup("");
    assert_eq!(installed, "");
    run.fails(1, "Rust is missing: see https://rustup.rs");
    let (run, installed) = Machine::new(&["cargo", "ldconfig", "apt-get", "sudo"]).setup("/nonexistent");
    assert!(installed.contains("build-essential"), "{installed:?}, {}", run.stderr);
    Machine::new(&["cargo", "ldconfig"]).setup("").0.fails(1, "install it with your system's packages");
}
