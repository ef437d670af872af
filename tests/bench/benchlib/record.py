"""docs/benchmarks.json: the raw values and medians of every scenario, and on what they were measured."""

import json
import os
import pathlib
import platform
import subprocess

TREE = pathlib.Path(__file__).resolve().parents[3]
FILE = TREE / "docs/benchmarks.json"


def recorded():
    """What the file holds."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def write(record):
    FILE.write_text(json.dumps(record, indent=2) + "\n")


def machine():
    with open("/proc/cpuinfo") as cpuinfo:
        model = next((line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")), "unknown")
    with open("/proc/meminfo") as meminfo:
        memory = int(meminfo.readline().split()[1])
    return {"cpus": os.cpu_count(), "model": model, "memory_gib": round(memory / 2**20),
            "kernel": platform.release(), "load": round(os.getloadavg()[2], 1)}


def package_version(package):
    """Of an installed Debian package."""
    shown = subprocess.run(["dpkg-query", "-f", "${Version}", "-W", package], check=True, capture_output=True, text=True)
    return shown.stdout


def postfix_version():
    shown = subprocess.run(["postconf", "-dh", "mail_version"], check=True, capture_output=True, text=True)
    return shown.stdout.strip()
