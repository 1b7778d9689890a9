//! The habits of the house, as tests: which way dependencies run, how long files are, which words
//! are used.
#![allow(clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for path in entries.map(|e| e.expect("an entry").path()) {
            if path.is_dir() && path.file_name().is_none_or(|n| n != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a text file")
}

/// The modules in the order in which they may use each other: each only what stands before it, or
/// beside it in the same row. Both machines name the other's errors, so `error` knows of reuse.
const ORDER: &[&[&str]] = &[
    // The guide is prose.
    &["time", "bytes", "block", "copy", "guide"],
    &["limits", "error"],
    &["grammar"],
    &[
        "chunked",
        "framing",
        "deadline",
        "phase",
        "retry",
        "teardown",
        "persistence",
        "encode",
        "status",
        "prepared",
    ],
    &["content"],
    &["head"],
    &["action"],
    &["server", "client"],
    &["forward", "buffered", "http"],
    &["testkit"],
];

/// What runs against the order, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    // A refused request says what state the connection is in.
    ("error", "client"),
    // The writer writes field lines; a field line is the head's.
    ("encode", "head"),
    ("prepared", "head"),
    ("encode", "content"),
    ("chunked", "head"),
    // Content is sent with trailers, and trailers are field lines.
    ("content", "head"),
    // A kept copy of a head is read again under the limits of a configuration.
    ("head", "server"),
    ("head", "client"),
];

#[test]
fn dependencies_run_one_way() {
    let rank = |module: &str| ORDER.iter().position(|row| row.contains(&module));
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let relative = file.strip_prefix(root().join("src")).expect("below src");
        let module = relative.iter().next().expect("a name").to_string_lossy().replace(".rs", "");
        if module == "lib" {
            continue;
        }
        let from = rank(&module).unwrap_or_else(|| panic!("{module} has no place in ORDER"));
        let code = text(&file);
        let code = code.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
            for rest in line.split("crate::").skip(1) {
                let used: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(to) = rank(&used) else { continue };
                if to > from && !EXCEPTIONS.contains(&(module.as_str(), used.as_str())) {
                    wrong.push(format!("{} uses {used}", relative.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "against the order:\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_short_enough_to_be_read() {
    for file in files("src", "rs") {
        let code = text(&file);
        let code = code.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = code.lines().count();
        assert!(lines <= 750, "{} has {lines} lines", file.display());
        // Rows of tables may be wider: they read better on one line.
        let row = |l: &str| l.trim_end().ends_with(';');
        let wide = code.lines().position(|l| l.chars().count() > 110 && !row(l));
        assert_eq!(wide, None, "a line too long in {}", file.display());
    }
}

#[test]
fn the_words_are_those_of_the_rfcs() {
    let banned = ["payload", "rfc 7230", "rfc 2616", "hop by hop"];
    let mut places = files("src", "rs");
    places.extend(files("docs", "md"));
    places.push(root().join("README.md"));
    for file in places {
        let text = text(&file).to_lowercase();
        for word in banned {
            assert!(!text.contains(word), "{word:?} in {}", file.display());
        }
    }
}

#[test]
fn nothing_in_the_library_panics_on_purpose() {
    for file in files("src", "rs") {
        let code = text(&file);
        let code = code.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (n, line) in code.lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            let panics = [".unwrap()", ".expect(\"", "panic!(", "unreachable!(", "todo!("]
                .iter()
                .any(|p| line.contains(p));
            assert!(comment || !panics, "{}:{}: {line}", file.display(), n + 1);
        }
    }
}
