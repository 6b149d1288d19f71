"""A recursive chain of thought: the model splits a question in two, each half is thought about in the same way, and
the model puts the two answers together. Every thought is a conversation of its own.

    python examples/recursive_thought.py [--depth N] [--api openai|anthropic] [--stream] [EXPRESSION]
"""

import argparse

import tracing
from client import ask

EXPRESSION = "((2 + 3) * (2 + 3)) - (4 * (9 - 7))"
SYSTEM = "You think in small steps and answer without any explanation."


def think(question, depth, options, indent=""):
    """The answer to a question, found by splitting it until it is small or `depth` is used up."""

    def model(text):
        return ask(text, options.model, SYSTEM, options.api, options.stream).strip()

    parts = []
    if depth > 0:
        split = model(f"Split into two independent parts, LEFT | OPERATOR | RIGHT, or say SMALL: {question}")
        parts = [part.strip() for part in split.split("|")]
    if len(parts) != 3:
        answer = model(f"Answer with a number: {question}")
        print(f"{indent}{question} = {answer}")
        return answer
    left, operator, right = parts
    print(f"{indent}{question}: {left}, then {right}")
    with tracing.span(f"think {left}"):
        left = think(left, depth - 1, options, indent + "  ")
    with tracing.span(f"think {right}"):
        right = think(right, depth - 1, options, indent + "  ")
    answer = model(f"Combine: {left} {operator} {right}")
    print(f"{indent}{question} = {answer}")
    return answer


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("question", nargs="?", default=EXPRESSION)
    flags.add_argument("--depth", type=int, default=3, help="how often a question may be split (default 3)")
    flags.add_argument("--api", choices=["openai", "anthropic"], default="openai")
    flags.add_argument("--stream", action="store_true")
    flags.add_argument("--model", default="small")
    options = flags.parse_args()
    with tracing.agent("thinker"):
        answer = think(options.question, options.depth, options)
    print("ANSWER:", answer)


if __name__ == "__main__":
    main()
