//! Chance that can be had again: from a seed, or from octets.
//!
//! [`Rng`] is a stream of numbers from a seed. [`Source`] is what generators draw from: a stream that
//! never ends, made from a seed; or the octets of a fuzzer or of proptest, behind which everything
//! is zero. So one generator serves all three, and shrinks where octets shrink.

use std::prelude::v1::*;

/// A small generator of pseudo-random numbers: splitmix64. Of no use for secrets.
///
/// ```
/// use keepalive::testkit::Rng;
/// let (mut a, mut b) = (Rng::new(7), Rng::new(7));
/// assert_eq!(a.number(), b.number());
/// assert!(a.below(10) < 10);
/// assert!((3..=5).contains(&a.range(3, 5)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Self(seed ^ 0x5851_F42D_4C95_7F2D);
        rng.number();
        rng
    }

    /// A stream of its own, so that one part of a world does not move the chances of another.
    #[must_use]
    pub fn of(seed: u64, part: u64) -> Self {
        Self::new(
            seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ part.wrapping_mul(0x9E6C_63D0_876A_68EE),
        )
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One below `n`; 0 below 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(n)) >> 64) as u64
    }

    /// One from `low` to `high`, both included.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True so many times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of these.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let at = self.below(of.len() as u64) as usize;
        assert!(!of.is_empty(), "nothing to pick from");
        #[allow(clippy::indexing_slicing, reason = "below the length, which is not 0")]
        of[at]
    }
}

/// What generators draw from, one decision after another.
///
/// ```
/// use keepalive::testkit::Source;
/// let mut octets = Source::new(&[200, 1]);
/// assert_eq!((octets.byte(), octets.below(3)), (200, 1));
/// // Used up: whatever is drawn is the first choice.
/// assert_eq!(octets.pick(&["plain", "strange"]), "plain");
///
/// let mut endless = Source::seeded(7);
/// assert_eq!(endless.take(4), Source::seeded(7).take(4));
/// ```
#[derive(Clone, Debug)]
pub struct Source<'d>(From<'d>);

#[derive(Clone, Debug)]
enum From<'d> {
    Octets(&'d [u8]),
    Seed(Rng),
}

impl<'d> Source<'d> {
    /// From octets. When they are used up, all that follow are zero.
    #[must_use]
    pub const fn new(octets: &'d [u8]) -> Self {
        Self(From::Octets(octets))
    }

    /// From a seed, without end.
    #[must_use]
    pub fn seeded(seed: u64) -> Source<'static> {
        Source(From::Seed(Rng::new(seed)))
    }

    /// The next octet.
    pub fn byte(&mut self) -> u8 {
        match &mut self.0 {
            From::Octets(octets) => match octets.split_first() {
                Some((&b, rest)) => {
                    *octets = rest;
                    b
                }
                None => 0,
            },
            From::Seed(rng) => (rng.number() >> 56) as u8,
        }
    }

    /// A number below `n`, from one octet; 0 below 0.
    pub fn below(&mut self, n: u8) -> u8 {
        self.byte().checked_rem(n).unwrap_or(0)
    }

    /// A number from 0 to `most`, from as many octets as it takes.
    pub fn up_to(&mut self, most: u64) -> u64 {
        let mut n = 0u64;
        let mut left = most;
        while left > 0 {
            n = n << 8 | u64::from(self.byte());
            left >>= 8;
        }
        match most.checked_add(1) {
            Some(span) => n % span,
            None => n,
        }
    }

    /// True so many times in 256: less likely than not where octets are used up.
    pub fn chance(&mut self, in_256: u8) -> bool {
        self.byte() >= 255 - in_256.saturating_sub(1) && in_256 > 0
    }

    /// One of these; the first where octets are used up.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        assert!(!of.is_empty(), "nothing to pick from");
        let at = self.up_to(of.len() as u64 - 1) as usize;
        #[allow(clippy::indexing_slicing, reason = "below the length, which is not 0")]
        of[at]
    }

    /// The next `n` octets as they are, or what is left of them.
    pub fn take(&mut self, n: usize) -> Vec<u8> {
        match &mut self.0 {
            From::Octets(octets) => {
                let (taken, rest) = octets.split_at(n.min(octets.len()));
                *octets = rest;
                taken.to_vec()
            }
            From::Seed(_) => (0..n).map(|_| self.byte()).collect(),
        }
    }

    /// The octets not yet drawn; none of a seed, which has no end.
    #[must_use]
    pub fn rest(&self) -> &'d [u8] {
        match self.0 {
            From::Octets(octets) => octets,
            From::Seed(_) => b"",
        }
    }

    /// A stream of chance for something that goes on by itself, such as a pipe.
    pub fn rng(&mut self) -> Rng {
        match &mut self.0 {
            From::Octets(_) => Rng::new(self.up_to(u64::from(u16::MAX))),
            From::Seed(rng) => Rng::new(rng.number()),
        }
    }
}

/// The seeds of a test: so many, from 1 on, or only the one that the environment names in `SEED`, to
/// look once more at what failed. (`SEEDS` changes how many there are.)
///
/// ```
/// # // The environment of whoever runs this is not known.
/// use keepalive::testkit::seeds;
/// assert!(seeds(100).count() <= 100 || std::env::var_os("SEEDS").is_some());
/// ```
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let number = |name| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    chosen(number("SEED"), number("SEEDS"), count)
}

fn chosen(seed: Option<u64>, seeds: Option<u64>, count: u64) -> impl Iterator<Item = u64> {
    let (first, last) = match seed {
        Some(seed) => (seed, seed),
        None => (1, seeds.unwrap_or(count)),
    };
    first..=last
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn octets_run_out_into_the_first_choice() {
        let mut s = Source::new(b"\x01\x02\x03");
        assert_eq!(s.take(2), b"\x01\x02");
        assert_eq!(s.rest(), b"\x03");
        assert_eq!(s.up_to(1000), 3 << 8);
        assert_eq!((s.byte(), s.below(9), s.up_to(u64::MAX), s.pick(&[1, 2])), (0, 0, 0, 1));
        assert!(!s.chance(255));
        assert!(s.take(5).is_empty());
    }

    #[test]
    fn chances_are_what_they_are_called() {
        for (in_256, least, most) in [(0, 0, 0), (1, 20, 60), (128, 4800, 5200), (255, 9940, 9980)]
        {
            let mut s = Source::seeded(3);
            let n = (0..10_000).filter(|_| s.chance(in_256)).count();
            assert!((least..=most).contains(&n), "{in_256}: {n}");
        }
        let mut s = Source::seeded(4);
        let mut seen = [false; 7];
        (0..200).for_each(|_| seen[s.pick(&[0, 1, 2, 3, 4, 5, 6])] = true);
        assert_eq!(seen, [true; 7]);
        assert!((0..1000).all(|_| s.up_to(300) <= 300));
        assert_eq!(Source::seeded(1).rest(), b"");
    }

    #[test]
    fn whatever_can_be_drawn_is_drawn() {
        let mut rng = Rng::new(5);
        let mut seen = [0; 4];
        (0..4_000).for_each(|_| seen[usize::from(rng.pick(&[0u8, 1, 2, 3]))] += 1);
        assert!(seen.iter().all(|n| (850..1_150).contains(n)), "{seen:?}");
        let ends: Vec<_> = (0..200).map(|_| rng.range(3, 5)).collect();
        assert!(ends.contains(&3) && ends.contains(&5) && ends.iter().all(|n| (3..=5).contains(n)));
        assert_eq!((rng.below(0), rng.range(7, 7), rng.range(7, 3)), (0, 7, 7));
    }

    /// A part of a world draws by itself: what it draws moves nothing elsewhere.
    #[test]
    fn a_stream_of_its_own_is_of_the_same_making_and_another() {
        let numbers = |mut rng: Rng| [rng.number(), rng.number()];
        let (mut a, mut b) = (Source::seeded(9), Source::seeded(9));
        assert_eq!(numbers(a.rng()), numbers(b.rng()));
        assert_ne!(numbers(a.rng()), numbers(Source::seeded(9).rng()));
        assert_eq!(a.take(4), {
            b.rng();
            b.take(4)
        });
        let from = |octets: &'static [u8]| numbers(Source::new(octets).rng());
        assert_eq!(from(b"\x01\x02 and more"), from(b"\x01\x02"));
        assert_ne!(from(b"\x01\x02"), from(b"\x01\x03"));
        assert_ne!(numbers(Rng::of(1, 2)), numbers(Rng::of(2, 1)));
    }

    #[test]
    fn one_seed_is_tried_alone() {
        let all = |seed, seeds| chosen(seed, seeds, 3).collect::<Vec<_>>();
        assert_eq!(all(None, None), [1, 2, 3]);
        assert_eq!(all(None, Some(5)), [1, 2, 3, 4, 5]);
        assert_eq!((all(Some(7), None), all(Some(7), Some(5))), (vec![7], vec![7]));
    }
}
