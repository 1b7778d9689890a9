//! Writes a copy of the sources in which every mutant is there at once, each behind its number: a
//! *schema* of mutants. It is compiled once; then a mutant costs a run of the tests, and no build.
//!
//! ```text
//! keepalive-mutate FROM TO TASK > PLACES
//! ```
//!
//! `FROM` and `TO` are trees with a `src`. `TASK` is JSON: `mutants` as `cargo mutants --list --json`
//! prints them, each with an `id`; and `keep`, the functions that must stay `const` (all others lose it,
//! for what is evaluated while compiling cannot ask for a number). Prints, for each mutant, where it
//! stands in the file that was written, or why it is not there.
//!
//! What is replaced is a node of the tree and not of the text: where `a + b` is an operand, it stays one.

mod schema;
mod sites;

use schema::{Node, render};
use serde_json::{Map, Value, json};
use sites::Sites;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::{env, fs, process};

/// A mutant out of the list.
pub struct Mutant {
    pub id: u64,
    pub genre: String,
    pub replacement: String,
    /// Octets of the file.
    pub begin: usize,
    pub end: usize,
}

/// Where lines begin, to find the octet of a line and a column.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let behind = text.match_indices('\n').map(|(n, _)| n + 1);
        Self { text, starts: std::iter::once(0).chain(behind).collect() }
    }

    /// Both count from one, and columns count characters.
    fn at(&self, place: &Value) -> usize {
        let number = |key: &str| place[key].as_u64().expect("a number") as usize - 1;
        let start = self.starts[number("line")];
        let rest = &self.text[start..];
        let column = number("column");
        start + rest.char_indices().nth(column).map_or(rest.len(), |(n, _)| n)
    }
}

fn mutants(list: &[&Value], text: &str) -> Vec<Mutant> {
    let lines = Lines::of(text);
    let string = |v: &Value| v.as_str().expect("a text").to_owned();
    let read = |m: &&Value| Mutant {
        id: m["id"].as_u64().expect("an id"),
        genre: string(&m["genre"]),
        replacement: string(&m["replacement"]),
        begin: lines.at(&m["span"]["start"]),
        end: lines.at(&m["span"]["end"]),
    };
    list.iter().map(read).collect()
}

fn run(from: &Path, to: &Path, task: &Value) -> Result<Value, String> {
    let keep: HashSet<String> = task["keep"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|k| k.as_str().map(str::to_owned))
        .collect();
    let mut files: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    // Every file is read: functions lose their `const` also where there is no mutant.
    let mut open = vec![from.join("src")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| e.to_string())? {
            let path = entry.map_err(|e| e.to_string())?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(from).expect("below").to_string_lossy().into_owned();
                files.insert(name, Vec::new());
            }
        }
    }
    for mutant in task["mutants"].as_array().expect("a list") {
        let file = mutant["file"].as_str().expect("a file");
        files.get_mut(file).ok_or(format!("no file {file}"))?.push(mutant);
    }

    let mut places = Map::new();
    for (name, list) in files {
        let text = fs::read_to_string(from.join(&name)).map_err(|e| e.to_string())?;
        let tree = syn::parse_file(&text).map_err(|e| format!("{name}: {e}"))?;
        let list = mutants(&list, &text);
        let sites = Sites::of(&tree, &text, &list, &keep);
        let mut written = String::new();
        let mut found = Vec::new();
        render(&Node::tree(sites.sites, text.len()), &text, &mut written, &mut found);
        for (id, begin, end, outer) in found {
            let outer = [outer.0, outer.1];
            let place = json!({ "file": name, "begin": begin, "end": end, "outer": outer });
            places.insert(id.to_string(), place);
        }
        for (id, why) in sites.left {
            places.insert(id.to_string(), json!({ "left": why }));
        }
        // An unchanged file keeps its time, and what was built of it.
        let target = to.join(&name);
        if fs::read_to_string(&target).ok().as_ref() != Some(&written) {
            fs::write(&target, &written).map_err(|e| e.to_string())?;
        }
    }
    Ok(Value::Object(places))
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [from, to, task] = arguments.as_slice() else {
        eprintln!("usage: keepalive-mutate FROM TO TASK");
        process::exit(2);
    };
    let task = fs::read_to_string(task).expect("the task");
    let task = serde_json::from_str(&task).expect("JSON");
    match run(Path::new(from), Path::new(to), &task) {
        Ok(places) => println!("{places}"),
        Err(what) => {
            eprintln!("{what}");
            process::exit(1);
        }
    }
}
