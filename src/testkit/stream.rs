//! The driver's end of a pipe.

use super::net::{Line, Net, Ready};
use super::pipe::{Got, Put};
use super::watch::Watch;
use crate::action::{Io, Lost};
use crate::time::Instant;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::prelude::v1::*;

/// The driver's end of a connection: a `TcpStream` in virtual time, as far as a driver needs one.
///
/// It blocks unless told otherwise, with time-outs as `std` has them; dropping it closes it. For
/// drivers that poll there is [`wait`](Self::wait), for futures [`poll_read`](Self::poll_read).
///
/// ```
/// use keepalive::testkit::{Net, Ready, Script, Side, Weather};
/// use std::io::{ErrorKind, Read};
/// use std::time::Duration;
/// let net = Net::new();
/// let silent = Script::new("says nothing", Side::Client);
/// let mut stream = net.stream(silent, Weather::calm(), 1);
/// let begin = net.clock().now();
///
/// stream.set_read_timeout(Some(Duration::from_secs(75)))?;
/// assert_eq!(stream.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock);
/// assert_eq!(net.clock().now().since(begin).as_secs(), 75);
///
/// let deadline = net.clock().now() + Duration::from_secs(3);
/// assert_eq!(stream.wait(Ready::READ, Some(deadline)), Ready::default());
/// assert_eq!(net.clock().now(), deadline);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Stream {
    pub(super) net: Net,
    pub(super) id: usize,
    pub(super) watch: Watch,
}

fn gone() -> io::Error {
    ErrorKind::ConnectionReset.into()
}

impl Stream {
    /// The watch over this stream and its connection.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// The net that it belongs to.
    #[must_use]
    pub fn net(&self) -> Net {
        self.net.clone()
    }

    fn with<T>(&self, f: impl FnOnce(&mut Line) -> T) -> io::Result<T> {
        self.net.world().line(self.id).map(f).ok_or_else(gone)
    }

    /// Whether a read or write that would block says so instead.
    ///
    /// # Errors
    /// None while the stream is open.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.with(|line| line.nonblocking = on)
    }

    /// How long a read blocks.
    ///
    /// # Errors
    /// Zero, as `std` has it.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.with(|line| line.read_timeout = timeout)
    }

    /// How long a write blocks.
    ///
    /// # Errors
    /// Zero, as `std` has it.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.with(|line| line.write_timeout = timeout)
    }

    /// Waits for what is wanted, or for that moment: see [`Net::wait`].
    #[allow(clippy::must_use_candidate, reason = "time passes")]
    pub fn wait(&self, wanted: Ready, until: Option<Instant>) -> Ready {
        let ready = self.net.wait(&[(self, wanted)], until);
        ready.first().copied().unwrap_or(wanted)
    }

    /// Closes one side. Of the reading side nothing is closed.
    ///
    /// # Errors
    /// If the connection was reset: there is nothing to be closed then, and it counts as done.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let now = self.net.clock().now();
        if how != Shutdown::Read {
            self.watch.shutdown(now);
            return self.with(|line| {
                line.settle(now);
                if line.pipe.is_reset(line.side) {
                    return Err(ErrorKind::NotConnected.into());
                }
                line.pipe.shutdown(now, line.side);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Closes with a reset: for `End::Abort`.
    pub fn abort(self) {
        let now = self.net.clock().now();
        self.watch.close(now);
        let _ = self.with(|line| {
            line.pipe.abort(now, line.side);
            line.closed = true;
        });
    }

    fn try_read(&self, now: Instant, space: &mut [u8]) -> io::Result<usize> {
        let mut got = Vec::new();
        let result = self.with(|line| {
            line.settle(now);
            if line.is_pulled() {
                return Err(gone());
            }
            if line.interrupted() {
                return Err(ErrorKind::Interrupted.into());
            }
            let most = line.most().min(space.len());
            match line.pipe.read(line.side, most, &mut got) {
                _ if space.is_empty() => Ok(0),
                Got::Octets => Ok(got.len()),
                Got::Eof => Ok(0),
                Got::Nothing => Err(ErrorKind::WouldBlock.into()),
                Got::Reset => Err(gone()),
            }
        })?;
        if let Some(space) = space.get_mut(..got.len()) {
            space.copy_from_slice(&got);
        }
        result
    }

    fn try_write(&self, now: Instant, octets: &[u8]) -> io::Result<usize> {
        self.with(|line| {
            line.settle(now);
            if line.is_pulled() {
                return Err(gone());
            }
            if octets.is_empty() {
                return Ok(0);
            }
            if line.interrupted() {
                return Err(ErrorKind::Interrupted.into());
            }
            let most = line.most().min(octets.len());
            match line.pipe.write(now, line.side, octets.get(..most).unwrap_or(octets)) {
                Put::Octets(n) => Ok(n),
                Put::Full => Err(ErrorKind::WouldBlock.into()),
                Put::Broken => Err(ErrorKind::BrokenPipe.into()),
            }
        })?
    }

    /// Tries, and where it blocks, sleeps and tries once more.
    fn block(
        &self,
        wanted: Ready,
        mut tries: impl FnMut(Instant) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let clock = self.net.clock();
        let first = tries(clock.now());
        let would = first.as_ref().is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
        let blocks = self.with(|line| !line.nonblocking)?;
        if !would || !blocks {
            return first;
        }
        let timeout = self.with(|line| match wanted.read {
            true => line.read_timeout,
            false => line.write_timeout,
        })?;
        let until = timeout.map(|t| clock.now() + t);
        if !self.net.world().sleep(&[(self.id, wanted)], until) {
            return Err(gone());
        }
        tries(clock.now())
    }

    fn read_into(&self, space: &mut [u8]) -> io::Result<usize> {
        self.block(Ready::READ, |now| {
            let read = self.try_read(now, space);
            let told = match &read {
                Ok(n) => Io::Done(*n),
                Err(e) if is_nothing(e) => Io::Nothing,
                Err(_) => Io::Lost(Lost::Reset),
            };
            let octets = read.as_ref().ok().and_then(|n| space.get(..*n)).unwrap_or_default();
            self.watch.read(now, space.len(), told, octets);
            read
        })
    }

    fn write_from(&self, octets: &[u8]) -> io::Result<usize> {
        self.block(Ready::WRITE, |now| {
            let write = self.try_write(now, octets);
            let told = match &write {
                Ok(n) => Io::Done(*n),
                Err(e) if is_nothing(e) => Io::Nothing,
                Err(_) => Io::Lost(Lost::Write),
            };
            self.watch.write(now, octets, told);
            write
        })
    }

    /// Reads in a future that [`Net::block_on`] runs: `AsyncRead` of any runtime is made of it.
    pub fn poll_read(&self, _: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(Ready::READ, || self.read_into(space))
    }

    /// Writes in a future that [`Net::block_on`] runs: `AsyncWrite` of any runtime is made of it.
    pub fn poll_write(&self, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(Ready::WRITE, || self.write_from(octets))
    }

    fn poll(
        &self,
        wanted: Ready,
        tries: impl FnOnce() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let nonblocking = self.with(|line| std::mem::replace(&mut line.nonblocking, true));
        let result = tries();
        let _ = self.with(|line| line.nonblocking = nonblocking.unwrap_or(true));
        match result {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let _ = self.with(|line| {
                    line.polled.read |= wanted.read;
                    line.polled.write |= wanted.write;
                });
                Poll::Pending
            }
            done => Poll::Ready(done),
        }
    }
}

fn is_nothing(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl io::Read for Stream {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.read_into(space)
    }
}

impl io::Read for &Stream {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.read_into(space)
    }
}

impl io::Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_from(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Write for &Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_from(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let now = self.net.clock().now();
        self.watch.withdraw();
        if self.with(|_| ()).is_err() {
            return;
        }
        self.watch.close(now);
        let _ = self.with(|line| {
            line.pipe.close(now, line.side);
            line.closed = true;
        });
    }
}
