//! Scripts: written by hand, read from the crate's own case files, and drawn; played to right drivers.

use super::bug::Bug;
use super::{blocking, client, server};
use keepalive::server::Config;
use keepalive::testkit::{Net, Script, Side, Source, Trial, Weather, seeds};
use std::path::Path;

fn one(text: &str) -> Script {
    Script::parse(text).unwrap_or_else(|e| panic!("{e}")).remove(0)
}

const HELLO: &str = r"
# A client that half-closes behind its second request
role: server
< GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n
> HTTP/1.1 200 OK\r\n
> Connection: keep-alive\r\n
> Keep-Alive: timeout=70, max=999\r\n
> Content-Length: 2\r\n\r\n/a
at 60s
< GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n
eof
response 200 [Connection: close]
closed
";

#[test]
fn a_script_says_what_it_waited_for_in_vain() {
    let play = |text: &str| {
        let trial = Trial::of_server(1).script(one(text)).weather(Weather::calm());
        trial.run(|s, clock| blocking::serve(s, &Config::origin(), clock).expect("no failure"))
    };
    play(HELLO).check();
    let wrong = play(&HELLO.replace("max=999", "max=998"));
    assert_eq!(wrong.breach, None);
    let unmet = wrong.unmet.expect("something is wrong");
    assert!(unmet.contains("max=998") && unmet.contains("max=999"), "{unmet}");
    let wrong = play(&HELLO.replace("response 200", "response 404"));
    assert!(wrong.unmet.expect("something is wrong").contains("status: 200"));
    let wrong = play(&HELLO.replace("[Connection: close]", "[X: y]"));
    assert!(!wrong.is_fine());
    let late = play(&HELLO.replace("at 60s", "at 80s"));
    assert!(late.unmet.expect("the server closes at 75 s").contains("EOF"), "a server that idles");
}

#[test]
fn a_server_in_a_script_waits_for_whole_requests() {
    let text = r"
# A server that answers early, and then as it should
role: client
head GET / [Host: a]
pause 10ms
< HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx
request POST /
< HTTP/1.1 103 Early Hints\r\n\r\n
< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n
request HEAD /
< HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n
content x
request PUT * [Transfer-Encoding: chunked]
< HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n
closed
";
    let play = |text: &str| {
        let trial = Trial::of_client(1).script(one(text)).weather(Weather::calm());
        trial.run(|s, clock| client::fetch(s, clock, client::Bug::None))
    };
    assert_eq!(play(text).check(), 4);
    let wrong = play(&text.replace("request POST", "request GET"));
    assert!(wrong.unmet.expect("it is a POST").contains("POST"));
    assert!(!play(&text.replace("[Host: a]", "[Host: b]")).is_fine());
}

/// Whoever writes a script by hand is told the line, and what is wrong with it.
#[test]
fn what_is_wrong_with_a_script_is_said_with_its_line() {
    for (line, what) in [
        ("says hello", "unknown word: says"),
        ("response 200 HEAD", "not: response STATUS to METHOD [Name: value]"),
        ("response OK", "not a number: OK"),
        ("request GET / HTTP/1.1", "not: request METHOD TARGET [Name: value]"),
        ("head GET / 'quoted'", ""),
        ("pause 5", ""),
        ("at noon", ""),
        (r"< \q", ""),
        (r"content {P", ""),
    ] {
        let text = format!("# A script\nrole: server\n\n{line}\n");
        match Script::parse(&text) {
            Err(error) => {
                let said = error.to_string();
                println!("{line}: {said}");
                assert!(said.starts_with("line 4: ") && said.contains(what), "{line}: {said}");
            }
            Ok(scripts) => panic!("{line} is taken for: {}", scripts[0]),
        }
    }
}

/// Whatever a peer does in the crate's own scenarios, a right driver bears it.
#[test]
fn the_scenarios_are_played_to_right_drivers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/scenarios");
    let (mut servers, mut clients) = (0, 0);
    for entry in std::fs::read_dir(folder).expect("the case files") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "case") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a text file");
        let scripts = Script::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (script, seed) in scripts.into_iter().zip(1..) {
            let script = script.without_expectations();
            let again = one(&script.to_string());
            assert_eq!(again, script, "{}", path.display());
            for weather in [Weather::calm(), Weather::draw(&mut Source::seeded(seed))] {
                if script.side == Side::Client {
                    let trial =
                        |s: &Script| Trial::of_server(seed).script(s.clone()).weather(weather);
                    trial(&script).run(|s, clock| server::serve(s, clock, Bug::None)).check();
                    trial(&script)
                        .run(|s, clock| {
                            // The application of the README does not know all methods.
                            let _ = blocking::serve(s, &Config::origin(), clock);
                        })
                        .check();
                    servers += 1;
                } else {
                    let trial = Trial::of_client(seed).script(script.clone()).weather(weather);
                    trial.run(|s, clock| client::fetch(s, clock, client::Bug::None)).check();
                    clients += 1;
                }
            }
        }
    }
    println!("scenarios as peers: {servers} clients, {clients} servers");
    assert!(servers > 400 && clients > 200, "{servers} {clients}");
}

/// One loop, many connections: what a driver around epoll does.
#[test]
fn many_connections_share_a_loop() {
    for seed in seeds(60) {
        let net = Net::new();
        let streams = (0..12).map(|n| net.drawn(Side::Server, seed * 100 + n)).collect();
        let over = server::serve_all(&net, streams);
        assert_eq!(over.len(), 12);
        assert!(net.breaches().is_empty(), "SEED={seed}\n{}", net.breaches()[0]);
        assert!(net.unmet().is_empty());
    }
}

/// The same seed is the same trial, to the microsecond.
#[test]
fn a_seed_is_a_trial() {
    let play = |seed| {
        let report = Trial::of_server(seed).run(|s, clock| {
            let over = server::serve(s, clock.clone(), Bug::None);
            (over, clock.now())
        });
        (report.to_string(), report.result)
    };
    for seed in 1..50 {
        let (first, second) = (play(seed), play(seed));
        assert_eq!(first, second);
        assert_ne!(first.0, play(seed + 1).0);
    }
}
