//! Heads: start line and field section, validated once and borrowed from the caller's bytes.
//!
//! [`scan`] reads a head as it arrives, [`sweep`] does so quickly for plain ones, [`note`] keeps what the
//! fields say that decides anything, and [`index`] where lines are; [`request`] and [`response`] give the
//! head to the application, and [`fields`] walks the field lines.

pub(crate) mod fields;
pub(crate) mod index;
pub(crate) mod note;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod scan;
mod sweep;

/// A minor version of HTTP/1 (RFC 9112 §2.3).
///
/// ```
/// use keepalive::Version;
/// assert!(Version::HTTP_10 < Version::HTTP_11);
/// assert_eq!(Version::HTTP_11.to_string(), "1.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub(crate) u8);

impl Version {
    /// HTTP/1.0.
    pub const HTTP_10: Self = Self(0);
    /// HTTP/1.1. Later minor versions behave like it (S1.2).
    pub const HTTP_11: Self = Self(1);

    /// The minor version, as received.
    #[must_use]
    pub const fn minor(self) -> u8 {
        self.0
    }
}

impl core::fmt::Display for Version {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "1.{}", self.0)
    }
}
