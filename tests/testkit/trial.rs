//! A trial and what it reports: everything that is needed to look at a failure again.

use super::bug::Bug;
use super::server::serve;
use keepalive::testkit::server::Connection;
use keepalive::testkit::{Clock, Net, Report, Rule, Script, Side, Stream, Trial, Weather};
use keepalive::{Deadline, End, Instant, Io, Timer, server::Config};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

const SILENT: &str = "# A client that says nothing\nrole: server\n";

fn silent(seed: u64) -> Trial {
    let script = Script::parse(SILENT).expect("a script").remove(0);
    Trial::of_server(seed).script(script).weather(Weather::calm())
}

/// Waits 3 s longer than it may, and then does what is to be done.
fn late(stream: Stream, clock: Clock) {
    let mut conn = Connection::new(&Config::origin(), clock.now());
    while conn.wants().end.is_none() {
        let deadline = conn.deadline().expect("it waits for a request");
        stream
            .set_read_timeout(Some(deadline.at.since(clock.now()) + Duration::from_secs(3)))
            .expect("an open stream");
        let read = Io::from((&stream).read(&mut [0; 99]));
        assert_eq!(read, Io::Nothing);
        conn.expire(clock.now());
    }
    if conn.wants().end == Some(End::ShutdownWrite) {
        stream.shutdown(Shutdown::Write).expect("an open stream");
        conn.write_closed(clock.now());
        assert_eq!((&stream).read(&mut [0; 99]).expect("the client closes, too"), 0);
        conn.received_eof(clock.now());
    }
}

#[test]
fn a_driver_may_be_as_late_as_its_slack() {
    assert_eq!(silent(1).run(late).broken(), Some(Rule::DeadlineIgnored));
    silent(1).slack(Duration::from_secs(4)).run(late).check();
    silent(1).allow(Rule::DeadlineIgnored).run(late).check();
    // Another rule that may be broken is of no help.
    let report = silent(1).allow(Rule::EmptyRead).run(late);
    assert_eq!(report.broken(), Some(Rule::DeadlineIgnored));
}

#[test]
fn a_report_has_what_is_needed_to_try_again() {
    let spoken = |report: Report<()>| {
        assert!(!report.is_fine());
        let text = report.to_string();
        let panic = std::panic::catch_unwind(|| report.check()).expect_err("it is not fine");
        assert_eq!(panic.downcast_ref::<String>(), Some(&text), "that is what it panics with");
        assert!(text.starts_with("SEED=7\n") && text.ends_with(SILENT), "{text}");
        text
    };
    std::panic::set_hook(Box::new(|_| {}));
    let broken = spoken(silent(7).run(|stream, clock| _ = serve(stream, clock, Bug::WaitsForEver)));
    let formatted = spoken(silent(7).run(|_, _| panic!("lost {}", "count")));
    let plain = spoken(silent(7).run(|_, _| panic!("lost")));
    let endless = spoken(silent(7).run_async(|_, _| std::future::pending::<()>()));
    drop(std::panic::take_hook());
    assert!(broken.contains("\nDeadlineIgnored at 1.000003s: a deadline passed"), "{broken}");
    assert!(formatted.contains("\nthe driver did not end: lost count\n"), "{formatted}");
    assert!(plain.contains("\nthe driver did not end: lost\n"), "{plain}");
    assert!(endless.contains("it waits for what will never happen\n"), "{endless}");
    let waits = Script::parse(&format!("{SILENT}> more\n")).expect("a script").remove(0);
    let unmet = silent(7).script(waits).run(|_, _| {}).to_string();
    assert!(unmet.contains("\nthe peer waited in vain: A client that says nothing\n"), "{unmet}");
}

/// What stands in for a `TcpStream` refuses what that refuses, and closes what that closes.
#[test]
fn a_stream_is_used_as_one_of_std() {
    let net = Net::default();
    let script = "# An echo\nrole: client\n> ping\n< pong\nclosed\n< more\neof\n";
    let stream = net.stream(Script::parse(script).expect("a script").remove(0), Weather::calm(), 1);
    for refused in [
        stream.set_read_timeout(Some(Duration::ZERO)),
        stream.set_write_timeout(Some(Duration::ZERO)),
    ] {
        assert_eq!(refused.expect_err("no time is no time-out").kind(), ErrorKind::InvalidInput);
    }
    // Through a reference, as two threads would.
    let mut writer = &stream;
    writer.write_all(b"pi").expect("room");
    writer.flush().expect("nothing is held back");
    assert_eq!(writer.write(b"").expect("nothing"), 0);
    stream.shutdown(Shutdown::Read).expect("nothing is closed");
    writer.write_all(b"ng").expect("not even the other side");
    let mut pong = [0; 4];
    (&stream).read_exact(&mut pong).expect("still open");
    assert_eq!(&pong, b"pong");
    stream.shutdown(Shutdown::Write).expect("an open stream");
    // Were this not its purpose, the watch would call it by its name.
    stream.watch().allow(Rule::WriteAfterEnd);
    assert_eq!(writer.write(b"x").expect_err("closed").kind(), ErrorKind::BrokenPipe);
    let mut rest = String::new();
    (&stream).read_to_string(&mut rest).expect("the other half");
    assert_eq!(rest, "more");
    assert!(net.unmet().is_empty());

    // A peer that is gone: there is nothing to be half-closed any more.
    let reset = "# A reset\nrole: client\nreset\n";
    let stream = net.stream(Script::parse(reset).expect("a script").remove(0), Weather::calm(), 1);
    assert_eq!((&stream).read(&mut [0; 9]).expect_err("reset").kind(), ErrorKind::ConnectionReset);
    let gone = stream.shutdown(Shutdown::Both).expect_err("reset");
    assert_eq!(gone.kind(), ErrorKind::NotConnected);
}

/// Two peers that wait for each other never wake; a driver in a future is told so.
#[test]
fn a_stream_to_a_silent_peer_never_wakes() {
    let net = Net::new();
    let stream = net.stream(Script::new("says nothing", Side::Client), Weather::calm(), 1);
    let read = (&stream).read(&mut [0; 9]).expect_err("no time-out, and nobody who speaks");
    assert_eq!(read.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn the_clock_says_how_long_to_wait_as_the_real_one_does() {
    let clock = Clock::default();
    let now = clock.now();
    let due = |at: Instant| Some(Deadline { at, timer: Timer::Idle });
    assert_eq!(clock.until(None), None);
    assert_eq!(clock.until(due(now + Duration::from_secs(3))), Some(Duration::from_secs(3)));
    // As little as a socket can be told to wait.
    assert_eq!(clock.until(due(now)), Some(Duration::from_millis(1)));
    clock.advance(Duration::from_secs(2));
    assert_eq!(clock.until(due(now + Duration::from_secs(3))), Some(Duration::from_secs(1)));
    clock.set(now);
    assert_eq!(clock.now(), now + Duration::from_secs(2), "it does not run backwards");
}
