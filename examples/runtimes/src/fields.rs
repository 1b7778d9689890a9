//! Field lines that are checked once a second and copied into every response: they differ in their Date
//! only.

use keepalive::{Instant, Line, Prepared};
use std::time::SystemTime;

/// The fields of all responses of a server.
#[derive(Debug)]
pub struct Fields {
    second: Option<u64>,
    /// Of text.
    pub text: Prepared<96>,
    /// Of anything else.
    pub binary: Prepared<96>,
    /// Of no content.
    pub date: Prepared<48>,
}

impl Fields {
    /// As they are now.
    #[must_use]
    pub fn new() -> Self {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let date = Line::from(("Date", date.as_str()));
        let typed = |value| [Line::from(("Content-Type", value)), date];
        let fits = "so many octets are enough for them";
        Self {
            second: None,
            text: Prepared::new(typed("text/plain")).expect(fits),
            binary: Prepared::new(typed("application/octet-stream")).expect(fits),
            date: Prepared::new([date]).expect(fits),
        }
    }

    /// Looks whether another second has begun; call it once a turn of the loop.
    pub fn tick(&mut self, now: Instant) {
        let second = Some(now.as_micros() / 1_000_000);
        if self.second != second {
            *self = Self { second, ..Self::new() };
        }
    }
}

impl Default for Fields {
    fn default() -> Self {
        Self::new()
    }
}
