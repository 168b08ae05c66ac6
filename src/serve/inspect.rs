//! What a request may bring, without a server: for the fuzzer.

use super::http::{read_body, read_query};
use super::lenient::Object;
use super::loaded::Past;
use super::routes::stored;
use super::salt::Salt;
use super::wire;
use axum::http::Uri;

/// Reads `bytes` as a request of the kind that the first byte chooses; whether it was accepted.
///
/// # Panics
/// When something was accepted that the rest of the server does not expect.
pub fn inspect_request(bytes: &[u8]) -> bool {
    let Some((kind, rest)) = bytes.split_first() else { return false };
    match kind % 6 {
        0 => read_body::<wire::Events>(rest).is_ok_and(|sent| {
            sent.events.into_iter().all(|Object(event)| {
                stored(&Salt::default(), event).is_ok_and(|e| {
                    assert!(!e.user.is_empty() && e.user.chars().count() <= wire::NAME && e.time >= 0);
                    assert!(e.place.is_none_or(|[lat, lon]| lat.abs() <= 90.0 && lon.abs() <= 180.0));
                    assert!(e.rating.is_none_or(f32::is_finite));
                    true
                })
            })
        }),
        1 => read_body::<wire::Recommend>(rest).is_ok_and(asked),
        2 => read_body::<wire::Score>(rest).is_ok_and(|sent| {
            let wire::Score { user, history, items, at, near } = sent;
            asked(wire::Recommend { user, history, at, near, exclude: items, ..Default::default() })
        }),
        3 => read_body::<wire::NewItem>(rest).is_ok_and(|sent| {
            sent.facts().is_ok_and(|facts| {
                assert!(facts.features.iter().chain(facts.place.iter().flatten()).all(|v| v.is_finite()));
                true
            })
        }),
        4 => uri(rest).is_some_and(|uri| read_query::<wire::Query>(&uri).and_then(wire::Query::body).is_ok_and(asked)),
        _ => uri(rest).is_some_and(|uri| read_query::<wire::Similar>(&uri).is_ok()),
    }
}

fn uri(query: &[u8]) -> Option<Uri> {
    Uri::try_from([b"/?", query].concat()).ok()
}

fn asked(sent: wire::Recommend) -> bool {
    let near = sent.near.map(wire::place).transpose();
    let at = sent.at.map(wire::time).transpose();
    let id = |name: &str| Some(name.len() as u32);
    let past = sent.history.map(|list| super::routes::told(list, 0, id)).transpose();
    if let Ok(Some(Past { items, times, ratings, .. })) = &past {
        assert!(items.len() == times.len() && times.is_sorted() && times.iter().all(|t| *t >= 0));
        assert!(ratings.iter().all(|r| r.is_nan() || r.is_finite()));
    }
    near.is_ok() && at.is_ok() && past.is_ok()
}

#[cfg(test)]
mod tests {
    use super::inspect_request;

    #[test]
    fn what_is_right_is_taken_and_the_rest_is_not() {
        let good: [&[u8]; 6] = [
            b"\0{\"events\": [{\"user\": \"u\", \"item\": \"i\", \"time\": 17e8, \"place\": [1, 2]}]}",
            b"\x01{\"history\": [{\"item\": \"i\", \"time\": 2}], \"near\": [40, -74]}",
            b"\x02{\"user\": \"u\", \"items\": [\"i\"]}",
            b"\x03{\"features\": [1, 2]}",
            b"\x04user=u&near=1,2&top=3",
            b"\x05top=4",
        ];
        assert!(good.into_iter().all(inspect_request));
        let bad: [&[u8]; 7] = [
            b"",
            b"\0{\"events\": [{\"user\": \"\", \"item\": \"i\", \"time\": 3}]}",
            b"\x01{\"near\": [91, 0]}",
            b"\x02{\"items\": 3}",
            b"\x03{\"features\": [1e99]}",
            b"\x04user=u&near=1",
            b"\x05bottom=4",
        ];
        assert!(!bad.into_iter().any(inspect_request));
    }
}
