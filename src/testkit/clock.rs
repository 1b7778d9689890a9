//! A clock that stands still until it is told to move.

use crate::deadline::Deadline;
use crate::time::Instant;
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

/// A virtual clock. Its copies tell the same time. It begins at an odd moment, so that a driver
/// that takes the epoch for now is found out.
///
/// It has the calls of [`keepalive::Clock`](crate::Clock), so that it can take its place in a driver
/// that is tested; time passes when the driver waits on a [`Net`](super::Net), or by hand.
///
/// ```
/// use keepalive::{Instant, testkit::Clock};
/// use std::time::Duration;
/// let clock = Clock::new();
/// let then = clock.now();
/// clock.advance(Duration::from_secs(75));
/// assert_eq!(clock.now().since(then).as_secs(), 75);
/// clock.set(then);
/// assert_eq!(clock.now(), then + Duration::from_secs(75), "it does not run backwards");
/// ```
#[derive(Clone, Debug)]
pub struct Clock(Arc<Mutex<Instant>>);

/// When a clock begins.
const BEGIN: Instant = Instant::from_micros(1_000_003);

impl Clock {
    /// A clock that stands still.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(BEGIN)))
    }

    /// The moment now.
    #[must_use]
    pub fn now(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on to this moment, if it is not past.
    pub fn set(&self, to: Instant) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = to.max(*now);
    }

    /// Moves on by so much.
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// How long to wait for `deadline`: as [`keepalive::Clock::until`](crate::Clock::until).
    #[must_use]
    pub fn until(&self, deadline: Option<Deadline>) -> Option<Duration> {
        deadline.map(|d| d.at.since(self.now()).max(Duration::from_millis(1)))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
