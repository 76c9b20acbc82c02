"""Becomes the program named in its arguments, tied to the life of its parent. Run by path, never imported.

    python -I -S tether.py PARENT_PID PROGRAM ARGUMENT...

Linux kills the program when the thread that started it ends, by whatever means (`prctl(2)`, PR_SET_PDEATHSIG; kept
across execve). Done here and not in a `preexec_fn`, which can deadlock in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Tie this process to `parent`, then become the command. Raises `OSError` where the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # the parent died before the tie was made
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - becoming the program is what this file is for


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
