//! All that can happen to two requests on one connection: every order of what client, server,
//! network and clock do, for small configurations. In each state the invariants hold; from each state
//! each exchange comes to an end.
//!
//! An explorer of our own: depth first, states compared as wholes. A state without successor must be
//! the end, and a cycle would be a world that never ends.
//!
//! `DEPTH=1` explores all settings; `DEPTH=2` with two faults and two steps of the clock at any place;
//! `DEPTH=3` in smaller pieces too, which takes hours and much memory. `ONLY=` picks settings by a part
//! of what they print with `{:?}`.
//!
//! Not in this world: a tunnel, an end that aborts, a client that retires or skips content. The simulation
//! and the operation lists of `tests/properties.rs` have them, by chance.
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing
)]

#[path = "sim/model.rs"]
mod model;

use keepalive::{Content, Verdict};
use model::{Action, Came, Reading, Setting, State};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

/// States that were met, each with a number.
#[derive(Default)]
struct Met {
    states: Vec<State>,
    by_print: HashMap<u64, Vec<u32>>,
}

impl Met {
    /// The number of a state, and whether it is new.
    fn number(&mut self, state: State) -> (u32, bool) {
        let new = self.states.len() as u32;
        match self.by_print.entry(state.fingerprint()) {
            Entry::Vacant(slot) => {
                slot.insert(vec![new]);
            }
            Entry::Occupied(mut slot) => {
                let same = |&&n: &&u32| self.states[n as usize] == state;
                if let Some(&n) = slot.get().iter().find(same) {
                    return (n, false);
                }
                slot.get_mut().push(new);
            }
        }
        self.states.push(state);
        (new, true)
    }
}

/// A state on the way to the present one, and what is still to be tried from it.
struct Frame {
    state: u32,
    by: Option<Action>,
    todo: &'static [Action],
    moved: bool,
}

#[derive(Default)]
struct Found {
    states: usize,
    steps: usize,
    ends: usize,
    longest: usize,
    /// What happened, by its place in [`Action::ALL`], and what came of requests.
    happened: HashSet<usize>,
    came: HashSet<Came>,
}

fn explore(cfg: &Setting) -> Found {
    let mut met = Met::default();
    let mut found = Found::default();
    let mut path = vec![Frame { state: 0, by: None, todo: Action::ALL, moved: false }];
    met.number(State::new(cfg));
    let mut on_path = vec![true];
    while let Some(frame) = path.last_mut() {
        let state = &met.states[frame.state as usize];
        let Some((&action, rest)) = frame.todo.split_first().filter(|_| !state.is_over()) else {
            if state.is_over() {
                found.ends += 1;
                found.came.extend(state.came());
                attempt(&path, cfg, || state.check_end(cfg));
            } else if !frame.moved {
                attempt(&path, cfg, || panic!("deadlock: {state:?}"));
            }
            on_path[path.pop().expect("a frame").state as usize] = false;
            continue;
        };
        frame.todo = rest;
        let which = Action::ALL.len() - rest.len() - 1;
        let next = attempt(&path, cfg, || state.after(action, cfg));
        let Some(next) = next else { continue };
        let frame = path.last_mut().expect("a frame");
        frame.moved = true;
        found.steps += 1;
        found.happened.insert(which);
        let (number, new) = met.number(next);
        if new {
            on_path.push(true);
            path.push(Frame { state: number, by: Some(action), todo: Action::ALL, moved: false });
            found.longest = found.longest.max(path.len());
        } else if on_path[number as usize] {
            attempt(&path, cfg, || {
                panic!("a cycle by {action:?}: {:?}", met.states[number as usize])
            });
        }
    }
    found.states = met.states.len();
    found
}

/// Tells how it came to a failure.
fn attempt<T>(path: &[Frame], cfg: &Setting, what: impl FnOnce() -> T) -> T {
    struct Tell<'a>(&'a [Frame], &'a Setting);
    impl Drop for Tell<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let by: Vec<_> = self.0.iter().filter_map(|f| f.by).collect();
                println!(
                    "{:?}\nafter {by:?}, trying {:?}",
                    self.1,
                    self.0
                        .last()
                        .and_then(|f| { Action::ALL.get(Action::ALL.len() - f.todo.len() - 1) })
                );
            }
        }
    }
    let tell = Tell(path, cfg);
    let value = what();
    std::mem::forget(tell);
    value
}

/// Of the first request: whether its version is 1.0, and who says close.
const CLOSING: [(bool, bool, bool); 5] = [
    (false, false, false),
    (false, true, false),
    (false, false, true),
    (true, false, false),
    (true, true, false),
];

/// How its content is treated, and whether it waits for a 100.
const READING: [(Reading, bool); 7] = [
    (Reading::All, false),
    (Reading::Unread, false),
    (Reading::Skipped, false),
    (Reading::Early, false),
    (Reading::All, true),
    (Reading::Unread, true),
    (Reading::Skipped, true),
];

/// Whether it is a HEAD, whether what is chunked has a trailer, and whether a second may go out behind it.
const KIND: [(bool, bool, bool); 5] = [
    (false, false, false),
    (false, false, true),
    (true, false, false),
    (true, false, true),
    (false, true, false),
];

fn all_settings(depth: u64) -> Vec<Setting> {
    let mut all = Vec::new();
    let contents = [Content::None, Content::Length(2), Content::Unknown];
    for (up, down) in contents.into_iter().flat_map(|up| contents.map(|down| (up, down))) {
        for (http10, client_closes, server_closes) in CLOSING {
            for (reading, expect) in READING {
                for (head, trailers, pipelined) in KIND {
                    let bare = up == Content::None;
                    let chunked = !http10 && [up, down].contains(&Content::Unknown);
                    let none = bare && (reading != Reading::All || expect)
                        || http10 && (expect || pipelined || up == Content::Unknown)
                        || (pipelined || head) && !bare
                        || trailers && !chunked;
                    if !none {
                        all.push(Setting {
                            up,
                            down,
                            head,
                            trailers,
                            http10,
                            client_closes,
                            server_closes,
                            pipelined,
                            expect,
                            reading,
                            ticks: depth.clamp(1, 2) as u8,
                            faults: depth.clamp(1, 2) as u8,
                            pieces: depth > 2,
                        });
                    }
                }
            }
        }
    }
    all
}

/// Two lengths, and nobody closes: what stands behind the content is the next request, however the content
/// is treated.
fn is_plain(cfg: &Setting) -> bool {
    let lengths = [cfg.up, cfg.down] == [Content::Length(2); 2];
    lengths && !(cfg.expect || cfg.http10 || cfg.client_closes || cfg.server_closes)
}

/// What is explored at this depth: all; or the plain ones and each eleventh, with each value of each class
/// among them.
fn settings(depth: u64) -> Vec<Setting> {
    let all = all_settings(depth).into_iter().enumerate();
    let some = all.filter(|(n, cfg)| depth > 0 || n % 11 == 0 || is_plain(cfg));
    some.map(|(_, cfg)| cfg).collect()
}

/// The classes, and which of their values are there.
fn values(settings: &[Setting]) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut seen: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for cfg in settings {
        // Named one by one, so that a class that is new cannot be forgotten here; the last three say how
        // far it is explored.
        let Setting {
            up,
            down,
            head,
            trailers,
            http10,
            client_closes,
            server_closes,
            pipelined,
            expect,
            reading,
            ticks: _,
            faults: _,
            pieces: _,
        } = cfg;
        let mut note = |class, value| seen.entry(class).or_default().insert(value);
        note("up", format!("{up:?}"));
        note("down", format!("{down:?}"));
        note("reading", format!("{reading:?}"));
        if is_plain(cfg) {
            note("reading, plain", format!("{reading:?}"));
        }
        let yes_or_no = [
            ("head", head),
            ("trailers", trailers),
            ("http10", http10),
            ("client_closes", client_closes),
            ("server_closes", server_closes),
            ("pipelined", pipelined),
            ("expect", expect),
        ];
        for (class, value) in yes_or_no {
            note(class, value.to_string());
        }
    }
    seen
}

#[test]
fn each_value_of_each_class_is_among_the_settings() {
    let expected = [
        ("client_closes", 2),
        ("down", 3),
        ("expect", 2),
        ("head", 2),
        ("http10", 2),
        ("pipelined", 2),
        ("reading", 4),
        ("reading, plain", 4),
        ("server_closes", 2),
        ("trailers", 2),
        ("up", 3),
    ];
    for depth in [0, 1] {
        let seen = values(&settings(depth));
        let counts: Vec<_> = seen.iter().map(|(class, values)| (*class, values.len())).collect();
        assert_eq!(counts, expected, "depth {depth}: {seen:?}");
    }
}

#[test]
fn whatever_happens_each_exchange_ends() {
    let depth = std::env::var("DEPTH").map_or(0, |d| d.parse().expect("DEPTH is a number"));
    let start = Instant::now();
    let mut all = Found::default();
    let settings = settings(depth);
    let only = std::env::var("ONLY").ok();
    let mut explored = 0;
    for cfg in &settings {
        if only.as_ref().is_some_and(|only| !format!("{cfg:?}").contains(only.as_str())) {
            continue;
        }
        let found = explore(cfg);
        explored += 1;
        assert!(found.ends > 0, "no end was met: {cfg:?}");
        println!(
            "{:>8} states, {:>8} steps, {:>6} ends, {:>3} long: up {:?}, down {:?}{}{}{}{}{}{}{} {:?}",
            found.states,
            found.steps,
            found.ends,
            found.longest,
            cfg.up,
            cfg.down,
            if cfg.head { ", HEAD" } else { "" },
            if cfg.trailers { ", trailers" } else { "" },
            if cfg.http10 { ", 1.0" } else { "" },
            if cfg.client_closes { ", client closes" } else { "" },
            if cfg.server_closes { ", server closes" } else { "" },
            if cfg.pipelined { ", pipelined" } else { "" },
            if cfg.expect { ", expect" } else { "" },
            cfg.reading,
        );
        all.states += found.states;
        all.steps += found.steps;
        all.ends += found.ends;
        all.happened.extend(found.happened);
        all.came.extend(found.came);
    }
    assert!(explored > 0, "ONLY={} picks no setting", only.unwrap_or_default());
    println!(
        "{} states in {} settings, {} steps, {} ends, {:.1} s",
        all.states,
        explored,
        all.steps,
        all.ends,
        start.elapsed().as_secs_f64()
    );
    if only.is_none() {
        all.check_kinds();
    }
}

impl Found {
    /// Over all settings, all that can happen has happened, and all that can come of a request has come.
    fn check_kinds(&self) {
        let actions = Action::ALL.iter().enumerate();
        let never: Vec<_> = actions.filter(|(n, _)| !self.happened.contains(n)).collect();
        assert!(never.is_empty(), "never happened: {never:?}");
        let mut comes = vec![Came::Done, Came::Clipped, Came::Own(408)];
        comes.extend([Verdict::Safe, Verdict::IfIdempotent, Verdict::No].map(Came::Failed));
        comes.retain(|came| !self.came.contains(came));
        assert!(comes.is_empty(), "never came: {comes:?} of {:?}", self.came);
    }
}
