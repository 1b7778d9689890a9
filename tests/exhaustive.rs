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

use keepalive::Content;
use model::{Action, Reading, Setting, State};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
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
                attempt(&path, cfg, || state.check_end(cfg));
            } else if !frame.moved {
                attempt(&path, cfg, || panic!("deadlock: {state:?}"));
            }
            on_path[path.pop().expect("a frame").state as usize] = false;
            continue;
        };
        frame.todo = rest;
        let next = attempt(&path, cfg, || state.after(action, cfg));
        let Some(next) = next else { continue };
        let frame = path.last_mut().expect("a frame");
        frame.moved = true;
        found.steps += 1;
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

fn settings(depth: u64) -> Vec<Setting> {
    let mut all = Vec::new();
    let two = Content::Length(2);
    for up in [Content::None, two, Content::Unknown] {
        for down in [Content::None, two, Content::Unknown] {
            for (http10, client_closes, server_closes) in [
                (false, false, false),
                (false, true, false),
                (false, false, true),
                (true, false, false),
                (true, true, false),
            ] {
                for (reading, expect) in [
                    (Reading::All, false),
                    (Reading::Unread, false),
                    (Reading::Early, false),
                    (Reading::All, true),
                    (Reading::Unread, true),
                ] {
                    for pipelined in [false, true] {
                        let bare = up == Content::None;
                        let none = bare && (reading != Reading::All || expect)
                            || http10 && (expect || pipelined || up == Content::Unknown)
                            || pipelined && !bare;
                        if !none {
                            all.push(Setting {
                                up,
                                down,
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
    }
    if depth == 0 {
        // A part of them, each value of each class among them.
        all = all.into_iter().step_by(7).collect();
    }
    all
}

#[test]
fn whatever_happens_each_exchange_ends() {
    let depth = std::env::var("DEPTH").map_or(0, |d| d.parse().expect("DEPTH is a number"));
    let start = Instant::now();
    let mut all = Found::default();
    let settings = settings(depth);
    let only = std::env::var("ONLY").ok();
    for cfg in &settings {
        if only.as_ref().is_some_and(|only| !format!("{cfg:?}").contains(only.as_str())) {
            continue;
        }
        let found = explore(cfg);
        println!(
            "{:>8} states, {:>8} steps, {:>6} ends, {:>3} long: up {:?}, down {:?}{}{}{}{}{} {:?}",
            found.states,
            found.steps,
            found.ends,
            found.longest,
            cfg.up,
            cfg.down,
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
    }
    println!(
        "{} states in {} settings, {} steps, {} ends, {:.1} s",
        all.states,
        settings.len(),
        all.steps,
        all.ends,
        start.elapsed().as_secs_f64()
    );
}
