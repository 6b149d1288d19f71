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
    """What a tool raised when it was recorded, where its own type cannot be made anew. It is one of that type, if there is
    such a type here."""

    told = ""

    def __str__(self):
        return self.told


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
            except BaseException as error:
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
        except BaseException as error:
            call.raised(error)
            raise
        call.returned(result)
        return result

    return wrapped


class _Call:
    """One call, as retake is asked and told of it."""

    def __init__(self, name, function, args, kwargs):
        self.url, self.recorded, self.id, self.name = None, None, str(uuid.uuid4()), name
        proxy = os.environ.get("RETAKE_PROXY")
        if not proxy:
            return
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
            arguments = {key: value for key, value in bound.arguments.items() if key not in ("self", "cls")}
            body = _json({"call": self.id, "arguments": arguments})
        except (TypeError, ValueError, RecursionError) as error:
            _say("%s is not recorded and runs in every replay: its arguments are no JSON (%s)" % (name, error))
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
        if not self.url:
            return
        kind = type(result).__name__
        try:
            body = _json({"call": self.id, "result": result})
            if json.loads(body)["result"] != result:
                _say("what %s returns (%s) is not what JSON makes of it, and a replay returns that" % (self.name, kind))
        except (TypeError, ValueError, RecursionError):
            _say("what %s returned (%s) is no JSON: it is not recorded, and runs in every replay" % (self.name, kind))
            body = _json({"call": self.id, "unrecordable": kind})
        self._post("/done", body)

    def raised(self, error):
        if self.url:
            kind = "%s.%s" % (type(error).__module__, type(error).__qualname__)
            told = {"type": kind, "message": str(error), "args": [arg for arg in error.args if _is_plain(arg)]}
            try:
                body = _json({"call": self.id, "error": told})
            except ValueError:
                body = _json({"call": self.id, "unrecordable": kind})
            self._post("/done", body)

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
        except OSError as error:
            why = "no proxy of retake answers at %s (%s); without RETAKE_PROXY the tools simply run"
            raise Refused(why % (os.environ.get("RETAKE_PROXY"), error)) from None


def _json(value):
    """JSON as others read it: no NaN, and every text can be written as UTF-8."""
    text = json.dumps(value, allow_nan=False)
    json.dumps(value, ensure_ascii=False).encode()
    return text


_said = set()


def _say(what):
    if what not in _said:
        _said.add(what)
        print("retake: " + what, file=sys.stderr)


def _is_plain(value):
    return value is None or isinstance(value, (str, int, bool)) or isinstance(value, float) and value == value


def _exception(error):
    """The exception as it was raised: of its own type where that can be found, and with its message in any case."""
    kind, message = error.get("type", ""), error.get("message", "")
    arguments = error.get("args", [message])
    module, _, name = kind.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
        if not issubclass(found, BaseException):
            found = Exception
    except (ImportError, AttributeError, TypeError, ValueError):
        found = Exception
    try:
        made = found(*arguments)
        if found is not Exception and str(made) == message:
            return made
    except Exception:
        pass
    # Its constructor wants more than was recorded: the type and the message are what others look at.
    recorded = type(name or "ToolError", (ToolError, found), {"__init__": lambda self, *args: None})
    made = recorded(*arguments)
    made.told = message
    if isinstance(made, OSError) and len(arguments) > 1:
        made.errno, made.strerror = arguments[:2]
    return made
