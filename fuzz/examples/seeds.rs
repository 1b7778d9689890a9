//! Writes candidates for seeds (`tests/common/seeds.rs`): `seeds DIRECTORY`. `fuzz/seeds` runs it, and keeps
//! the few that reach something new.

use keepalive_fuzz::common::seeds;
use std::fs;
use std::path::PathBuf;

fn main() {
    let out = PathBuf::from(std::env::args().nth(1).expect("a directory"));
    let all = [seeds::inputs(), seeds::drawn()].concat();
    for (target, name, input) in &all {
        let dir = out.join(target);
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join(format!("seed-{name}")), input).expect("a file");
    }
    println!("{} candidates", all.len());
}
