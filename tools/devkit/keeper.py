"""Processes and a folder that do not outlive the one who wanted them.

A Keeper is a small process of its own, in its own session. It makes a temporary folder, starts what it is told to
start, and waits on a pipe. When the pipe closes, since we closed it, failed, were interrupted or were killed with
SIGKILL, it kills what it started and removes the folder. Ctrl-C in a terminal does not reach the processes, only us:
we end them in order. Should somebody kill the keeper itself, the kernel kills its children (PR_SET_PDEATHSIG); then
only the folder stays.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

PREFIX = "ocisource-devkit-"
_PR_SET_PDEATHSIG = 1


class Keeper:
    """Starts processes; ends them and removes `folder` on close, or when this process is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.folder = Path(self._ask(do="folder"))

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
        """Starts `command` in the folder and returns its pid; its output goes to the file `log(name)`. The name of
        one that has ended can be used again."""
        pid = self._ask(
            do="start",
            name=name,
            command=list(command),
            environment=dict(os.environ if environment is None else environment),
        )
        return int(pid)

    def exit_code(self, name: str) -> int | None:
        """None while the process runs."""
        code = self._ask(do="poll", name=name)
        return None if code is None else int(code)

    def kill(self, name: str, signum: int = signal.SIGKILL) -> None:
        """Sends the signal to the process and its group. Nothing happens if it has ended."""
        self._ask(do="kill", name=name, signal=int(signum))

    def log(self, name: str) -> Path:
        """The file with what the process wrote."""
        return self.folder / f"{name}.log"

    def close(self) -> None:
        """Returns when every process has ended and the folder is gone."""
        with self._lock:
            if self._process.stdin:
                with suppress(BrokenPipeError):
                    self._process.stdin.close()
            self._process.wait()
            if self._process.stdout:
                self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, **request: object) -> Any:
        with self._lock:
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is None or stdout is None or stdin.closed:
                raise RuntimeError("the keeper is closed")
            try:
                stdin.write(json.dumps(request) + "\n")
                stdin.flush()
                line = stdout.readline()
            except BrokenPipeError:
                line = ""
        if not line:
            raise RuntimeError("the keeper was killed, and its processes with it")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]


class _Ward:
    """The keeper's own side: one folder and the processes in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def answer(self, request: dict[str, Any]) -> object:
        match request["do"]:
            case "folder":
                return str(self._folder)
            case "start":
                return self._start(request["name"], request["command"], request["environment"])
            case "poll":
                return _exit_code(self._children[request["name"]])
            case "kill":
                return self._kill(self._children[request["name"]], request["signal"])
        raise ValueError(f"unknown request {request['do']!r}")

    def end(self) -> None:
        """Nothing that runs here has anything worth saving, so there is no goodbye to wait for."""
        for child in reversed(self._children.values()):
            self._end(child)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> int:
        if name in self._children:
            self._end(self._children.pop(name))
        with (self._folder / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                command,
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
            )
        self._children[name] = child
        return child.pid

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        self._kill(child, signal.SIGKILL)
        child.wait()

    @staticmethod
    def _kill(child: subprocess.Popen[bytes], signum: int) -> None:
        """The group as well as its leader: a leader may have left others behind."""
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signum)


def _exit_code(child: subprocess.Popen[bytes]) -> int | None:
    """Looks without reaping: until `_end` the pid, which is also the group's, belongs to nobody else."""
    state = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if state is None:
        return None
    return state.si_status if state.si_code == os.CLD_EXITED else -state.si_status


def _die_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(1)

    return prepare


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ward = _Ward(Path(tempfile.mkdtemp(prefix=PREFIX)))
    try:
        for line in sys.stdin:
            try:
                answer = {"value": ward.answer(json.loads(line))}
            except (OSError, ValueError, KeyError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who asked is gone, and the flush at exit too
    finally:
        ward.end()


if __name__ == "__main__":
    _serve()
