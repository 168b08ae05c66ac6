use super::Common;
use super::train::train_with_bar;
use desirepath::data::{Dataset, Merged, PrepareOptions, prepare};
use desirepath::serve::salt::Salt;
use desirepath::serve::store::{Store, is_store};
use desirepath::train::{Checkpoint, State, Trainer, UpdateOptions};
use desirepath::{Error, Result};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Go on learning from new events.
///
/// Users and items that are new join the model; those that it knows keep their ids, and their vectors to start from. Old
/// events are mixed in, so that what was learned is kept. An update that was killed goes on with --resume.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath update .out/shop --events today.csv --out .out/shop-2
  desirepath update .out/shop --events .data/this-week --out .out/shop-2 --epochs 5 --json
  desirepath update .out/shop --events shop.store --out .out/shop-2 --salt-file salt")]
pub struct Args {
    /// Folder that `train` or `update` wrote
    model: PathBuf,
    /// A log as `prepare` reads it, a folder that it wrote, or the store of a server that does not run; may be given several
    /// times
    #[arg(long, value_name = "FILE|DATASET|STORE", required = true)]
    events: Vec<PathBuf>,
    /// The salt of the server's store: without it, users of the model whom the store knows by a hash count as new
    #[arg(long, value_name = "FILE")]
    salt_file: Option<PathBuf>,
    /// Folder of the model to write
    #[arg(long, value_name = "MODEL2")]
    out: PathBuf,
    /// Passes over the new events
    #[arg(long, default_value_t = UpdateOptions::default().epochs)]
    epochs: usize,
    /// Largest learning rate [default: a quarter of the training's]
    #[arg(long)]
    lr: Option<f32>,
    /// Rows of old events for each row with new ones
    #[arg(long, default_value_t = UpdateOptions::default().mix)]
    mix: f32,
    /// Seed of everything random
    #[arg(long, default_value_t = UpdateOptions::default().seed)]
    seed: u64,
    /// Go on from what is in --out; start where there is nothing yet
    #[arg(long)]
    resume: bool,
    /// Replace the model in --out, which stays until the first epoch of the new one has ended
    #[arg(long, conflicts_with = "resume")]
    force: bool,
}

#[derive(Serialize)]
struct Summary<'a> {
    model: &'a Path,
    out: &'a Path,
    adapter: String,
    seed: u64,
    users: usize,
    items: usize,
    #[serde(flatten)]
    merged: Merged,
    /// Rows that each epoch trained on, old ones included.
    rows: usize,
    seconds: f64,
    state: &'a State,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let from = Checkpoint::open(&args.model)?;
    from.expect_trained()?;
    check_out(args)?;
    let (mut data, mut fresh, mut merged) = (from.data()?, Vec::new(), Merged::default());
    let old_events = data.n_events();
    for source in &args.events {
        if is_store(source) && !data.has_time {
            let message =
                "the model learned without times, so that nobody can tell which of these events it has already";
            return Err(Error::format(source, message));
        }
        let (all, is_new, one) = data.merged(&events(source, args, &data.users)?, source)?;
        fresh = carried(&data, &all, &fresh, is_new);
        data = all;
        merged.new_users += one.new_users;
        merged.new_items += one.new_items;
        merged.new_events += one.new_events;
        merged.known_events += one.known_events;
        merged.unknown_categories += one.unknown_categories;
    }
    if merged.new_events == 0 {
        return Err(Error::NothingToLearn(format!("the model knows all {} events already", merged.known_events)));
    }
    if merged.unknown_categories > 0 {
        let n = merged.unknown_categories;
        eprintln!("{n} new items have a category that the model does not know: it counts as unknown until `train`");
    }
    let gpu = common.gpu()?;
    let how = UpdateOptions { epochs: args.epochs, lr: args.lr, mix: args.mix, seed: args.seed };
    let mut trainer = Trainer::update(&gpu, &data, &fresh, &from, &how)?;
    if args.resume && Checkpoint::exists(&args.out) {
        trainer = trainer.go_on(&args.out)?;
    }
    let started = Instant::now();
    train_with_bar(&mut trainer, Some(&args.out), common)?;
    let summary = Summary {
        model: &args.model,
        out: &args.out,
        adapter: gpu.info().to_string(),
        seed: args.seed,
        users: data.n_users(),
        items: data.n_items(),
        merged,
        rows: trainer.stretches().len(),
        seconds: started.elapsed().as_secs_f64(),
        state: trainer.state(),
    };
    let Merged { new_users, new_items, new_events, known_events, .. } = summary.merged;
    let loss = summary.state.history.last().map_or(f64::NAN, |epoch| epoch.loss);
    let text = format!(
        "{new_events} new events beside {old_events} ({known_events} were known), {new_users} new users, {new_items} new \
         items; {:.0} s, loss {loss:.4}\nnext: desirepath recommend {} --user …\n",
        summary.seconds,
        args.out.display()
    );
    common.print(&summary, text)
}

/// The new events, wherever they are kept: a prepared folder, a server's store, or any log that `prepare` reads.
fn events(source: &Path, args: &Args, known: &[String]) -> Result<Dataset> {
    if source.join("dataset.json").exists() {
        return Dataset::load(source);
    }
    if source.is_dir() {
        return Err(Error::format(
            source,
            "is no dataset (there is no dataset.json); make one with `desirepath prepare`",
        ));
    }
    if is_store(source) {
        return stored(source, args.salt_file.as_deref(), known);
    }
    let options = PrepareOptions { files: vec![source.into()], few: true, ..PrepareOptions::default() };
    Ok(prepare(&options)?.0)
}

/// The events of a server's store. Users whom it has under a salt get the names that the model has for them.
fn stored(source: &Path, salt_file: Option<&Path>, known: &[String]) -> Result<Dataset> {
    let salt = Salt::read(salt_file)?;
    let store = Store::open_to_read(source, salt.is_set().then(|| salt.mark()).as_ref())?;
    let mut events = store.dataset()?;
    if salt.is_set() {
        // A model that learned from the store without its salt has hashes already.
        let learned: HashSet<&str> = known.iter().map(String::as_str).collect();
        let names: HashMap<String, &String> = known.iter().map(|user| (salt.name(user), user)).collect();
        for user in events.users.iter_mut().filter(|user| !learned.contains(user.as_str())) {
            if let Some(name) = names.get(user) {
                user.clone_from(name);
            }
        }
    } else if store.is_salted()? {
        let path = source.display();
        eprintln!("{path} knows users by hashes, and those of the model among them count as new without --salt-file");
    }
    Ok(events)
}

/// What is new in `all` since the beginning: `is_new` since `data`, and what was new in that already.
fn carried(data: &Dataset, all: &Dataset, before: &[bool], is_new: Vec<bool>) -> Vec<bool> {
    if before.is_empty() {
        return is_new;
    }
    let mut fresh = is_new;
    for user in 1..=data.n_users() {
        // Joining keeps the order of the old events.
        let mut old = data.events_of(user).map(|e| before[e]);
        for event in all.events_of(user) {
            fresh[event] = fresh[event] || old.next().unwrap_or(false);
        }
    }
    fresh
}

fn check_out(args: &Args) -> Result<()> {
    let out = args.out.display();
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    if real(&args.out).is_some_and(|path| Some(path) == real(&args.model)) {
        return Err(Error::Config(format!("--out {out} is the model to update, which --resume needs; choose another")));
    }
    if Checkpoint::exists(&args.out) && !args.resume {
        if !args.force {
            return Err(Error::Config(format!("{out} exists; go on with --resume or replace it with --force")));
        }
        if Checkpoint::replaceable(&args.out).is_err() {
            return Err(Error::Config(format!("{out} is no model that --force could replace; choose another --out")));
        }
    }
    Ok(())
}
