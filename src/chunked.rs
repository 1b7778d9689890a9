//! The chunked coding (S8.3, RFC 9112 §7.1): a decoder that can be cut anywhere, and the few octets
//! that an encoder puts around content.
//!
//! The decoder consumes framing as it comes and hands out slices of content. It buffers nothing: a
//! cut size line is carried in a few octets of state. Trailers are left to the head scanner. Chunk
//! extensions are ignored, but not for free: their budget bounds what a peer can make us read.

use crate::bytes::{find_stop, is_space};
use crate::error::{Fault, Kind};
use crate::limits;
use core::ops::{Deref, Range};

/// Where in the coding the next octet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Before or among the digits of a size.
    Size,
    /// Spaces behind the size.
    Space,
    /// Behind `;`, up to CR.
    Extension,
    /// Behind the CR of a size line.
    SizeLf,
    /// Among the data.
    Data,
    /// Behind the data, before CR.
    DataCr,
    /// Behind the CR that follows the data.
    DataLf,
}

/// The decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Decoder {
    /// The size being read, then what is left of the data.
    left: u64,
    /// Overhead not yet paid for by content: Go's budget.
    excess: u32,
    /// Octets of the present size line so far.
    line: u16,
    digits: u8,
    state: State,
}

/// What a step of the decoder found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// These bytes hold nothing more.
    Nothing,
    /// Content, as a range of the bytes given.
    Content(Range<usize>),
    /// The last chunk is over; the trailer section starts where consumption ended.
    LastChunk,
}

impl Decoder {
    pub(crate) const fn new() -> Self {
        Self { left: 0, excess: 0, line: 0, digits: 0, state: State::Size }
    }

    /// Octets of content that come next on the wire, without framing among them.
    pub(crate) fn run(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// `n` octets of the present run went past the decoder.
    pub(crate) fn skip(&mut self, n: u64) {
        if self.state == State::Data {
            self.left = self.left.saturating_sub(n);
            if self.left == 0 {
                self.state = State::DataCr;
            }
        }
    }

    /// Reads on. Returns how much was consumed, content included, and what was found. `room` bounds
    /// the content. `spaces` tolerates blanks before the CR of a size line, as servers send them.
    pub(crate) fn step(
        &mut self,
        bytes: &[u8],
        room: usize,
        spaces: bool,
    ) -> Result<(usize, Found), Fault> {
        let mut at = 0;
        while let Some(&b) = bytes.get(at) {
            let fault = |kind| Err(Fault::new(kind, at));
            match (self.state, b) {
                (State::Data, _) => {
                    let here = bytes.len() - at;
                    let n = here.min(room).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                    if n == 0 {
                        return Ok((at, Found::Nothing));
                    }
                    self.skip(n as u64);
                    return Ok((at + n, Found::Content(at..at + n)));
                }
                (State::DataCr, b'\r') => self.state = State::DataLf,
                (State::DataLf, b'\n') => self.begin(),
                (State::DataCr | State::DataLf, _) => return fault(Kind::ChunkEnd),
                (State::SizeLf, b'\n') => {
                    if self.line_done(at)? {
                        return Ok((at + 1, Found::LastChunk));
                    }
                }
                (State::SizeLf, _) => return fault(Kind::BareCr),
                (_, b'\n') => return fault(Kind::BareLf),
                (State::Size, _) if hex(b).is_some() => self.digit(hex(b).unwrap_or(0), at)?,
                (State::Size, _) if self.digits == 0 => return fault(Kind::ChunkSize),
                (State::Size, b'\r') | (State::Extension, b'\r') => self.state = State::SizeLf,
                (State::Space, b'\r') if spaces => self.state = State::SizeLf,
                (State::Size | State::Space, b';') => self.state = State::Extension,
                (State::Size | State::Space, _) if is_space(b) => self.state = State::Space,
                (State::Size, _) => return fault(Kind::ChunkSize),
                (State::Space, _) => return fault(Kind::ChunkExtension),
                (State::Extension, _) => {
                    let end = find_stop(bytes, at).unwrap_or(bytes.len());
                    if end == at {
                        return fault(Kind::ControlByte);
                    }
                    let room = usize::from(limits::CHUNK_LINE.saturating_sub(self.line));
                    if end - at > room {
                        return Err(Fault::new(Kind::ChunkLineTooLong, at + room));
                    }
                    self.line += (end - at) as u16;
                    at = end;
                    continue;
                }
            }
            if matches!(self.state, State::Size | State::Space | State::Extension) {
                if self.line >= limits::CHUNK_LINE {
                    return fault(Kind::ChunkLineTooLong);
                }
                self.line += u16::from(b != b'\n');
            }
            at += 1;
        }
        Ok((at, Found::Nothing))
    }

    /// A size line comes next.
    fn begin(&mut self) {
        self.left = 0;
        self.line = 0;
        self.digits = 0;
        self.state = State::Size;
    }

    fn digit(&mut self, value: u8, at: usize) -> Result<(), Fault> {
        self.digits += 1;
        if self.digits > limits::CHUNK_DIGITS {
            return Err(Fault::new(Kind::ChunkTooLarge, at));
        }
        // Sixteen digits at most: this cannot overflow.
        self.left = self.left * 16 + u64::from(value);
        if self.left > limits::LENGTH {
            return Err(Fault::new(Kind::ChunkTooLarge, at));
        }
        Ok(())
    }

    /// The size line is whole: settle its overhead and go on to the data. Whether it was that of the
    /// last chunk, with which the decoder has done its work.
    fn line_done(&mut self, at: usize) -> Result<bool, Fault> {
        // Go's measure (net/http/internal/chunked.go, after CVE-2023-39326): a chunk may cost 16
        // octets and twice its size; what costs more adds up, what costs less pays it back. The line
        // counts with its CRLF, and with the CRLF behind the data.
        let cost = u64::from(self.excess) + u64::from(self.line) + 4;
        let paid = self.left.saturating_mul(2).saturating_add(limits::CHUNK_GRACE);
        self.excess = u32::try_from(cost.saturating_sub(paid)).unwrap_or(u32::MAX);
        if self.excess > limits::CHUNK_EXCESS {
            return Err(Fault::new(Kind::ChunkOverhead, at));
        }
        self.state = State::Data;
        Ok(self.left == 0)
    }
}

fn hex(b: u8) -> Option<u8> {
    match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    }
}

/// What stands before the data of a chunk: its size and CRLF, kept without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Prefix {
    const MAX: usize = 18;

    pub(crate) const EMPTY: Self = Self { bytes: [0; Self::MAX], len: 0 };

    /// `size CRLF`; empty for size 0, which would end the content.
    pub(crate) fn of(size: u64) -> Self {
        let mut prefix = Self::EMPTY;
        if size == 0 {
            return prefix;
        }
        let digits = digits(size);
        let mut shift = 4 * digits;
        for slot in prefix.bytes.iter_mut().take(digits) {
            shift -= 4;
            let nibble = (size >> shift & 0xf) as u8;
            *slot = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        }
        for (slot, &b) in prefix.bytes.iter_mut().skip(digits).zip(SUFFIX) {
            *slot = b;
        }
        prefix.len = (digits + 2) as u8;
        prefix
    }
}

impl Deref for Prefix {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What stands behind the data of a chunk.
pub(crate) const SUFFIX: &[u8] = b"\r\n";
/// The last chunk, before the trailer section and its final CRLF.
pub(crate) const LAST: &[u8] = b"0\r\n";

/// Hexadecimal digits of a size.
fn digits(size: u64) -> usize {
    (64 - size.leading_zeros() as usize).div_ceil(4).max(1)
}

/// The largest chunk that fits into `space` together with what goes around it.
pub(crate) fn fits(space: usize) -> usize {
    // Fewer digits leave more room, so the first guess is at most one digit too pessimistic.
    let room = |digits: usize| space.saturating_sub(digits + 4);
    let guess = room(digits(space as u64));
    guess.max(room(digits(room(digits(guess as u64)) as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8], cut: usize, spaces: bool) -> Result<(Vec<u8>, usize), (Kind, usize)> {
        let mut decoder = Decoder::new();
        let (mut content, mut at, mut end) = (Vec::new(), 0, 0);
        loop {
            end = (end + cut).min(input.len());
            loop {
                let (n, found) = decoder
                    .step(&input[at..end], usize::MAX, spaces)
                    .map_err(|f| (f.kind, at + f.at))?;
                match found {
                    Found::Content(range) => content.extend_from_slice(&input[at..end][range]),
                    Found::LastChunk => return Ok((content, at + n)),
                    Found::Nothing => {
                        at += n;
                        break;
                    }
                }
                at += n;
            }
            if end == input.len() {
                return Ok((content, usize::MAX));
            }
        }
    }

    #[track_caller]
    fn case(input: &str, want: Result<(&str, usize), (Kind, usize)>) {
        for cut in 1..=input.len() {
            let got = decode(input.as_bytes(), cut, false);
            let got = got.as_ref().map(|(c, n)| (core::str::from_utf8(c).unwrap(), *n));
            assert_eq!(got.map_err(|e| *e), want, "cut {cut}: {input:?}");
        }
    }

    #[test]
    fn chunks_are_read_and_everything_else_is_refused() {
        case("5\r\nhello\r\n0\r\n\r\n", Ok(("hello", 13)));
        case("1\r\na\r\n00A\r\n0123456789\r\n000\r\n", Ok(("a0123456789", 28)));
        case("2;a=\"b;\"\r\nxy\r\n0 ;q\r\n", Ok(("xy", 20)));
        case("0_2e\r\n", Err((Kind::ChunkSize, 1)));
        case("0x5\r\n", Err((Kind::ChunkSize, 1)));
        case("\r\n", Err((Kind::ChunkSize, 0)));
        case(" 5\r\n", Err((Kind::ChunkSize, 0)));
        case("+5\r\n", Err((Kind::ChunkSize, 0)));
        case("00000000000000005\r\n", Err((Kind::ChunkTooLarge, 16)));
        case("8000000000000000\r\n", Err((Kind::ChunkTooLarge, 15)));
        case("5\n", Err((Kind::BareLf, 1)));
        case("5\r5", Err((Kind::BareCr, 2)));
        case("2;a=b\r\r", Err((Kind::BareCr, 6)));
        case("2;a=b\n", Err((Kind::BareLf, 5)));
        case("2;a\0", Err((Kind::ControlByte, 3)));
        case("2 \r\n", Err((Kind::ChunkExtension, 2)));
        case("2 x\r\n", Err((Kind::ChunkExtension, 2)));
        case("1\r\nab", Err((Kind::ChunkEnd, 4)));
        case("1\r\na\rb", Err((Kind::ChunkEnd, 5)));
        assert_eq!(decode(b"1 \t\r\na\r\n0\r\n", 1, true), Ok((b"a".to_vec(), 11)));
    }

    #[test]
    fn size_lines_and_overhead_are_bounded() {
        let longest = format!("1;{}\r\na\r\n0\r\n", "x".repeat(4094));
        for cut in [1, 7, 5000] {
            assert!(decode(longest.as_bytes(), cut, false).is_ok());
            let longer = format!("1;{}\r\n", "x".repeat(4095));
            assert_eq!(decode(longer.as_bytes(), cut, false), Err((Kind::ChunkLineTooLong, 4096)));
            let blanks = format!("1{}", " ".repeat(4096));
            assert_eq!(decode(blanks.as_bytes(), cut, false), Err((Kind::ChunkLineTooLong, 4096)));
        }
        // One octet of data pays for 18 octets around it: these are 19.
        let line = "1;xxxxxxxxxxxxx\r\na\r\n";
        assert_eq!(line.len() - 1, 19);
        assert!(decode(line.repeat(16 * 1024).as_bytes(), 999, false).is_ok());
        let over = decode(line.repeat(16 * 1024 + 1).as_bytes(), 999, false);
        assert_eq!(over, Err((Kind::ChunkOverhead, 20 * 16 * 1024 + 16)));
        // Honest content pays back.
        let honest = format!("{line}f\r\n{}\r\n", "y".repeat(15)).repeat(20_000);
        assert!(decode(honest.as_bytes(), 4096, false).is_ok());
    }

    #[test]
    fn only_data_can_go_past() {
        let mut decoder = Decoder::new();
        let mut read = |bytes: &[u8], past: &[u64]| {
            let (n, found) = decoder.step(bytes, 0, false).unwrap();
            assert_eq!((n, found), (bytes.len(), Found::Nothing));
            past.iter()
                .map(|&n| {
                    decoder.skip(n);
                    decoder.run()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(read(b"0", &[0, 5]), [0, 0]);
        assert_eq!(read(b"a;x", &[5]), [0]);
        // What goes past leaves the rest; more than the rest counts as the rest.
        assert_eq!(read(b"\r\n", &[0, 1, 3]), [10, 9, 6]);
        assert_eq!(read(b"", &[6, 1]), [0, 0]);
        assert_eq!(read(b"\r", &[7]), [0]);
        assert_eq!(read(b"\n3", &[3]), [0]);
        assert_eq!(read(b"\r\n", &[0, 4]), [3, 0]);
    }

    #[test]
    fn prefixes_and_what_fits() {
        assert_eq!(&*Prefix::of(0), b"");
        assert_eq!(&*Prefix::of(1), b"1\r\n");
        assert_eq!(&*Prefix::of(0x1f0), b"1f0\r\n");
        assert_eq!(&*Prefix::of(u64::MAX), b"ffffffffffffffff\r\n");
        for space in 0..70_000usize {
            let n = fits(space);
            let whole = |n: usize| Prefix::of(n as u64).len() + n + SUFFIX.len();
            assert!(n == 0 || whole(n) <= space, "{space}");
            assert!(whole(n + 1) > space, "{space}: {n} could be more");
        }
    }
}
