use super::*;

const NASTY: &str = "Joe's <b>\"Café\"</b> & Söhne";
const SAFE: &str = "Joe&#39;s &lt;b&gt;&quot;Café&quot;&lt;/b&gt; &amp; Söhne";

fn measured(value: f64) -> Measured {
    Measured { value, low: value - 0.02, high: value + 0.02 }
}

fn score(role: Role, name: &str, hr10: f64) -> Score {
    Score { role, name: name.into(), hr10: measured(hr10), ndcg10: measured(0.6 * hr10) }
}

fn curve(label: &str, xs: &[f64], bend: f64) -> Line {
    Line { label: label.into(), points: xs.iter().map(|&x| (x, 3.0 - bend * (1.0 + x).ln())).collect() }
}

fn visit(place: &str) -> Visit {
    Visit { place: place.into(), kind: "café".into(), when: "Tue 08:15".into() }
}

/// `odd` is in every text and `x` is one number of each picture.
fn sample(odd: &str, x: f64) -> Report {
    let hours = [0.0, 0.1, 1.0, 10.0, 100.0, 1000.0];
    let point = |epoch, y| Epoch { epoch, training_loss: 5.0 - y, validation_ndcg10: y };
    let pick = |i: usize| Recommendation {
        place: odd.into(),
        kind: odd.into(),
        km: if i == 0 { x } else { 0.4 },
        probability: if i == 1 { x } else { 0.1 },
        true_rank: i + 1,
        visited_next: i == 2,
    };
    let place = |i: usize| Place {
        name: format!("{odd} {i}"),
        lat: if i == 3 { x } else { 50.0 + 0.001 * i as f64 },
        lon: 8.0 + 0.01 * (i % 4) as f64,
        kind: i % 2,
    };
    let mut time = BiasCurve { planted: curve(odd, &hours, 1.0), learned: vec![curve(odd, &hours, 0.8)] };
    time.learned[0].points[3].1 = x;
    Report {
        facts: Facts { adapter: odd.into(), date: odd.into(), command: odd.into(), seconds: x, ..Facts::default() },
        curves: vec![Curve { name: odd.into(), points: vec![point(1, 0.1), point(2, x), point(3, 0.2)] }],
        scores: vec![
            score(Role::Optimum, "optimum", 0.52),
            score(Role::Model, "desirepath", 0.474),
            score(Role::Ablation, "without time and place", 0.31),
            score(Role::Baseline, odd, x),
        ],
        place_bias: BiasCurve { planted: curve("planted", &hours, 1.0), learned: vec![curve("flat", &hours, 0.0)] },
        time_bias: time,
        people: vec![Person {
            name: odd.into(),
            visits: vec![visit(odd)],
            recommendations: (0..3).map(pick).collect(),
            next: Next { visit: visit(odd), model_rank: 3 },
        }],
        map: MapPicture {
            person: odd.into(),
            kinds: vec![odd.into(), "park".into()],
            places: (0..8).map(place).collect(),
            events: (0..6).map(|i| Attended { place: i, weight: if i == 2 { x } else { 0.2 } }).collect(),
            recommended: vec![3, 4, 99],
            next: Some(4),
        },
    }
}

/// The first tag that is not closed in order, if any.
fn unbalanced(page: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    let body = page.split_once("</style>").map_or(page, |(_, rest)| rest);
    for tag in body.split('<').skip(1) {
        let Some((tag, text)) = tag.split_once('>') else { return Some(tag.into()) };
        if text.contains('>') {
            return Some(text.into());
        }
        let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
        match tag.strip_prefix('/') {
            Some(name) if open.last() == Some(&name) => drop(open.pop()),
            // opened before the style
            Some("head" | "html") => {}
            Some(name) => return Some(name.into()),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    open.first().map(|name| (*name).into())
}

#[test]
fn the_check_of_tags_notices() {
    assert_eq!(unbalanced("<p><b>x</b></p><br/>"), None);
    for broken in ["<p><b>x</p></b>", "<p>", "</p>", "<p>a > b</p>", "<p"] {
        assert!(unbalanced(broken).is_some(), "{broken}");
    }
}

#[test]
fn the_page_is_well_formed_and_escaped() {
    let page = render(&sample(NASTY, 0.3));
    assert_eq!(unbalanced(&page), None);
    assert!(!page.contains(NASTY) && !page.contains("<b>\""));
    // three facts (the command and the date in the footer), a curve, a score, a curve of bias, a person, the map
    assert!(page.matches(SAFE).count() > 25, "{}", page.matches(SAFE).count());
}

#[test]
fn the_page_loads_nothing() {
    let page = render(&sample("x", 0.3)).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for outside in ["http", "<script", "<link", "@import", "url(", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn ids_are_unique() {
    let page = render(&sample("x", 0.3));
    let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), all), (14, 14));
}

#[test]
fn what_is_no_number_is_never_drawn() {
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let page = render(&sample("x", x));
        assert_eq!(unbalanced(&page), None);
        let lower = page.split_once("</style>").map_or("", |(_, rest)| rest).to_lowercase();
        assert!(
            !lower.contains("nan") && !lower.contains(">inf") && !lower.contains("inf\"") && !lower.contains("-inf")
        );
    }
}

#[test]
fn an_empty_report_is_a_page_too() {
    let page = render(&Report::default());
    assert_eq!(unbalanced(&page), None);
    assert!(!page.contains("<section>"));
}

#[test]
fn the_headline_is_composed_from_the_scores() {
    let page = render(&sample("x", 0.3));
    let says = "desirepath finds the place really visited next in its first ten for 47\u{a0}% of people; the best \
                possible is 52\u{a0}%, without time and place it is 31\u{a0}%.";
    assert!(page.contains(&format!("<h1>{says}</h1>")));
}

#[test]
fn axes_label_what_people_say() {
    let labels = |scale, values: [f64; 2]| -> Vec<String> {
        let axis = svg::Axis::new(scale, values.into_iter(), 54.0, 444.0, false);
        axis.ticks(52.0).into_iter().map(|(_, label)| label.replace('\u{a0}', " ")).collect()
    };
    assert_eq!(labels(Scale::Hours, [0.02, 800.0]), ["1 h", "1 day", "1 week", "5 min", "30 days"]);
    assert_eq!(labels(Scale::Kilometres, [0.05, 12.0]), ["1 km", "10 km", "100 m", "300 m", "3 km"]);
    assert_eq!(labels(Scale::Linear, [-0.5, 0.5]), ["−0.4", "−0.2", "0.0", "0.2", "0.4"]);
    assert_eq!(labels(Scale::Count, [1.0, 3.0]), ["1", "2", "3"]);
}

#[test]
fn bias_curves_are_compared_by_shape() {
    let xs = [0.1, 1.0, 10.0, 100.0];
    let shifted = Line { label: String::new(), points: xs.iter().map(|&x: &f64| (x, 7.0 - 2.0 * x.ln())).collect() };
    let planted = Line { label: String::new(), points: xs.iter().map(|&x: &f64| (x, -x.ln())).collect() };
    let curve = BiasCurve { planted, learned: vec![] };
    assert!((lines::likeness(&curve, &shifted) - 1.0).abs() < 1e-12);
    assert!(lines::centred(&shifted).iter().map(|p| p.1).sum::<f64>().abs() < 1e-12);
    let middle = lines::read_off(&[(1.0, 0.0), (100.0, 2.0)], 10.0);
    assert!((middle.unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(lines::read_off(&[(1.0, 0.0), (100.0, 2.0)], 101.0), None);
}
