//! The chunked coding (S8.3, RFC 9112 §7.1): a decoder that can be cut anywhere, and the few octets
//! that an encoder puts around content.
//!
//! The decoder consumes framing as it comes and hands out slices of content. It buffers nothing: a
//! cut size line is carried in a few octets of state. Trailers are left to the head scanner. Chunk
//! extensions are ignored, but not for free: their budget bounds what a peer can make us read.

use crate::bytes::{find_stop, is_space, looked_at};
use crate::error::{Fault, Kind};
use crate::limits;
use core::hash::{Hash, Hasher};
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
#[derive(Clone, Copy, Debug)]
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

// Behind the data, where nothing is left, `left`, `line` and `digits` are free. There they hold the size
// line that was read last, as a hint: as octets, its size, and its length with the CRLF in front of it.
// See `Decoder::whole_chunk`.

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

    /// The way of nearly all chunks: the end of the data before, a plain size line and all of the data
    /// are here, and there is room. Gives the place of the data, whose end is what was consumed.
    ///
    /// What is found so is what [`step`](Self::step) finds octet by octet. All else is left to it, and
    /// nothing has changed then but the hint.
    #[inline(always)]
    pub(crate) fn whole_chunk<'b>(
        &mut self,
        bytes: &'b [u8],
        room: usize,
    ) -> Option<(usize, &'b [u8])> {
        if self.state != State::DataCr {
            return None;
        }
        let ahead = u64::from_le_bytes(*bytes.first_chunk()?);
        looked_at(8);
        // Chunks are often of one size. If so, nothing waits until the size line is read: a processor
        // bets on this comparison, and goes on.
        if !self.is_known(ahead) && !self.learn(ahead) {
            return None;
        }
        let (begin, size) = (usize::from(self.digits), usize::from(self.line));
        // Where the data begins is here, within the eight octets; all of it perhaps is not.
        let piece = bytes.get(begin..).and_then(|behind| behind.get(..size))?;
        if size > room || size == 0 {
            return None;
        }
        if self.excess > 0 {
            self.pay(begin, size);
        }
        Some((begin + size, piece))
    }

    /// Whether these octets begin with the size line of the hint. Where there is none, they would have to
    /// be zeros; and then it has no size.
    #[inline(always)]
    fn is_known(&self, ahead: u64) -> bool {
        ahead << (u32::from(self.digits).wrapping_mul(8).wrapping_neg() & 63) == self.left
    }

    /// Whether these octets begin with a plain size line: CRLF, one to four digits, and CRLF. Then it is
    /// the hint from now on.
    #[inline(never)]
    fn learn(&mut self, ahead: u64) -> bool {
        const CRLF: u64 = 0x0a0d;
        const EACH: u64 = 0x0101_0101_0101;
        const FOUR: u32 = 0x0101_0101;
        const HIGH: u32 = FOUR * 0x80;
        let line = ahead >> 16;
        // The first CR shows itself as the lowest zero.
        let no_cr = line ^ (EACH * 0x0d);
        let count = (no_cr.wrapping_sub(EACH) & !no_cr & (EACH * 0x80)).trailing_zeros() / 8;
        if ahead & 0xffff != CRLF
            || !matches!(count, 1..=4)
            || line >> (count * 8 + 8) & 0xff != 0x0a
        {
            return false;
        }
        // Four digits, those that are missing as zeros in front.
        let missing = (u64::from(FOUR * 0x30) >> (count * 8)) as u32;
        let digits = (line << (32 - count * 8)) as u32 | missing;
        let low = digits & !HIGH;
        let decimal = (low + FOUR * 0x50) & !(low + FOUR * 0x46);
        let lower = low | (FOUR * 0x20);
        let letter = (lower + FOUR * 0x1f) & !(lower + FOUR * 0x19);
        if (decimal | letter) & !digits & HIGH != HIGH {
            return false;
        }
        let nibbles = (digits & (FOUR * 0x0f)) + (digits >> 6 & FOUR) * 9;
        let pairs = nibbles << 4 | nibbles >> 8;
        self.line = (pairs << 8 | pairs >> 16 & 0xff) as u16;
        self.digits = count as u8 + 4;
        self.left = ahead << (32 - count * 8);
        true
    }

    /// Settles the overhead as [`line_done`](Self::line_done) does, where it is so little that it only
    /// pays back.
    #[inline(never)]
    fn pay(&mut self, begin: usize, size: usize) {
        const GRACE: usize = limits::CHUNK_GRACE as usize;
        const { assert!(GRACE >= 8) };
        self.excess = self.excess.saturating_sub((2 * size + GRACE - begin) as u32);
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
        match self.whole_chunk(bytes, room) {
            Some((end, piece)) => Ok((end, Found::Content(end - piece.len()..end))),
            None => self.slowly(bytes, room, spaces),
        }
    }

    /// The same, octet by octet.
    fn slowly(&mut self, bytes: &[u8], room: usize, spaces: bool) -> Result<(usize, Found), Fault> {
        let mut at = 0;
        while let Some(&b) = bytes.get(at) {
            let fault = |kind| Err(Fault::new(kind, at));
            looked_at(usize::from(self.state != State::Data));
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
        (self.line, self.digits) = (0, 0);
        Ok(self.left == 0)
    }

    /// Without the hint, which changes nothing that is found.
    fn without_hint(&self) -> (State, u32, Option<(u64, u16, u8)>) {
        let hint = matches!(self.state, State::DataCr | State::DataLf);
        (self.state, self.excess, (!hint).then_some((self.left, self.line, self.digits)))
    }
}

impl PartialEq for Decoder {
    fn eq(&self, other: &Self) -> bool {
        self.without_hint() == other.without_hint()
    }
}

impl Eq for Decoder {}

impl Hash for Decoder {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.without_hint().hash(state);
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
    use crate::bytes::LOOKED_AT;
    use crate::content::{Inbound, Piece};
    use proptest::prelude::*;

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

    /// Steps through a stream that comes in pieces which end at these places, and octet by octet beside
    /// it. Both find the same, consume the same, and stand the same afterwards. How often it was a whole
    /// chunk.
    fn in_step(stream: &[u8], cuts: &[usize], rooms: &[usize], spaces: bool) -> usize {
        let (mut decoder, mut slow, mut at) = (Decoder::new(), Decoder::new(), 0);
        let mut rooms = rooms.iter().cycle();
        let mut whole = 0;
        for &end in cuts.iter().chain([&stream.len()]) {
            let end = end.clamp(at, stream.len());
            // A room of 0 holds up; then the next piece comes.
            loop {
                let bytes = &stream[at..end];
                let room = *rooms.next().unwrap();
                whole += usize::from({ decoder }.whole_chunk(bytes, room).is_some());
                let found = decoder.step(bytes, room, spaces);
                assert_eq!(found, slow.slowly(bytes, room, spaces), "{:?}", bytes.escape_ascii());
                assert_eq!(decoder, slow, "{:?}", bytes.escape_ascii());
                let Ok((n, found)) = found else { return whole };
                at += n;
                match found {
                    Found::LastChunk => return whole,
                    Found::Nothing => break,
                    Found::Content(_) => {}
                }
            }
        }
        whole
    }

    fn chunk() -> impl Strategy<Value = Vec<u8>> {
        let size = prop_oneof![
            6 => prop::sample::select(vec![1usize, 16, 0x1a, 0xff]),
            2 => 1..300usize,
            1 => prop::sample::select(vec![0xfff, 0x1000, 0xffff, 0x1_0000]),
        ];
        let line = prop_oneof![
            10 => Just(""), 1 => Just(";a=b"), 1 => Just(" "), 1 => Just(" ; quite=\"a lot of overhead\""),
        ];
        let end = prop_oneof![
            30 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r\r\n"), 1 => Just("\r"), 1 => Just(""),
        ];
        let content = prop_oneof![4 => Just(b'x'), 1 => Just(b'\r'), 1 => Just(0), 1 => Just(b'0')];
        (size, 0..6usize, any::<bool>(), line, end.clone(), content, end).prop_map(
            |(size, width, upper, line, end, content, behind)| {
                let width = if width > 2 { 0 } else { width + 2 };
                let size_line =
                    if upper { format!("{size:0width$X}") } else { format!("{size:0width$x}") };
                let mut chunk = (size_line + line + end).into_bytes();
                chunk.extend(core::iter::repeat_n(content, size));
                chunk.extend_from_slice(behind.as_bytes());
                chunk
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn whole_chunks_are_what_they_are_octet_by_octet(
            chunks in prop::collection::vec((chunk(), 1..4usize), 0..8),
            last in prop::sample::select(vec!["0\r\n\r\n", "000\r\nA: b\r\n\r\n", "", "\0\0\0\0\0\0\0\0"]),
            spoilt in prop::collection::vec((any::<prop::sample::Index>(), octet()), 0..3),
            mut cuts in prop::collection::vec(0..1200usize, 0..8),
            rooms in prop::collection::vec(
                prop::sample::select(vec![0, 1, 15, 16, 17, 255, usize::MAX, usize::MAX]), 1..5
            ),
            spaces: bool,
        ) {
            let chunks = chunks.iter().flat_map(|(chunk, times)| chunk.repeat(*times));
            let mut stream: Vec<u8> = chunks.chain(last.bytes()).collect();
            cuts.sort_unstable();
            let cuts: Vec<_> = cuts.iter().scan(0, |at, n| { *at += n; Some(*at) }).collect();
            in_step(&stream, &[], &[usize::MAX], spaces);
            in_step(&stream, &cuts, &rooms, spaces);
            for (at, b) in spoilt.iter().filter(|_| !stream.is_empty()).collect::<Vec<_>>() {
                let at = at.index(stream.len());
                stream[at] = *b;
                in_step(&stream, &[], &[usize::MAX], spaces);
                in_step(&stream, &cuts, &rooms, spaces);
            }
        }
    }

    fn octet() -> impl Strategy<Value = u8> {
        prop_oneof![any::<u8>(), prop::sample::select(b"\r\n0123456789abcdefABCDEF; \0".to_vec())]
    }

    /// Every octet at every place of a size line that is plain but for it, the last one known and not.
    #[test]
    fn one_wrong_octet_in_a_size_line_is_found() {
        for line in ["4", "a4", "0A4", "00aF"] {
            let size = usize::from_str_radix(line, 16).unwrap();
            let chunk = format!("{line}\r\n{}\r\n", "x".repeat(size));
            let other = format!("b\r\n{}\r\n", "y".repeat(11));
            for before in [&chunk, &other] {
                let stream = before.repeat(2) + &chunk.repeat(2) + "0\r\n\r\n";
                let plain = in_step(stream.as_bytes(), &[], &[usize::MAX], false);
                assert_eq!(plain, 3, "all but the first: {stream:?}");
                for at in 2 * before.len() - 2..2 * before.len() + line.len() + 2 {
                    for b in 0..=255 {
                        let mut stream = stream.clone().into_bytes();
                        stream[at] = b;
                        in_step(&stream, &[], &[usize::MAX], false);
                        in_step(&stream, &[], &[usize::MAX], true);
                    }
                }
            }
        }
    }

    /// What the hint says is what was read: all sizes of one to four digits.
    #[test]
    fn all_plain_sizes_are_read() {
        for size in 1..=0xffffusize {
            for line in [format!("{size:x}"), format!("{size:04X}")] {
                let mut decoder = Decoder { state: State::DataCr, ..Decoder::new() };
                let mut ahead = [b'x'; 8];
                let head = format!("\r\n{line}\r\n");
                ahead[..head.len()].copy_from_slice(head.as_bytes());
                assert!(
                    decoder.learn(u64::from_le_bytes(ahead))
                        && decoder.is_known(u64::from_le_bytes(ahead))
                );
                assert_eq!(
                    (usize::from(decoder.line), usize::from(decoder.digits)),
                    (size, head.len())
                );
            }
        }
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

    /// Octets looked at for chunked content that comes in steps of this size, trailers and all.
    fn counted(stream: &[u8], step: usize) -> usize {
        let rules = crate::server::Config::origin().trailer_rules();
        let mut body = Inbound::Chunked(Decoder::new());
        let (mut from, mut end) = (0, 0);
        LOOKED_AT.set(0);
        while end < stream.len() {
            end = stream.len().min(end.saturating_add(step));
            loop {
                let (n, piece) =
                    body.step(&stream[from..end], usize::MAX, &rules, true).expect("in order");
                from += n;
                match piece {
                    Piece::Content(_) => {}
                    Piece::Nothing => break,
                    Piece::End(_) => {
                        assert_eq!(from, stream.len());
                        return LOOKED_AT.get();
                    }
                }
            }
        }
        panic!("no end: {}", stream.escape_ascii());
    }

    /// However it is cut, each octet around the content is looked at a few times at most, and none of the
    /// content is, but for the beginning of a chunk that comes with its size line.
    #[test]
    fn work_is_linear_in_what_was_received() {
        let chunk = |line: &str, size| format!("{line}\r\n{}\r\n", "x".repeat(size));
        for (chunks, trailers, content, most) in [
            (chunk("1", 1), "", 1, 2.7),
            (chunk("0000000000000001", 1), "", 1, 1.6),
            (chunk("3e8", 1_000), "", 1_000, 2.6),
            (chunk("1;e=\"abcdefghij\"", 1), "", 1, 2.4),
            (chunk("1 \t \t;e=f", 1), "", 1, 2.4),
            (chunk(&format!("7d0;{}", "e".repeat(4_000)), 2_000), "", 2_000, 2.1),
            (String::new(), "X-Sum: 0123456789\r\n", 0, 1.1),
            (
                String::new(),
                "T: \t\t\tvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\r\n",
                0,
                1.1,
            ),
            (chunk("1", 1), "T: v\r\n", 1, 2.7),
        ] {
            let times = 50;
            let stream = |n: usize| {
                let (chunks, trailers) = (chunks.repeat(n * times), trailers.repeat(n * times));
                format!("{chunks}0\r\n{trailers}\r\n").into_bytes()
            };
            for step in [1, 2, 7, 8, 9, 16, 64, 1460, usize::MAX] {
                let (one, two) = (counted(&stream(1), step), counted(&stream(2), step));
                let framing = stream(1).len() - times * content;
                let factor = one as f64 / framing as f64;
                let what = chunks.get(..20).unwrap_or(&chunks);
                assert!(
                    factor <= most,
                    "{what:?} {trailers:?} in steps of {step}: each octet {factor:.2} times"
                );
                let ratio = two as f64 / one as f64;
                assert!(
                    ratio <= 2.1,
                    "{what:?} {trailers:?} in steps of {step}: twice as much costs {ratio:.2}"
                );
            }
        }
    }

    #[test]
    fn decoders_are_the_same_that_read_on_alike() {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let behind = |input: &[u8]| {
            let mut decoder = Decoder::new();
            let mut rest = input;
            while let Ok((n, Found::Content(_))) = decoder.step(rest, usize::MAX, false) {
                rest = &rest[n..];
            }
            decoder
        };
        let print = |decoder: Decoder| {
            let mut hasher = DefaultHasher::new();
            decoder.hash(&mut hasher);
            hasher.finish()
        };
        let places: [&[u8]; 9] =
            [b"", b"1", b"11", b"1 ", b"1;", b"1\r", b"2\r\n", b"2\r\na", b"2\r\nab"];
        for (n, a) in places.iter().enumerate() {
            for (m, b) in places.iter().enumerate() {
                assert_eq!(behind(a) == behind(b), n == m, "{n} {m}");
                assert_eq!(print(behind(a)) == print(behind(b)), n == m, "{n} {m}");
            }
        }
        // What was read before, and is no debt, makes no difference.
        let (a, b) = (behind(b"2\r\nab"), behind(b"003\r\nabc"));
        assert_eq!((a, print(a)), (b, print(b)));
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
