use crate::{Run, SMALL, command, ended, place, run, text};
use std::process::Command;

#[test]
fn an_adapter_that_does_not_exist() {
    let (model, data) = (place().model(), place().dataset());
    let evaluate = ["evaluate", text(&model), text(&data), "--adapter", "abacus"];
    let failed = run(&evaluate);
    assert!(failed.stderr.contains("0: "), "the adapters that exist are not listed: {}", failed.stderr);
    failed.fails(1, "none is called \"abacus\"");
    let by_environment = command(&evaluate[..3]).env("DESIREPATH_ADAPTER", "999").output().expect("it starts");
    ended(by_environment).fails(1, "none is called \"999\"");
    run(&["evaluate", text(&model), text(&data), "--adapter", "0"]).ok();
}

/// No driver at all, on systems where Vulkan's loader decides.
#[test]
#[cfg(target_os = "linux")]
fn no_adapter_at_all() {
    let out = place().path("without-adapter");
    let data = place().dataset();
    let mut train = command(&["train", text(&data), "--out", text(&out)]);
    train.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    let failed = ended(train.output().expect("it starts"));
    assert!(failed.stderr.contains("mesa-vulkan-drivers"), "what to install: {}", failed.stderr);
    failed.fails(1, "no usable adapter");
    assert!(!out.exists());
}

/// Runs `script` where `$DISK` is a disk of `size`, in a mount namespace of its own, so that nothing is left behind.
/// `None` where that is not allowed.
#[cfg(target_os = "linux")]
fn on_small_disk(size: &str, script: &str) -> Option<Run> {
    let disk = tempfile::tempdir().expect("a folder");
    let script = format!("mount -t tmpfs -o size={size} none \"$DISK\" || exit 77\n{script}");
    for namespaces in ["-m", "-rm"] {
        let mut shell = Command::new("unshare");
        shell.args([namespaces, "sh", "-c", &script]).env("DISK", disk.path());
        shell.env("BIN", env!("CARGO_BIN_EXE_desirepath")).env("CSV", place().csv());
        shell.env("DATA", place().dataset()).env("MODEL", place().model()).env("SMALL", SMALL.join(" "));
        let Ok(output) = shell.output() else { continue };
        if output.status.code().is_some_and(|code| code != 77) && !output.stdout.is_empty() {
            return Some(ended(output));
        }
    }
    println!("skipped: no small disk can be mounted here");
    None
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    // 12 KiB hold no dataset of this city.
    let Some(run) = on_small_disk("12k", "echo mounted; $BIN prepare $CSV --out $DISK/d >&2; c=$?; ls $DISK; exit $c")
    else {
        return;
    };
    assert_eq!(run.stdout.trim(), "mounted", "half a dataset is left: {}", run.stdout);
    run.fails(1, "the disk is full");

    // The model that is there, and no room for another beside it: it stays whole, and nothing half is left.
    let script = "cp -r $MODEL $DISK/m && (cd $DISK/m && find . -type f | sort | xargs cksum) > $DISK/before
        free=$(df -k --output=avail $DISK | tail -1)
        head -c $(( (free - 8) * 1024 )) /dev/zero > $DISK/ballast
        echo mounted
        $BIN train $DATA --out $DISK/m --force $SMALL >&2; code=$?
        rm $DISK/ballast
        (cd $DISK/m && find . -type f | sort | xargs cksum) | cmp - $DISK/before && echo unchanged
        ls $DISK
        exit $code";
    let run = on_small_disk("8m", script).expect("the first disk could be mounted");
    assert_eq!(
        run.stdout.split_whitespace().collect::<Vec<_>>(),
        ["mounted", "unchanged", "before", "m"],
        "{}",
        run.stderr
    );
    run.fails(1, "the disk is full");
}
