//! Field lines that may be sent, however odd; and what goes out for them (S1.4), told slowly.

use super::meant::Lines;
use keepalive::testkit::Source;
use keepalive::{Field, Line, Prepared};

const NAMES: &[&[u8]] = &[
    b"X-A",
    b"x-a",
    b"Date",
    b"Accept",
    b"ETag",
    b"A!#$%&'*+-.^_`|~9",
    b"Set-Cookie",
    b"Content-Type",
    b"If-None-Match",
    b"Link",
    b"X",
    b"1",
    b"Content-Lengt",
    b"Content-Lengths",
    b"Transfer-Encodings",
    b"Connections",
];

const VALUES: &[&[u8]] = &[
    b"a",
    b"",
    b" ",
    b"\t padded \t",
    b"*/*",
    b"a, b,, c",
    b"\"q,\\\"\"",
    b"x\ty",
    b"two  spaces",
    b"text/plain; q=0.5",
    b"W/\"1\"",
    b"\xe9t\xe9",
    // Whitespace and line ends to readers that decode too early: NEL, NBSP, U+2028.
    b"\x85",
    b"\xa0a\xa0",
    b"a\x85b\xe2\x80\xa8c",
    b"\xff\xfe\x80",
    b"chunked",
    b"100-continue",
    b": , ; =",
    b"0\\r\\n",
];

/// For trailer sections: not all fields may stand there (S8.5).
const TRAILERS: &[&[u8]] = &[b"X-Sum", b"x-a", b"X-A", b"ETag", b"A!#$%&'*+-.^_`|~9"];

/// A field value, with any octet that one may hold.
fn value(s: &mut Source<'_>) -> Vec<u8> {
    if s.chance(170) {
        return s.pick(VALUES).to_vec();
    }
    let n = if s.chance(8) { s.up_to(1500) } else { s.up_to(30) } as usize;
    let mut value = s.take(n);
    value
        .iter_mut()
        .filter(|b| (**b < b' ' && **b != b'\t') || **b == 0x7f)
        .for_each(|b| *b |= 0x80);
    value
}

/// Field lines that mean nothing to the machine.
pub fn draw(s: &mut Source<'_>, most: u8) -> Lines {
    (0..s.below(most + 1)).map(|_| (s.pick(NAMES).to_vec(), value(s))).collect()
}

pub fn draw_trailers(s: &mut Source<'_>) -> Lines {
    let n = if s.chance(128) { s.below(4) } else { 0 };
    (0..n).map(|_| (s.pick(TRAILERS).to_vec(), value(s))).collect()
}

/// Puts a line somewhere among the others.
pub fn insert(s: &mut Source<'_>, lines: &mut Lines, name: &str, value: &str) {
    let at = s.up_to(lines.len() as u64) as usize;
    lines.insert(at, (name.into(), value.into()));
}

pub fn given(lines: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = Line<'_>> {
    lines.iter().map(|(name, value)| Line { name, value })
}

/// Space for the lines that are prepared.
pub type Block = Prepared<8192>;

/// The first half of the lines as a block, now and then. One with a line of the machine's is refused.
pub fn prepared(s: &mut Source<'_>, lines: &Lines) -> Option<Block> {
    let (front, _) = lines.split_at(lines.len() / 2);
    if s.chance(90) { Block::new(given(front)).ok() } else { None }
}

/// The lines as they are handed to the machine.
pub fn fields<'l>(block: Option<&'l Block>, lines: &'l Lines) -> Vec<Field<'l>> {
    let from = if block.is_some() { lines.len() / 2 } else { 0 };
    block.into_iter().flatten().chain(given(lines).skip(from).map(Field::from)).collect()
}

pub fn owned<'b>(lines: impl Iterator<Item = Line<'b>>) -> Lines {
    lines.map(|line| (line.name.to_vec(), line.value.to_vec())).collect()
}

pub fn has(lines: &Lines, name: &str) -> bool {
    given(lines).any(|line| line.is(name))
}

/// The members of all lines with this name.
pub fn members<'l>(lines: &'l Lines, name: &'l str) -> impl Iterator<Item = &'l [u8]> {
    given(lines)
        .filter(move |line| line.is(name))
        .flat_map(|line| line.value.split(|&b| b == b','))
        .map(trimmed)
        .filter(|member| !member.is_empty())
}

fn trimmed(value: &[u8]) -> &[u8] {
    let text = |b: &u8| *b != b' ' && *b != b'\t';
    let from = value.iter().position(text).unwrap_or(value.len());
    let to = value.iter().rposition(text).map_or(from, |at| at + 1);
    &value[from..to]
}

/// What a reader is to see of the caller's lines: all but those that belong to the machine, and of
/// Connection the options that are not its own.
pub fn passed(lines: &Lines) -> Lines {
    let machine = ["Keep-Alive", "Proxy-Connection", "Content-Length", "Transfer-Encoding"];
    let own: [&[u8]; 4] = [b"close", b"keep-alive", b"upgrade", b"te"];
    let mut seen = Lines::new();
    for line in given(lines).filter(|line| !machine.iter().any(|m| line.is(m))) {
        let mut value = trimmed(line.value).to_vec();
        if line.is("Connection") {
            let one = vec![(line.name.to_vec(), line.value.to_vec())];
            let others = members(&one, "Connection")
                .filter(|option| !own.iter().any(|o| o.eq_ignore_ascii_case(option)))
                .collect::<Vec<_>>();
            if others.is_empty() {
                continue;
            }
            value = others.join(&b", "[..]);
            seen.push((b"Connection".to_vec(), value));
        } else {
            seen.push((line.name.to_vec(), value));
        }
    }
    seen
}

/// Adds the Connection line of the machine, if it has an option to send.
pub fn add_options(seen: &mut Lines, options: &[(bool, &str)]) {
    let sent: Vec<_> =
        options.iter().filter(|(sent, _)| *sent).map(|(_, option)| *option).collect();
    if !sent.is_empty() {
        add(seen, "Connection", sent.join(", "));
    }
}

pub fn add(seen: &mut Lines, name: &str, value: impl ToString) {
    seen.push((name.into(), value.to_string().into_bytes()));
}
