//! Who may do what: bearer tokens, compared in constant time.

use crate::error::{Error, Result};
use std::path::Path;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// No token is asked for.
    Open,
    /// Recommendations, scores, metrics.
    Read,
    /// Events, too.
    Write,
    /// Everything.
    Admin,
}

const ROLES: [(&str, Role); 3] = [("read", Role::Read), ("write", Role::Write), ("admin", Role::Admin)];
/// Shortest token: what can be guessed is none.
const SHORTEST: usize = 16;

/// Tokens by their hashes, which have one length.
#[derive(Debug, Default)]
pub struct Tokens(Vec<(Role, [u8; 32])>);

impl Tokens {
    /// Lines `read TOKEN`, `write TOKEN` or `admin TOKEN`; empty ones and those that begin with `#` are skipped.
    ///
    /// # Errors
    /// When a line is something else, or a token is short. A message never shows a token.
    pub fn parse(text: &str, path: &Path) -> Result<Tokens> {
        let mut list = Vec::new();
        for (n, line) in (1..).zip(text.lines()).filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')) {
            let wrong = |what: &str| Error::data(path, n, format!("{what}; expected `read|write|admin TOKEN`"));
            let words: Vec<&str> = line.split_whitespace().collect();
            let [role, token] = words[..] else { return Err(wrong("not two words")) };
            let role = ROLES.iter().find(|(name, _)| *name == role).ok_or_else(|| wrong("no such role"))?.1;
            if token.len() < SHORTEST {
                return Err(Error::data(path, n, format!("a token of less than {SHORTEST} characters can be guessed")));
            }
            list.push((role, *blake3::hash(token.as_bytes()).as_bytes()));
        }
        match list.is_empty() {
            true => Err(Error::format(path, "it has no tokens: nobody could ask anything")),
            false => Ok(Tokens(list)),
        }
    }

    /// What the bearer of `token` may do. Every token is compared, whatever comes of it.
    pub fn role(&self, token: &str) -> Option<Role> {
        let hash = blake3::hash(token.as_bytes());
        let mut best = 0u8;
        for (role, known) in &self.0 {
            let same: Choice = hash.as_bytes().ct_eq(known);
            let rank = u8::conditional_select(&0, &(*role as u8), same);
            best = best.max(rank);
        }
        ROLES.iter().map(|(_, role)| *role).find(|role| *role as u8 == best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_roles() {
        let text =
            "# ours\nread 0123456789abcdef\n\nadmin fedcba9876543210\nwrite 0123456789ABCDEF\nadmin 0123456789ABCDEF\n";
        let tokens = Tokens::parse(text, Path::new("t")).unwrap();
        assert_eq!(tokens.role("0123456789abcdef"), Some(Role::Read));
        assert_eq!(tokens.role("fedcba9876543210"), Some(Role::Admin));
        assert_eq!(tokens.role("0123456789ABCDEF"), Some(Role::Admin), "the most that it may");
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "fedcba9876543211"] {
            assert_eq!(tokens.role(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn wrong_lines_are_named_and_tokens_are_not() {
        for (text, says) in [
            ("", "no tokens"),
            ("read 0123456789abcdef\nroot 0123456789abcdef", "t:2: no such role"),
            ("read", "t:1: not two words"),
            ("read secret", "t:1: a token of less"),
        ] {
            match Tokens::parse(text, Path::new("t")) {
                Ok(_) => panic!("{text:?} was taken"),
                Err(e) => {
                    assert!(e.to_string().contains(says), "{e}");
                    assert!(!e.to_string().contains("0123456789"), "{e}");
                }
            }
        }
    }
}
