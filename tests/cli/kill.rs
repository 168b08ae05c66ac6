use crate::{command, contents, place, run, text};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

/// Steps done, as the checkpoint in `folder` says; 0 where there is none, or it is being replaced.
fn steps(folder: &Path) -> u64 {
    let state = std::fs::read(folder.join("state.json")).unwrap_or_default();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap_or_default();
    state["step"].as_u64().unwrap_or(0)
}

/// Every file under `folder`, by its path from there.
fn below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = contents(folder).into_iter();
    all.map(|(path, bytes)| (path.strip_prefix(folder).expect("below").to_owned(), bytes)).collect()
}

/// Killed at any moment and started again, training ends with the bits of a training that nobody disturbed.
#[test]
fn killed_and_resumed_ends_with_the_same_bits() {
    let data = place().dataset();
    let (whole, killed) = (place().path("whole"), place().path("killed"));
    let settings = "dim=16 len=10 batch=8 epochs=4 checkpoint_steps=1 request_time=true";
    let settings: Vec<&str> = settings.split(' ').flat_map(|pair| ["--set", pair]).collect();
    let args = |out| [&["train", text(&data), "--out", text(out), "--resume"], &settings[..]].concat();
    run(&args(&whole)).ok();

    let nanos = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| u64::from(d.subsec_nanos()));
    let mut killed_at = Vec::new();
    for _ in 0..4 {
        let before = steps(&killed);
        let mut child = command(&args(&killed)).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        let begun = Instant::now();
        // Some step further, then anywhere: in a step, in the writing, between two renames.
        while steps(&killed) <= before && child.try_wait().expect("a child").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(120), "no step in two minutes");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_micros(nanos() % 150_000));
        child.kill().expect("kill");
        let status = child.wait().expect("a child");
        killed_at.push((steps(&killed), status.success()));
    }
    assert!(killed_at.iter().any(|(_, ended)| !ended), "never killed in time: {killed_at:?}");
    run(&args(&killed)).ok();
    let (whole, killed) = (below(&whole), below(&killed));
    assert!(whole.keys().eq(killed.keys()), "{:?} and {:?}", whole.keys(), killed.keys());
    for (name, bytes) in &whole {
        assert!(*bytes == killed[name], "{} differs after kills at steps {killed_at:?}", name.display());
    }
    let left =
        std::fs::read_dir(place().path("")).expect("a folder").filter_map(|e| e.ok()?.file_name().into_string().ok());
    let left: Vec<String> = left.filter(|name| name.starts_with(".killed.")).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
