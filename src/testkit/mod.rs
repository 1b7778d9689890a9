//! What it takes to test a driver of one's own: feature `testkit`.
//!
//! The machine cannot be driven wrong without consequence: bytes that are shown twice, a deadline
//! that nobody looks at, an EOF that is not reported. The kit finds out. It has a virtual [`Clock`];
//! [`Stream`]s that delay, cut, stall, half-close and reset as their [`Weather`] has it; peers that
//! play a [`Script`]; connections that are watched ([`server::Connection`], [`client::Connection`],
//! and the [`buffered`] layer over them); and a [`Watch`] that holds the driver's calls against what
//! happened on the stream, and calls by name which [`Rule`] was broken first.
//!
//! # A driver under test, in twenty lines
//!
//! In the driver, swap the imports for the test:
//! `#[cfg(not(test))] use {keepalive::{Clock, buffered::Server}, std::net::TcpStream};` and
//! `#[cfg(test)] use keepalive::testkit::{Clock, Stream as TcpStream, buffered::Server};`. The test:
//!
//! ```
//! use keepalive::testkit::{Clock, Stream as TcpStream, Trial, buffered::Server, seeds};
//! # use keepalive::{CloseReason, End, Io, NO_FIELDS, server::Config, server::Event};
//! # use std::io::{Error, Read, Result, Write};
//! # use std::net::Shutdown;
//! # fn serve(mut sock: TcpStream, config: &Config, clock: Clock) -> Result<CloseReason> {
//! #     let mut http = Server::allocate(config, clock.now());
//! #     loop {
//! #         while let (Some(event), mut out) = http.next(clock.now(), usize::MAX) {
//! #             if let Event::Request(head) = event {
//! #                 let status = if head.is_connect() { 501 } else { 200 };
//! #                 out.reply(status, NO_FIELDS, head.target()).map_err(Error::other)?;
//! #             }
//! #         }
//! #         match http.wants().end {
//! #             Some(End::ShutdownWrite) => {
//! #                 let _ = sock.shutdown(Shutdown::Write);
//! #                 http.write_closed(clock.now());
//! #                 continue;
//! #             }
//! #             Some(End::Close(why) | End::Abort(why)) => return Ok(why),
//! #             Some(End::Tunnel) | None => {}
//! #         }
//! #         let wait = clock.until(http.deadline());
//! #         if !http.output().is_empty() {
//! #             sock.set_write_timeout(wait)?;
//! #             let written = sock.write(http.output());
//! #             http.transmitted(clock.now(), written.into());
//! #         } else {
//! #             sock.set_read_timeout(wait)?;
//! #             let read = http.space().map_or(Io::Nothing, |space| sock.read(space).into());
//! #             http.received(clock.now(), read);
//! #         }
//! #     }
//! # }
//! // fn serve(sock: TcpStream, config: &Config, clock: Clock): the server of the README.
//! for seed in seeds(100) {
//!     let report = Trial::of_server(seed).run(|sock, clock| serve(sock, &Config::origin(), clock));
//!     report.check().unwrap(); // the seed, the rule, what the driver did last, what the peer did
//! }
//! ```
//!
//! A driver that makes its connection by `new` gets one that belongs to the stream that was made last
//! on its thread. One that is handed its connection is given
//! [`Connection::watched`](server::Connection::watched) with [`Stream::watch`].
//!
//! Three kinds of driver fit. Blocking ones use [`Stream`] as they use `TcpStream`: time passes
//! within reads and writes. Those that poll set it to non-blocking, and sleep in [`Stream::wait`] or,
//! with several streams, in [`Net::wait`]. Futures run in [`Trial::run_async`] or [`Net::block_on`],
//! over [`Stream::poll_read`], [`Stream::poll_write`] and [`Net::sleep`]. For any other transport,
//! tell a [`Watch`] by hand what it does.
//!
//! Failures come with a seed. `SEED=n` in the environment runs this one only ([`seeds`]); the report
//! also prints the script of the peer, to be pruned by hand and kept.
//!
//! # Scripts
//!
//! Text. What stands before the first script is prose; lines that are empty or begin with `//` are passed
//! over. `# title` begins a script; then:
//!
//! | Line | Meaning |
//! |---|---|
//! | `role: server`, `role: client` | which machine is tested, `server` if nothing is said |
//! | `lenient: yes` | what is waited for in vain only ends the script |
//! | `< octets` | the peer sends; lines that follow each other are one piece |
//! | `content octets` | the same, unless the request that was waited for last was HEAD |
//! | `> octets` | it waits for exactly these |
//! | `response 200 to HEAD [Name: value]` | it waits for a whole final response; `*` is any |
//! | `request GET /x [Name: value]` | it waits for a whole request |
//! | `head GET /x [Name: value]` | it waits for its head, to answer early |
//! | `at 75s`, `pause 1.5s`, `pause 20ms` | until a moment since the beginning; for so long |
//! | `eof`, `close`, `reset` | it sends no more; closes; resets |
//! | `closed` | it waits until the driver sends no more |
//! | `hold`, `release` | it reads nothing; it reads again |
//!
//! What stands in brackets may be left out, and so may `to GET`. Octets are written with
//! `\r \n \t \\ \" \] \{ \xNN`. `{repeat N text}` is the text N times. Octets that come often have names:
//! `{G}` is a GET of 1.1 with Host, `{G0}` and `{K0}` are GETs of 1.0, the second with keep-alive,
//! `{P n}` is the head of a POST with a length, `{R n}` and `{RC n}` are heads of a 200, the second with
//! close; `{100}`, `{400}`, `{408}`, `{501}` are what the machine itself answers.
//!
//! Behind the last line the peer reads on, and closes when the driver has. The case files of the
//! crate's own tests are read as scripts too: what the peer does in them.
//!
//! # Features
//!
//! Nothing here is in the crate without the feature `testkit`; the strategies need the feature
//! `proptest` besides. Put them into the `dev-dependencies`.

mod chance;
mod clock;
mod judge;
mod message;
mod net;
mod peer;
pub mod pieces;
mod pipe;
mod rule;
mod script;
#[cfg(feature = "proptest")]
#[cfg_attr(docsrs, doc(cfg(feature = "proptest")))]
pub mod strategy;
mod stream;
mod text;
mod trial;
mod watch;
mod watched;

// The buffered layer over connections that are watched: the very same code, compiled once more.
#[allow(clippy::duplicate_mod, reason = "so that it cannot differ")]
#[path = "../buffered.rs"]
pub mod buffered;

pub use chance::{Rng, Source, seeds};
pub use clock::Clock;
pub use judge::Rest;
pub use message::{Body, Flaw, Framing, Lines, Request, Response};
pub use net::{Net, Ready};
pub use pipe::{Fault, Got, Pipe, Put, Side, Weather};
pub use rule::{Breach, Rule};
pub use script::{Move, Script, ScriptError};
pub use stream::Stream;
pub use text::{Token, escape, moment, show_moment, tokens, unescape};
pub use trial::{Report, Trial};
pub use watch::Watch;
pub use watched::{client, server};
