"""Plays a person at a terminal: starts argv[2:] on a new pseudo-terminal and follows the script argv[1].

The script is JSON: ["send", text], ["expect", regular expression], ["resize", rows, columns], ["pause", seconds],
["modes"] (records whether the terminal is in canonical mode). Prints JSON: transcript, modes, exit status.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

script, command = json.loads(sys.argv[1]), sys.argv[2:]
pid, master = pty.fork()
if pid == 0:
    os.execvp(command[0], command)

transcript, seen, modes = b"", 0, []


def read(wait):
    global transcript
    ready, _, _ = select.select([master], [], [], wait)
    if not ready:
        return True
    try:
        chunk = os.read(master, 65536)
    except OSError:
        return False
    transcript += chunk
    return chunk != b""


def expect(pattern):
    global seen
    deadline = time.time() + 10
    while time.time() < deadline:
        match = re.compile(pattern.encode(), re.S).search(transcript, seen)
        if match:
            seen = match.end()
            return
        if not read(0.1):
            break
    match = re.compile(pattern.encode(), re.S).search(transcript, seen)
    if match:
        seen = match.end()
        return
    finish(f"never seen: {pattern}")


def finish(failure):
    if failure:
        os.kill(pid, signal.SIGKILL)
    while failure is None and read(10):
        pass
    _, status = os.waitpid(pid, 0)
    print(json.dumps({
        "transcript": transcript.decode("utf8", "replace"),
        "modes": modes,
        "status": os.waitstatus_to_exitcode(status),
        "failure": failure,
    }))
    sys.exit(0)


for action, *arguments in script:
    if action == "send":
        os.write(master, arguments[0].encode())
    elif action == "expect":
        expect(arguments[0])
    elif action == "resize":
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *arguments, 0, 0))
    elif action == "pause":
        time.sleep(arguments[0])
    elif action == "modes":
        read(0)
        modes.append("canonical" if termios.tcgetattr(master)[3] & termios.ICANON else "raw")
finish(None)
