//! The pipe: each thing that it does to those who use it, by itself.

use keepalive::Instant;
use keepalive::testkit::{Fault, Got, Pipe, Put, Rng, Side, Source, Weather};
use std::time::Duration;

fn ms(n: u64) -> Instant {
    Instant::from_millis(n)
}

fn pipe(change: impl FnOnce(&mut Weather)) -> Pipe {
    let mut weather = Weather { delay: Duration::from_millis(10), ..Weather::calm() };
    change(&mut weather);
    Pipe::new(&weather, Rng::new(3))
}

/// What is there to be read.
fn read(pipe: &mut Pipe, side: Side) -> (Got, Vec<u8>) {
    let mut octets = Vec::new();
    (pipe.read(side, 1_000, &mut octets), octets)
}

#[test]
fn octets_take_their_time_and_keep_their_order() {
    let mut pipe = pipe(|w| w.jitter = Duration::from_millis(50));
    let all: Vec<u8> = (0..200).collect();
    for (n, octet) in all.iter().enumerate() {
        assert_eq!(pipe.write(ms(n as u64), Side::Client, &[*octet]), Put::Octets(1));
    }
    let mut got = Vec::new();
    let mut moments = Vec::new();
    while let Some(at) = pipe.next_event() {
        assert!(pipe.arrive(at));
        moments.push(at);
        got.extend(read(&mut pipe, Side::Server).1);
    }
    assert_eq!(got, all);
    assert!(
        moments[0] >= ms(10) && *moments.last().unwrap() <= ms(199 + 60) && moments.is_sorted()
    );
    assert_eq!(read(&mut pipe, Side::Server).0, Got::Nothing);
}

#[test]
fn a_window_is_full_until_it_is_read() {
    let mut pipe = pipe(|w| w.window = 5);
    assert_eq!(pipe.write(ms(0), Side::Server, b"abcdefgh"), Put::Octets(5));
    assert_eq!(pipe.write(ms(0), Side::Server, b"f"), Put::Full);
    assert!(!pipe.writable(Side::Server) && pipe.writable(Side::Client));
    pipe.arrive(ms(10));
    assert!(!pipe.take_writable(Side::Server));
    let mut two = Vec::new();
    pipe.read(Side::Client, 2, &mut two);
    assert_eq!(two, b"ab");
    assert!(pipe.take_writable(Side::Server) && !pipe.take_writable(Side::Server));
    assert_eq!(pipe.write(ms(11), Side::Server, b"fgh"), Put::Octets(2));
}

#[test]
fn a_half_close_leaves_the_other_half() {
    let mut pipe = pipe(|_| {});
    pipe.write(ms(0), Side::Client, b"last");
    pipe.shutdown(ms(0), Side::Client);
    assert_eq!(pipe.write(ms(1), Side::Client, b"x"), Put::Broken);
    pipe.arrive(ms(10));
    assert_eq!(read(&mut pipe, Side::Server), (Got::Octets, b"last".to_vec()));
    assert_eq!(read(&mut pipe, Side::Server).0, Got::Eof);
    assert_eq!(pipe.write(ms(11), Side::Server, b"answer"), Put::Octets(6));
    pipe.arrive(ms(21));
    assert_eq!(read(&mut pipe, Side::Client).1, b"answer");
    pipe.close(ms(22), Side::Client);
    pipe.close(ms(22), Side::Server);
    assert!(pipe.is_over());
}

#[test]
fn a_close_with_octets_unread_destroys_what_was_under_way() {
    let mut pipe = pipe(|_| {});
    pipe.write(ms(0), Side::Client, b"request");
    pipe.arrive(ms(10));
    pipe.write(ms(10), Side::Server, b"response");
    pipe.close(ms(10), Side::Server);
    pipe.arrive(ms(20));
    assert_eq!(read(&mut pipe, Side::Client).0, Got::Reset);
    assert_eq!(pipe.write(ms(21), Side::Client, b"x"), Put::Broken);
}

#[test]
fn octets_for_somebody_who_has_closed_come_back_as_a_reset() {
    let mut pipe = pipe(|_| {});
    pipe.close(ms(0), Side::Server);
    pipe.write(ms(0), Side::Client, b"late");
    pipe.arrive(ms(10));
    assert_eq!(read(&mut pipe, Side::Client).0, Got::Eof);
    pipe.arrive(ms(20));
    assert_eq!(read(&mut pipe, Side::Client).0, Got::Reset);
}

#[test]
fn each_fault_does_what_it_is_called() {
    let send = |fault| {
        let mut pipe = pipe(|w| w.fault = fault);
        for n in [0, 100, 200] {
            pipe.write(ms(n), Side::Client, b"abc");
        }
        pipe
    };
    let mut reset = send(Fault::Reset(ms(150)));
    assert_eq!(reset.next_event(), Some(ms(10)));
    reset.arrive(ms(150));
    assert_eq!(read(&mut reset, Side::Server).0, Got::Reset);
    assert_eq!(read(&mut reset, Side::Client).0, Got::Reset);
    assert!(reset.readable(Side::Server));

    let mut silence = send(Fault::Silence(ms(150)));
    silence.arrive(ms(999_999));
    assert_eq!(read(&mut silence, Side::Server).1, b"abcabc");
    assert_eq!(silence.next_event(), None);

    let mut stall = send(Fault::Stall(ms(50), ms(5_000)));
    stall.arrive(ms(4_999));
    assert_eq!(read(&mut stall, Side::Server).1, b"abc");
    stall.arrive(ms(5_000));
    assert_eq!(read(&mut stall, Side::Server).1, b"abcabc");

    let mut cut = send(Fault::Cut(Side::Client, 4));
    cut.arrive(ms(999));
    assert_eq!(read(&mut cut, Side::Server), (Got::Octets, b"abca".to_vec()));
    assert_eq!(read(&mut cut, Side::Server).0, Got::Eof);
    assert_eq!(cut.write(ms(999), Side::Client, b"more"), Put::Octets(4));
    cut.arrive(ms(9_999));
    assert_eq!(read(&mut cut, Side::Server).0, Got::Eof);
    assert_eq!(cut.write(ms(999), Side::Server, b"back"), Put::Octets(4));
}

#[test]
fn weather_is_calm_and_foul() {
    let all: Vec<_> = (0..500).map(|seed| Weather::draw(&mut Source::seeded(seed))).collect();
    let count = |f: fn(&Weather) -> bool| all.iter().filter(|w| f(w)).count();
    assert!((100..250).contains(&count(Weather::is_faulty)));
    for fault in [
        |w: &Weather| matches!(w.fault, Fault::Reset(_)),
        |w: &Weather| matches!(w.fault, Fault::Silence(_)),
        |w: &Weather| matches!(w.fault, Fault::Stall(..)),
        |w: &Weather| matches!(w.fault, Fault::Cut(Side::Client, _)),
        |w: &Weather| matches!(w.fault, Fault::Cut(Side::Server, _)),
        |w: &Weather| w.cut == 1,
        |w: &Weather| w.interrupts > 0,
        |w: &Weather| w.window == 90,
    ] {
        assert!(count(fault) > 5);
    }
    assert_eq!(Weather::draw(&mut Source::new(b"")), Weather::calm());
}
