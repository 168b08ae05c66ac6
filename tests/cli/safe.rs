//! What somebody has is not destroyed, and what was not trained is not served.

use crate::{SMALL, command, contents, copy, ended, place, run, text};
use std::path::Path;
use std::process::Stdio;

/// Copies that people keep beside a model or dataset are neither deleted nor taken for it.
#[test]
fn backups_are_left_alone() {
    let (data, model) = (place().path("kept-data"), place().path("kept-model"));
    let backups = ["kept-data.old", "kept-data.tmp", "kept-model.old", "kept-model.tmp"].map(|n| place().path(n));
    for backup in &backups {
        copy(&place().model(), backup);
        std::fs::write(backup.join("thesis.txt"), "mine").expect("write");
    }
    run(&["evaluate", text(&model), text(&place().dataset())]).fails(1, "not a model folder");
    for _ in 0..2 {
        run(&["prepare", text(&place().csv()), "--out", text(&data)]).ok();
        let train = ["train", text(&data), "--out", text(&model), "--force", "--preset", "mf"];
        run(&[&train[..], &SMALL[..], &["--set", "epochs=1"]].concat()).ok();
    }
    for backup in &backups {
        assert_eq!(contents(backup).len(), contents(&place().model()).len() + 1, "{}", backup.display());
        assert_eq!(std::fs::read_to_string(backup.join("thesis.txt")).expect("still there"), "mine");
    }
}

/// The demo replaces earlier demos and nothing else.
#[test]
fn the_demo_replaces_nothing_of_others() {
    let out = place().path("mine");
    let demo = |out: &Path| run(&["demo", "--out", text(out), "--adapter", "abacus"]);
    let write = |name: &str, words: &str| std::fs::write(out.join(name), words).expect("write");
    copy(&place().model(), &out.join("model"));
    demo(&out).fails(2, "exists and is no earlier demo; choose another folder");
    write("index.html", "<title>My thesis</title>");
    let before = contents(&out);
    demo(&out).fails(2, "is no earlier demo");
    demo(&out.join("index.html")).fails(2, "is no earlier demo");
    assert!(contents(&out) == before);
    // It gets as far as looking for an adapter in a folder of its own: new, empty, or begun before.
    let own = place().path("own-demo");
    std::fs::create_dir(&own).expect("create");
    for _ in 0..2 {
        demo(&own).fails(1, "none is called \"abacus\"");
    }
    demo(&place().path("new-demo")).fails(1, "none is called \"abacus\"");
    copy(&place().csv().parent().expect("a folder").join("mine/model/data"), &own.join("model"));
    demo(&own).fails(1, "exists and is no model");
}

/// A training that fails in its first epoch costs nobody a model, and what it began with is not served.
#[test]
fn a_training_that_fails_costs_no_model() {
    let (data, model, fresh) = (place().dataset(), place().path("good"), place().path("never-good"));
    copy(&place().model(), &model);
    let before = contents(&model);
    let user = place().city.dataset.users[0].as_str();
    let train = |out: &Path, more: &[&str]| {
        run(&[&["train", text(&data), "--out", text(out)], &SMALL[..], &["--set", "lr=1e30"], more].concat())
    };
    train(&model, &["--force"])
        .fails(1, "begin again with a lower lr (now 1000000000000000000000000000000), e.g. --force");
    assert!(contents(&model) == before, "the old model is gone");
    run(&["recommend", text(&model), "--user", user]).ok();
    train(&fresh, &[]).fails(1, "the loss is not finite");
    run(&["recommend", text(&fresh), "--user", user]).fails(1, "has learned nothing yet");
    run(&["evaluate", text(&fresh), text(&data)]).fails(1, "has learned nothing yet");
    // As the message says.
    for out in [&model, &fresh] {
        train(out, &["--force", "--set", "lr=0.005", "--set", "epochs=1"]).ok();
        run(&["recommend", text(out), "--user", user]).ok();
    }
    assert!(contents(&model) != before, "nothing was replaced");
}

/// Somebody who reads the first line alone is no error; a disk without room is one.
#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let closed = command(&["doctor", "--list"]).stdout(writer).stderr(Stdio::piped()).output().expect("it starts");
    assert_eq!(ended(closed).code, 0);
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let out = place().path("unreported");
    for args in [vec!["doctor", "--list"], vec!["prepare", text(&place().csv()), "--out", text(&out)]] {
        let failed = command(&args).stdout(full()).stderr(Stdio::piped()).output().expect("it starts");
        ended(failed).fails(1, "standard output: the disk is full");
    }
}
