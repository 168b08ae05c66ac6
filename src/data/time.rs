//! Dates and times as ISO 8601 writes them.

/// Seconds since 1970 of `2012-04-03`, or with `T` or a blank and `18:00[:06[.5]]`, and `Z`, ` UTC` or `+02:00`;
/// without a zone it is UTC.
pub fn parse(text: &str) -> Option<f64> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let bytes = date.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        date.get(range).filter(|t| t.bytes().all(|b| b.is_ascii_digit())).and_then(|t| t.parse::<i64>().ok())
    };
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    if bytes[4] != b'-' || bytes[7] != b'-' || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    // Days since 1970 in the Gregorian calendar, years counted from March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (m * 153 + 2) / 5 + day - 719_469;
    let midnight = days as f64 * 86_400.0;
    let Some(clock) = rest.strip_prefix(['T', ' ']) else {
        return rest.is_empty().then_some(midnight);
    };
    let clock = clock.strip_suffix('Z').or_else(|| clock.strip_suffix(" UTC")).unwrap_or(clock);
    let (clock, offset) = match clock.find(['+', '-']) {
        None => (clock, 0.0),
        Some(at) => {
            let sign = if clock.as_bytes()[at] == b'-' { -1.0 } else { 1.0 };
            (&clock[..at], sign * clock_seconds(&clock[at + 1..])?)
        }
    };
    Some(midnight + clock_seconds(clock)? - offset)
}

/// The day of `seconds` since 1970 in UTC, `YYYY-MM-DD`.
pub fn date(seconds: u64) -> String {
    let (mut year, mut month, mut day) = (1970, 1, (seconds / 86_400) as i64 + 1);
    while day > days_in(year, month) {
        day -= days_in(year, month);
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
    format!("{year}-{month:02}-{day:02}")
}

fn clock_seconds(text: &str) -> Option<f64> {
    let mut parts = text.split(':');
    let hours = parts.next()?.parse::<u32>().ok().filter(|h| *h < 24)?;
    let minutes = parts.next()?.parse::<u32>().ok().filter(|m| *m < 60)?;
    let seconds = parts.next().map_or(Some(0.0), |s| s.parse::<f64>().ok()).filter(|s| (0.0..61.0).contains(s))?;
    parts.next().is_none().then_some(f64::from(hours * 3600 + minutes * 60) + seconds)
}

/// 0 for what is no month.
fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// `1234-56-78…`, whether there is such a day or not.
pub fn looks_like_a_date(text: &str) -> bool {
    let fits = |(at, byte): (usize, &u8)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() };
    text.len() >= 10 && text.as_bytes()[..10].iter().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for text in ["1970-01-01", "1970-01-31", "1970-02-01", "1972-02-29", "1999-12-31", "2000-03-01", "2100-02-28"] {
            let midnight = parse(text).expect(text) as u64;
            assert_eq!([date(midnight), date(midnight + 86_399)], [text, text]);
        }
    }
}
