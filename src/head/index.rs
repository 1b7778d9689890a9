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
    /// Where the line ends, from the beginning of the head.
    stops: [u16; MOST],
    /// How long its name is. Small, since a head is handed on by value.
    names: [u8; MOST],
    count: u8,
}

impl Index {
    /// The longest name that can be noted.
    pub(super) const NAME: usize = u8::MAX as usize;

    pub(crate) const fn new() -> Self {
        Self { stops: [0; MOST], names: [0; MOST], count: 0 }
    }

    /// Notes nothing from now on, and forgets what was noted.
    pub(super) fn give_up(&mut self) {
        self.count = GIVEN_UP;
    }

    /// The next line, which is the `n`th. Its name is no longer than [`NAME`](Self::NAME), or the index is
    /// given up.
    #[inline(always)]
    pub(super) fn set(&mut self, n: u16, name: usize, stop: usize) {
        let n = usize::from(n);
        if let (Some(its_stop), Some(its_name)) = (self.stops.get_mut(n), self.names.get_mut(n)) {
            (*its_stop, *its_name) = (stop as u16, name as u8);
        }
    }

    /// All lines up to the `n`th are noted, as far as there is room.
    #[inline(always)]
    pub(super) fn count_to(&mut self, n: u16) {
        if self.count != GIVEN_UP {
            self.count = n.min(MOST as u16) as u8;
        }
    }

    /// How long the name of the `n`th line is, and where the line ends, if it was noted.
    #[inline(always)]
    pub(super) fn get(&self, n: u8) -> Option<(usize, usize)> {
        let name = *self.names.get(usize::from(n))?;
        let stop = *self.stops.get(usize::from(n))?;
        (n < self.count && usize::from(self.count) <= MOST)
            .then_some((usize::from(name), usize::from(stop)))
    }
}

impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Index {}
