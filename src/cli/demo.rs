use super::{Common, evaluate::judge, today, train::train_with_bar};
use desirepath::data::city::{City, CityOptions};
use desirepath::eval::metrics::{Measure, Metrics, Paired, paired};
use desirepath::eval::optimum::{Knows, optimum};
use desirepath::eval::{Case, Ranked, Seen, Split, cases, rank};
use desirepath::model::{Config, Model};
use desirepath::train::{Checkpoint, TrainOptions, Trainer};
use desirepath::{Error, Gpu, Result};
use page::{Curve, Epoch, Facts, Measured, Report, Role, Score};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

mod page;
mod pictures;

/// Learn a small synthetic city, whose best possible score is known, and draw what was learned.
///
/// People with tastes and homes visit places with hours, kinds and distances. The whole model is trained, then the same
/// without time and place; both are compared with counting and with the optimum that the city's own probabilities give.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath demo
  desirepath demo --out city --seed 7 --json")]
pub struct Args {
    /// Folder for the page (index.html), the dataset (data) and the model (model)
    #[arg(long, value_name = "FOLDER", default_value = ".out/demo")]
    out: PathBuf,
    /// Seed of the city and of the training
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A trained model and how it ranks the test cases.
struct Trained {
    model: Model,
    ranked: Ranked,
    curve: Curve,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let started = Instant::now();
    let say = |text: &str| {
        if !common.json {
            eprintln!("{text}");
        }
    };
    let page = args.out.join("index.html");
    begin(&args.out, &page)?;
    let city = City::generate(&CityOptions { seed: args.seed, ..CityOptions::default() });
    let dataset = &city.dataset;
    let (users, items, events) = (dataset.n_users(), dataset.n_items(), dataset.n_events());
    say(&format!("a city of {users} people, {items} places and {events} visits, seed {}", args.seed));
    let gpu = common.gpu()?;
    dataset.save(&args.out.join("data"), None)?;
    let (config, options) = settings(args.seed);
    let cases = cases(dataset, Split::Test);
    say("the whole model:");
    let full = train(&gpu, &city, &config, &options, &cases, "desirepath", Some(&args.out.join("model")), common)?;
    say("the same without time and place:");
    let blind_config = config.without_time_and_place();
    let blind = train(&gpu, &city, &blind_config, &options, &cases, "without time and place", None, common)?;
    let best = optimum(&city, &cases, Knows::Time);
    let timeless = Metrics::of_ranks(&optimum(&city, &cases, Knows::Nothing).ranks, args.seed);
    let timeless = timeless.get("hr@10").unwrap_or(f64::NAN);
    let evaluation = judge(dataset, &cases, &full.ranked, Seen::Keep, args.seed);
    let gain = paired(Measure::Hr(10), &full.ranked.ranks, &blind.ranked.ranks, args.seed);
    let mut scores = vec![
        score(Role::Optimum, "optimum", &Metrics::of_ranks(&best.ranks, args.seed)),
        score(Role::Model, "desirepath", &evaluation.metrics),
        score(Role::Ablation, "without time and place", &Metrics::of_ranks(&blind.ranked.ranks, args.seed)),
    ];
    let names = [("userfreq", "USERFREQ"), ("markov", "Markov-1"), ("pop", "POP")];
    scores.extend(names.map(|(key, name)| score(Role::Baseline, name, &evaluation.baselines[key])));
    let model = &full.model;
    let (time_bias, place_bias) = pictures::bias_curves(model)?;
    let chosen = pictures::telling_cases(&cases, &full.ranked, 4);
    let report = Report {
        facts: Facts {
            adapter: gpu.info().to_string(),
            date: today(),
            command: format!("desirepath demo --seed {}", args.seed),
            seed: args.seed,
            seconds: started.elapsed().as_secs_f64(),
            users,
            items,
            events,
            parameters: model.params().count(),
        },
        curves: vec![full.curve, blind.curve],
        scores,
        time_bias,
        place_bias,
        people: chosen.iter().map(|c| pictures::person(&city, model, c)).collect::<Result<_>>()?,
        map: pictures::map(&city, model, chosen[0])?,
    };
    write(&page, &page::render(&report))?;
    let text = summary(&report, &gain, timeless, &page);
    common.print(&as_json(&report, &gain, timeless, &page), text)
}

/// The model and its training: small steps on few histories reach the figures of the README within the two minutes that
/// the demo may take on two cores.
fn settings(seed: u64) -> (Config, TrainOptions) {
    let config = Config { request_time: true, len: 60, dropout: 0.1, input_dropout: 0.1, ..Config::default() };
    let options = TrainOptions { seed, epochs: 8, patience: 3, batch: 16, lr: 5e-3, ..TrainOptions::default() };
    (config, options)
}

#[allow(clippy::too_many_arguments)]
fn train(
    gpu: &Gpu,
    city: &City,
    config: &Config,
    options: &TrainOptions,
    cases: &[Case],
    name: &str,
    out: Option<&Path>,
    common: &Common,
) -> Result<Trained> {
    let mut trainer = Trainer::new(gpu, &city.dataset, config, options, Seen::Keep)?;
    train_with_bar(&mut trainer, out, common)?;
    let point = |r: &desirepath::train::EpochRecord| Epoch {
        epoch: r.epoch,
        training_loss: r.loss,
        validation_ndcg10: r.ndcg10.unwrap_or(f64::NAN),
    };
    let curve = Curve { name: name.into(), points: trainer.state().history.iter().map(point).collect() };
    let ranked = rank(trainer.model(), &city.dataset, cases, Seen::Keep, true, &mut |_| ())?;
    Ok(Trained { model: trainer.into_model(), ranked, curve })
}

fn score(role: Role, name: &str, metrics: &Metrics) -> Score {
    let measured = |key: &str| {
        let [low, high] = metrics.ci95.get(key).copied().unwrap_or([f64::NAN; 2]);
        Measured { value: metrics.get(key).unwrap_or(f64::NAN), low, high }
    };
    Score { role, name: name.into(), hr10: measured("hr@10"), ndcg10: measured("ndcg@10") }
}

fn summary(report: &Report, gain: &Paired, timeless: f64, page: &Path) -> String {
    let mut text = format!("\n{:<24}{:>8}{:>17}{:>10}\n", "", "HR@10", "95 % interval", "NDCG@10");
    for s in &report.scores {
        let interval = format!("[{:.3}, {:.3}]", s.hr10.low, s.hr10.high);
        text += &format!("{:<24}{:>8.3}{interval:>17}{:>10.3}\n", s.name, s.hr10.value, s.ndcg10.value);
    }
    text += &format!(
        "\ntime and place add {:+.3} HR@10 ([{:+.3}, {:+.3}], p = {:.4}). The optimum knows the city's own probabilities; it\n\
         and the model know the time of the request, as a server does. Without that time the optimum is {timeless:.3}.\n",
        gain.difference, gain.ci95[0], gain.ci95[1], gain.p
    );
    if let Some(person) = report.people.first() {
        text += &format!("\n{} was last at:\n", person.name);
        for visit in &person.visits {
            text += &format!("  {}  {} ({})\n", visit.when, visit.place, visit.kind);
        }
        text += "and may want next:\n";
        for r in person.recommendations.iter().take(5) {
            let mark = if r.visited_next { "   <- where they really went" } else { "" };
            text += &format!("  {} ({}), {:.1} km away{mark}\n", r.place, r.kind, r.km);
        }
    }
    text + &format!(
        "\n{:.0} s in all on {}; pictures: {}\n",
        report.facts.seconds,
        report.facts.adapter,
        page.display()
    )
}

fn as_json(report: &Report, gain: &Paired, timeless: f64, page: &Path) -> serde_json::Value {
    let measured = |m: &Measured| json!({ "value": m.value, "ci95": [m.low, m.high] });
    let score = |s: &Score| (s.name.clone(), json!({ "hr@10": measured(&s.hr10), "ndcg@10": measured(&s.ndcg10) }));
    let f = &report.facts;
    json!({
        "adapter": f.adapter, "date": f.date, "seed": f.seed, "seconds": f.seconds, "parameters": f.parameters,
        "users": f.users, "items": f.items, "events": f.events,
        "scores": report.scores.iter().map(score).collect::<serde_json::Map<_, _>>(),
        "request_time": true, "optimum_without_request_time_hr@10": timeless,
        "gain_hr@10": gain, "page": page,
    })
}

/// What the pages of this program have in them, and other people's have not.
const MARK: &str = "<title>desirepath demo</title>";

/// Makes sure that nothing but an earlier demo is replaced, and marks the folder as one.
fn begin(out: &Path, page: &Path) -> Result<()> {
    let empty = || std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    if std::fs::read(page).is_ok_and(|text| String::from_utf8_lossy(&text).contains(MARK)) {
        return Checkpoint::replaceable(&out.join("model"));
    }
    if out.exists() && !empty() {
        let out = out.display();
        return Err(Error::Config(format!("--out {out} exists and is no earlier demo; choose another folder")));
    }
    std::fs::create_dir_all(out).map_err(|e| Error::file(out, &e))?;
    write(page, &format!("<!DOCTYPE html>\n{MARK}\n<p>The demo has not ended yet.</p>\n"))
}

/// The whole page or none: a reader, or a kill, may come at any moment.
fn write(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_file_name(".index.html.desirepath-tmp");
    let written = std::fs::write(&temporary, text).map_err(|e| Error::file(&temporary, &e));
    written.and_then(|()| std::fs::rename(&temporary, path).map_err(|e| Error::file(path, &e)))
}
