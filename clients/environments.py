"""Where the clients are installed: one environment a set of packages, pinned in `packages/`, under `target/clients/env`.

CLIENTS_ENV may name a directory that has some of them already (`venvs/NAME`, `node/NAME`); one that does not hold the
pinned versions is left alone.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "target" / "clients"
MINUTES = 15 * 60


def binary():
    """The retake to try: RETAKE, else the debug build."""
    if given := os.environ.get("RETAKE"):
        return Path(given).resolve()
    built = HERE.parent / "target" / "debug" / "retake"
    if not built.exists():
        subprocess.run(["cargo", "build"], cwd=HERE.parent, check=True)
    return built


class NotInstalled(Exception):
    """Why a client cannot be tried, in a few words."""


class Environment:
    """Installed packages: their versions by name, and the directory that has the programs."""

    def __init__(self, versions, programs, root):
        self.versions, self.programs, self.root = versions, programs, root


def alone():
    """Waits until no other of these scripts uses `target/clients`; for as long as the result is kept."""
    TARGET.mkdir(parents=True, exist_ok=True)
    lock = (TARGET / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def roots():
    ready = os.environ.get("CLIENTS_ENV")
    return [TARGET / "env", *([Path(ready).resolve()] if ready else [])]


def checked(command, what, **settings):
    """Runs an installer; its last words are the reason when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MINUTES, **settings)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{what}: {type(error).__name__}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        faults = [line for line in lines if "error" in line.lower() and " code " not in line]
        said = (faults or lines)[0].partition(" (from ")[0]
        raise NotInstalled(f"{what}: {re.sub(r'https?:[^ ]*|/[^ ]*/', '…', said)[:120]}")
    return done.stdout


def plain(name):
    """A Python package's name without extras, as its metadata has it."""
    return re.sub(r"[-_.]+", "-", re.sub(r"\[.*\]", "", name)).lower()


def python(name):
    """The virtual environment of `packages/python/NAME.txt`."""
    pins_file = HERE / "packages" / "python" / f"{name}.txt"
    pins = [line.strip() for line in pins_file.read_text().splitlines() if "==" in line]
    wanted = {plain(pin.split("==")[0]): pin.split("==")[1] for pin in pins}
    for root in roots():
        have = python_versions(root / "venvs" / name)
        if all(have.get(package) == version for package, version in wanted.items()):
            return Environment(have, root / "venvs" / name / "bin", root / "venvs" / name)
    home = TARGET / "env" / "venvs" / name
    shutil.rmtree(home, ignore_errors=True)
    print(f"installing {name} (Python)", file=sys.stderr)
    if uv := shutil.which("uv"):
        checked([uv, "venv", "-q", "--python", sys.executable, str(home)], "uv venv")
        checked([uv, "pip", "install", "-q", "--python", str(home / "bin" / "python"), "-r", str(pins_file)], "uv")
    else:
        checked([sys.executable, "-m", "venv", str(home)], "venv")
        checked([str(home / "bin" / "pip"), "install", "-q", "-r", str(pins_file)], "pip")
    return Environment(python_versions(home), home / "bin", home)


def python_versions(home):
    say = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    try:
        done = subprocess.run([str(home / "bin" / "python"), "-c", say], capture_output=True, text=True, timeout=60)
        return {plain(name): version for name, version in json.loads(done.stdout).items()}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}


def node(name):
    """The directory with the `node_modules` of `packages/node/NAME/package.json`."""
    manifest = HERE / "packages" / "node" / name / "package.json"
    wanted = json.loads(manifest.read_text())["dependencies"]
    for root in roots():
        home = root / "node" / name
        have = {package: node_version(home, package) for package in wanted}
        if have == wanted:
            return Environment(have, home / "node_modules" / ".bin", home)
    home = TARGET / "env" / "node" / name
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    shutil.copy(manifest, home)
    print(f"installing {name} (Node)", file=sys.stderr)
    npm = shutil.which("npm") or "npm"
    checked([npm, "install", "--no-audit", "--no-fund", "--loglevel=error"], "npm", cwd=home)
    have = {package: node_version(home, package) for package in wanted}
    return Environment(have, home / "node_modules" / ".bin", home)


def node_version(home, package):
    try:
        return json.loads((home / "node_modules" / package / "package.json").read_text())["version"]
    except (OSError, ValueError, KeyError):
        return None


def node_program():
    """A Node of version 22 or newer: the one on the PATH, else one from the registry."""
    try:
        said = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=60).stdout
        if int(re.match(r"v(\d+)", said).group(1)) >= 22:
            return Path(shutil.which("node")), said.strip().lstrip("v")
    except (OSError, AttributeError, subprocess.TimeoutExpired):
        pass
    runtime = node("runtime")
    program = runtime.programs / "node"
    if not program.exists():
        raise NotInstalled("Node 22 or newer is not here")
    return program, runtime.versions["node"]


def node_agents(environment):
    """The agents of `node/` beside their packages: modules are looked for from where a file is."""
    home = TARGET / "agents" / "node"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(HERE / "node", home)
    (home / "node_modules").symlink_to(environment.root / "node_modules")
    return home
