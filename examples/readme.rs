//! The loop of the README: a server, one thread a connection, that answers each request with its
//! own target. `cargo run --example readme`, then `curl http://127.0.0.1:8080/hello`.
#![allow(clippy::print_stdout, reason = "it is what the program is for")]

// README begins
use keepalive::{Clock, CloseReason, End, Io, buffered::Server, server::Config, server::Event};
use std::io::{Error, Read, Result, Write};
use std::net::{Shutdown, TcpStream};

fn serve(mut sock: TcpStream, config: &Config, clock: Clock) -> Result<CloseReason> {
    let mut http = Server::allocate(config, clock.now());
    loop {
        while let (Some(event), mut out) = http.next(clock.now(), usize::MAX) {
            if let Event::Request(head) = event {
                let status = if head.is_connect() { 501 } else { 200 };
                let fields = [("Content-Type", "text/plain")];
                out.reply(status, fields, head.target()).map_err(Error::other)?;
            }
        }
        match http.wants().end {
            Some(End::ShutdownWrite) => {
                let _ = sock.shutdown(Shutdown::Write); // the peer may be gone already
                http.write_closed(clock.now());
                continue;
            }
            Some(End::Close(why) | End::Abort(why)) => return Ok(why),
            Some(End::Tunnel) | None => {}
        }
        let wait = clock.until(http.deadline());
        if !http.output().is_empty() {
            sock.set_write_timeout(wait)?;
            let written = sock.write(http.output());
            http.transmitted(clock.now(), written.into());
        } else {
            sock.set_read_timeout(wait)?;
            let read = http.space().map_or(Io::Nothing, |space| sock.read(space).into());
            http.received(clock.now(), read);
        }
    }
}
// README ends

/// What the test of the loop calls.
#[allow(dead_code, reason = "used by the test")]
pub(crate) fn run(sock: TcpStream) -> Result<CloseReason> {
    serve(sock, &Config::origin(), Clock::start())
}

#[allow(dead_code, reason = "the test that runs the loop has a main of its own")]
fn main() -> Result<()> {
    let clock = Clock::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:8080")?;
    for sock in listener.incoming() {
        let sock = sock?;
        std::thread::spawn(move || match serve(sock, &Config::origin(), clock) {
            Ok(why) => println!("closed: {why}"),
            Err(error) => println!("failed: {error}"),
        });
    }
    Ok(())
}
