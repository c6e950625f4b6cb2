#!/usr/bin/python3
"""Runs the commands of a page of docs, in its order, and holds what they print
against what the page says.

page.py FILE

A block of ```sh is run by bash, and has to succeed. The lines of a block of
```text behind it have to be among what it prints, in that order, whatever the
numbers (durations, versions) in them are; one that is but an ellipsis is for the reader.
"""
import re
import subprocess
import sys

BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n?```text\n(.*?)^```\n)?", re.M | re.S)
PATIENCE = 120


def plain(line):
    line = re.sub(r"\bv\d\S*", "V", line)
    return " ".join(re.sub(r"\d[\d,.]*(?:e[+-]?\d+)?(?:µs|ms|s\b)?", "N", line).split())


def missing(said, wanted):
    """The first line of wanted that is not in said behind the one before it."""
    rest = iter(map(plain, said.splitlines()))
    for line in map(plain, wanted.splitlines()):
        if line not in ("", "…") and line not in rest:
            return line
    return None


def main(file):
    blocks = BLOCK.findall(open(file, encoding="utf-8").read())
    if len(blocks) < 10:
        sys.exit(f"only {len(blocks)} blocks were found")
    for number, (commands, wanted) in enumerate(blocks, 1):
        print(f"--- block {number}\n{commands}", end="", flush=True)
        run = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=PATIENCE, text=True, check=False)
        print(run.stdout, flush=True)
        if run.returncode != 0:
            sys.exit(f"FAILED: block {number} ended with {run.returncode}")
        line = missing(run.stdout, wanted)
        if line:
            sys.exit(f"FAILED: block {number} did not print, or not in that place: {line}")
    print(f"--- {len(blocks)} blocks do what the page says")


main(sys.argv[1])
