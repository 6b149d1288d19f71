"""A workflow of three models: one classifies the question, another answers it, a third checks the answer.

    python examples/workflow.py [--mixed] [--stream] [QUESTION]

With --mixed the second model is Anthropic's, the others OpenAI's.
"""

import argparse

import tracing
from client import ask

QUESTION = "How long do I have to send back a laptop I bought last week?"
KINDS = {
    "refund": "You answer questions about refunds. Refunds are made within 30 days of delivery.",
    "technical": "You help with broken devices, one step at a time.",
    "other": "You are friendly and send people to the front desk.",
}
REFUSAL = "I cannot help with that, but a colleague can: please call the front desk."


def answer(options):
    """Classifies, answers, checks."""
    kind = ask(f"Classify as one of {', '.join(KINDS)}: {options.question}", "classifier").strip().lower()
    kind = kind if kind in KINDS else "other"
    print("kind:", kind)

    provider = "anthropic" if options.mixed else "openai"
    answer = ask(options.question, "expert", KINDS[kind], provider, options.stream)
    print("draft:", answer)

    verdict = ask(f"Is this answer safe to send? Say SAFE or UNSAFE.\n\nQuestion: {options.question}\nAnswer: {answer}", "guard")
    print("verdict:", verdict)
    print("ANSWER:", answer if verdict.strip().upper() == "SAFE" else REFUSAL)


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("question", nargs="?", default=QUESTION)
    flags.add_argument("--mixed", action="store_true", help="ask another provider for the answer")
    flags.add_argument("--stream", action="store_true", help="stream the answer")
    options = flags.parse_args()

    with tracing.workflow("support"):
        answer(options)


if __name__ == "__main__":
    main()
