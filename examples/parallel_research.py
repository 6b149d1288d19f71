"""Parallel research: a thread for each topic, two turns in each, then one synthesis of what they found.

    python examples/parallel_research.py [--api openai|anthropic] [--stream] [TOPIC]...

A topic may be given twice: two branches then ask the very same thing at the same time.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor

import tracing
from client import anthropic_messages, ask, openai_chat

TOPICS = ["tides", "moon", "tides", "harbours"]
SYSTEM = "You are a researcher. Answer in one line."


def converse(messages, options):
    """The next answer in a conversation, which is also added to it."""
    if options.api == "anthropic":
        blocks = anthropic_messages(messages, options.model, SYSTEM, stream=options.stream)
        text = "".join(block.get("text", "") for block in blocks)
    else:
        system = {"role": "system", "content": SYSTEM}
        text = openai_chat([system, *messages], options.model, stream=options.stream)["content"]
    messages.append({"role": "assistant", "content": text})
    return text


def research(topic, options):
    """One branch: an angle on the topic, then what there is to say about it."""
    messages = [{"role": "user", "content": f"Give one angle on the topic: {topic}"}]
    with tracing.agent(f"researcher of {topic}"):
        angle = converse(messages, options)
        messages.append({"role": "user", "content": f"Go deeper on: {angle}"})
        return converse(messages, options)


def study(options):
    branch = tracing.in_this_span(lambda topic: research(topic, options))
    with ThreadPoolExecutor(max_workers=max(1, len(options.topics))) as pool:
        findings = list(pool.map(branch, options.topics))
    # Branches on one topic have no order of their own: sorted, the synthesis is the same whoever was first.
    for finding in sorted(findings):
        print("found:", finding)
    lines = "\n".join(f"- {finding}" for finding in sorted(findings))
    answer = ask(f"Write a synthesis of these findings:\n{lines}", options.model, SYSTEM, options.api, options.stream)
    print("ANSWER:", answer)


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("topics", nargs="*", default=TOPICS)
    flags.add_argument("--api", choices=["openai", "anthropic"], default="openai")
    flags.add_argument("--stream", action="store_true")
    flags.add_argument("--model", default="small")
    options = flags.parse_args()
    with tracing.workflow("research"):
        study(options)


if __name__ == "__main__":
    main()
