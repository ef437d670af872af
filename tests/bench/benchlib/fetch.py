"""Programs beside the gate that are not installed: fetched once, and kept outside the tree in folders named by their versions."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

from .record import TREE

CACHE = pathlib.Path(os.environ.get("POSTERN_TEST_CACHE") or pathlib.Path.home() / ".cache/postern-tests")


def debian(package):
    """Where a Debian package is unpacked, and its version; what it depends on has to be installed.

    Of several mail servers only one can be installed, hence this way.
    """
    shown = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True)
    found = re.search(r"Candidate: (\S+)", shown.stdout)
    if not found or found[1] == "(none)":
        raise SystemExit(f"apt knows no package {package}; apt-get update may help")

    def unpack(home):
        subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package], cwd=home, check=True)
        subprocess.run(["dpkg", "-x", next(home.glob("*.deb")), home], check=True)

    return kept(CACHE / f"{package}-{found[1]}", unpack), found[1]


def npm(source):
    """Where the packages of a lock file are installed, without those that are optional there."""
    lock = (TREE / source / "package-lock.json").read_bytes()

    def install(home):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(TREE / source / name, home)
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional",
                        "--prefix", home], check=True)

    return kept(CACHE / f"{pathlib.Path(source).name}-{hashlib.sha256(lock).hexdigest()[:16]}", install)


def kept(home, make):
    """The folder, made if it is not there yet; one that was made halfway is never taken for whole."""
    if not home.exists():
        part = home.with_name(home.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        make(part)
        part.rename(home)
    return home


def locked_version(source, package):
    """Which one of a package the lock file names."""
    return json.loads((source / "package-lock.json").read_text())["packages"][f"node_modules/{package}"]["version"]
