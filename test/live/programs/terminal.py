"""Runs a command on a pseudo-terminal of its own and follows a script.

argv[1]: JSON list of steps; argv[2:]: the command. Steps:
  ["expect", REGEX]        wait until the new output matches (10 s, or ["expect", REGEX, SECONDS])
  ["send", TEXT]           type
  ["size", ROWS, COLUMNS]  resize the window
  ["sleep", SECONDS]
  ["shell", COMMAND]       run a command outside, its output goes to "shells"
  ["close"]                close the terminal (hang up)
  ["exit"]                 wait for the command to end (10 s)
SLOWNESS in the environment multiplies these times; the command does not see it.
Prints JSON: {"failed": step index or null, "why": text, "output": text, "status": exit status or null, "shells": [...]}
"""
import fcntl, json, os, pty, re, select, signal, struct, subprocess, sys, termios, time

steps = json.loads(sys.argv[1])
slowness = float(os.environ.pop("SLOWNESS", "1"))
pid, master = pty.fork()
if pid == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    os.execvp(sys.argv[2], sys.argv[2:])

fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
output, seen, status, is_open = b"", 0, None, True


def pump(seconds):
    """Reads what comes within the time; False when the other side is gone."""
    global output, is_open
    if not is_open:
        time.sleep(min(seconds, 0.02))
        return False
    ready, _, _ = select.select([master], [], [], seconds)
    if not ready:
        return True
    try:
        piece = os.read(master, 65536)
    except OSError:
        piece = b""
    output += piece
    return piece != b""


def reap():
    global status
    if status is None:
        done, raw = os.waitpid(pid, os.WNOHANG)
        if done == pid:
            status = os.waitstatus_to_exitcode(raw)
    return status is not None


failed, why, shells = None, "", []
for index, step in enumerate(steps):
    kind = step[0]
    if kind == "expect":
        end = time.monotonic() + slowness * (step[2] if len(step) > 2 else 10)
        while True:
            match = re.search(step[1].encode(), output[seen:], re.S)
            if match:
                seen += match.end()
                break
            alive = pump(0.05)
            if time.monotonic() > end or (not alive and reap() and not re.search(step[1].encode(), output[seen:], re.S)):
                failed, why = index, "never saw " + step[1]
                break
    elif kind == "send":
        os.write(master, step[1].encode())
    elif kind == "size":
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", step[1], step[2], 0, 0))
    elif kind == "sleep":
        end = time.monotonic() + slowness * step[1]
        while time.monotonic() < end:
            pump(0.02)
    elif kind == "shell":
        shells.append(subprocess.run(["/bin/sh", "-c", step[1]], capture_output=True, text=True).stdout)
    elif kind == "close":
        os.close(master)
        is_open = False
    elif kind == "exit":
        end = time.monotonic() + slowness * 10
        while not reap():
            pump(0.02)
            if time.monotonic() > end:
                failed, why = index, "did not end"
                break
        end = time.monotonic() + slowness * 0.3
        while is_open and time.monotonic() < end and pump(0.05):
            pass
    if failed is not None:
        break

if not reap():
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
print(json.dumps({"failed": failed, "why": why, "output": output.decode("utf-8", "replace"), "status": status, "shells": shells}))
