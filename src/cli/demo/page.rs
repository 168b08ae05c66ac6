//! The page that `desirepath demo` writes: one file that needs no network, no font and no script. The pictures are
//! SVG written by hand, so that they follow the reader's light or dark theme and can be read aloud.

mod lines;
mod map;
mod people;
mod report;
mod scores;
mod svg;
mod tables;
#[cfg(test)]
mod tests;

use std::fmt::Write;

pub use report::*;
use svg::{Scale, count, esc, num};

const STYLE: &str = include_str!("page/style.css");

/// The whole page.
pub fn render(report: &Report) -> String {
    let headline = scores::headline(&report.scores);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>desirepath demo</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n\
         <p class=\"kicker\">desirepath demo · a synthetic city with a known optimum</p>\n<h1>{}</h1>\n{}</header>\n",
        esc(&headline),
        facts(&report.facts)
    );
    if !report.scores.is_empty() {
        let body = scores::charts(&report.scores) + &tables::scores(&report.scores);
        out += &section("How good it is", &scores::caption(&report.scores), &body);
    }
    if !report.curves.is_empty() {
        let caption = "A lower loss and a higher NDCG@10 are better; the ring is each model’s best epoch.";
        let body = lines::learning(&report.curves) + &tables::learning(&report.curves);
        out += &section("How it learned", caption, &body);
    }
    out += &biases(report);
    if !report.map.places.is_empty() {
        let caption = format!(
            "The larger a circle, the more attention the visits to that place get when the model chooses the next \
             one for {}.",
            report.map.person
        );
        out += &section("Where it looks", &caption, &map::map(&report.map));
    }
    if !report.people.is_empty() {
        let caption = "The star is the place really visited next, which the model has not seen; the true rank is the \
                       place’s rank under the rules that made the city.";
        out += &section("What it recommends", caption, &people::cards(&report.people));
    }
    let facts = &report.facts;
    let _ = write!(
        out,
        "<footer>\n<p>Written by <code>{}</code> on {}; the same seed on the same adapter gives the same numbers. The \
         file is complete in itself: it loads nothing.</p>\n</footer>\n</main>\n</body>\n</html>\n",
        esc(&facts.command),
        esc(&facts.date)
    );
    out
}

fn section(title: &str, caption: &str, body: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n<p class=\"caption\">{}</p>\n{body}</section>\n", esc(title), esc(caption))
}

fn facts(facts: &Facts) -> String {
    let rows = [
        ("people", count(facts.users)),
        ("places", count(facts.items)),
        ("visits", count(facts.events)),
        ("parameters", count(facts.parameters)),
        ("seconds in all", num(facts.seconds, 0)),
        ("seed", facts.seed.to_string()),
        ("adapter", facts.adapter.clone()),
    ];
    let mut out = String::from("<dl class=\"facts\">\n");
    for (name, value) in rows {
        let _ = writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", esc(&value));
    }
    out + "</dl>\n"
}

fn biases(report: &Report) -> String {
    let (time, place) = (&report.time_bias, &report.place_bias);
    let mut body = String::from("<div class=\"pair\">\n");
    let mut numbers = String::new();
    let mut any = false;
    for (id, title, axis, summary, curve) in [
        ("time", "Over the time gap", (Scale::Hours, "time between two visits"), "The bias over time", time),
        (
            "place",
            "Over the distance",
            (Scale::Kilometres, "distance between two places"),
            "The bias over distance",
            place,
        ),
    ] {
        if curve.planted.points.is_empty() && curve.learned.is_empty() {
            continue;
        }
        any = true;
        body += &lines::bias(id, title, axis, curve);
        let unit = if axis.0 == Scale::Hours { "hours" } else { "km" };
        numbers += &tables::bias(&format!("{summary} as numbers"), unit, curve);
    }
    if !any {
        return String::new();
    }
    let caption = "The dashed line was planted in the city, the coloured ones were learned from visits alone, one per \
                   attention head; r is a head’s correlation with the planted curve.";
    section("What it learned of time and place", caption, &format!("{body}</div>\n{numbers}"))
}
