"""Installs the peers that are missing. What cannot be had is returned, and fails its checks."""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

PACKAGES = {
    "curl": "curl",
    "ab": "apache2-utils",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "hey": "hey",
    "nginx": "nginx",
    "apache2": "apache2-bin",  # the program without the service
    "haproxy": "haproxy",
    "lighttpd": "lighttpd",
    "go": "golang-go",
    "chromium-headless-shell": "chromium-headless-shell",
}

ROOT = pathlib.Path(__file__).resolve().parents[2]
# For what does not come from apt. Below the target directory, since that is what one deletes.
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "interop"
VENV, NPM, GO = TARGET / "venv", TARGET / "npm", TARGET / "go-peer"
PIP = {"requests": "requests>=2,<3", "aiohttp": "aiohttp>=3,<4", "h11": "h11>=0.16,<0.17"}
UNDICI = "undici@7"  # the last that runs on the oldest Node in use
GO_SOURCE = pathlib.Path(__file__).with_name("peers") / "peer.go"

# nginx lives in sbin, which is not on everybody's PATH.
SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])


def which(tool: str) -> str | None:
    return shutil.which(tool, path=SEARCH)


def apt(*arguments: str) -> bool:
    if not shutil.which("apt-get"):
        return False
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-qq"]
    command += ["-o", "DPkg::Lock::Timeout=120", *arguments]
    if os.geteuid() != 0:
        command = ["sudo", "-n", *command]  # -n: fail rather than wait for a password
    return ran(command)


def ran(command: list[str], **environment: str) -> bool:
    """Whether it ended well. Its output goes to stderr: stdout is for the table."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            env={**os.environ, **environment},
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"interop: {command[0]}: {error}", file=sys.stderr)
        return False
    return done.returncode == 0


def install(tools: set[str]) -> set[str]:
    """Returns the tools that are still missing afterwards."""

    def absent() -> list[str]:
        return sorted(tool for tool in tools if which(tool) is None)

    def attempt() -> None:
        packages = sorted({PACKAGES[tool] for tool in absent() if tool in PACKAGES})
        if packages and not apt("install", "--no-install-recommends", *packages) and packages[1:]:
            for package in packages:  # one that does not exist must not cost the others
                apt("install", "--no-install-recommends", package)

    attempt()
    if any(tool in PACKAGES for tool in absent()):
        apt("update")  # only now: on most machines the lists are there and recent
        attempt()
    return set(absent())


# ---------------------------------------------------------------------------- not from apt


def python(package: str) -> bool:
    program = str(VENV / "bin" / "python")

    def there() -> bool:
        command = [program, "-c", f"import {package}"]
        return os.access(program, os.X_OK) and ran(command)

    if there():
        return True
    if not os.access(program, os.X_OK):
        make = [sys.executable, "-m", "venv", "--clear", str(VENV)]
        # Debian has a package of its own for it.
        if not ran(make) and not (apt("install", "python3-venv") and ran(make)):
            return False
    return ran([program, "-m", "pip", "install", "--quiet", PIP[package]]) and there()


def undici() -> bool:
    package = NPM / "node_modules" / "undici" / "package.json"
    if not package.exists():
        if not shutil.which("npm"):
            apt("install", "--no-install-recommends", "npm")
        NPM.mkdir(parents=True, exist_ok=True)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        ran(["npm", "install", *quiet, "--prefix", str(NPM), UNDICI])
    return package.exists()


def go_peer() -> bool:
    """Our own program, with nothing but Go's standard library."""
    if not GO.exists() or GO.stat().st_mtime < GO_SOURCE.stat().st_mtime:
        TARGET.mkdir(parents=True, exist_ok=True)
        GO.unlink(missing_ok=True)
        offline = {"GO111MODULE": "off", "GOPROXY": "off", "GOCACHE": str(TARGET / "gocache")}
        ran(["go", "build", "-o", str(GO), str(GO_SOURCE)], **offline)
    return GO.exists()


@functools.cache
def written() -> str | None:
    """The program of `tests/written.rs`. Its path is known to cargo only."""
    command = ["cargo", "test", "--no-run", "--test", "written"]
    done = subprocess.run(
        [*command, "--message-format=json-render-diagnostics"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=600,
        check=False,
    )
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    paths = [m["executable"] for m in messages if m.get("executable")]
    return paths[0] if done.returncode == 0 and paths else None


OTHERS = {
    "written": lambda: written() is not None,
    "h11": lambda: python("h11"),
    "requests": lambda: python("requests"),
    "aiohttp": lambda: python("aiohttp"),
    "undici": undici,
    "go peer": go_peer,
}


def install_all(tools: set[str]) -> set[str]:
    """As `install`, for tools of all origins."""
    missing = install({tool for tool in tools if tool not in OTHERS} | needed_by(tools))
    for tool in sorted(tools.intersection(OTHERS)):
        try:
            there = OTHERS[tool]()
        except OSError as error:
            print(f"interop: {tool}: {error}", file=sys.stderr)
            there = False
        if not there:
            missing.add(tool)
    return missing


def needed_by(tools: set[str]) -> set[str]:
    return ({"go"} if "go peer" in tools else set()) | ({"node"} if "undici" in tools else set())
