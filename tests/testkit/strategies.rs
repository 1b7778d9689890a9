//! The strategies: what they make is what they say, and what fails shrinks to what matters.

use super::bug::Bug;
use super::{client, server};
use keepalive::testkit::{
    Clock, Net, Pipe, Report, Request, Response, Rule, Script, Source, Stream, Trial, Watch,
    Weather, strategy,
};
use keepalive::{
    Content, Instant, Kind, RequestHead, client as core_client, server as core_server,
};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn right_drivers_keep_the_contract_whatever_proptest_thinks_of(
        script in strategy::client(),
        weather in strategy::weather(),
    ) {
        let trial = Trial::of_server(1).script(script).weather(weather);
        let report = trial.run(|s, clock| server::serve(s, clock, Bug::None));
        prop_assert!(report.is_fine(), "{report}");
    }

    #[test]
    fn a_right_client_keeps_it_too(
        script in strategy::server(),
        weather in strategy::weather(),
    ) {
        let trial = Trial::of_client(1).script(script).weather(weather);
        let report = trial.run(|s, clock| client::fetch(s, clock, client::Bug::None));
        prop_assert!(report.is_fine(), "{report}");
    }

    #[test]
    fn a_flaw_is_found_however_it_comes(
        (flaw, octets) in strategy::flawed_request(),
        lengths in strategy::cuts(9),
        pauses in strategy::schedule(),
    ) {
        let config = core_server::Config::origin().head(std::time::Duration::from_secs(1 << 20));
        let mut conn = core_server::Connection::new(&config, BEGIN);
        let found = failure(&octets, &lengths, &pauses, |now, unread| {
            let step = conn.receive(now, unread, usize::MAX);
            let (more, kind) = match step.event {
                Some(core_server::Event::Failed(f)) => (true, Some(f.kind)),
                Some(core_server::Event::Request(_)) => {
                    conn.read_content(now);
                    (true, None)
                }
                event => (event.is_some(), None),
            };
            (step.consumed, more, kind)
        });
        prop_assert_eq!(found, Some(flaw.kind), "{}", flaw.name);
    }

    #[test]
    fn so_is_one_in_a_response(
        (flaw, octets) in strategy::flawed_response(),
        lengths in strategy::cuts(9),
        pauses in strategy::schedule(),
    ) {
        let mut conn = core_client::Connection::new(&core_client::Config::direct(), BEGIN);
        let host = [("Host", "a")];
        let sent = conn.request(BEGIN, "GET", "/", host, Content::None, &mut [0; 99]);
        conn.transmitted(BEGIN, sent.expect("a request").written as u64);
        let found = failure(&octets, &lengths, &pauses, |now, unread| {
            let step = conn.receive(now, unread, usize::MAX);
            let (more, kind) = match step.event {
                Some(core_client::Event::Failed(f)) => (true, Some(f.kind)),
                event => (event.is_some(), None),
            };
            (step.consumed, more, kind)
        });
        prop_assert_eq!(found, Some(flaw.kind), "{}", flaw.name);
    }
}

const BEGIN: Instant = Instant::from_millis(5);

/// What a connection finds first in octets that come in pieces, with pauses. `receive` says how many it
/// consumed, whether there may be more to say, and what has failed.
fn failure(
    octets: &[u8],
    lengths: &[usize],
    pauses: &[std::time::Duration],
    mut receive: impl FnMut(Instant, &[u8]) -> (usize, bool, Option<Kind>),
) -> Option<Kind> {
    let (mut now, mut unread, mut found) = (BEGIN, Vec::new(), None);
    let mut pauses = pauses.iter().cycle();
    for piece in strategy::cut(octets, lengths) {
        now = now + pauses.next().copied().unwrap_or_default();
        unread.extend_from_slice(piece);
        loop {
            let (consumed, more, kind) = receive(now, &unread);
            unread.drain(..consumed);
            found = found.or(kind);
            if !more {
                break;
            }
        }
    }
    found
}

/// A bug that shows only where the machine itself has to say something: what is left of the peer is
/// one message that asks for it.
#[test]
fn what_fails_shrinks_to_what_matters() {
    // Where shrinking comes to rest depends on where it began: one beginning, so that it is the same place.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(cases(500), rng);
    let peers = (strategy::client(), strategy::weather());
    let failed = runner.run(&peers, |(script, weather)| {
        let trial = Trial::of_server(1).script(script).weather(weather);
        let report = trial.run(|s, clock| server::serve(s, clock, Bug::ForgetsEmit));
        prop_assert!(report.broken() != Some(Rule::EmitForgotten), "{report}");
        Ok(())
    });
    let Err(TestError::Fail(_, (script, weather))) = failed else { panic!("{failed:?}") };
    println!("{weather:?}\n{script}");
    assert_eq!(weather, Weather::calm());
    assert!(script.moves.len() <= 4, "{script}");
    assert_eq!(Script::parse(&script.to_string()), Ok(vec![script]));
}

/// Drivers move their connections between threads.
#[test]
fn what_a_driver_holds_can_be_sent() {
    fn sent<T: Send + 'static>() {}
    sent::<(Stream, Clock, Net, Watch, Pipe, Script, Report<()>)>();
    sent::<keepalive::testkit::server::Connection>();
    sent::<keepalive::testkit::buffered::Client<Vec<u8>>>();
}

/// Octets of a fuzzer are as good as a seed.
#[test]
fn generators_take_whatever_octets_there_are() {
    for seed in 0..2_000 {
        let octets = Source::seeded(seed).take((seed % 60) as usize);
        let mut source = Source::new(&octets);
        let request = Request::draw(&mut source);
        let bytes = request.octets();
        assert_eq!(RequestHead::parse(&bytes).expect("a request").method(), request.method);
        let _ = (Response::draw(&mut source, "HEAD"), Weather::draw(&mut source));
    }
}
