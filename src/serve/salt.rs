//! How users are named in the store.

use crate::error::{Error, Result};
use std::path::Path;

/// How users are named in the store: as they are, or by a hash that only who has the salt can make.
#[derive(Debug, Clone, Default)]
pub struct Salt(Option<[u8; 32]>);

impl Salt {
    /// From the bytes of a file.
    pub fn new(bytes: &[u8]) -> Salt {
        Salt(Some(blake3::derive_key("desirepath 2026 user ids in the store", bytes)))
    }

    /// From the file `path`; without one users are named as they are.
    ///
    /// # Errors
    /// When it cannot be read, or is so short that it could be guessed.
    pub fn read(path: Option<&Path>) -> Result<Salt> {
        let Some(path) = path else { return Ok(Salt::default()) };
        match std::fs::read(path).map_err(|e| Error::file(path, &e))? {
            bytes if bytes.len() < 16 => Err(Error::format(path, "a salt of less than 16 bytes can be guessed")),
            bytes => Ok(Salt::new(&bytes)),
        }
    }

    pub fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub fn name(&self, user: &str) -> String {
        match &self.0 {
            None => user.to_string(),
            Some(salt) => blake3::keyed_hash(salt, user.as_bytes()).to_hex().to_string(),
        }
    }

    /// Tells salts apart without telling them.
    pub fn mark(&self) -> [u8; 32] {
        match &self.0 {
            None => [0; 32],
            Some(salt) => blake3::derive_key("desirepath 2026 mark of a salt", salt),
        }
    }
}
