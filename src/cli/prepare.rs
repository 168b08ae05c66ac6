use super::Common;
use desirepath::data::{self, ColumnNames, Format, PrepareOptions, TimeUnit};
use desirepath::{Error, Result};
use std::path::PathBuf;

/// Turn files of events into a dataset.
///
/// Reads CSV or TSV with named columns, RecBole's atomic files and MovieLens, plain or gzip. Columns are found by the
/// names people use (user, user_id, item, poi, timestamp, lat, …) or named here. Says what it read, dropped and filled in.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath prepare ratings.csv --out .data/mine
  desirepath prepare ml-1m.inter --out .data/ml-1m --min-user 5 --min-item 5
  desirepath prepare visits.csv.gz --user-column who --item-column where --time-unit ms --out .data/visits
  desirepath prepare log.tsv --no-header --user-column 1 --item-column 3 --time-column 2 --out .data/log")]
pub struct Args {
    /// Files of events; where times are equal, the order of files and lines decides
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Folder to write
    #[arg(long, value_name = "DATASET")]
    out: PathBuf,
    #[arg(long, value_enum, default_value = "auto")]
    format: Format,
    /// Category, place and numeric features of the items [default: the .item beside an .inter]
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    #[arg(long, value_name = "NAME")]
    user_column: Option<String>,
    #[arg(long, value_name = "NAME")]
    item_column: Option<String>,
    #[arg(long, value_name = "NAME")]
    time_column: Option<String>,
    #[arg(long, value_name = "NAME")]
    rating_column: Option<String>,
    #[arg(long, value_name = "NAME")]
    lat_column: Option<String>,
    #[arg(long, value_name = "NAME")]
    lon_column: Option<String>,
    #[arg(long, value_name = "NAME")]
    category_column: Option<String>,
    /// Columns with numeric features of the items, by name [default: the float columns of a .item file]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    features: Vec<String>,
    /// What stands between fields; \t or tab for the tabulator [default: guessed from the first line]
    #[arg(long, value_name = "TEXT")]
    delimiter: Option<String>,
    /// The files begin with an event; columns are given by number from 1
    #[arg(long)]
    no_header: bool,
    /// What the time column counts in [default: seconds, or what its name says]
    #[arg(long, value_enum)]
    time_unit: Option<TimeUnit>,
    /// Leave malformed lines out, and count them
    #[arg(long)]
    skip_bad: bool,
    /// Drop events with the user, item, time, rating and place of an earlier one
    #[arg(long)]
    dedup: bool,
    /// Keep users with at least so many events
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_user: usize,
    /// Keep items with at least so many events
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_item: usize,
    /// Keep events rated at least this
    #[arg(long, value_name = "RATING")]
    min_rating: Option<f32>,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    if args.files.iter().any(|f| f.starts_with(&args.out)) {
        return Err(Error::Config(format!("--out {} holds an input file", args.out.display())));
    }
    if args.out.exists() && !args.out.join("dataset.json").exists() {
        return Err(Error::Config(format!("--out {} exists and is not a dataset; choose another", args.out.display())));
    }
    let spinner = common.bar(0, "{spinner} reading, {elapsed}");
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    let (dataset, report) = data::prepare(&options(args))?;
    dataset.save(&args.out, Some(&report))?;
    spinner.finish_and_clear();
    common.print(&report, format!("{report}written  {}\n", args.out.display()))
}

fn options(args: &Args) -> PrepareOptions {
    let args_columns = ColumnNames {
        user: args.user_column.clone(),
        item: args.item_column.clone(),
        time: args.time_column.clone(),
        rating: args.rating_column.clone(),
        lat: args.lat_column.clone(),
        lon: args.lon_column.clone(),
        category: args.category_column.clone(),
    };
    PrepareOptions {
        files: args.files.clone(),
        items: args.items.clone(),
        format: args.format,
        columns: args_columns,
        features: args.features.clone(),
        delimiter: args.delimiter.clone(),
        no_header: args.no_header,
        time_unit: args.time_unit,
        skip_bad: args.skip_bad,
        dedup: args.dedup,
        min_user: args.min_user,
        min_item: args.min_item,
        min_rating: args.min_rating,
        few: false,
    }
}
