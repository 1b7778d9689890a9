//! Streams in virtual time: pipes, with a scripted peer at the far end of each, and one clock.
//!
//! Nothing runs beside the driver. The peers move, octets arrive and time passes when the driver
//! waits: in a read or write that blocks, in [`Net::wait`], or between two polls of a future.

use super::chance::{Rng, Source};
use super::clock::Clock;
use super::judge::Rest;
use super::peer::Peer;
use super::pipe::{Pipe, Side, Weather};
use super::rule::Breach;
use super::script::Script;
use super::stream::Stream;
use super::watch::Watch;
use crate::time::Instant;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::format;
use std::future::Future;
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
pub(super) struct Line {
    pub(super) pipe: Pipe,
    /// The driver's side.
    pub(super) side: Side,
    peer: Peer,
    pub(super) watch: Watch,
    rng: Rng,
    cut: usize,
    interrupts: u64,
    faulty: bool,
    pub(super) nonblocking: bool,
    pub(super) read_timeout: Option<Duration>,
    pub(super) write_timeout: Option<Duration>,
    /// What futures wait for.
    pub(super) polled: Ready,
    pub(super) closed: bool,
    script: Script,
}

impl Line {
    /// After a breach the plug is pulled, so that a driver with a bug comes to an end.
    pub(super) fn is_pulled(&self) -> bool {
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
    pub(super) fn settle(&mut self, now: Instant) {
        while self.pipe.arrive(now) | self.peer.turn(now, &mut self.pipe) {}
    }

    fn next_event(&self) -> Option<Instant> {
        [self.pipe.next_event(), self.peer.next_event()].into_iter().flatten().min()
    }

    pub(super) fn interrupted(&mut self) -> bool {
        self.interrupts > 0 && self.rng.chance(self.interrupts)
    }

    pub(super) fn most(&mut self) -> usize {
        match self.cut {
            usize::MAX => usize::MAX,
            cut => self.rng.range(1, cut as u64) as usize,
        }
    }
}

#[derive(Debug)]
pub(super) struct World {
    clock: Clock,
    lines: Vec<Line>,
    born: Instant,
    /// What futures wait for in time.
    timer: Option<Instant>,
}

impl World {
    pub(super) fn line(&mut self, id: usize) -> Option<&mut Line> {
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
    pub(super) fn sleep(&mut self, wanted: &[(usize, Ready)], until: Option<Instant>) -> bool {
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

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
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
    ///
    /// ```
    /// use keepalive::testkit::Net;
    /// use std::time::Duration;
    /// let net = Net::new();
    /// let clock = net.clock();
    /// let later = clock.now() + Duration::from_secs(3600);
    /// let woken = net.block_on(async {
    ///     net.sleep(Some(later)).await;
    ///     clock.now()
    /// });
    /// assert_eq!(woken, Some(later));
    /// assert_eq!(net.block_on(net.sleep(None)), None);
    /// ```
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
