"""Arms in alternating rounds."""

import argparse
import contextlib
import datetime
import signal
import statistics
import time

from . import page, postern, record
from .arms import cpu_seconds, temporary


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
    parser.set_defaults(kept=True)
    return parser.parse_args()


def measure(running, options):
    """Runs all rounds; gives a list of raw values for each arm."""
    for arm in running.values():
        arm.generate(options, messages=500)  # caches, pools and processes are warm before anything counts
    return rounds(running, options, dict.fromkeys(running, options.messages))


def rounds(running, options, messages):
    """Alternating rounds, each arm with its own number of messages."""
    results = {name: [] for name in running}
    names = list(running)
    for number in range(options.rounds):
        for name in names[number % len(names):] + names[:number % len(names)]:
            value = {"round": number + 1, **turn(running[name], options, messages[name])}
            results[name].append(value)
            print(f"round {number + 1}  {name:13} {value['messages_per_second']:10.0f}/s"
                  f" {value['cpu_us_per_message']:8.0f} us CPU per message", flush=True)
    return results


def turn(arm, options, messages):
    """Sends the messages through one arm; ends the run when they do not all arrive at the sink."""
    octets = arm.octets_at_sink()
    cpu, sink, generator = arm.cpu_seconds(), cpu_seconds(arm.sinks()), arm.generator_seconds
    begin = time.monotonic()
    arm.generate(options, messages)
    elapsed = time.monotonic() - begin
    arm.settle()
    cpu, sink, generator = arm.cpu_seconds() - cpu, cpu_seconds(arm.sinks()) - sink, arm.generator_seconds - generator
    if arm.octets_at_sink() - octets < messages * options.octets:
        raise SystemExit(f"{arm.octets_at_sink() - octets} octets came to the sink, which are less than {messages} messages")
    return {"seconds": round(elapsed, 4), "messages_per_second": round(messages / elapsed, 1),
            "cpu_us_per_message": round(cpu / messages * 1e6, 1),
            "generator_us_per_message": round(generator / messages * 1e6, 1),
            "sink_us_per_message": round(sink / messages * 1e6, 1)}


def medians(values):
    """The median of everything that was measured in each round."""
    return {key: statistics.median(value[key] for value in values) for key in values[0] if key not in ("round", "seconds")}


def of_pairs(results, name, base, key):
    """By how many per cent an arm is above another, round by round; the median."""
    pairs = zip(results[name], results[base])
    return statistics.median(one[key] / other[key] - 1 for one, other in pairs) * 100


def report(results, options, scenario):
    """Prints the medians, and puts them among those of the other scenarios."""
    found = ground(scenario) | {
        "parameters": {"rounds": options.rounds, "messages": options.messages,
                       "connections": options.connections, "octets": options.octets},
        "medians": {name: medians(values) for name, values in results.items()}, "rounds": results}
    print("\n" + scenario.table(found["medians"]))
    if not options.print:
        keep(scenario, found)


def keep(scenario, found):
    """Puts what was found among the other scenarios, and makes the page of it."""
    everything = record.recorded()
    everything[scenario.name] = found
    record.write(everything)
    page.write(everything)


def ground(scenario):
    """Of when and of what figures are."""
    versions = {"Postern": postern.commit(), "Postfix": record.postfix_version()}
    versions |= {package: record.package_version(package) for package in scenario.packages}
    return {"date": datetime.date.today().isoformat(), "machine": record.machine(), "versions": versions}
