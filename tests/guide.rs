//! The manual against the code: `docs/05-defaults.md` against the settings, the tables that are printed
//! from the code, what is quoted from the examples, the loop of the tutorial under the test kit, and
//! what mistakes look like (`docs/06-embedding.md`).
//!
//! Its programs are doctests of `keepalive::guide`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]

#[path = "guide/defaults.rs"]
mod defaults;
#[path = "guide/mistakes.rs"]
mod mistakes;
#[path = "guide/tutorial.rs"]
mod tutorial;

use keepalive::testkit::Rule;
use keepalive::{Blame, CloseReason};
use std::fmt::Write as _;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Puts a table into a page where it says so, if `UPDATE` is set; and holds it against what is there.
fn hold(path: &str, name: &str, table: &str) {
    let page = read(path);
    let (begin, end) = (format!("<!-- {name}: printed -->\n"), format!("\n<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin).expect("the place of the table");
    let (_, after) = rest.split_once(&end).expect("its end");
    let new = format!("{before}{begin}\n{table}{end}{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), &new).expect("the page");
    } else {
        assert!(page == new, "{path} differs in {name}: UPDATE=1 cargo test --test guide");
    }
}

#[test]
fn what_is_printed_in_pages_is_what_the_code_says() {
    let mut reasons = String::from("| Reason | Meaning | Rule | RFC |\n|---|---|---|---|\n");
    for r in CloseReason::ALL {
        let (name, text) = (r.name(), r.text());
        writeln!(reasons, "| `{name}` | {text} | {} | {} |", r.rule(), r.rfc()).unwrap();
    }
    hold("docs/02-states.md", "reasons", &reasons);

    let mut kinds =
        String::from("| Kind | Meaning | Status | Rule | RFC |\n|---|---|---|---|---|\n");
    for k in keepalive::Kind::ALL {
        let status = k.status().map_or(String::new(), |status| status.to_string());
        let (name, text) = (k.name(), k.text());
        writeln!(kinds, "| `{name}` | {text} | {status} | {} | {} |", k.rule(), k.rfc()).unwrap();
    }
    let transport = keepalive::Kind::ALL.iter().filter(|k| k.blame() == Blame::Transport);
    let transport: Vec<String> = transport.map(|k| format!("`{}`", k.name())).collect();
    writeln!(kinds, "\nTo blame is the transport for {}; the peer for all others.", {
        transport.join(", ")
    })
    .unwrap();
    hold("docs/02-states.md", "failures", &kinds);

    let mut rules =
        String::from("| Rule | What the driver did | What is asked of it |\n|---|---|---|\n");
    for r in Rule::ALL {
        writeln!(rules, "| `{}` | {} | {} |", r.name(), r.text(), r.contract()).unwrap();
    }
    hold("docs/08-testing.md", "rules", &rules);
}

/// What lines have in common does not count for how far they are indented.
fn dedented(code: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let least = code.lines().filter(|l| !l.trim().is_empty()).map(indent).min().unwrap_or(0);
    code.lines().map(|line| line.get(least..).unwrap_or_default().to_owned() + "\n").collect()
}

#[test]
fn what_is_quoted_stands_where_it_is_said_to_stand() {
    let page = read("docs/06-embedding.md");
    let mut quotes = 0;
    for quote in page.split("<!-- from ").skip(1) {
        let (file, rest) = quote.split_once(" -->\n").expect("a file");
        let code = rest.strip_prefix("```rust,ignore\n").expect("code behind it");
        let (code, _) = code.split_once("```").expect("its end");
        let source = read(file);
        // Some run of lines as long as the quotation is the quotation.
        let lines: Vec<&str> = source.lines().collect();
        let found =
            lines.windows(code.lines().count()).any(|w| dedented(&w.join("\n")) == dedented(code));
        assert!(found, "{file} does not say:\n{code}");
        quotes += 1;
    }
    assert_eq!(quotes, page.matches("```rust,ignore").count(), "a quotation without a source");
    assert_eq!(quotes, 4);
}

/// The twelve sentences stand on the front page of the documentation, too.
#[test]
fn the_contract_is_the_same_in_both_places() {
    let words = |text: &str| {
        let text = text.replace("Self::", "");
        let words: Vec<String> = text
            .split(|c: char| c.is_whitespace() || "[]`".contains(c))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        words.join(" ")
    };
    let page = read("docs/06-embedding.md");
    let (_, rest) = page.split_once("## The contract in twelve sentences\n").expect("the contract");
    let mut rest = rest;
    let mut guide = Vec::new();
    for n in 1..=12 {
        let (_, sentence) = rest.split_once(&format!("\n{n}. ")).expect("a sentence");
        let end = if n < 12 { format!("\n{}. ", n + 1) } else { "\n\n".into() };
        guide.push(words(sentence.split(&end).next().expect("a sentence")));
        rest = &rest[rest.len() - sentence.len() - 4..];
    }
    let front = read("src/lib.rs");
    let front: String =
        front.lines().filter_map(|l| l.strip_prefix("//!")).map(|l| l.to_owned() + "\n").collect();
    let (_, front) = front.split_once("The contract:\n").expect("the contract");
    let (front, _) = front.split_once("\n Rules are cited").expect("its end");
    let front: Vec<String> = front.split("\n * ").skip(1).map(words).collect();
    assert_eq!(front, guide);
}

#[test]
fn pages_link_to_pages_that_exist() {
    let names = ["01-tutorial", "02-states", "03-conformance", "04-vulnerabilities", "05-defaults"];
    let names = names.into_iter().chain(["06-embedding", "07-persistence", "08-testing"]);
    let guide = read("src/guide.rs");
    for name in names {
        let page = read(&format!("docs/{name}.md"));
        let module = &name[3..];
        assert!(guide.contains(&format!("{module} \"{name}.md\"")), "no module for {name}");
        assert!(
            guide.contains(&format!("[{module}]: crate::guide::{module}\n")),
            "no link to {module}"
        );
        for line in page.lines().filter(|l| l.starts_with('[') && l.contains("]: ")) {
            let (label, target) = line[1..].split_once("]: ").expect("a definition");
            assert!(read(&format!("docs/{target}")).starts_with("# "), "{name}: {line}");
            assert_eq!(format!("{label}.md"), target[3..], "{name}: {line}");
            assert!(page.contains(&format!("][{label}]")), "{name} does not use {line}");
        }
        for used in page.split("][").skip(1).filter_map(|rest| rest.split_once(']')) {
            let label = used.0;
            if label.chars().all(|c| c.is_ascii_lowercase()) && !label.is_empty() {
                assert!(page.contains(&format!("\n[{label}]: ")), "{name} does not define {label}");
            }
        }
    }
}
