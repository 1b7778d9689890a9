//! h11, in Python, in a process of its own. It is installed into the target directory, once.

use crate::inputs;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

const VERSION: &str = "0.16.0";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/h11_cycles.py");

/// Nanoseconds for a whole exchange, by input; empty where h11 cannot be had.
static CYCLES: LazyLock<HashMap<String, f64>> = LazyLock::new(|| {
    measure().unwrap_or_else(|why| {
        eprintln!("h11 is not measured: {why}");
        HashMap::new()
    })
});

pub fn cycle(input: &str) -> Option<f64> {
    CYCLES.get(input).copied()
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// A Python that has h11.
fn python() -> Result<PathBuf, String> {
    let target = std::env::current_exe().map_err(|e| e.to_string())?;
    let home = target.parent().and_then(Path::parent).ok_or("no target directory")?;
    let home = home.join(format!("h11-{VERSION}"));
    let python = home.join("bin/python");
    let import = format!("import h11; assert h11.__version__ == '{VERSION}'");
    if run(Command::new(&python).args(["-c", &import])).is_err() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        run(Command::new(&python).args([
            "-m",
            "pip",
            "install",
            "-q",
            &format!("h11=={VERSION}"),
        ]))?;
    }
    Ok(python)
}

fn measure() -> Result<HashMap<String, f64>, String> {
    let mut child = Command::new(python()?)
        .arg(SCRIPT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let latin1 = |bytes: &Vec<u8>| bytes.iter().map(|&b| b as char).collect::<String>();
    let inputs: HashMap<_, Vec<_>> = inputs::requests()
        .into_iter()
        .map(|(name, messages)| (name, messages.iter().map(latin1).collect()))
        .collect();
    let stdin = child.stdin.take().ok_or("no stdin")?;
    serde_json::to_writer(stdin, &inputs).map_err(|e| e.to_string())?;
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())
}
