"""Runs the Python blocks of a page one after the other in one namespace, as a notebook does.

    python python_session.py < REQUESTS > ANSWERS

A request is a line of JSON (`code`, `page`, `line`), an answer another one (`printed`, `failed`). Lines of a traceback
are those of the page.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import sys
import traceback
import types


def main() -> None:
    """Answer requests until there are no more."""
    answers, sys.stdout = sys.stdout, sys.stderr
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.path.insert(0, "")
    for request in sys.stdin:
        print(json.dumps(answer(json.loads(request), module)), file=answers, flush=True)


def answer(request: dict[str, str | int], module: types.ModuleType) -> dict[str, str]:
    """Run one block."""
    name = f"<{request['page']}:{request['line']}>"
    code = str(request["code"])
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            exec(compile(code, name, "exec"), module.__dict__)  # noqa: S102 - the blocks of our own pages
    except BaseException:  # noqa: BLE001 - whatever a block raises is the answer
        return {"printed": printed.getvalue(), "failed": traceback.format_exc()}
    return {"printed": printed.getvalue(), "failed": ""}


if __name__ == "__main__":
    main()
