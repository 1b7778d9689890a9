"""Installs the peers that are missing. What cannot be had is returned, and fails its checks."""

import os
import shutil
import subprocess
import sys

PACKAGES = {"curl": "curl", "ab": "apache2-utils", "wrk": "wrk", "nginx": "nginx"}

# nginx lives in sbin, which is not on everybody's PATH.
SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])


def which(tool: str) -> str | None:
    return shutil.which(tool, path=SEARCH)


def apt(*arguments: str) -> bool:
    if not shutil.which("apt-get"):
        return False
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-qq", *arguments]
    if os.geteuid() != 0:
        command = ["sudo", "-n", *command]  # -n: fail rather than wait for a password
    try:
        # Its output goes to stderr: stdout is for the table.
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=300, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"interop: apt-get: {error}", file=sys.stderr)
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
