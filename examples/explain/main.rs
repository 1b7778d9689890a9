//! Reads a captured byte stream and says what the machine makes of it.
//!
//! ```text
//! printf 'GET / HTTP/1.0\r\n\r\n' | cargo run --example explain -- --role server
//! ```
#![allow(clippy::print_stdout, reason = "it is what the program is for")]

mod account;
mod print;

use account::{Options, Role};
use lexopt::prelude::*;
use std::io::{Read, Write};
use std::process::ExitCode;

const USAGE: &str = "explain --role server|client [--request METHOD[,METHOD…]] [--offered-upgrade] \
[--eof] [--split N] [--trickle MS] [--json] [FILE]";

struct Arguments {
    options: Options,
    json: bool,
    file: Option<std::path::PathBuf>,
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    let (mut role, mut json, mut file) = (None, false, None);
    let mut options = Options {
        role: Role::Server,
        requests: vec!["GET".into()],
        offered_upgrade: false,
        eof: false,
        split: usize::MAX,
        trickle: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("role") => {
                role = Some(match parser.value()?.string()?.as_str() {
                    "server" => Role::Server,
                    "client" => Role::Client,
                    other => return Err(format!("no such role: {other}").into()),
                });
            }
            Long("request") => {
                let list = parser.value()?.string()?;
                options.requests = list
                    .split(',')
                    .map(|m| m.trim().to_owned())
                    .filter(|m| !m.is_empty())
                    .collect();
            }
            Long("offered-upgrade") => options.offered_upgrade = true,
            Long("eof") => options.eof = true,
            Long("split") => {
                options.split = parser.value()?.parse::<std::num::NonZero<usize>>()?.get()
            }
            Long("trickle") => {
                let ms = parser.value()?.parse()?;
                options.trickle = Some(std::time::Duration::from_millis(ms));
            }
            Long("json") => json = true,
            Long("help") => return Err(USAGE.into()),
            Value(path) if file.is_none() => file = Some(path.into()),
            other => return Err(other.unexpected()),
        }
    }
    options.role = role.ok_or("--role is missing")?;
    Ok(Arguments { options, json, file })
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\nusage: {USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut bytes = Vec::new();
    let read = match &arguments.file {
        Some(path) => std::fs::File::open(path).and_then(|mut f| f.read_to_end(&mut bytes)),
        None => std::io::stdin().read_to_end(&mut bytes),
    };
    if let Err(error) = read {
        eprintln!("cannot read: {error}");
        return ExitCode::from(2);
    }
    let entries = account::account(&bytes, &arguments.options);
    let mut out = String::new();
    for entry in &entries {
        if arguments.json {
            out += &print::json(entry).to_string();
        } else {
            out += &print::readable(entry);
        }
        out.push('\n');
    }
    if !arguments.json {
        out += &print::closing(&entries);
        out.push('\n');
    }
    // Whoever reads only the beginning has closed the pipe: no reason to complain.
    let _ = std::io::stdout().write_all(out.as_bytes());
    if account::is_bad(&entries) { ExitCode::from(1) } else { ExitCode::SUCCESS }
}
