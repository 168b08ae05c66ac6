use crate::{contents, copy, place, run, text};

#[test]
fn every_command_has_a_help_with_an_example() {
    let list = run(&["--help"]).ok();
    for name in ["demo", "prepare", "train", "evaluate", "recommend", "serve", "bench", "doctor"] {
        assert!(list.contains(&format!("  {name} ")), "{name} is not listed in {list}");
        let help = run(&[name, "--help"]).ok();
        assert!(help.contains("Examples:") && help.contains(&format!("  desirepath {name}")), "{help}");
        assert!(help.contains("--json") && help.contains("--adapter"), "{help}");
    }
    assert!(run(&["train", "--help"]).ok().contains("gru4rec"), "the presets are named");
    assert!(run(&["--version"]).ok().starts_with("desirepath "));
}

#[test]
fn wrong_usage_is_told_and_has_its_own_exit_code() {
    let (model, data) = (place().model(), place().dataset());
    let (model, data) = (text(&model), text(&data));
    let out = place().path("never");
    let train = |more: [&'static str; 2]| run(&["train", data, "--out", text(&out), more[0], more[1]]);
    run(&[]).fails(2, "Usage");
    run(&["guess"]).fails(2, "guess");
    run(&["prepare", "a.csv"]).fails(2, "--out");
    run(&["recommend", model]).fails(2, "--user");
    run(&["recommend", model, "--user", "x", "--history", "y"]).fails(2, "cannot be used with");
    run(&["recommend", model, "--user", "nobody of that name"]).fails(2, "no user is called \"nobody of that name\"");
    let known = place().city.dataset.items[0].as_str();
    let history = format!("{known},nowhere at all");
    run(&["recommend", model, "--history", &history]).fails(2, "no item is called \"nowhere at all\"");
    for (option, value, says) in [
        ("--top", "0", "--top 0: expected 1 to 1000"),
        ("--top", "1001", "--top 1001"),
        ("--near", "91,0", "beyond"),
        ("--near", "nan,0", "beyond"),
        ("--near", "here", "LAT,LON"),
        ("--at", "noon", "expected seconds since 1970"),
        ("--at", "2024-13-01", "expected seconds since 1970"),
        ("--at", "2012-02-31", "expected seconds since 1970"),
        ("--at", "2012-01-01T10:00:9223372036854775807", "expected seconds since 1970"),
    ] {
        run(&["recommend", model, "--history", known, option, value]).fails(2, says);
    }
    train(["--preset", "everything"]).fails(2, "there are: desirepath, gru4rec, sasrec, bert4rec, hstu, mf");
    train(["--set", "depth=3"]).fails(2, "no setting \"depth\"; model: ");
    train(["--set", "dim"]).fails(2, "expected KEY=VALUE");
    train(["--set", "dim=-1"]).fails(2, "dim = -1");
    train(["--set", "dim=big"]).fails(2, "dim = big");
    train(["--set", "heads=3"]).fails(2, "heads = 3: expected a divisor of dim");
    train(["--set", "batch=1152921504606846976"]).fails(2, "batch = 1152921504606846976: expected 1 to 65536");
    train(["--set", "ffn=1152921504606846976"]).fails(2, "ffn = 1152921504606846976: expected 1 to 64");
    train(["--set", "lr=nan"]).fails(2, "lr = NaN");
    let store = text(&out);
    run(&["serve", model]).fails(2, "--store");
    run(&["serve", model, "--store", store, "--listen", "0.0.0.0:0"]).fails(2, "--token-file");
    run(&["serve", model, "--store", store, "--batch", "0"]).fails(2, "--batch");
    run(&["serve", model, "--store", store, "--max-top", "1001"]).fails(2, "--max-top 1001: expected 1 to 1000");
    run(&["serve", data, "--store", store]).fails(1, "not a model folder");
    assert!(!out.exists(), "nothing was begun");
}

/// What is there stays as it is, unless it is a model and --force says so.
#[test]
fn nothing_is_replaced_by_accident() {
    let data = place().dataset();
    let model = place().path("precious");
    copy(&place().model(), &model);
    let before = contents(&model);
    run(&["train", text(&data), "--out", text(&model)])
        .fails(2, "exists; go on with --resume or replace it with --force");
    assert!(contents(&model) == before, "a refusal changes nothing");
    run(&["train", text(&data), "--out", text(&model), "--resume", "--seed", "99"])
        .fails(2, "begun with other settings");
    run(&["train", text(&data), "--out", text(&model), "--resume", "--seen", "filter"])
        .fails(2, "begun with --seen keep; resume it without --seen");
    // Done is done: going on changes no weight.
    run(&["train", text(&data), "--out", text(&model), "--resume"]).ok();
    assert!(contents(&model) == before, "there was nothing left to do");

    let home = place().path("home");
    std::fs::create_dir_all(&home).expect("create");
    std::fs::write(home.join("letter.txt"), "dear").expect("write");
    run(&["train", text(&data), "--out", text(&home), "--force"]).fails(2, "no model that --force could replace");
    run(&["prepare", text(&place().csv()), "--out", text(&home)]).fails(2, "is not a dataset; choose another");
    assert_eq!(std::fs::read_to_string(home.join("letter.txt")).expect("still there"), "dear");
    run(&["prepare", text(&place().csv()), "--out", text(place().csv().parent().expect("a folder"))])
        .fails(2, "holds an input file");
}
