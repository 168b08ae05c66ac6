//! JSON as its schema means it, where serde's own reading is another: a struct is an object alone, never an array, and a
//! whole number may be written with a point.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A struct, from an object alone.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// A whole number, as `7` or `7.0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whole(pub i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Whole, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, v: i64) -> Result<Whole, E> {
                Ok(Whole(v))
            }

            fn visit_u64<E: Error>(self, v: u64) -> Result<Whole, E> {
                Ok(Whole(i64::try_from(v).unwrap_or(i64::MAX)))
            }

            fn visit_f64<E: Error>(self, v: f64) -> Result<Whole, E> {
                match v.fract() == 0.0 {
                    true => Ok(Whole(v as i64)), // saturates, and what is out of range is refused later
                    false => Err(E::custom(format!("{v} is no whole number"))),
                }
            }
        }

        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        a: Whole,
        b: Option<Whole>,
    }

    fn read(text: &str) -> Result<(i64, Option<i64>), String> {
        let pair = serde_json::from_str::<Object<Pair>>(text).map_err(|e| e.to_string());
        pair.map(|Object(Pair { a, b })| (a.0, b.map(|b| b.0)))
    }

    #[test]
    fn objects_and_whole_numbers() {
        assert_eq!(read(r#"{"a": 7, "b": -2.0}"#), Ok((7, Some(-2))));
        assert_eq!(read(r#"{"a": 1e3, "b": null}"#), Ok((1000, None)));
        assert_eq!(read(r#"{"a": 18446744073709551615}"#), Ok((i64::MAX, None)));
        for (text, says) in [
            ("[7, 8]", "expected an object"),
            (r#"{"a": 7.5}"#, "7.5 is no whole number"),
            (r#"{"a": "7"}"#, "expected a whole number"),
            (r#"{"a": true}"#, "expected a whole number"),
            (r#"{"a": 7, "c": 1}"#, "unknown field `c`"),
            (r#"{"a": 7, "a": 1}"#, "duplicate field `a`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
