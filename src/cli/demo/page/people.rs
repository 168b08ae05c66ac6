//! A card per person: the last visits, the recommendations, what really came next.

use std::fmt::Write;

use super::report::{Person, Recommendation};
use super::svg::{distance, esc, num, percent};

pub fn cards(people: &[Person]) -> String {
    people.iter().map(card).collect()
}

fn card(person: &Person) -> String {
    let mut out =
        format!("<article>\n<h3>{}</h3>\n<div class=\"card\">\n<div>\n<h4>Last visits</h4>\n", esc(&person.name));
    out += "<ol class=\"visits\">\n";
    for visit in &person.visits {
        let _ = writeln!(
            out,
            "<li><time>{}</time><span>{}<small>{}</small></span></li>",
            esc(&visit.when),
            esc(&visit.place),
            esc(&visit.kind)
        );
    }
    let next = &person.next;
    let _ = write!(
        out,
        "</ol>\n<p class=\"came\"><span class=\"star\">★</span> Really next, {}: <b>{}</b> ({}), the \
         model’s number {}.</p>\n",
        esc(&next.visit.when),
        esc(&next.visit.place),
        esc(&next.visit.kind),
        next.model_rank
    );
    out += "</div>\n<div>\n<h4>Recommended next</h4>\n<div class=\"scroll\"><table class=\"picks\">\n<thead>\
            <tr><th></th><th>place</th><th class=\"n\">away</th><th class=\"n\">chance</th>\
            <th class=\"n\">true rank</th></tr></thead>\n<tbody>\n";
    let most = person.recommendations.iter().map(|r| r.probability).fold(0.0, f64::max);
    for (i, recommendation) in person.recommendations.iter().enumerate() {
        out += &row(i + 1, recommendation, most);
    }
    out + "</tbody>\n</table></div>\n</div>\n</div>\n</article>\n"
}

fn row(rank: usize, r: &Recommendation, most: f64) -> String {
    let (class, mark) = if r.visited_next {
        (" class=\"hit\"", " <span class=\"star\" title=\"really visited next\">★</span>")
    } else {
        ("", "")
    };
    let share = if most > 0.0 && r.probability.is_finite() { 100.0 * r.probability / most } else { 0.0 };
    format!(
        "<tr{class}><td class=\"n\">{rank}</td><td>{}{mark}<small>{}</small></td><td class=\"n\">{}</td>\
         <td class=\"n\">{}<i style=\"width:{share:.0}%\"></i></td><td class=\"n\">{}</td></tr>\n",
        esc(&r.place),
        esc(&r.kind),
        distance(r.km),
        percent(r.probability, 1),
        num(r.true_rank as f64, 0)
    )
}
