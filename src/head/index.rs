//! Where the first field lines of a head are, noted on the way by the scan that found it whole.
//!
//! A help, and no limit: what is not noted is found again. So it is no part of what a head is, and two
//! heads that differ in it are equal.

/// Lines that are noted: a browser sends fewer, as a rule.
const MOST: usize = 24;

/// In place of their number, where none are noted any more.
const GIVEN_UP: u8 = u8::MAX;

#[derive(Clone, Copy)]
pub(crate) struct Index {
    /// Where the colon stands, and where the line ends, from the beginning of the head.
    lines: [(u16, u16); MOST],
    count: u8,
}

impl Index {
    pub(crate) const fn new() -> Self {
        Self { lines: [(0, 0); MOST], count: 0 }
    }

    /// Notes nothing from now on, and forgets what was noted.
    pub(super) fn give_up(&mut self) {
        self.count = GIVEN_UP;
    }

    /// The next line, which is the `n`th.
    #[inline(always)]
    pub(super) fn set(&mut self, n: u16, colon: usize, stop: usize) {
        if let Some(line) = self.lines.get_mut(usize::from(n)) {
            *line = (colon as u16, stop as u16);
        }
    }

    /// All lines up to the `n`th are noted, as far as there is room.
    #[inline(always)]
    pub(super) fn count_to(&mut self, n: u16) {
        if self.count != GIVEN_UP {
            self.count = n.min(MOST as u16) as u8;
        }
    }

    /// The `n`th line, if it was noted.
    #[inline(always)]
    pub(super) fn get(&self, n: u8) -> Option<(usize, usize)> {
        let (colon, stop) = *self.lines.get(usize::from(n))?;
        (n < self.count && usize::from(self.count) <= MOST)
            .then_some((usize::from(colon), usize::from(stop)))
    }
}

impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Index {}
