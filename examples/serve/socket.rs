//! A blocking TCP socket that waits no longer than it is told to. Both examples use it.

use keepalive::Io;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long a write may block while there may be something to read as well. The standard library
/// has no call that waits for either, so the two take turns.
pub(crate) const TURN: Duration = Duration::from_millis(8);

pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    /// The time-outs that the operating system was told last.
    read_wait: Option<Duration>,
    write_wait: Option<Duration>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        // The output is written in large pieces, so Nagle's algorithm could only delay the last one.
        stream.set_nodelay(true)?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        Ok(Self { stream, read_wait: None, write_wait: None })
    }

    /// Reads once, waiting for about `wait`; `None` is for ever. A wait that was too short does no
    /// harm: the loop comes back.
    pub(crate) fn read(&mut self, space: &mut [u8], wait: Option<Duration>) -> Io {
        let wait = wait.map(rounded);
        if wait != self.read_wait {
            if let Err(error) = self.stream.set_read_timeout(wait) {
                return Err(error).into();
            }
            self.read_wait = wait;
        }
        self.stream.read(space).into()
    }

    /// Writes once, in the same way.
    pub(crate) fn write(&mut self, output: &[u8], wait: Option<Duration>) -> Io {
        let wait = wait.map(rounded);
        if wait != self.write_wait {
            if let Err(error) = self.stream.set_write_timeout(wait) {
                return Err(error).into();
            }
            self.write_wait = wait;
        }
        self.stream.write(output).into()
    }

    /// Reads what is there already.
    pub(crate) fn read_now(&mut self, space: &mut [u8]) -> Io {
        if let Err(error) = self.stream.set_nonblocking(true) {
            return Err(error).into();
        }
        let read = self.stream.read(space);
        match self.stream.set_nonblocking(false) {
            Ok(()) => read.into(),
            Err(error) => Err(error).into(),
        }
    }
}

/// Rounds down to a power of two, in milliseconds. Each deadline is a little nearer than the last
/// one was, but its rounded wait is the same: so the system is not told a new one at each request.
fn rounded(wait: Duration) -> Duration {
    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(1 << ms.max(1).ilog2())
}
