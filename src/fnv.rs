//! FNV-1a, word by word: tells contents apart that nobody forges.

pub(crate) struct Fnv(u64);

impl Fnv {
    pub fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    pub fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x100_0000_01b3);
    }

    /// Each byte as a word.
    pub fn bytes(mut self, bytes: &[u8]) -> Fnv {
        bytes.iter().for_each(|byte| self.add(u64::from(*byte)));
        self
    }

    pub fn value(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Fnv;

    /// Of bytes it is the published hash: http://www.isthe.com/chongo/tech/comp/fnv/
    #[test]
    fn known_values() {
        assert_eq!(Fnv::new().value(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::new().bytes(b"a").value(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fnv::new().bytes(b"foobar").value(), 0x8594_4171_f739_67e8);
    }
}
