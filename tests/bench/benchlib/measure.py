"""Arms in alternating rounds."""

import argparse
import contextlib
import datetime
import signal
import statistics
import time

from . import page, postern, record
from .arms import temporary


def side_by_side(scenario, arms, description, messages=20000, prepare=lambda arm: None, prove=lambda arm: None):
    """The whole of a scenario: reads the command line, starts all arms, measures, and puts the medians on the page.

    `prepare` gets each arm before it starts, `prove` when all rounds are over; it ends the run when an arm has not done its work.
    """
    options = arguments(description, arms, messages)
    with contextlib.ExitStack() as stack:
        running = {}
        for name in options.arms:
            arm = arms[name](temporary(stack))
            prepare(arm)
            running[name] = stack.enter_context(arm)
        results = measure(running, options)
        for arm in running.values():
            prove(arm)
    report(results, options, scenario)
    return results


def arguments(description, arms, messages=20000):
    """The command line. From here on a termination ends what was started, too."""
    signal.signal(signal.SIGTERM, lambda *_: exit(1))
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--messages", type=int, default=messages, help="for each arm and round")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--octets", type=int, default=4096, help="length of the message body")
    parser.add_argument("--arms", nargs="+", default=list(arms), choices=list(arms))
    parser.add_argument("--print", action="store_true", help="write no files")
    return parser.parse_args()


def measure(running, options):
    """Runs all rounds; gives a list of raw values for each arm."""
    results = {name: [] for name in running}
    for name, arm in running.items():
        arm.generate(options, messages=500)  # caches, pools and processes are warm before anything counts
    names = list(running)
    for number in range(options.rounds):
        for name in names[number % len(names):] + names[:number % len(names)]:
            arm = running[name]
            cpu = arm.cpu_seconds()
            begin = time.monotonic()
            arm.generate(options)
            elapsed = time.monotonic() - begin
            arm.settle()
            cpu = arm.cpu_seconds() - cpu
            value = {"round": number + 1, "seconds": round(elapsed, 4),
                     "messages_per_second": round(options.messages / elapsed, 1),
                     "cpu_us_per_message": round(cpu / options.messages * 1e6, 1)}
            results[name].append(value)
            print(f"round {number + 1}  {name:8} {value['messages_per_second']:10.0f}/s"
                  f" {value['cpu_us_per_message']:8.0f} us CPU per message", flush=True)
    return results


def medians(values):
    """The median of everything that was measured in each round."""
    return {key: statistics.median(value[key] for value in values) for key in values[0] if key not in ("round", "seconds")}


def of_pairs(results, name, base, key):
    """By how many per cent an arm is above another, round by round; the median."""
    pairs = zip(results[name], results[base])
    return statistics.median(one[key] / other[key] - 1 for one, other in pairs) * 100


def report(results, options, scenario):
    """Prints the medians, and puts them among those of the other scenarios."""
    found = {
        "date": datetime.date.today().isoformat(), "machine": record.machine(), "versions": versions(scenario),
        "parameters": {"rounds": options.rounds, "messages": options.messages,
                       "connections": options.connections, "octets": options.octets},
        "medians": {name: medians(values) for name, values in results.items()}, "rounds": results}
    print("\n" + scenario.table(found["medians"]))
    if options.print:
        return
    everything = record.recorded()
    everything[scenario.name] = found
    record.write(everything)
    page.write(everything)


def versions(scenario):
    found = {"Postern": postern.commit(), "Postfix": record.postfix_version()}
    return found | {package: record.package_version(package) for package in scenario.packages}
