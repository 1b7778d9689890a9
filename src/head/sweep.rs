//! The fast way through a head: where lines end in a block of octets, then the lines that end there.
//!
//! It does what [`Lines::next`] and [`Lines::field`] do for plain lines, and leaves to them whatever is
//! not plain: an octet that must not stand there, a line cut short, a fold, a name with a digit. What it
//! accepts, they accept with the same result; a property holds the two against each other.
//!
//! A block tells where line ends may be to two octets, and of a run of them only the first. What could
//! hide so is a control character right before a line end, or in a run of them right behind one. A line
//! with such a last octet, or with one among its first three, is not plain.

use super::index::Index;
use super::note::may_decide;
#[cfg(doc)]
use super::scan::Lines;
use super::scan::{Rules, Scan};
use crate::block::{self, BLOCK};
use crate::bytes::{looked_at, trim};
use core::hint::select_unpredictable;

/// Octets that there must be for a sweep.
pub(super) const LEAST: usize = 16;

impl Scan {
    /// Takes all plain lines from where the scan stands, as far as they are within `window`, of which at
    /// least [`LEAST`] octets were not looked at. `bound` is that of the start line. Tells where the head
    /// ends, if its empty line came next; else the next line is to be looked at slowly, or there is none.
    ///
    /// Apart from the slow way, which needs the registers for other things.
    #[inline(never)]
    pub(super) fn sweep(
        &mut self,
        window: &[u8],
        bound: usize,
        rules: &Rules,
        index: &mut Index,
    ) -> Option<usize> {
        let mut line = usize::from(self.lines.line);
        let mut from = usize::from(self.lines.at);
        let mut looked = look(window, from);
        if !self.started {
            let start = looked.next().and_then(|pair| End::at(window, pair));
            let Some(end) = start.filter(|end| end.stop + 2 <= bound) else {
                return self.leave(window, line, line);
            };
            if !self.plain_start(window.get(..end.stop).unwrap_or_default(), rules) {
                return self.leave(window, line, line);
            }
            line = end.stop + 2;
            self.begin(line);
            if !is_letter(end.next) {
                return self.stop_at(window, line);
            }
        } else if !window.get(line).is_some_and(|&b| is_letter(b)) {
            return self.stop_at(window, line);
        }
        let mut count = self.lines.fields;
        let at = 'lines: loop {
            while let Some(pair) = looked.next() {
                let Some(end) = End::at(window, pair) else { break 'lines pair };
                let Some((first, colon)) = plain(window, line, &end) else { break 'lines line };
                if count >= rules.fields {
                    break 'lines line;
                }
                index.set(count, colon - line, end.stop);
                count += 1;
                if may_decide(first, colon - line) {
                    self.note_plain(window, line, colon, end.stop);
                }
                line = end.stop + 2;
                // Nearly all field names begin with a letter.
                if !is_letter(end.next) {
                    break 'lines line;
                }
            }
            from = looked.seen.max(line);
            if from >= window.len() {
                break from;
            }
            looked = look(window, from);
        };
        self.lines.fields = count;
        index.count_to(count);
        if at == line { self.stop_at(window, line) } else { self.leave(window, line, at) }
    }

    /// A plain field line that may decide something.
    #[inline(never)]
    fn note_plain(&mut self, window: &[u8], line: usize, colon: usize, stop: usize) {
        let name = window.get(line..colon).unwrap_or_default();
        let value = window.get(colon + 2..stop).unwrap_or_default();
        let bare = value.first().is_some_and(|&b| is_visible(b));
        self.note(name, if bare { value } else { trim(value) });
    }

    /// What begins at `line` is no plain field line: it is the end of the head, or to be looked at slowly.
    #[inline(always)]
    fn stop_at(&mut self, window: &[u8], line: usize) -> Option<usize> {
        if window.get(line..line + 2) == Some(b"\r\n") {
            return Some(line + 2);
        }
        self.leave(window, line, line)
    }

    /// Leaves the line that begins at `line`, looked at up to `at`: unless a stop hides in its first octets,
    /// behind the line end before. Then it is looked at from its beginning.
    #[inline(never)]
    fn leave(&mut self, window: &[u8], line: usize, at: usize) -> Option<usize> {
        let open =
            window.get(line..line + 4).is_some_and(|first| !first.iter().any(|&b| is_stop(b)));
        self.lines.go_on(line, if open { at.max(line) } else { line });
        None
    }
}

/// A part of the window, and where lines may end in it.
struct Looked {
    base: usize,
    /// From `base` on, a bit for two octets, or for one: the first of each run of stops.
    begins: u64,
    /// Whether it is for two.
    scale: u32,
    /// Where the part ends.
    seen: usize,
}

impl Looked {
    #[inline(always)]
    fn new(base: usize, hits: u64, scale: u32, seen: usize) -> Self {
        Self { base, begins: hits & !(hits << 1), scale, seen }
    }

    /// Where the next run begins: there, or one octet behind.
    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.begins == 0 {
            return None;
        }
        let pair = self.base + ((self.begins.trailing_zeros() as usize) << self.scale);
        self.begins &= self.begins - 1;
        Some(pair)
    }
}

/// The stops from `from` on, as far as a block reaches.
#[inline(always)]
fn look(window: &[u8], from: usize) -> Looked {
    let rest = window.get(from..).unwrap_or_default();
    looked_at(rest.len().min(BLOCK));
    if let Some(block) = rest.first_chunk::<BLOCK>() {
        return Looked::new(from, block::stops(block), 1, from + BLOCK);
    }
    let seen = window.len();
    // A bit for each octet, where few are left: of two vectors that may overlap, or of one that begins
    // before.
    match (rest.len(), rest.first_chunk(), window.last_chunk()) {
        (n @ 16..=32, Some(first), Some(last)) => {
            let hits = block::few_stops(first) | block::few_stops(last) << (n - 16);
            return Looked::new(from, hits, 0, seen);
        }
        (n @ 1..16, _, Some(last)) => {
            return Looked::new(from, block::few_stops(last) >> (16 - n), 0, seen);
        }
        _ => {}
    }
    let Some(block) = window.last_chunk::<BLOCK>() else {
        return Looked::new(from, short(rest), 1, seen);
    };
    // The last block, without what was looked at before. Two octets that share a bit may lie on both
    // sides of the limit; then the first is the end of the line before, or was no stop, and it is left.
    let base = window.len() - BLOCK;
    let before = from - base;
    let mut hits = block::stops(block) & (u64::MAX << (before / 2));
    if before % 2 == 1 && rest.first().is_some_and(|&b| !is_stop(b)) {
        hits &= !(1 << (before / 2));
    }
    Looked::new(base, hits, 1, seen)
}

/// As a block has it: all control characters, and all from 0x7f.
#[inline(always)]
fn is_stop(b: u8) -> bool {
    (b.wrapping_add(1) as i8) < 0x21
}

/// The stops of what is shorter than a block, but not than [`LEAST`].
#[inline(always)]
fn short(rest: &[u8]) -> u64 {
    let mut padded = [b' '; BLOCK];
    let (whole, _) = rest.as_chunks::<LEAST>();
    for (to, from) in padded.as_chunks_mut::<LEAST>().0.iter_mut().zip(whole) {
        *to = *from;
    }
    if let Some(last) = rest.last_chunk::<LEAST>()
        && let Some(to) = padded.get_mut(rest.len() - LEAST..rest.len())
    {
        to.copy_from_slice(last);
    }
    block::stops(&padded)
}

/// A line end, and the octets around it.
struct End {
    /// Where the CR stands.
    stop: usize,
    /// The last octet of the line.
    last: u8,
    /// The first octet of the next line.
    next: u8,
}

impl End {
    /// The line end at `pair`, or one octet behind it, if one is there. No branch tells which: it would be
    /// wrong every other time.
    #[inline(always)]
    fn at(window: &[u8], pair: usize) -> Option<Self> {
        const CR: u32 = b'\r' as u32;
        const LF: u32 = b'\n' as u32;
        let around = window.get(pair.wrapping_sub(1)..)?.first_chunk::<5>()?;
        let even = u32::from_le_bytes(*around.first_chunk()?);
        let odd = u32::from_le_bytes(*around.last_chunk()?);
        let is_odd = even & 0xff00 != CR << 8;
        let around = select_unpredictable(is_odd, odd, even);
        (around & 0x00ff_ff00 == CR << 8 | LF << 16).then_some(Self {
            stop: pair + usize::from(is_odd),
            last: around as u8,
            next: (around >> 24) as u8,
        })
    }
}

/// A field line as almost all are: a name of letters and `-`, and a colon with no control character
/// behind it; and a visible character of ASCII at the end. Gives the first four
/// octets, in lower case, and the place of the colon.
#[inline(always)]
fn plain(window: &[u8], begin: usize, end: &End) -> Option<(u32, usize)> {
    const FEW: usize = 16;
    let rest = window.get(begin..)?;
    let (first, len, behind) = match rest.first_chunk::<{ FEW + 2 }>() {
        Some(seen) => {
            let len = block::few_letters(seen.first_chunk()?);
            let first = *seen.first_chunk::<4>()?;
            if len < FEW {
                (first, len, *seen.get(len % FEW..)?.first_chunk::<2>()?)
            } else {
                let len = many_letters(rest);
                (first, len, *rest.get(len..)?.first_chunk::<2>()?)
            }
        }
        None => {
            // Near the end of what is there: the last octets, and what is too much at their front away.
            let len = block::last_letters(window.last_chunk()?, FEW.saturating_sub(rest.len()));
            (*rest.first_chunk::<4>()?, len, *rest.get(len..)?.first_chunk::<2>()?)
        }
    };
    if behind != *b": " || !is_visible(end.last) {
        return None;
    }
    Some((u32::from_le_bytes(first) | 0x2020_2020, begin + len))
}

/// The same for long names, up to what an index can hold. Apart, to leave the registers to others.
#[inline(never)]
fn many_letters(rest: &[u8]) -> usize {
    let rest = rest.get(..Index::NAME).unwrap_or(rest);
    let mut len = 0;
    while let Some(seen) = rest.get(len..).and_then(|r| r.first_chunk()) {
        match block::few_letters(seen) {
            16 => len += 16,
            few => return len + few,
        }
    }
    let rest = rest.get(len..).unwrap_or_default();
    len + rest.iter().take_while(|&&b| block::is_letter(b)).count()
}

#[inline(always)]
fn is_letter(b: u8) -> bool {
    (b | 0x20).wrapping_sub(b'a') < 26
}

#[inline(always)]
fn is_visible(b: u8) -> bool {
    b.wrapping_sub(0x21) < 0x7f - 0x21
}

#[cfg(test)]
mod tests {
    use super::super::fields::Fields;
    use super::super::index::Index;
    use super::super::request;
    use super::super::scan::{Rules, Scan, What};
    use super::{BLOCK, LEAST, is_stop, look, many_letters};
    use crate::block;
    use crate::bytes::LOOKED_AT;
    use proptest::prelude::*;

    /// What a scan makes of a head that comes in pieces which end at these places.
    fn scanned(head: &[u8], cuts: &[usize], rules: &Rules, least: usize) -> String {
        let mut scan = Scan::new();
        for &cut in cuts.iter().chain([&head.len()]) {
            let mut index = Index::new();
            match scan.advance_by(&head[..cut.min(head.len())], rules, &mut index, least) {
                Ok(None) => {}
                Ok(Some(end)) => {
                    let noted = scan.noted();
                    let head = &head[..end - 2];
                    let fields: Vec<_> = Fields::new(head, noted.section(), index).collect();
                    let again: Vec<_> = Fields::new(head, noted.section(), Index::new()).collect();
                    assert_eq!(fields, again, "an index that misleads");
                    return format!("{end} {noted:?} {} {fields:?}", scan.length());
                }
                Err(fault) => return format!("{fault:?}"),
            }
        }
        "incomplete".into()
    }

    fn agree(head: &[u8], cuts: &[usize], what: What) {
        for (max, fields) in [(32_768, 100), (300, 100), (4_000, 3)] {
            let rules = Rules { what, ..request::rules(max, 120, fields) };
            let want = scanned(head, &[], &rules, usize::MAX);
            let cut = scanned(head, cuts, &rules, LEAST);
            assert_eq!(cut, want, "{:?} at {cuts:?}", String::from_utf8_lossy(head));
            assert_eq!(scanned(head, &[], &rules, LEAST), want, "whole");
        }
    }

    #[test]
    fn names_as_long_as_an_index_can_hold_and_longer() {
        for len in 250..260 {
            let name = "n".repeat(len);
            let head = format!("GET / HTTP/1.1\r\nA: b\r\n{name}: c\r\nHost: d\r\n\r\n");
            agree(head.as_bytes(), &[], What::Request);
            agree(head.as_bytes(), &[30, 290], What::Request);
        }
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        let name = prop_oneof![
            6 => "[A-Za-z-]{1,20}",
            2 => "[A-Za-z-]{14,40}",
            1 => "[A-Za-z0-9_!#. -]{0,8}",
            3 => prop::sample::select(vec![
                "Host", "Connection", "Content-Length", "transfer-encoding", "Via", "Expect",
                "Upgrade", "keep-alive", "Proxy-Connection",
            ]).prop_map(String::from),
        ];
        let colon = prop_oneof![8 => Just(": "), 1 => Just(":"), 1 => Just(":  "), 1 => Just(" :")];
        let value = prop_oneof![
            6 => "[ -~]{0,60}",
            2 => prop::sample::select(vec![
                "5", "chunked", "close", "keep-alive", "a, close ", "h:80", "100-continue", "",
            ]).prop_map(String::from),
            1 => "[\t -~\u{80}-\u{ff}]{0,300}",
        ];
        let end = prop_oneof![20 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r\r\n")];
        (name, colon, value, end).prop_map(|(n, c, v, e)| format!("{n}{c}{v}{e}").into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        /// Swept and looked at line by line, whole and in pieces, a head is the same, and so is what is
        /// wrong with it.
        #[test]
        fn a_sweep_finds_what_the_slow_way_finds(
            start in prop_oneof![
                4 => "(GET|POST|HEAD|X) /[a-z/?=#]{0,90} HTTP/1\\.[0-9]",
                1 => "[A-Za-z ]{0,12}",
                4 => "HTTP/1\\.[01] [0-9]{3} [ -~]{0,20}",
            ],
            lines in prop::collection::vec(line(), 0..12),
            spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            behind in prop::collection::vec(any::<u8>(), 0..200),
            mut cuts in prop::collection::vec(0..900usize, 0..12),
        ) {
            let mut head = start.clone().into_bytes();
            head.extend_from_slice(b"\r\n");
            lines.iter().for_each(|l| head.extend_from_slice(l));
            head.extend_from_slice(b"\r\n");
            let whole = head.clone();
            cuts.sort_unstable();
            for spoil in 0..=spoilt.len() {
                let mut head = whole.clone();
                for (at, b) in &spoilt[..spoil] {
                    let at = at.index(head.len());
                    head[at] = *b;
                }
                head.extend_from_slice(&behind);
                let what = if start.starts_with("HTTP") { What::Response } else { What::Request };
                agree(&head, &cuts, what);
            }
        }
    }

    /// In windows of all lengths, from any place on: where stops are, to two octets or to one, and of a
    /// run only where it begins. What was looked at before is not told again.
    #[test]
    fn stops_are_told_from_where_the_scan_stands() {
        for len in LEAST..2 * BLOCK + 3 {
            let begins = [0, 1, 2, 3, len % 7, len - LEAST, len.saturating_sub(BLOCK)];
            let near = (len.saturating_sub(20)..len).chain(len.saturating_sub(BLOCK + 3)..len);
            for from in begins.into_iter().chain(near) {
                // A stop right before, at, and behind the place, and some all over.
                for stops in [vec![], vec![0], vec![1], vec![0, 1], vec![2, 3], vec![5, 7, 8, 11]] {
                    for other in [b' ', b'a', b'~'] {
                        let mut window = vec![other; len];
                        for at in
                            stops.iter().flat_map(|s| [from + s, from + 40 + 3 * s, len - 1 - s])
                        {
                            window.get_mut(at).into_iter().for_each(|b| *b = b'\r');
                        }
                        from.checked_sub(1).into_iter().for_each(|before| window[before] = b'\n');
                        let mut looked = look(&window, from);
                        let of = |k: usize| {
                            (looked.base + (k << looked.scale))
                                ..looked.base + ((k + 1) << looked.scale)
                        };
                        let stands = |k: usize| {
                            of(k).any(|n| n >= from && n < looked.seen && is_stop(window[n]))
                        };
                        let mut expected: Vec<_> = (0..BLOCK)
                            .filter(|&k| stands(k) && (k == 0 || !stands(k - 1)))
                            .collect();
                        assert!(expected.iter().all(|&k| k < 64), "{len} {from}");
                        expected.iter_mut().for_each(|k| *k = of(*k).start);
                        let told: Vec<_> = std::iter::from_fn(|| looked.next()).collect();
                        assert_eq!(told, expected, "{len} from {from}: {}", window.escape_ascii());
                    }
                }
            }
        }
    }

    #[test]
    fn letters_of_long_names_are_counted_up_to_what_an_index_holds() {
        for len in 0..300 {
            for behind in [&b":"[..], b": value and more of it", b"{", b"[", b"@", b"`"] {
                let line = [&b"A-z"[..], &vec![b'n'; len], behind].concat();
                assert_eq!(many_letters(&line), (len + 3).min(Index::NAME), "{len}");
                let whole: &[u8; 16] = &line.iter().copied().chain([b'.'; 16]).collect::<Vec<_>>()
                    [..16]
                    .try_into()
                    .unwrap();
                assert_eq!(block::few_letters(whole), (len + 3).min(16));
                assert_eq!(block::last_letters(whole, 2), (len + 1).min(14));
            }
        }
    }

    /// Where its lines are is known of a head that came whole, plain or not, in as far as there is room
    /// for it; and of no other.
    #[test]
    fn the_lines_of_a_whole_head_are_known() {
        let known = |head: &str, cut: usize, bare_lf: bool| {
            let rules = Rules { bare_lf, ..request::rules(32_768, 120, 100) };
            let mut scan = Scan::new();
            let mut index = Index::new();
            if cut > 0 {
                assert_eq!(scan.advance(&head.as_bytes()[..cut], &rules, &mut index), Ok(None));
                index = Index::new();
            }
            assert_eq!(scan.advance(head.as_bytes(), &rules, &mut index), Ok(Some(head.len())));
            (0..=255).take_while(|&n| index.get(n).is_some()).count()
        };
        let start = "GET / HTTP/1.1\r\n";
        for lines in 0..30 {
            for line in ["Plain: yes\r\n", "X_1: no\r\n", "Odd:\tvalue \r\n"] {
                let head = [start, &line.repeat(lines), "\r\n"].concat();
                assert_eq!(known(&head, 0, false), lines.min(24), "{head}");
            }
        }
        let name = |len| [start, &"n".repeat(len), ": v\r\nA: b\r\n\r\n"].concat();
        assert_eq!(known(&name(255), 0, false), 2);
        assert_eq!(known(&name(256), 0, false), 0);
        let slow = |len: usize| [start, "1", &"n".repeat(len - 1), ": v\r\nA: b\r\n\r\n"].concat();
        assert_eq!(known(&slow(255), 0, false), 2);
        assert_eq!(known(&slow(256), 0, false), 0);
        let bare = [start, "X_1: no\nA: b\r\n\r\n"].concat();
        assert_eq!(known(&bare, 0, true), 0);
        let cut = [start, "A: b\r\nC: d\r\n\r\n"].concat();
        assert_eq!(known(&cut, 20, false), 0);
    }

    /// Nearly all start lines are taken as they are, and the others looked at slowly.
    #[test]
    fn a_plain_start_line_is_known() {
        let plain = |line: &str, target: u16| {
            let rules = request::rules(32_768, target, 100);
            let mut scan = Scan::new();
            scan.plain_start(line.as_bytes(), &rules).then(|| scan.noted())
        };
        for method in ["GET", "POST", "HEAD", "PUT", "X", "OPTIONS"] {
            for (version, minor) in [("1.0", 0), ("1.1", 1)] {
                for target in ["/", "/a/path?with=a&query", "/0123456789012345678901234567890"] {
                    let line = format!("{method} {target} HTTP/{version}");
                    let noted = plain(&line, target.len() as u16).expect("plain");
                    assert_eq!(noted.method(), method.len());
                    assert_eq!(noted.version().minor(), minor);
                    assert_eq!(usize::from(noted.target), method.len() + 1 + target.len());
                    assert_eq!(plain(&line, target.len() as u16 - 1), None, "{line}");
                    assert!(plain(&line, 100).is_some());
                }
            }
        }
        for line in [
            "get / HTTP/1.1",
            "GET  / HTTP/1.1",
            " / HTTP/1.1",
            "GET http://a/ HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "CONNECT / HTTP/1.1",
            "GET / HTTP/1.2",
            "GET / HTTP/2.0",
            "GET /# HTTP/1.1",
            "GET /",
        ] {
            assert_eq!(plain(line, 100), None, "{line}");
        }
    }

    /// Octets looked at for a head that comes in steps of this size.
    fn looked_at(head: &[u8], step: usize) -> usize {
        let rules = request::rules(32_768, 8_192, 1_000);
        LOOKED_AT.set(0);
        let mut scan = Scan::new();
        for end in (step..head.len() + step).step_by(step) {
            let bytes = &head[..end.min(head.len())];
            if scan.creep(bytes, &rules) {
                continue;
            }
            if let Some(end) = scan.advance(bytes, &rules, &mut Index::new()).expect("a good head")
            {
                assert_eq!(end, head.len());
            }
        }
        LOOKED_AT.get()
    }

    /// However it is cut: hardly an octet is looked at twice where lines are plain, and none more than a
    /// few times where none is.
    #[test]
    fn work_is_linear_in_what_was_received() {
        for (line, most) in [
            (format!("X-Plain: {}\r\n", "v".repeat(60)), 1.1),
            (format!("X-Plain: {}\r\n", "v".repeat(900)), 1.1),
            ("a: b\r\n".to_string(), 1.1),
            (format!("X_1: {}\r\n", "v".repeat(60)), 3.0),
            ("1:\r\n".to_string(), 34.0),
        ] {
            let lines = (4_000 / line.len()).min(400);
            let head = |times| {
                format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", line.repeat(times * lines))
                    .into_bytes()
            };
            for step in [1, 2, 7, 15, 16, 17, 64, 127, 128, 129, 256, 1460, 32_768] {
                let (one, two) = (looked_at(&head(1), step), looked_at(&head(2), step));
                let factor = one as f64 / head(1).len() as f64;
                assert!(
                    factor <= most,
                    "{line:?} in steps of {step}: each octet {factor:.2} times"
                );
                let ratio = two as f64 / one as f64;
                assert!(
                    ratio <= 2.1,
                    "{line:?} in steps of {step}: twice the head costs {ratio:.2}"
                );
            }
        }
    }

    /// Every octet at every place of a head, and two of them around a line end.
    #[test]
    fn one_wrong_octet_is_found_wherever_it_stands() {
        let head =
            b"GET /a HTTP/1.1\r\nHost: example.org\r\nA: b\r\nAccept-Language: en\r\nB-C:d\r\n\
            Connection: keep-alive\r\nX-Long-Long-Long-Long-Name: value\r\n\r\nbehind it";
        for at in 0..head.len() {
            for b in [0, 1, b'\t', b'\n', b'\r', b' ', b':', b'a', 0x7f, 0x80, 0xff] {
                let mut head = head.to_vec();
                head[at] = b;
                agree(&head, &[at, at + 1], What::Request);
                if let Some(next) = head.get_mut(at + 1) {
                    *next = b;
                    agree(&head, &[at + 1, at + 2], What::Request);
                }
                let mut longer = head.clone();
                longer.splice(at..at, [b'\r', b'\n', b]);
                agree(&longer, &[], What::Request);
            }
        }
    }
}
