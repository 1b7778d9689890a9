//! The server of the README, but for its imports; and the same as a future.

use keepalive::testkit::{Clock, Stream as TcpStream, buffered::Server};
use keepalive::{CloseReason, End, Io, NO_FIELDS, server::Config, server::Event};
use std::future::poll_fn;
use std::io::{Error, Read, Result, Write};
use std::net::Shutdown;
use std::pin::pin;
use std::task::Poll;

pub fn serve(mut sock: TcpStream, config: &Config, clock: Clock) -> Result<CloseReason> {
    let mut http = Server::allocate(config, clock.now());
    loop {
        while let (Some(event), mut out) = http.next(clock.now(), usize::MAX) {
            if let Event::Request(head) = event {
                let status = if head.is_connect() { 501 } else { 200 };
                out.reply(status, NO_FIELDS, head.target()).map_err(Error::other)?;
            }
        }
        match http.wants().end {
            Some(End::ShutdownWrite) => {
                let _ = sock.shutdown(Shutdown::Write); // the peer may be gone already
                http.write_closed(clock.now());
                continue;
            }
            Some(End::Close(why) | End::Abort(why)) => return Ok(why),
            Some(End::Tunnel) => return Ok(CloseReason::Tunnel),
            None => {}
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

/// What a future waits for.
enum Next {
    Read(Io),
    Wrote(Io),
    Time,
}

pub async fn serve_async(sock: TcpStream, config: Config, clock: Clock) -> Result<CloseReason> {
    let mut http = Server::allocate(&config, clock.now());
    let net = sock.net();
    loop {
        let mut ours = Vec::new();
        while let (Some(event), mut out) = http.next(clock.now(), usize::MAX) {
            match event {
                Event::Request(head) if head.has_content() => {
                    ours = head.target().to_vec();
                    out.read_content();
                }
                Event::Request(head) => {
                    let status = if head.is_connect() { 501 } else { 200 };
                    out.reply(status, NO_FIELDS, head.target()).map_err(Error::other)?;
                }
                Event::End(_) if out.wants().head => {
                    out.reply(200, NO_FIELDS, &ours).map_err(Error::other)?;
                }
                _ => {}
            }
        }
        match http.wants().end {
            Some(End::ShutdownWrite) => {
                let _ = sock.shutdown(Shutdown::Write);
                http.write_closed(clock.now());
                continue;
            }
            Some(End::Close(why)) => return Ok(why),
            Some(End::Abort(why)) => {
                sock.abort();
                return Ok(why);
            }
            Some(End::Tunnel) => return Ok(CloseReason::Tunnel),
            None => {}
        }
        let mut timer = pin!(net.sleep(http.deadline().map(|d| d.at)));
        let next = poll_fn(|cx| {
            if !http.output().is_empty()
                && let Poll::Ready(wrote) = sock.poll_write(cx, http.output())
            {
                return Poll::Ready(Next::Wrote(wrote.into()));
            }
            if let Some(space) = http.space()
                && let Poll::Ready(read) = sock.poll_read(cx, space)
            {
                return Poll::Ready(Next::Read(read.into()));
            }
            timer.as_mut().poll(cx).map(|()| Next::Time)
        });
        match next.await {
            Next::Read(read) => http.received(clock.now(), read),
            Next::Wrote(wrote) => http.transmitted(clock.now(), wrote),
            Next::Time => http.expire(clock.now()),
        }
    }
}
