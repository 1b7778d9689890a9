//! The requests in flight (S7.4): what must be known of each until it is answered.

use crate::limits;

/// Facts about a request in flight.
pub(super) mod sent {
    pub(in crate::client) const HEAD: u8 = 1;
    pub(in crate::client) const CONNECT: u8 = 1 << 1;
    pub(in crate::client) const UPGRADE: u8 = 1 << 2;
    pub(in crate::client) const EXPECT: u8 = 1 << 3;
    pub(in crate::client) const CLOSE: u8 = 1 << 4;
    pub(in crate::client) const IDEMPOTENT: u8 = 1 << 5;
    pub(in crate::client) const FIRST: u8 = 1 << 6;
    /// Octets of it were transmitted.
    pub(in crate::client) const BEGUN: u8 = 1 << 7;
}

/// The requests in flight, oldest first. In columns, to be small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Queue {
    /// Facts about each.
    bits: [u8; limits::PIPELINE],
    /// How many there are.
    len: u8,
    /// Octets before each that were untransmitted when it was written, and still are: so one can tell
    /// whether it has begun to go out.
    ahead: [u32; limits::PIPELINE],
}

impl Queue {
    pub(super) const EMPTY: Self =
        Self { bits: [0; limits::PIPELINE], len: 0, ahead: [0; limits::PIPELINE] };

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Facts about the oldest.
    #[inline(always)]
    pub(super) fn oldest(&self) -> u8 {
        let [oldest, ..] = self.bits;
        oldest
    }

    pub(super) fn has(&self, nth: usize, bit: u8) -> bool {
        self.bits.get(nth).is_some_and(|b| b & bit != 0)
    }

    pub(super) fn push(&mut self, bits: u8, ahead: u64) {
        let n = self.len();
        if let (Some(b), Some(a)) = (self.bits.get_mut(n), self.ahead.get_mut(n)) {
            (*b, *a) = (bits, u32::try_from(ahead).unwrap_or(u32::MAX));
            self.len += 1;
        }
    }

    pub(super) fn pop(&mut self) {
        let ([_, bits @ ..], [_, ahead @ ..]) = (self.bits, self.ahead);
        self.bits = [0; limits::PIPELINE];
        self.ahead = [0; limits::PIPELINE];
        self.bits.iter_mut().zip(bits).for_each(|(slot, b)| *slot = b);
        self.ahead.iter_mut().zip(ahead).for_each(|(slot, a)| *slot = a);
        self.len = self.len.saturating_sub(1);
    }

    /// `n` octets went out.
    #[inline]
    pub(super) fn transmitted(&mut self, n: u64) {
        let len = self.len();
        for (bits, ahead) in self.bits.iter_mut().zip(&mut self.ahead).take(len) {
            match u32::try_from(n).ok().and_then(|n| ahead.checked_sub(n)) {
                Some(left) => *ahead = left,
                None => {
                    *bits |= sent::BEGUN;
                    *ahead = 0;
                }
            }
        }
    }
}
