"""Tools that run when a run is recorded, and do not run again when it is replayed.

    from retake_tool import tool

    @tool
    def send_mail(to, text): ...

Under `retake run` the function runs and what it returned, or raised, is recorded. Under `retake replay` it does not run:
it returns, or raises, what was recorded for the same arguments. Without retake it is the function itself. Arguments and
results are JSON; what is not is not recorded, and runs again. Coroutines are wrapped as they are.
"""

import functools
import importlib
import inspect
import json
import os
import sys
import urllib.error
import urllib.request
import uuid

__all__ = ["ToolError", "Refused", "tool"]


class ToolError(Exception):
    """What a tool raised when it was recorded, where its own type is not to be had here."""


class Refused(RuntimeError):
    """retake has no recorded result for this call, or a fence stands before it: the replay has stopped."""


def tool(function=None, *, name=None):
    """Wraps a function; `name` is what the model calls it, when that is not the function's own name."""
    if function is None:
        return functools.partial(tool, name=name)
    called = name or function.__name__
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapped_coroutine(*args, **kwargs):
            call = _Call(called, function, args, kwargs)
            if call.is_answered():
                return call.answer()
            try:
                result = await function(*args, **kwargs)
            except Exception as error:
                call.raised(error)
                raise
            call.returned(result)
            return result

        return wrapped_coroutine

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        call = _Call(called, function, args, kwargs)
        if call.is_answered():
            return call.answer()
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            call.raised(error)
            raise
        call.returned(result)
        return result

    return wrapped


class _Call:
    """One call, as retake is asked and told of it."""

    def __init__(self, name, function, args, kwargs):
        self.url, self.recorded, self.id = None, None, str(uuid.uuid4())
        proxy = os.environ.get("RETAKE_PROXY")
        if not proxy:
            return
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
            arguments = {key: value for key, value in bound.arguments.items() if key not in ("self", "cls")}
            body = json.dumps({"call": self.id, "arguments": arguments})
        except (TypeError, ValueError) as error:
            print("retake: %s is not recorded: its arguments are no JSON (%s)" % (name, error), file=sys.stderr)
            return
        self.url = "%s/tool/%s" % (proxy.rstrip("/"), urllib.request.quote(name, safe=""))
        answer = self._post("", body)
        if "run" not in answer:
            self.recorded = answer

    def is_answered(self):
        return self.recorded is not None

    def answer(self):
        error = self.recorded.get("error")
        if error is not None:
            raise _exception(error)
        return self.recorded.get("result")

    def returned(self, result):
        if self.url:
            try:
                body = json.dumps({"call": self.id, "result": result})
            except (TypeError, ValueError):
                body = json.dumps({"call": self.id, "unrecordable": type(result).__name__})
            self._post("/done", body)

    def raised(self, error):
        if self.url:
            kind = "%s.%s" % (type(error).__module__, type(error).__qualname__)
            told = {"type": kind, "message": str(error), "args": [arg for arg in error.args if _is_plain(arg)]}
            self._post("/done", json.dumps({"call": self.id, "error": told}))

    def _post(self, path, body):
        request = urllib.request.Request(self.url + path, body.encode(), {"content-type": "application/json"})
        # The proxy is on the loopback: no other proxy stands before it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request) as response:
                return json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            told = error.read().decode("utf-8", "replace")
            try:
                told = json.loads(told)["error"]["message"]
            except (ValueError, KeyError, TypeError):
                pass
            raise Refused(told) from None


def _is_plain(value):
    return value is None or isinstance(value, (str, int, float, bool))


def _exception(error):
    """The exception as it was raised, where its type can be found and takes the same arguments."""
    kind, message = error.get("type", ""), error.get("message", "")
    module, _, name = kind.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
        if issubclass(found, Exception):
            made = found(*error.get("args", [message]))
            if str(made) == message:
                return made
    except (ImportError, AttributeError, TypeError, ValueError):
        pass
    return ToolError("%s: %s" % (kind, message))
