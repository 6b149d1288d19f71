#!/usr/bin/env python3
"""Where trials of one task part, read from a tau-bench file alone: the figures that `cargo run --example trial_pairs`
takes from retake's diff, without retake.

usage: trial_pairs.py FILE [--pairs]

A trial is its calls in order, each a tool and its arguments as a JSON value. For all trials i < j of a task: how many
calls they have in common from the beginning. With --pairs, a line for each pair.
"""

import itertools
import json
import sys


def calls(trial):
    """The calls of a trial: tool, arguments."""
    for message in trial["traj"]:
        for call in message.get("tool_calls") or []:
            yield call["function"]["name"], json.loads(call["function"]["arguments"])


def same(left, right):
    """JSON equality: in Python, True is 1 and 1.0 is 1; here numbers are equal to numbers only."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) in (int, float) and type(right) in (int, float) and left == right or (
        type(left) is type(right) and left == right
    )


def main(path, verbose):
    tasks = {}
    with open(path, encoding="utf-8") as file:
        for line in filter(str.strip, file):
            trial = json.loads(line)
            tasks.setdefault(trial["task_id"], {})[trial["trial"]] = list(calls(trial))
    pairs = identical = total = 0
    for task, trials in sorted(tasks.items()):
        for left, right in itertools.combinations(sorted(trials), 2):
            a, b = trials[left], trials[right]
            prefix = 0
            while prefix < min(len(a), len(b)) and same(a[prefix], b[prefix]):
                prefix += 1
            pairs += 1
            total += prefix
            is_identical = prefix == len(a) == len(b)
            identical += is_identical
            if verbose:
                parts = "the same" if is_identical else f"part at call {prefix + 1}"
                print(f"task {task} trials {left} {right}: {parts}")
    if pairs == 0:
        sys.exit(f"{path}: no two trials of one task")
    print(f"pairs: {pairs}")
    print(f"mean length of the common tool prefix: {total / pairs:.4f} ({total} calls)")
    print(f"identical tool sequences: {identical}")


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--pairs"]
    if len(arguments) != 1:
        sys.exit(__doc__.split("\n\n")[1])
    main(arguments[0], "--pairs" in sys.argv)
