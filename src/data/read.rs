//! The files of events and items, one after the other, into one [`Log`].

use super::columns::{Layout, by_number, of_users, with_header};
use super::lines::{Lines, guess_delimiter};
use super::log::{GENRES, Log};
use super::options::{Format, PrepareOptions, TimeUnit};
use super::report::{FileReport, PrepareReport};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Files whose titles GroupLens wrote in ISO 8859-1.
const LATIN1: [&str; 2] = ["movies.dat", "u.item"];
/// Columns of `u.item` before those of the genres.
const UNTIL_GENRES: usize = 5;
/// Malformed lines quoted in the report.
const QUOTED: usize = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Events,
    Items,
    Users,
}

/// Reads all files of events in the order given, then what is known about their items.
///
/// # Errors
/// On the first malformed line, unless `skip_bad`; on a file that is empty, unreadable or lacks a column.
pub(super) fn read(options: &PrepareOptions, report: &mut PrepareReport) -> Result<Log> {
    let mut log = Log::default();
    let mut layouts: Vec<Layout> = Vec::new();
    let named = |ending: &'static str| options.files.iter().filter(move |p| ends_with(p, ending));
    let mut items: Vec<PathBuf> = named(".item").cloned().chain(options.items.clone()).collect();
    let events: Vec<&PathBuf> =
        options.files.iter().filter(|p| !ends_with(p, ".item") && !ends_with(p, ".user")).collect();
    if events.is_empty() {
        return Err(Error::Config("no file of events was given".into()));
    }
    for path in &events {
        let layout = read_file(path, Kind::Events, options, &mut log, report)?;
        if layouts.first().is_some_and(|first| first.time.is_some() != layout.time.is_some()) {
            return Err(Error::data(
                path,
                1,
                "either all files have times or none; name the column with --time-column",
            ));
        }
        if options.items.is_none() {
            items.extend(beside(path).filter(|p| !items.contains(p)));
        }
        layouts.push(layout);
    }
    for path in &items {
        layouts.push(read_file(path, Kind::Items, options, &mut log, report)?);
    }
    every_name_found(options, events[0], &layouts)?;
    for path in named(".user") {
        read_file(path, Kind::Users, options, &mut log, report)?;
    }
    report.has_time = layouts[0].time.is_some();
    if !report.has_time {
        report.notes.push("no column of times: the order of the files is taken for the order in time".into());
    }
    Ok(log)
}

/// The file's name without `.gz`, in lower case.
fn base(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.strip_suffix(".gz").map(String::from).unwrap_or(name)
}

fn ends_with(path: &Path, ending: &str) -> bool {
    base(path).ends_with(ending)
}

/// The file about items that belongs to a file of events: `x.item` to `x.inter`, `movies.dat` to `ratings.dat`.
fn beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let other = match name {
        "ratings.dat" => "movies.dat".to_string(),
        _ => format!("{}.item", name.strip_suffix(".inter")?),
    };
    [other.clone(), other + ".gz"].into_iter().map(|n| path.with_file_name(n)).find(|p| p.exists())
}

fn read_file(
    path: &Path,
    kind: Kind,
    options: &PrepareOptions,
    log: &mut Log,
    report: &mut PrepareReport,
) -> Result<Layout> {
    let mut lines = Lines::open(path)?;
    if LATIN1.contains(&base(path).as_str()) {
        lines.set_latin1();
    }
    let (format, layout, header) = layout(path, kind, &mut lines, options)?;
    let unit = options.time_unit.or(layout.time_unit).unwrap_or(TimeUnit::S);
    let (mut rows, mut known) = (0, 0);
    let mut next = if header { lines.next_record()? } else { Some(lines.split_again()?) };
    while let Some(record) = next {
        rows += 1;
        let kept = record.and_then(|()| match kind {
            Kind::Events => log.push_event(&lines, &layout, unit),
            Kind::Items => log.push_item(&lines, &layout),
            Kind::Users => log.knows_user(&lines, &layout).map(|knows| known += u64::from(knows)),
        });
        if let Err(message) = kept {
            malformed(path, lines.line(), message, options.skip_bad, report)?;
        }
        next = lines.next_record()?;
    }
    if rows == 0 {
        return Err(Error::data(path, 1, "has a header and nothing below it; was the export cut short?"));
    }
    match kind {
        Kind::Events => report.rows_read += rows,
        Kind::Items => {}
        Kind::Users => report
            .notes
            .push(format!("{}: {known} of {rows} users are in the log; their attributes are not used", path.display())),
    }
    let columns = layout.describe(kind == Kind::Users);
    report.files.push(FileReport { path: path.display().to_string(), format, columns, rows });
    Ok(layout)
}

fn malformed(path: &Path, line: u64, message: String, skip: bool, report: &mut PrepareReport) -> Result<()> {
    if !skip {
        let mend = "mend the line, or leave such lines out with --skip-bad";
        return Err(Error::data(path, line, format!("{message}; {mend}")));
    }
    report.malformed += 1;
    if report.malformed_examples.len() < QUOTED {
        report.malformed_examples.push(format!("{}:{line}: {message}", path.display()));
    }
    Ok(())
}

/// Format, columns, and whether the first line, which `lines` stands on afterwards, is a header.
fn layout(path: &Path, kind: Kind, lines: &mut Lines, options: &PrepareOptions) -> Result<(Format, Layout, bool)> {
    let first = match lines.first()? {
        None => return Err(Error::data(path, 0, "is empty; there must be a header or events")),
        Some(Ok(first)) => first.to_string(),
        // Without its first line a file cannot be understood, so --skip-bad does not help here.
        Some(Err(message)) => return Err(Error::data(path, lines.line(), message)),
    };
    let format = recognise(path, &first, options);
    let given = match options.delimiter.as_deref() {
        Some("\\t" | "tab" | "TAB") => Some("\t"),
        Some("") => return Err(Error::Config("the delimiter is empty; give a character, or tab".into())),
        given => given,
    };
    match format {
        Format::Recbole => lines.set_dialect(given.unwrap_or("\t"), false),
        Format::Movielens if first.contains("::") => lines.set_dialect("::", false),
        Format::Movielens if kind != Kind::Events => lines.set_dialect(given.unwrap_or("|"), false),
        Format::Movielens => lines.set_dialect(given.unwrap_or("\t"), false),
        Format::Auto | Format::Csv => lines.set_dialect(given.unwrap_or_else(|| guess_delimiter(&first)), true),
    }
    if let Err(message) = lines.split_again()? {
        return Err(Error::data(path, lines.line(), message));
    }
    let fields: Vec<String> = (0..lines.len()).map(|i| lines.field(i).to_string()).collect();
    let line = lines.line();
    let columns = (&options.columns, options.features.as_slice());
    let events = kind == Kind::Events;
    if format == Format::Movielens && !events {
        // movies.dat: id, title, genres with bars between them; u.item: five facts, then a column for each genre; of
        // users the first is the id, too
        let names = (1..=fields.len()).map(|n| n.to_string()).collect();
        let genres = (kind == Kind::Items && fields.len() == UNTIL_GENRES + GENRES.len()).then_some(UNTIL_GENRES);
        let category = (kind == Kind::Items && fields.len() >= 3).then_some(2).filter(|_| genres.is_none());
        let layout = Layout { user: Some(0), names, genres, category, category_end: Some('|'), ..Layout::default() };
        return Ok((format, layout, false));
    }
    if kind == Kind::Users {
        return Ok((format, of_users(path, line, &fields, columns.0)?, true));
    }
    if format == Format::Movielens || options.no_header && format == Format::Csv && events {
        let layout = by_number(path, line, fields.len(), columns.0, columns.1)?;
        return Ok((format, layout, false));
    }
    let layout = with_header(path, line, &fields, columns, (events, format == Format::Recbole))?;
    Ok((format, layout, true))
}

fn recognise(path: &Path, first: &str, options: &PrepareOptions) -> Format {
    let base = base(path);
    let own_format = LATIN1.contains(&base.as_str()) || ends_with(path, ".user");
    if options.format != Format::Auto && !own_format && options.items.as_deref() != Some(path) {
        return options.format;
    }
    let typed =
        |field: &str| matches!(field.trim().split_once(':'), Some((_, "token" | "token_seq" | "float" | "float_seq")));
    let numbers = |fields: Vec<&str>| fields.len() == 4 && fields.iter().all(|f| f.trim().parse::<f64>().is_ok());
    let bars = first.split('|').count();
    // u.data, and the splits u1.base, u1.test, ua.base, … of it
    let log = base.starts_with('u') && [".data", ".base", ".test"].iter().any(|end| base.ends_with(end));
    let movielens = base == "movies.dat"
        || base == "u.item" && bars == UNTIL_GENRES + GENRES.len()
        || base == "u.user" && bars == 5
        || numbers(first.split("::").collect())
        || log && numbers(first.split('\t').collect());
    if first.split('\t').all(typed) {
        Format::Recbole
    } else if movielens && options.delimiter.is_none() {
        Format::Movielens
    } else {
        Format::Csv
    }
}

/// A column that was named must be in one of the files at least.
fn every_name_found(options: &PrepareOptions, path: &Path, layouts: &[Layout]) -> Result<()> {
    let given = &options.columns;
    let any = |has: fn(&Layout) -> bool| layouts.iter().any(has);
    let lists = [
        ("--lat-column", &given.lat, any(|l| l.lat.is_some())),
        ("--lon-column", &given.lon, any(|l| l.lon.is_some())),
        ("--category-column", &given.category, any(|l| l.category.is_some())),
    ];
    let there = layouts[0].names.join(", ");
    for (option, name, found) in lists {
        if let (Some(name), false) = (name, found) {
            return Err(Error::data(path, 1, format!("no column {name:?} ({option}); there are: {there}")));
        }
    }
    for name in &options.features {
        let bare = name.split(':').next().unwrap_or(name);
        if !layouts.iter().flat_map(|l| &l.features).any(|f| f.name == *name || f.name == bare) {
            return Err(Error::data(path, 1, format!("no column {name:?} (a feature); there are: {there}")));
        }
    }
    Ok(())
}
