"""A cell: private namespaces in which a command runs, and with which everything it made ends, however it ends."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSIDE = "SIAGA_LAB_CELL"  # set in the environment of everything in a cell
NEEDED = ("ip", "nft", "unshare", "mount")
_ALL_NEW = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_AS_ROOT = ("--user", "--map-root-user")  # without a user namespace of our own, only root may do any of this
_FORWARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_PR_SET_PDEATHSIG = 1


class CannotEnter(Exception):
    """This machine or user cannot make a cell; says in one sentence what is missing."""


def inside() -> bool:
    return os.environ.get(INSIDE) == "1"


def enter(argv: Sequence[str], pass_fds: Sequence[int] = ()) -> int:
    """Runs a command in a new cell; its exit code. `pass_fds` stay open, even sockets of the host's network."""
    unshare = ["unshare", *_ALL_NEW, *(() if os.geteuid() == 0 else _AS_ROOT), "--"]
    _check(unshare)
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED | {signal.SIGCHLD})
    cell = subprocess.Popen(
        [*unshare, sys.executable, "-m", "lab.cell", *argv],
        env={**os.environ, INSIDE: "1", "PATH": _path()},
        pass_fds=pass_fds,
        preexec_fn=_die_with_parent,
    )
    try:
        while cell.poll() is None:
            _forward(signal.sigwaitinfo(_FORWARDED | {signal.SIGCHLD}), _children(cell.pid))
    finally:
        cell.kill()
    return cell.returncode if cell.returncode >= 0 else 128 - cell.returncode


def main(argv: Sequence[str]) -> int:
    """The cell's first process: makes the cell habitable, runs the command, reaps what others leave behind."""
    # a /run of our own: `ip netns` must not meet the host's
    for step in (["mount", "-t", "tmpfs", "tmpfs", "/run"], ["ip", "link", "set", "lo", "up"]):
        if subprocess.run(step, check=False).returncode != 0:
            return 2
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED | {signal.SIGCHLD})
    try:
        command = subprocess.Popen(argv, close_fds=False, preexec_fn=_unblock)
    except OSError as error:
        print(f"cannot run {argv[0]}: {error.strerror}", file=sys.stderr)
        return 127
    while True:
        told = signal.sigwaitinfo(_FORWARDED | {signal.SIGCHLD})
        _forward(told, [command.pid])
        code = _reap(command.pid)
        if code is not None:
            return code


def _forward(told: signal.struct_siginfo, pids: Sequence[int]) -> None:
    if told.si_signo == signal.SIGCHLD or told.si_code > 0:  # the terminal told the whole foreground group itself
        return
    for pid in pids:
        os.kill(pid, told.si_signo)


def _reap(command: int) -> int | None:
    """Collects whoever has ended; the command's exit code when it is among them."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 1
        if pid == 0:
            return None
        if pid == command:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _check(unshare: Sequence[str]) -> None:
    missing = [name for name in NEEDED if shutil.which(name, path=_path()) is None]
    if missing:
        raise CannotEnter(f"the lab needs {', '.join(missing)}: install iproute2, nftables and util-linux")
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        raise CannotEnter(
            f"the lab needs /dev/net/tun, which this user cannot open ({error.strerror}): "
            "run as root, or let this user open it, and see that the module tun is loaded"
        ) from None
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        raise CannotEnter(
            f"the lab needs namespaces of its own, which the system refuses ({tried.stderr.strip()}): "
            "run as root, or allow user namespaces"
        )


def _path() -> str:
    """Debian leaves the sbin folders out of an ordinary user's PATH."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _unblock()


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
