//! Streams in virtual time: pipes, with a scripted peer at the far end of each, and one clock.
//!
//! Nothing runs beside the driver. The peers move, octets arrive and time passes when the driver
//! waits: in a read or write that blocks, in [`Net::wait`], or between two polls of a future.

use super::chance::{Rng, Source};
use super::clock::Clock;
use super::peer::Peer;
use super::pipe::{Got, Pipe, Put, Side, Weather};
use super::rule::Breach;
use super::script::Script;
use super::watch::{Rest, Watch};
use crate::action::{Io, Lost};
use crate::time::Instant;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::format;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::prelude::v1::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What lasts longer than this is called stuck: no timer of the machine is as long.
const LONG: Duration = Duration::from_secs(48 * 3600);

/// What is waited for on a stream, and what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct Ready {
    /// Bytes, EOF, or a failure to be read.
    pub read: bool,
    /// Room for output, or a failure to be met.
    pub write: bool,
}

impl Ready {
    /// To read.
    pub const READ: Self = Self { read: true, write: false };
    /// To write.
    pub const WRITE: Self = Self { read: false, write: true };

    fn meets(self, wanted: Self) -> bool {
        self.read && wanted.read || self.write && wanted.write
    }
}

#[derive(Debug)]
struct Line {
    pipe: Pipe,
    /// The driver's side.
    side: Side,
    peer: Peer,
    watch: Watch,
    rng: Rng,
    cut: usize,
    interrupts: u64,
    faulty: bool,
    nonblocking: bool,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    /// What futures wait for.
    polled: Ready,
    closed: bool,
    script: Script,
}

impl Line {
    /// After a breach the plug is pulled, so that a driver with a bug comes to an end.
    fn is_pulled(&self) -> bool {
        self.watch.broken().is_some()
    }

    fn ready(&self) -> Ready {
        let pulled = self.is_pulled();
        Ready {
            read: pulled || self.pipe.readable(self.side),
            write: pulled || self.pipe.writable(self.side),
        }
    }

    /// Lets everything happen that happens now.
    fn settle(&mut self, now: Instant) {
        while self.pipe.arrive(now) | self.peer.turn(now, &mut self.pipe) {}
    }

    fn next_event(&self) -> Option<Instant> {
        [self.pipe.next_event(), self.peer.next_event()].into_iter().flatten().min()
    }

    fn interrupted(&mut self) -> bool {
        self.interrupts > 0 && self.rng.chance(self.interrupts)
    }

    fn most(&mut self) -> usize {
        match self.cut {
            usize::MAX => usize::MAX,
            cut => self.rng.range(1, cut as u64) as usize,
        }
    }
}

#[derive(Debug)]
struct World {
    clock: Clock,
    lines: Vec<Line>,
    born: Instant,
    /// What futures wait for in time.
    timer: Option<Instant>,
}

impl World {
    fn line(&mut self, id: usize) -> Option<&mut Line> {
        self.lines.get_mut(id).filter(|line| !line.closed)
    }

    /// Passes time until one of these is ready, or until then. `false`: neither will ever be.
    fn pass(&mut self, wanted: &[(usize, Ready)], until: Option<Instant>) -> bool {
        loop {
            let now = self.clock.now();
            self.lines.iter_mut().for_each(|line| line.settle(now));
            let ready = |&(id, wanted): &(usize, Ready)| {
                self.lines.get(id).is_none_or(|line| line.ready().meets(wanted))
            };
            if wanted.iter().any(ready) || until.is_some_and(|at| at <= now) {
                return true;
            }
            let next = self.lines.iter().filter_map(Line::next_event).min();
            let next = [next, until].into_iter().flatten().min();
            match next {
                Some(at) if at.since(self.born) < LONG => self.clock.set(at.max(now)),
                _ => return false,
            }
        }
    }

    /// The driver sleeps; the watches of these lines are told. `false`: it would never wake.
    fn sleep(&mut self, wanted: &[(usize, Ready)], until: Option<Instant>) -> bool {
        let now = self.clock.now();
        self.lines.iter_mut().for_each(|line| line.settle(now));
        let already = wanted
            .iter()
            .any(|&(id, wanted)| self.lines.get(id).is_none_or(|line| line.ready().meets(wanted)));
        if already {
            return true;
        }
        let slept: Vec<Watch> = wanted
            .iter()
            .filter_map(|&(id, wanted)| {
                let line = self.lines.get(id).filter(|line| !line.closed)?;
                let there = line.ready();
                let rest = Rest {
                    read: wanted.read,
                    write: wanted.write,
                    readable: there.read,
                    writable: there.write,
                };
                line.watch.sleep(now, &rest);
                Some(line.watch.clone())
            })
            .collect();
        let wakes = self.pass(wanted, until);
        let wake = wakes.then(|| self.clock.now());
        slept.iter().for_each(|watch| watch.wake(now, wake));
        wakes
    }
}

/// A clock, and streams with scripted peers: where drivers are tested.
///
/// For one stream, a [`Trial`](super::Trial) is less to write; for a proxy or a pool, take this.
///
/// ```
/// use keepalive::testkit::{Net, Ready, Script, Weather};
/// use std::io::{Read, Write};
/// let net = Net::new();
/// let script = "## A peer that answers\nrole: client\n> ping\npause 2s\n< pong\neof\n";
/// # let script = &script.replace("##", "#");
/// let script = Script::parse(script)?.remove(0);
/// let mut stream = net.stream(script, Weather::calm(), 7);
/// stream.write_all(b"ping")?;
/// let sent = net.clock().now();
/// let mut pong = String::new();
/// stream.read_to_string(&mut pong)?;
/// assert_eq!(pong, "pong");
/// assert_eq!(net.clock().now().since(sent).as_secs(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Net(Arc<Mutex<World>>);

impl Net {
    /// A net without streams, at the beginning of time.
    #[must_use]
    pub fn new() -> Self {
        let clock = Clock::new();
        let born = clock.now();
        let world = World { clock, lines: Vec::new(), born, timer: None };
        Self(Arc::new(Mutex::new(world)))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.world().clock.clone()
    }

    /// A stream to a peer that plays this script, through this weather. The seed decides what the
    /// weather leaves open: each jitter, each cut.
    ///
    /// A watched connection that is made on this thread next belongs to it.
    #[must_use]
    pub fn stream(&self, script: Script, weather: Weather, seed: u64) -> Stream {
        let mut world = self.world();
        let now = world.clock.now();
        let id = world.lines.len();
        let watch = Watch::new();
        watch.offer();
        world.lines.push(Line {
            pipe: Pipe::new(&weather, Rng::of(seed, 1)),
            side: script.side.other(),
            peer: Peer::new(script.clone(), now),
            watch: watch.clone(),
            rng: Rng::of(seed, 2),
            cut: weather.cut,
            interrupts: weather.interrupts.into(),
            faulty: weather.is_faulty(),
            nonblocking: false,
            read_timeout: None,
            write_timeout: None,
            polled: Ready::default(),
            closed: false,
            script,
        });
        Stream { net: self.clone(), id, watch }
    }

    /// A stream to a peer, and a weather, both drawn from the seed.
    #[must_use]
    pub fn drawn(&self, side: Side, seed: u64) -> Stream {
        let mut source = Source::seeded(seed);
        let weather = Weather::draw(&mut source);
        let script = match side {
            Side::Client => Script::server(&mut source),
            Side::Server => Script::client(&mut source),
        };
        self.stream(script, weather, seed)
    }

    /// Waits for any of these streams, or for that moment: `poll(2)`. Returns what is ready of
    /// each; nothing, when the moment has come.
    #[allow(clippy::must_use_candidate, reason = "time passes")]
    pub fn wait(&self, wanted: &[(&Stream, Ready)], until: Option<Instant>) -> Vec<Ready> {
        let ids: Vec<_> = wanted.iter().map(|(stream, ready)| (stream.id, *ready)).collect();
        let mut world = self.world();
        let wakes = world.sleep(&ids, until);
        ids.iter()
            .map(|&(id, wanted)| match world.lines.get(id) {
                Some(line) if wakes => {
                    let ready = line.ready();
                    Ready { read: ready.read && wanted.read, write: ready.write && wanted.write }
                }
                _ => wanted,
            })
            .collect()
    }

    /// Runs a future to its end. It may wait for streams of this net ([`Stream::poll_read`],
    /// [`Stream::poll_write`]) and for moments ([`Net::sleep`]), and for nothing else.
    ///
    /// Returns `None` if it waits for what will never happen.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let mut again = 0;
        loop {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return Some(done);
            }
            let mut world = self.world();
            let polled: Vec<_> =
                world.lines.iter_mut().map(|l| std::mem::take(&mut l.polled)).collect();
            let wanted: Vec<_> = polled.into_iter().enumerate().collect();
            let until = world.timer.take();
            if !world.sleep(&wanted, until) {
                // Its streams have failed now: it has the chance to see that, but not for ever.
                again += 1;
                if again > 1_000 {
                    return None;
                }
            }
        }
    }

    /// Waits for a moment, in a future that [`block_on`](Self::block_on) runs; for ever, without one.
    pub fn sleep(&self, until: Option<Instant>) -> impl Future<Output = ()> + Send + use<> {
        let net = self.clone();
        std::future::poll_fn(move |_| {
            let mut world = net.world();
            if until.is_some_and(|at| at <= world.clock.now()) {
                return Poll::Ready(());
            }
            world.timer = [world.timer, until].into_iter().flatten().min();
            Poll::Pending
        })
    }

    /// Lets the peers go on until all is over that the driver does not move: after the driver.
    fn finish(&self) {
        self.world().pass(&[], None);
    }

    /// The first rule that was broken on each stream.
    #[must_use]
    pub fn breaches(&self) -> Vec<Breach> {
        self.world().lines.iter().filter_map(|line| line.watch.breach()).collect()
    }

    /// What the peers waited for in vain, after letting them finish. What a fault of the weather
    /// explains is not told.
    #[must_use]
    pub fn unmet(&self) -> Vec<String> {
        self.finish();
        let world = self.world();
        let lines = world.lines.iter().filter(|line| !line.faulty);
        lines
            .filter_map(|line| {
                let unmet = line.peer.unmet.as_ref()?;
                Some(format!("{}\n  {unmet}", line.script.title))
            })
            .collect()
    }
}

impl Default for Net {
    fn default() -> Self {
        Self::new()
    }
}

/// The driver's end of a connection: a `TcpStream` in virtual time, as far as a driver needs one.
///
/// It blocks unless told otherwise, with time-outs as `std` has them; dropping it closes it. For
/// drivers that poll there is [`wait`](Self::wait), for futures [`poll_read`](Self::poll_read).
#[derive(Debug)]
pub struct Stream {
    net: Net,
    id: usize,
    watch: Watch,
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
    /// If the connection is gone.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let now = self.net.clock().now();
        if how != Shutdown::Read {
            self.watch.shutdown(now);
            self.with(|line| line.pipe.shutdown(now, line.side))?;
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
