//! Time as an argument: an integer of the embedder's own epoch, and durations that fit a connection.
//!
//! The core reads no clock. Whoever embeds it says what time it is; [`Clock`] does so on `std`.

use core::time::Duration;

/// A moment, in microseconds since an epoch of the embedder's choosing.
///
/// All moments given to one connection must be of one epoch. Time that runs backwards does no harm:
/// a deadline once moved to the future is not moved back.
///
/// ```
/// use keepalive::Instant;
/// use core::time::Duration;
/// let t = Instant::from_millis(1_500) + Duration::from_millis(500);
/// assert_eq!(t, Instant::from_micros(2_000_000));
/// assert_eq!(t.since(Instant::from_millis(1_000)), Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The moment `us` microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// The moment `ms` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long `earlier` lies back; zero when it does not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    pub(crate) const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0 as u64 * 1_000))
    }

    pub(crate) const fn plus_micros(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Self;
    /// Saturates at the end of time.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A configured duration, stored small: whole milliseconds, or [`Span::OFF`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span(u32);

impl Span {
    /// The timer is switched off.
    pub(crate) const OFF: Self = Self(u32::MAX);

    pub(crate) const fn secs(s: u32) -> Self {
        Self(s.saturating_mul(1_000))
    }

    pub(crate) const fn millis(ms: u32) -> Self {
        Self(ms)
    }

    /// Rounded down to milliseconds; what exceeds 49 days counts as off.
    pub(crate) const fn of(d: Duration) -> Self {
        let ms = d.as_millis();
        if ms >= u32::MAX as u128 { Self::OFF } else { Self(ms as u32) }
    }

    /// Off where there is none.
    pub(crate) const fn optional(d: Option<Duration>) -> Self {
        match d {
            Some(d) => Self::of(d),
            None => Self::OFF,
        }
    }

    pub(crate) const fn is_off(self) -> bool {
        self.0 == u32::MAX
    }

    pub(crate) const fn as_millis(self) -> u32 {
        self.0
    }

    /// When a timer of this length, armed at `from`, expires; `None` if it is off.
    pub(crate) const fn after(self, from: Instant) -> Option<Instant> {
        if self.is_off() { None } else { Some(from.plus(self)) }
    }
}

/// A short duration, in hundredths of a second, so that a connection stays small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick(u16);

impl Tick {
    pub(crate) const fn of(d: Duration) -> Self {
        let ticks = d.as_millis() / 10;
        Self(if ticks > u16::MAX as u128 { u16::MAX } else { ticks as u16 })
    }

    pub(crate) const fn secs(s: u16) -> Self {
        Self(s * 100)
    }

    pub(crate) const fn span(self) -> Span {
        Span::millis(self.0 as u32 * 10)
    }
}

/// A monotonic clock for embedders on `std`, and what to wait for.
///
/// ```
/// use keepalive::Clock;
/// let clock = Clock::start();
/// let a = clock.now();
/// assert!(clock.now() >= a);
/// assert_eq!(clock.until(None), None);
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock(std::time::Instant);

#[cfg(feature = "std")]
impl Clock {
    /// A clock whose epoch is now. Start one for each process and copy it to where it is needed.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The moment now.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// How long to wait for `deadline`, made for [`std::net::TcpStream::set_read_timeout`]: `None`
    /// to wait for ever, and never zero, which that call refuses. Rounded up, so that the deadline
    /// is due when the wait is over.
    #[must_use]
    pub fn until(&self, deadline: Option<crate::Deadline>) -> Option<Duration> {
        deadline.map(|d| d.at.since(self.now()).max(Duration::from_millis(1)))
    }

    /// `at` on the operating system's clock.
    #[must_use]
    pub fn to_std(&self, at: Instant) -> std::time::Instant {
        self.0 + Duration::from_micros(at.0)
    }
}
