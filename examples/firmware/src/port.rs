//! The serial port: what a device's driver offers, and a wire in memory in its place.

use keepalive::{Buffer, Io};

/// A byte pipe in both directions that never blocks: a UART with its two queues, an endpoint of USB, a
/// socket of a small TCP stack.
///
/// The results are those that the connection understands: `Done(n)` octets, `Done(0)` from a read for
/// the end of what the peer sends, and `Nothing` for "not now".
pub trait Port {
    /// Takes what has come. Never to be called with an empty slice: its result would look like the end.
    fn read(&mut self, into: &mut [u8]) -> Io;
    /// Sends a part of it.
    fn write(&mut self, from: &[u8]) -> Io;
    /// Says that nothing more will be sent.
    fn close(&mut self);
}

/// How the octets come out of a pipe.
#[derive(Clone, Copy, Debug)]
pub enum Cuts {
    /// As many as there are.
    Whole,
    /// One to nine at a time, by a generator in this state: no cut in a protocol element is so odd that
    /// it would not happen.
    Ragged(u32),
}

impl Cuts {
    fn next(&mut self) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Ragged(state) => {
                // Xorshift: small, and the same on every machine.
                *state ^= *state << 13;
                *state ^= *state >> 17;
                *state ^= *state << 5;
                (*state % 9) as usize + 1
            }
        }
    }
}

/// One direction of the wire: it loses nothing, and holds only so much.
pub struct Pipe<'b> {
    held: Buffer<&'b mut [u8]>,
    cuts: Cuts,
    closed: bool,
    /// Octets that went in.
    pub into: u32,
    /// Those that came out.
    pub out: u32,
}

impl<'b> Pipe<'b> {
    /// An empty one over this memory.
    pub fn new(memory: &'b mut [u8], cuts: Cuts) -> Self {
        Self { held: Buffer::new(memory), cuts, closed: false, into: 0, out: 0 }
    }

    fn take(&mut self, into: &mut [u8]) -> Io {
        let all = self.held.unread();
        let n = all.len().min(into.len()).min(self.cuts.next());
        match (into.get_mut(..n), all.get(..n)) {
            _ if n == 0 => return if self.closed { Io::Done(0) } else { Io::Nothing },
            (Some(into), Some(from)) => into.copy_from_slice(from),
            _ => return Io::Nothing,
        }
        self.held.consume(n);
        self.out += n as u32;
        Io::Done(n)
    }

    fn put(&mut self, from: &[u8]) -> Io {
        let space = self.held.spare();
        let n = space.len().min(from.len()).min(self.cuts.next());
        match (space.get_mut(..n), from.get(..n)) {
            _ if n == 0 => return Io::Nothing,
            (Some(space), Some(from)) => space.copy_from_slice(from),
            _ => return Io::Nothing,
        }
        self.held.filled(n);
        self.into += n as u32;
        Io::Done(n)
    }
}

/// One end of the wire.
pub struct End<'w, 'b> {
    /// What comes here.
    pub input: &'w mut Pipe<'b>,
    /// What goes to the other end.
    pub output: &'w mut Pipe<'b>,
}

impl Port for End<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> Io {
        self.input.take(into)
    }

    fn write(&mut self, from: &[u8]) -> Io {
        self.output.put(from)
    }

    fn close(&mut self) {
        self.output.closed = true;
    }
}
