//! Content, and the ways in which it goes out: copied into little or much space, framed, in pieces of any
//! size.

use super::lines;
use super::meant::Lines;
use keepalive::testkit::Source;
use keepalive::{Content, Frame, Instant, Moved, Plan, SendError, client, server};

pub const NOW: Instant = Instant::from_micros(0);

/// What a message carries besides its head.
#[derive(Clone, Debug)]
pub struct Carried {
    pub content: Vec<u8>,
    pub declared: Content,
    pub trailers: Lines,
}

impl Carried {
    pub fn none() -> Self {
        Self { content: Vec::new(), declared: Content::None, trailers: Lines::new() }
    }

    /// Content of a length that is declared, or not.
    pub fn draw(s: &mut Source<'_>, known: bool) -> Self {
        let n = match s.byte() {
            0..24 => 0,
            24..200 => s.up_to(40),
            200..252 => s.up_to(700),
            _ => s.up_to(6_000),
        } as usize;
        // Half of it looks like messages: what a reader that has lost its place would fall for.
        let bait = b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let content = match s.byte() % 2 {
            0 => bait.iter().copied().cycle().take(n).collect(),
            _ => s.take(n),
        };
        if known {
            return Self { content, declared: Content::Length(n as u64), trailers: Lines::new() };
        }
        Self { content, declared: Content::Unknown, trailers: lines::draw_trailers(s) }
    }
}

/// The calls that both machines have.
pub trait Sender {
    fn send(&mut self, content: &[u8], out: &mut [u8]) -> Result<Moved, SendError>;
    fn frame(&mut self, len: u64) -> Result<Frame, SendError>;
    fn finish(&mut self, trailers: &Lines, out: &mut [u8]) -> Result<usize, SendError>;
}

macro_rules! sender {
    ($machine:ty) => {
        impl Sender for $machine {
            fn send(&mut self, content: &[u8], out: &mut [u8]) -> Result<Moved, SendError> {
                Self::send(self, NOW, content, out)
            }
            fn frame(&mut self, len: u64) -> Result<Frame, SendError> {
                Self::frame(self, NOW, len)
            }
            fn finish(&mut self, trailers: &Lines, out: &mut [u8]) -> Result<usize, SendError> {
                Self::finish(self, NOW, lines::given(trailers), out)
            }
        }
    };
}

sender!(server::Connection);
sender!(client::Connection);

/// Sends the content to its end.
pub fn pour(
    s: &mut Source<'_>,
    machine: &mut impl Sender,
    plan: Plan,
    carried: &Carried,
    wire: &mut Vec<u8>,
) {
    let mut rest = &carried.content[..];
    let most = s.pick(&[1_u64, 9, 16, 17, 255, 256, 4096, 70_000]);
    while !rest.is_empty() && plan != Plan::None {
        // A content of single octets goes on in larger ones: many chunks of one show nothing new.
        let most = if rest.len() > 600 { most.max(300) } else { most };
        let n = (s.up_to(most) as usize).clamp(1, rest.len());
        if s.chance(128) {
            let frame = machine.frame(n as u64).expect("a frame");
            wire.extend_from_slice(&frame.prefix);
            wire.extend_from_slice(&rest[..n]);
            wire.extend_from_slice(frame.suffix);
            rest = &rest[n..];
        } else {
            let mut out = vec![0; s.pick(&[8, 9, 25, 300, 8192])];
            let moved = machine.send(&rest[..n], &mut out).expect("space for content");
            assert!(moved.taken > 0, "{moved:?}");
            wire.extend_from_slice(&out[..moved.written]);
            rest = &rest[moved.taken..];
        }
    }
    if matches!(plan, Plan::Chunked | Plan::UntilClose) {
        let mut out = [0; 8192];
        let written = machine.finish(&carried.trailers, &mut out).expect("the end");
        wire.extend_from_slice(&out[..written]);
    }
}
