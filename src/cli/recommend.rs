use super::Common;
use desirepath::data::{Dataset, time};
use desirepath::eval::Seen;
use desirepath::model::{History, Model, Request};
use desirepath::train::{Checkpoint, history, item_ids, user_id};
use desirepath::{Error, Result};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Say what a user will want next.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath recommend .out/ml-100k --user 196
  desirepath recommend .out/nyc --user 42 --at 2012-06-01T19:30 --near 40.72,-74.00 --explain
  desirepath recommend .out/ml-100k --history 50,181,172 --top 5 --json")]
#[command(group = clap::ArgGroup::new("who").required(true).args(["user", "history"]))]
pub struct Args {
    /// Folder that `train` wrote
    model: PathBuf,
    /// A user of the training data
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Items instead of a user, oldest first; may be given several times, for names with a comma
    #[arg(long, value_name = "A,B,C")]
    history: Vec<String>,
    /// How many
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// Time of the request: seconds since 1970, or 2012-06-01T19:30 (UTC) [default: now, where the model uses it]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<i64>,
    /// Place of the request in degrees
    #[arg(long, value_name = "LAT,LON", value_parser = parse_place, allow_hyphen_values = true)]
    near: Option<[f32; 2]>,
    /// Show which past events carried the weight
    #[arg(long)]
    explain: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    items: Vec<Item<'a>>,
    /// The user is new to the model, which knows the history alone.
    cold: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explain: Vec<Weight<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    item: &'a str,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
}

/// Share of the attention that a past event got, over all heads.
#[derive(Serialize)]
struct Weight<'a> {
    item: &'a str,
    time: i64,
    weight: f32,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let checkpoint = Checkpoint::open(&args.model)?;
    let data = checkpoint.data()?;
    let (user, items) = who(args, &data)?;
    if args.top == 0 || args.top > 1000 {
        return Err(Error::Config(format!("--top {}: expected 1 to 1000", args.top)));
    }
    let gpu = common.gpu()?;
    let model = checkpoint.load(&gpu, &data)?;
    if args.near.is_some() && model.layout().place_knots == 0 {
        eprintln!("--near changes nothing: this model was trained without places");
    }
    if args.at.is_some() && !model.config().request_time {
        eprintln!("--at changes nothing: this model was trained without the time of the request (request_time = true)");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    let request = Request { time: args.at.or(data.has_time.then_some(now)), place: args.near };
    let times = vec![request.time.unwrap_or(now); items.len()];
    let history = match user {
        Some(user) if !data.events_of(user as usize).is_empty() => {
            history(&data, checkpoint.known_user(&data, user), data.events_of(user as usize), request)
        }
        _ => History { user: 0, items: &items, times: &times, places: None, ratings: None, request },
    };
    let exclude = match checkpoint.seen {
        Seen::Filter => history.items.to_vec(),
        Seen::Keep => Vec::new(),
    };
    let found = model.recommend(&[history], &[sorted(exclude)], args.top)?;
    let name = |id: u32| data.items[id as usize - 1].as_str();
    let answer = Answer {
        items: found[0]
            .iter()
            .map(|r| Item { item: name(r.item), score: r.score, probability: r.probability })
            .collect(),
        cold: history.user == 0,
        explain: if args.explain { explain(&model, &history, &data)? } else { Vec::new() },
    };
    common.print(&answer, text(&answer))
}

/// The user's id, if it is known, or the items of an explicit history.
fn who<'a>(args: &'a Args, data: &Dataset) -> Result<(Option<u32>, Vec<u32>)> {
    if let Some(name) = &args.user {
        let id = user_id(data, name);
        if id == 0 {
            let (n, known) = (data.users.len(), data.users.iter().take(3).cloned().collect::<Vec<_>>().join(", "));
            return Err(Error::Config(format!(
                "no user is called {name:?} in this model; there are {n}: {known}, …; give --history A,B,C for somebody new"
            )));
        }
        return Ok((Some(id), Vec::new()));
    }
    // What is an item as it stands may have a comma in its name.
    let split = |text: &'a String| match data.items.contains(text) {
        true => vec![text.as_str()],
        false => text.split(',').map(str::trim).collect(),
    };
    let names: Vec<&str> = args.history.iter().flat_map(split).collect();
    Ok((None, item_ids(data, &names)?))
}

fn sorted(mut items: Vec<u32>) -> Vec<u32> {
    items.sort_unstable();
    items.dedup();
    items
}

/// Past events with the most attention of the last one, heaviest first.
fn explain<'a>(model: &Model, history: &History, data: &'a Dataset) -> Result<Vec<Weight<'a>>> {
    const SHOWN: usize = 10;
    let history = history.last(model.config().len);
    let Some(weights) = model.explain(&history)? else { return Ok(Vec::new()) };
    let mut list: Vec<Weight> = weights
        .iter()
        .zip(history.items.iter().zip(history.times))
        .map(|(weight, (item, time))| Weight { item: &data.items[*item as usize - 1], time: *time, weight: *weight })
        .collect();
    list.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    list.truncate(SHOWN);
    Ok(list)
}

fn text(answer: &Answer) -> String {
    let mut out = String::new();
    for (rank, Item { item, score, probability }) in answer.items.iter().enumerate() {
        let probability = probability.map_or(String::new(), |p| format!("  probability {p:.3}"));
        out += &format!("{:>4}  {item:<40} score {score:.3}{probability}\n", rank + 1);
    }
    if !answer.explain.is_empty() {
        out += "\nweight of past events:\n";
    }
    for Weight { item, weight, .. } in &answer.explain {
        out += &format!("{:>5.1} %  {item}\n", 100.0 * weight);
    }
    out
}

fn parse_place(text: &str) -> std::result::Result<[f32; 2], String> {
    let (lat, lon) = text.split_once(',').ok_or("expected LAT,LON in degrees, e.g. 40.72,-74.00")?;
    let degrees = |v: &str, limit: f32| {
        let number: f32 = v.trim().parse().map_err(|_| format!("{v:?} is not a number"))?;
        if number.abs() <= limit { Ok(number) } else { Err(format!("{number} is beyond ±{limit} degrees")) }
    };
    Ok([degrees(lat, 90.0)?, degrees(lon, 180.0)?])
}

/// Seconds since 1970, from a number or `YYYY-MM-DD[THH:MM[:SS]]` in UTC.
fn parse_time(text: &str) -> std::result::Result<i64, String> {
    const END_OF_9999: i64 = 253_402_300_799;
    let seconds = text.parse().ok().or_else(|| time::parse(text).map(|s| s.floor() as i64));
    seconds
        .filter(|s| (0..=END_OF_9999).contains(s))
        .ok_or_else(|| format!("{text:?}: expected seconds since 1970 or YYYY-MM-DDTHH:MM, of a day that there is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(parse_time("0"), Ok(0));
        assert_eq!(parse_time("1970-01-01"), Ok(0));
        assert_eq!(parse_time("2000-02-29T12:30"), Ok(951_827_400));
        assert_eq!(parse_time("2026-11-25T07:00:05Z"), Ok(1_795_590_005));
        assert_eq!(parse_time("1972-02-29 23:59"), Ok(68_255_940));
        for wrong in ["2026-13-01", "noon", "2012-02-31", "2011-02-29", "2012-04-31", "1900-02-29", "1969-12-31"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
        for wrong in ["2012-01-01T10:00:9223372036854775807", "9223372036854775807", "-1", "2012-01-01T24:00"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn places_are_read() {
        assert_eq!(parse_place("40.5,-74"), Ok([40.5, -74.0]));
        assert!(parse_place("91,0").is_err() && parse_place("1;2").is_err());
    }
}
