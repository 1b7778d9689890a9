//! Content without memory: octets that can be made again, a checksum over them, and short texts.

use core::fmt;

/// The octet at this place of every long content here.
pub fn octet(at: u32) -> u8 {
    b'a' + (at % 26) as u8
}

/// Fills `space` with the octets from `at` on.
pub fn fill(space: &mut [u8], at: u32) {
    for (octet, at) in space.iter_mut().zip(at..) {
        *octet = self::octet(at);
    }
}

/// How many octets went by, and their sum (FNV-1a): enough to notice one lost, doubled or misplaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Octets counted.
    pub octets: u32,
    sum: u32,
}

impl Checksum {
    /// Of nothing.
    pub const NONE: Self = Self { octets: 0, sum: 0x811c_9dc5 };

    /// Of these octets.
    pub fn of(bytes: &[u8]) -> Self {
        let mut all = Self::NONE;
        all.add(bytes);
        all
    }

    /// Of the first octets that [`fill`] makes.
    pub fn of_made(octets: u32) -> Self {
        let mut all = Self::NONE;
        for at in 0..octets {
            all.add(&[octet(at)]);
        }
        all
    }

    /// Goes on with these.
    pub fn add(&mut self, bytes: &[u8]) {
        self.octets += bytes.len() as u32;
        for &byte in bytes {
            self.sum = (self.sum ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }

    /// As it stands in a field line or in content.
    pub fn text(&self) -> Text {
        let mut text = Text { octets: [0; 24], len: 0 };
        // Two numbers of 32 bits are never too long for it.
        let _ = fmt::write(&mut text, format_args!("{}-{:08x}", self.octets, self.sum));
        text
    }
}

/// A short text in an array.
pub struct Text {
    octets: [u8; 24],
    len: usize,
}

impl Text {
    /// Its octets.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let space = self.octets.get_mut(self.len..self.len + more.len()).ok_or(fmt::Error)?;
        space.copy_from_slice(more.as_bytes());
        self.len += more.len();
        Ok(())
    }
}
