//! The value of a Date field, made anew once a second.

use keepalive::Instant;
use std::time::SystemTime;

/// Keeps the text of the present second.
#[derive(Debug, Default)]
pub struct Date {
    second: Option<u64>,
    text: String,
}

impl Date {
    /// Looks whether another second has begun; call it once a turn of the loop.
    pub fn tick(&mut self, now: Instant) {
        let second = Some(now.as_micros() / 1_000_000);
        if self.second != second {
            self.second = second;
            self.text = httpdate::fmt_http_date(SystemTime::now());
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
