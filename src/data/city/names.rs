//! What people, places and kinds of places are called, and when people go where.

pub(super) struct Kind {
    pub category: &'static str,
    /// How the name of such a place is made; `{}` is one of [`PROPER`].
    pub name: &'static str,
    /// Hours of the day; closing after midnight is beyond 24.
    pub open: [u32; 2],
    /// When it is most visited.
    pub peaks: [f64; 2],
    /// Added to the log-probability on Saturdays and Sundays.
    pub weekend: f64,
    /// Indices of the kinds that people often go to directly after.
    pub then: &'static [usize],
}

pub(super) const KINDS: [Kind; 14] = [
    kind("cafe", "Cafe {}", [7, 20], [8.5, 15.5], 0.5, &[1, 6, 9]),
    kind("office", "{} Offices", [6, 20], [9.0, 14.0], -2.5, &[2, 5]),
    kind("lunch", "{} Kitchen", [11, 16], [12.5, 13.0], -0.5, &[1, 0]),
    kind("restaurant", "Trattoria {}", [17, 24], [19.0, 20.5], 0.4, &[4, 8]),
    kind("bar", "{} Bar", [17, 27], [21.5, 23.0], 0.6, &[13, 3]),
    kind("gym", "{} Gym", [6, 23], [7.5, 18.0], -0.2, &[7, 3]),
    kind("park", "{} Park", [5, 23], [11.0, 17.0], 0.8, &[0, 12]),
    kind("supermarket", "{} Grocers", [7, 22], [10.0, 18.5], 0.0, &[10]),
    kind("cinema", "{} Cinema", [14, 24], [17.5, 20.5], 0.5, &[4, 13]),
    kind("museum", "{} Museum", [10, 19], [11.5, 15.0], 1.0, &[0, 6]),
    kind("bakery", "Bakery {}", [6, 19], [7.5, 16.5], 0.3, &[1, 6]),
    kind("library", "{} Library", [9, 21], [10.5, 16.0], -0.8, &[0, 2]),
    kind("market", "{} Market", [7, 18], [9.5, 12.0], 0.9, &[10, 2]),
    kind("club", "Club {}", [21, 30], [23.5, 24.5], 1.2, &[4]),
];

const fn kind(
    category: &'static str,
    name: &'static str,
    open: [u32; 2],
    peaks: [f64; 2],
    weekend: f64,
    then: &'static [usize],
) -> Kind {
    Kind { category, name, open, peaks, weekend, then }
}

pub(super) const PROPER: [&str; 48] = [
    "Linden",
    "Harbour",
    "Mill",
    "Castle",
    "Anchor",
    "Rose",
    "Station",
    "Bridge",
    "Garden",
    "Lantern",
    "Poplar",
    "Canal",
    "Copper",
    "Fox",
    "Heron",
    "Juniper",
    "King's",
    "Lighthouse",
    "Maple",
    "North",
    "Orchard",
    "Pelican",
    "Quay",
    "River",
    "Saffron",
    "Tower",
    "Union",
    "Violet",
    "Willow",
    "Abbey",
    "Birch",
    "Clock",
    "Dock",
    "Elm",
    "Ferry",
    "Granary",
    "Hazel",
    "Ivy",
    "Meadow",
    "Old Town",
    "Palace",
    "Ropewalk",
    "South",
    "Terrace",
    "Upper",
    "Vineyard",
    "Windmill",
    "Chestnut",
];

pub(super) const PEOPLE: [&str; 40] = [
    "ada", "ben", "chloe", "david", "emma", "felix", "grace", "hugo", "ines", "jonas", "kira", "leo", "mia", "noah",
    "olga", "paul", "quinn", "rosa", "sam", "tara", "uma", "viktor", "wanda", "xaver", "yara", "zoe", "anton", "bella",
    "cem", "dora", "emil", "fatima", "georg", "hanna", "ivan", "julia", "karim", "lena", "milan", "nora",
];

/// `ada`, `ben`, … and from the second round on `ada-2`.
pub(super) fn person(number: usize) -> String {
    numbered(PEOPLE[number % PEOPLE.len()].into(), number / PEOPLE.len(), "-")
}

/// The name of the `number`-th place of a kind: `Cafe Linden`, and from the second round on `Cafe Linden 2`.
pub(super) fn place(kind: usize, number: usize) -> String {
    // Another start for each kind, so that not every kind has a Linden first.
    let proper = PROPER[(number + 17 * kind) % PROPER.len()];
    numbered(KINDS[kind].name.replace("{}", proper), number / PROPER.len(), " ")
}

fn numbered(name: String, round: usize, separator: &str) -> String {
    if round == 0 { name } else { format!("{name}{separator}{}", round + 1) }
}
