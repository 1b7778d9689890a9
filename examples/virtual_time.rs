//! Two ends, a wire between them, and a clock that is only a number: `cargo run --example virtual_time`.
//!
//! No socket, no sleep, no thread. Eight seconds of a connection's life pass in microseconds, and the same
//! way each time: that is how this crate is tested, and how yours can be.
//!
//! It shows the keep-alive race. A server that closes an idle connection tells so with a FIN; a request
//! that is under way at that moment crosses it on the wire, and is lost. The client cannot know
//! whether it was processed. Two habits close the race, each on its side (S3.2): the client gives a
//! connection up a *margin* before the announced time is over, and the server announces a *grace* less
//! than it really waits.
#![allow(clippy::print_stdout, reason = "it is what the program is for")]

use keepalive::buffered::{Client, Server};
use keepalive::client::{self, Reuse};
use keepalive::{CloseReason, Content, End, Instant, Io, Persistence, Verdict, server};
use std::collections::VecDeque;
use std::time::Duration;

/// How long the server holds an idle connection.
pub(crate) const HOLD: Duration = Duration::from_secs(7);
/// How long a segment is under way.
pub(crate) const DELAY: Duration = Duration::from_millis(40);

/// What happens in one run happens at fewer moments than these.
const MOMENTS: usize = 1000;

/// What became of a request that was to be made on a connection used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was served there.
    Served,
    /// The client saw that the connection is of no use any more, and made none: it would open another
    /// one.
    GivenUp(CloseReason),
    /// It was sent, and no answer came. May it be sent again?
    Lost(Verdict),
}

// ------------------------------------------------------------------------ the wire

/// One direction of a connection: what goes in comes out later.
#[derive(Default)]
struct Wire {
    under_way: VecDeque<(Instant, Vec<u8>)>,
    closed: bool,
}

impl Wire {
    /// No octets are a FIN, as they are for `read`.
    fn send(&mut self, now: Instant, octets: &[u8]) {
        if !self.closed {
            self.closed = octets.is_empty();
            self.under_way.push_back((now + DELAY, octets.to_vec()));
        }
    }

    /// What has arrived by now.
    fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (at, _) = self.under_way.front()?;
        if *at > now { None } else { self.under_way.pop_front().map(|(_, octets)| octets) }
    }

    fn next(&self) -> Option<Instant> {
        self.under_way.front().map(|(at, _)| *at)
    }
}

/// A turn of one end: the loop of the README with a wire in the place of a socket. Written once for both
/// roles.
macro_rules! turn {
    ($http:expr, $now:expr, $from:expr) => {{
        while let Some(octets) = $from.arrived($now) {
            let read = match $http.space() {
                Some(space) => {
                    space[..octets.len()].copy_from_slice(&octets);
                    Io::Done(octets.len())
                }
                None => Io::Nothing, // closed: the wire's end is as good as cut
            };
            $http.received($now, read);
        }
        $http.expire($now);
    }};
}

macro_rules! flush {
    ($http:expr, $now:expr, $to:expr) => {{
        let n = $http.output().len();
        if n > 0 {
            $to.send($now, $http.output());
            $http.transmitted($now, Io::Done(n));
        }
        if $http.wants().end == Some(End::ShutdownWrite) {
            $to.send($now, &[]);
            $http.write_closed($now);
        }
    }};
}

// ------------------------------------------------------------------------ the world

/// One connection, used once, left idle for `pause`, and used again.
pub(crate) struct World {
    /// What the client deducts from the announced time.
    pub(crate) margin: Duration,
    /// What the server deducts before it announces.
    pub(crate) grace: Duration,
    /// Tells what happens.
    pub(crate) trace: bool,
}

impl World {
    /// Runs it to the end.
    pub(crate) fn run(&self, pause: Duration) -> Fate {
        let mut now = Instant::default();
        let config = server::Config::origin().idle(HOLD).grace(self.grace);
        let mut server = Server::allocate(&config, now);
        let mut client = Client::allocate(&client::Config::direct().margin(self.margin), now);
        let (mut up, mut down) = (Wire::default(), Wire::default());
        // When the client wants to make its next request.
        let mut due = Some(now);
        let (mut made, mut answered) = (0, 0);
        for _ in 0..MOMENTS {
            turn!(server, now, up);
            while let (Some(event), mut out) = server.next(now, usize::MAX) {
                if let server::Event::Request(head) = event {
                    self.tell(now, "server", || format!("got {}", head.target().escape_ascii()));
                    out.reply(200, [("Content-Type", "text/plain")], b"hello").expect("room");
                }
            }
            if let (Some(End::ShutdownWrite), Persistence::Close(why)) =
                (server.wants().end, server.persistence())
            {
                self.tell(now, "server", || format!("closes: {why}"));
            }
            flush!(server, now, down);

            turn!(client, now, down);
            while let (Some(event), _) = client.next(now, usize::MAX) {
                match event {
                    client::Event::Response(head) => {
                        let hint = head.field("keep-alive").unwrap_or(b"nothing");
                        self.tell(now, "client", || {
                            format!("got {}, Keep-Alive: {}", head.status(), hint.escape_ascii())
                        });
                    }
                    client::Event::End(_) => {
                        answered += 1;
                        due = (answered == 1).then(|| now + pause);
                    }
                    client::Event::Failed(failure) => {
                        let verdict = client.retry(0).map_or(Verdict::No, |retry| retry.verdict);
                        self.tell(now, "client", || {
                            format!("lost its request: {failure}; again? {verdict:?}")
                        });
                        return Fate::Lost(verdict);
                    }
                    client::Event::Interim(_) | client::Event::Content(_) => {}
                }
            }
            if answered == 2 {
                return Fate::Served;
            }
            if due.is_some_and(|at| at <= now) {
                due = None;
                // S2.6. Whatever has arrived is in the buffer already: the read finds nothing.
                if made > 0 {
                    match client.checkout(now, |_| Io::Nothing) {
                        Reuse::Ready { .. } | Reuse::ImmediateOnly => {}
                        Reuse::No(why) => {
                            self.tell(now, "client", || format!("connects anew: {why}"));
                            return Fate::GivenUp(why);
                        }
                        other => unreachable!("idle, but {other:?}"),
                    }
                }
                made += 1;
                let target = format!("/{made}");
                self.tell(now, "client", || format!("asks for {target}"));
                let fields = [("Host", "example.org")];
                client.out(now).request("GET", target, fields, Content::None).expect("room");
            }
            flush!(client, now, up);

            // Nothing more can happen now: on to the next moment at which something does.
            let deadlines = [server.deadline(), client.deadline()];
            let deadlines = deadlines.into_iter().flatten().map(|deadline| deadline.at);
            let moments = [up.next(), down.next(), due];
            let next = moments.into_iter().flatten().chain(deadlines).min();
            now = next.expect("two live ends always have a deadline").max(now);
        }
        unreachable!("{MOMENTS} moments, and no end of it")
    }

    fn tell(&self, now: Instant, who: &str, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9.3} s  {who}  {}", now.as_micros() as f64 / 1e6, what());
        }
    }
}

// ------------------------------------------------------------------------ many worlds

/// What became of many requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Served on the connection that was kept.
    pub(crate) served: u32,
    /// Not made on it.
    pub(crate) given_up: u32,
    /// Sent on it and not answered.
    pub(crate) lost: u32,
}

/// Tries every pause from 1.2 s before the announced time is over to 0.2 s behind it, 2 ms apart.
pub(crate) fn sweep(margin: Duration, grace: Duration) -> Tally {
    let announced = HOLD - grace;
    let mut tally = Tally::default();
    for n in 0..=700 {
        let pause = announced + Duration::from_millis(2 * n) - Duration::from_millis(1200);
        match (World { margin, grace, trace: false }).run(pause) {
            Fate::Served => tally.served += 1,
            Fate::GivenUp(_) => tally.given_up += 1,
            Fate::Lost(_) => tally.lost += 1,
        }
    }
    tally
}

#[allow(dead_code, reason = "the test has a main of its own")]
fn main() {
    println!("The server holds idle connections for {HOLD:?}. A segment takes {DELAY:?}.\n");
    let second = Duration::from_secs(1);
    let worlds = [
        ("A pause that ends just as the server closes, and neither habit:", Duration::ZERO),
        ("The same pause, and a client with a margin:", second),
    ];
    for (title, margin) in worlds {
        println!("{title}");
        let fate = World { margin, grace: Duration::ZERO, trace: true }.run(HOLD - DELAY);
        println!("  -> {fate:?}\n");
    }
    println!("701 pauses each, around the end of the announced time:\n");
    println!("margin  grace  announced   served  given up  lost");
    for (margin, grace) in [(0, 0), (1, 0), (0, 5), (1, 5)] {
        let Tally { served, given_up, lost } = sweep(second * margin, second * grace);
        let announced = HOLD - second * grace;
        println!("{margin:>4} s {grace:>4} s {announced:>10?} {served:>8} {given_up:>9} {lost:>5}");
    }
}
