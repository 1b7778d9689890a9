//! Field lines that are checked once and sent often.

use crate::encode::{self, Declared, Own, Told, Writer};
use crate::error::{Part, SendError};
use crate::head::fields::Line;
use core::fmt;

/// What goes out among the fields of a message: a line, which is checked when it is written, or a
/// [`Prepared`] block, which was. Made from either, so that a call that takes fields takes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'f> {
    /// One line.
    Line(Line<'f>),
    /// Several, checked before.
    Prepared(Block<'f>),
}

impl<'f, L: Into<Line<'f>>> From<L> for Field<'f> {
    fn from(line: L) -> Self {
        Self::Line(line.into())
    }
}

/// Checked field lines, as they go out. Only a [`Prepared`] can make one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Block<'f> {
    lines: &'f [u8],
    told: Told,
}

impl<'f> Block<'f> {
    pub(crate) const fn lines(self) -> &'f [u8] {
        self.lines
    }

    /// What the lines tell the machine.
    pub(crate) const fn told(self) -> Told {
        self.told
    }
}

impl fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.lines.escape_ascii())
    }
}

/// Field lines that are checked once, and copied as they are into every message after that: the
/// constant part of a server's responses, or a `Date` that is made anew every second. Holds up to `N`
/// octets, each line with its name, `: `, value and CRLF.
///
/// It goes wherever fields go, alone or [chained](Iterator::chain) with others.
///
/// ```
/// use keepalive::{Field, Instant, Prepared, server::{Config, Connection}};
/// let fixed = Prepared::<64>::new([("Server", "example"), ("Content-Type", "text/plain")])?;
/// let mut date = Prepared::<48>::new([("Date", "Sun, 06 Nov 1994 08:49:37 GMT")])?;
/// # let now = Instant::default();
/// # let mut conn = Connection::new(&Config::origin(), now);
/// # conn.receive(now, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", usize::MAX);
/// # conn.receive(now, b"", usize::MAX);
/// let mut out = [0; 256];
/// let n = conn.reply(now, 200, fixed.into_iter().chain(&date), b"hi", &mut out)?;
/// assert!(out[..n].starts_with(b"HTTP/1.1 200 OK\r\nServer: example\r\nContent-Type: text/plain\r\nDate: "));
/// // A second later:
/// date = Prepared::new([("Date", "Sun, 06 Nov 1994 08:49:38 GMT")])?;
/// // One line beside a block:
/// let etag = Field::from(("ETag", "\"x\""));
/// let fields = fixed.into_iter().chain([etag]);
/// # let _ = (date, fields);
/// # Ok::<(), keepalive::SendError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Prepared<const N: usize> {
    lines: [u8; N],
    len: usize,
    told: Told,
}

impl<const N: usize> Prepared<N> {
    /// Checks these lines, and keeps them.
    ///
    /// # Errors
    /// [`SendError::Invalid`] for what must not be sent, and with [`Part::Reserved`] for what the machine
    /// writes itself, or decides on, in each message: `Connection`, `Keep-Alive`, `Proxy-Connection`,
    /// `Content-Length`, `Transfer-Encoding` and `Upgrade` (S1.4). A `Host` must be one that a request
    /// may have. [`SendError::Short`] if `N` is too small.
    pub fn new<'f>(
        lines: impl IntoIterator<Item = impl Into<Line<'f>>>,
    ) -> Result<Self, SendError> {
        let mut block = Self { lines: [0; N], len: 0, told: Told::default() };
        let mut w = Writer::new(&mut block.lines);
        let mut own = Own::new(Declared { length: None, chunked: false });
        for line in lines {
            let line = line.into();
            if encode::is_reserved(line.name) {
                return Err(SendError::Invalid(Part::Reserved));
            }
            w.own_or_line(line.name, line.value, &mut own).map_err(SendError::Invalid)?;
        }
        // It may go into a request.
        if own.told.host_bad {
            return Err(SendError::Invalid(Part::Host));
        }
        block.len = w.finish()?;
        block.told = own.told;
        Ok(block)
    }

    /// As the fields of a call take it.
    #[must_use]
    pub fn block(&self) -> Block<'_> {
        Block { lines: self.lines.get(..self.len).unwrap_or_default(), told: self.told }
    }
}

impl<'f, const N: usize> IntoIterator for &'f Prepared<N> {
    type Item = Field<'f>;
    type IntoIter = core::iter::Once<Field<'f>>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        core::iter::once(Field::Prepared(self.block()))
    }
}

impl<const N: usize> fmt::Debug for Prepared<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prepared").field(&self.block()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_must_see_is_refused() {
        for name in [
            "Connection",
            "keep-alive",
            "Proxy-Connection",
            "content-length",
            "Transfer-Encoding",
            "Upgrade",
        ] {
            let refused = Err(SendError::Invalid(Part::Reserved));
            assert_eq!(Prepared::<64>::new([(name, "x")]).map(|_| ()), refused, "{name}");
        }
        let refused = |name, value| Prepared::<64>::new([(name, value)]).unwrap_err();
        assert_eq!(refused("a b", "x"), SendError::Invalid(Part::FieldName));
        assert_eq!(refused("Host", "a b"), SendError::Invalid(Part::Host));
        assert_eq!(refused("TE", "chunked"), SendError::Invalid(Part::FieldValue));
        assert_eq!(refused("A", "x\r\nB: y"), SendError::Invalid(Part::FieldValue));
        assert_eq!(Prepared::<5>::new([("A", "xy")]).unwrap_err(), SendError::Short { needed: 7 });
        let told =
            Prepared::<64>::new([("Host", "a"), ("host", "b"), ("TE", "trailers")]).unwrap().told;
        assert!(told.hosts == 2 && told.te && !told.expect);
        let block = Prepared::<7>::new([("A", " xy ")]).unwrap();
        assert_eq!(block.block().lines(), b"A: xy\r\n");
        assert_eq!(format!("{block:?}"), r"Prepared(A: xy\r\n)");
        assert_eq!(Prepared::<0>::new(crate::NO_FIELDS).unwrap().block().lines(), b"");
    }
}
