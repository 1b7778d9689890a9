//! The fuzz targets without a fuzzer: every seed that is checked in is replayed, changed at random a few
//! times, and replayed again. And the lists agree: targets, corpora, and the differences that are wanted.

mod common;

use common::differential::{self, CLASSES};
use common::framing::framing;
use common::fuzz::TARGETS;
use common::seeds;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The fuzz package; `None` in a packaged crate, which has none.
fn fuzz() -> Option<PathBuf> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    fuzz.exists().then_some(fuzz)
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// The seeds of a target that are checked in: what a fuzzer finds has other names.
fn checked_in(fuzz: &Path, target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = fuzz.join("corpus").join(target);
    let seeds = names(&dir).into_iter().filter(|name| name.starts_with("seed-"));
    seeds.map(|name| (name.clone(), std::fs::read(dir.join(name)).expect("a seed"))).collect()
}

/// Runs a body, and says which input it was if it fails.
fn replay(run: fn(&[u8]), what: &dyn Fn() -> String, input: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| run(input)) {
        eprintln!("{}: {}", what(), input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

/// xorshift64*, so that every run is the same.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let x = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        x as usize % n.max(1)
    }
}

/// A few changes such as a fuzzer makes: an octet, a piece gone, a piece of another seed put in.
fn change(rng: &mut Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(input.len() + 1);
        let until = (at + rng.below(9)).min(input.len());
        match rng.below(5) {
            0 if at < input.len() => input[at] = rng.below(256) as u8,
            1 if at < input.len() => input[at] ^= 1 << rng.below(8),
            2 => drop(input.drain(at..until)),
            3 => drop(input.splice(at..at, other.iter().copied().skip(at).take(40))),
            _ => {
                let twice = input[at..until].to_vec();
                drop(input.splice(at..at, twice));
            }
        }
    }
    input
}

#[test]
fn the_seeds_of_every_target_hold_and_so_do_changed_ones() {
    let Some(fuzz) = fuzz() else { return };
    for (target, run) in TARGETS {
        let clock = std::time::Instant::now();
        let seeds = checked_in(&fuzz, target);
        assert!(!seeds.is_empty(), "no seeds in fuzz/corpus/{target}");
        for (name, input) in &seeds {
            replay(*run, &|| format!("{target}/{name}"), input);
        }
        let rng = &mut Rng(0x9e37_79b9_7f4a_7c15);
        let changed = 200;
        for _ in 0..changed {
            let (name, seed) = &seeds[rng.below(seeds.len())];
            let (_, other) = &seeds[rng.below(seeds.len())];
            let input = change(rng, seed, other);
            replay(*run, &|| format!("{target}/{name}, changed"), &input);
        }
        println!("{target}: {} seeds, {changed} changed ones {:?}", seeds.len(), clock.elapsed());
    }
}

/// What the case files hold, for every target that can make use of it.
#[test]
fn every_case_is_an_input_that_holds() {
    let inputs = seeds::inputs();
    for (target, run) in TARGETS {
        let clock = std::time::Instant::now();
        let inputs: Vec<_> = inputs.iter().filter(|(name, ..)| name == target).collect();
        for (_, name, input) in &inputs {
            replay(*run, &|| format!("{target}, case {name}"), input);
        }
        println!("{target}: {} cases {:?}", inputs.len(), clock.elapsed());
    }
    assert!(inputs.len() > 5_000, "the cases are there");
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_nothing_else_has() {
    let Some(fuzz) = fuzz() else { return };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "a name twice");
    let programs = names(&fuzz.join("fuzz_targets"));
    assert_eq!(programs, targets.iter().map(|t| format!("{t}.rs")).collect());
    assert_eq!(names(&fuzz.join("corpus")), targets);
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
    let bins = manifest.split("[[bin]]").skip(1).map(|bin| {
        bin.lines().find_map(|l| l.strip_prefix("name = \"")).expect("a name").trim_matches('"')
    });
    assert_eq!(bins.map(str::to_owned).collect::<BTreeSet<_>>(), targets);
    let readme = std::fs::read_to_string(fuzz.join("README.md")).expect("a README");
    for target in &targets {
        assert!(readme.contains(&format!("`{target}`")), "{target} is not in fuzz/README.md");
    }
}

#[test]
fn every_wanted_difference_is_shown_by_a_seed_and_written_down() {
    let Some(fuzz) = fuzz() else { return };
    let mut shown = BTreeSet::new();
    for (_, input) in checked_in(&fuzz, "differential") {
        shown.extend(differential::compare(&input).map(|class| class.name));
    }
    for class in CLASSES {
        assert!(shown.contains(class.name), "no seed shows: {}", class.name);
    }
    let page = fuzz.join("DIFFERENCES.md");
    let printed = differential::differences();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&page, &printed).expect("written");
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert_eq!(written, printed, "run it again with UPDATE=1");
}

// ---- found once ----

/// Requests for the target `framing`, with a few cuts.
fn requests(stream: &[u8]) -> Vec<u8> {
    [&[0, 20, 0][..], stream].concat()
}

/// Responses to one GET, or to two of them.
fn responses(gets: u8, flags: u8, stream: &[u8]) -> Vec<u8> {
    [&[1 | gets << 1 | flags, 20, 0, 0][..], stream].concat()
}

const OFFERS: u8 = 8;
const EOF: u8 = 16;
const SENTINEL: u8 = 32;

#[test]
fn connect_with_a_length_of_zero_given_twice_is_refused() {
    for lengths in ["Content-Length: 0, 0\r\n", "Content-Length: 0\r\nContent-Length: 0\r\n"] {
        let head = format!("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n{lengths}\r\n");
        let kind = keepalive::RequestHead::parse(head.as_bytes()).map_err(|f| f.kind);
        assert_eq!(kind.err(), Some(keepalive::Kind::LengthRepeated));
        framing(&requests(head.as_bytes()));
    }
}

#[test]
fn a_101_names_the_protocol_and_empty_members_are_none() {
    for named in ["", " ", ",", "a,", ",a", "a,,b", "a", "a, x", "a b"] {
        let head = format!("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: {named}\r\n\r\nraw");
        framing(&responses(1, OFFERS, head.as_bytes()));
    }
}

#[test]
fn a_101_to_connect_was_not_asked_for() {
    let connect = 2;
    let head = b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw";
    framing(&[&[1 | 1 << 1 | OFFERS, 20, 0, connect], &head[..]].concat());
}

/// The oracle counts as the machine does: exactly at each limit, and around it.
#[test]
fn limits_are_where_the_oracle_has_them() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let c = format!("POST / HTTP/1.1\r\nHost: a\r\n{chunked}");
    let rc = format!("HTTP/1.1 200 OK\r\n{chunked}");
    let both = |body: &str| {
        framing(&requests(format!("{c}{body}").as_bytes()));
        framing(&responses(1, SENTINEL, format!("{rc}{body}").as_bytes()));
    };
    let request = |text: String| framing(&requests(text.as_bytes()));
    let response = |text: String| framing(&responses(1, SENTINEL, text.as_bytes()));
    for n in 4090..4100 {
        both(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(n - 2)));
        both(&format!("1{}\r\na\r\n0\r\n\r\n", " ".repeat(n - 1)));
    }
    // The overhead of a chunk is its line and two CRLFs, less 16 and twice its size.
    for n in 16_380..16_390 {
        let lines: String = (0..16).map(|_| format!("1;{}\r\na\r\n", "x".repeat(998))).collect();
        let last = n - 16 * (1000 + 4 - 18) + 18 - 4 - "1;".len();
        both(&format!("{lines}1;{}\r\na\r\n0\r\n\r\n", "x".repeat(last)));
    }
    for n in [98, 99, 100, 101, 102, 999, 1000, 1001] {
        both(&format!("0\r\n{}\r\n", "T: 1\r\n".repeat(n)));
        request(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "T: 1\r\n".repeat(n - 1)));
        response(format!("HTTP/1.1 204 N\r\n{}\r\n", "T: 1\r\n".repeat(n)));
    }
    for n in 16_380..16_390 {
        both(&format!("0\r\nT: {}\r\n\r\n", "x".repeat(n - "T: \r\n\r\n".len())));
    }
    for n in 32_764..32_772 {
        let padded = |start: &str| format!("{start}{}\r\n\r\n", "x".repeat(n - 4 - start.len()));
        request(padded("GET / HTTP/1.1\r\nHost: a\r\nT: "));
        response(padded("HTTP/1.1 204 N\r\nT: "));
        response(padded("HTTP/1.1 204 "));
    }
    for n in 8185..8240 {
        for method in ["GET".into(), "M".repeat(32), "M".repeat(33)] {
            let target = "x".repeat(n - 1);
            request(format!("{method} /{target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
    }
    for n in 62..68 {
        response("HTTP/1.1 103 E\r\n\r\n".repeat(n));
    }
    for n in 0..12 {
        for blank in ["\r\n", "\n", "\r"].map(|b| b.repeat(n)) {
            request(format!("{blank}GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
            for flags in [0, EOF, SENTINEL, EOF | SENTINEL] {
                let stream = format!("{blank}{answer}{blank}{answer}{blank}");
                framing(&responses(2, flags, stream.as_bytes()));
            }
        }
    }
}
