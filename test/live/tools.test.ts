/** Ordinary tools simply work under `standard` and `build`; what they write is discarded, or kept in the working directory. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { installed, need, sandbox, scratch, tool, USERS, type User } from "./harness.ts";

const standard = (user: User, command: readonly string[]) =>
  sandbox(user, command, { profile: "standard", patience: 60_000 });
const sh = (user: User, text: string) => standard(user, ["/bin/bash", "-euc", text]);

const PYTHON = `
import threading, multiprocessing, subprocess, sqlite3, tempfile, os, socket, asyncio
results = []
threads = [threading.Thread(target=lambda: results.append(1)) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
def square(x): return x * x
if __name__ == "__main__":
    with multiprocessing.Pool(4) as pool: assert pool.map(square, range(10))[9] == 81
    assert subprocess.run(["echo", "hi"], capture_output=True, text=True).stdout == "hi\\n"
    database = sqlite3.connect(os.path.join(tempfile.mkdtemp(), "data.db"))
    database.execute("create table t(x)"); database.executemany("insert into t values(?)", [(n,) for n in range(1000)])
    database.commit(); assert database.execute("select sum(x) from t").fetchone()[0] == 499500
    server = socket.create_server(("127.0.0.1", 0)); client = socket.create_connection(server.getsockname())
    assert asyncio.run(asyncio.sleep(0, "done")) == "done"
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=4096); memory.close(); memory.unlink()
    print(len(results), os.getuid(), os.cpu_count() > 0)
`;

const NODE = `
const { Worker } = require("node:worker_threads");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs"), os = require("node:os"), path = require("node:path");
const worker = new Worker("require('node:worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
worker.on("message", (value) => {
  const file = path.join(os.tmpdir(), "x"); fs.writeFileSync(file, "y");
  console.log(value, fs.readFileSync(file, "utf8"), execFileSync("echo", ["child"]).toString().trim());
});
`;

const C = `#include <stdio.h>
int main(void) { puts("hello from C"); return 0; }
`;

describe.each(USERS)("standard, run by %s", (user) => {
  it("python: threads, multiprocessing, subprocess, sqlite, sockets, shared memory", async (context) => {
    need(context, installed("python3"), "python3 is not installed");
    expect(await standard(user, ["/usr/bin/python3", "-c", PYTHON])).toMatchObject({
      code: 0,
      stdout: "8 1000 True\n",
      stderr: "",
    });
  });

  it("node with workers and child processes", async (context) => {
    need(context, installed("node"), "node is not below /usr");
    expect(await standard(user, ["node", "-e", NODE])).toMatchObject({
      code: 0,
      stdout: "42 y child\n",
      stderr: "",
    });
  });

  it("perl", async (context) => {
    need(context, installed("perl"), "perl is not installed");
    const ran = await standard(user, [
      "perl",
      "-MData::Dumper",
      "-MFile::Temp",
      "-e",
      'my $t = File::Temp->new; print $t "x"; print join(",", map { $_ ** 2 } 1..4), "\\n"; print `echo child`',
    ]);
    expect(ran).toMatchObject({ code: 0, stdout: "1,4,9,16\nchild\n", stderr: "" });
  });

  it("gcc and make: compile and run", async (context) => {
    need(context, installed("gcc") && installed("make"), "gcc or make is not installed");
    const ran = await sh(
      user,
      `cd /tmp; printf '%s' '${C}' > hello.c; printf 'hello: hello.c\\n\\tgcc -O2 -Wall -o $@ $<\\n' > Makefile; make -s -j4; ./hello`,
    );
    expect(ran).toMatchObject({ code: 0, stdout: "hello from C\n", stderr: "" });
  });

  it("git: init, commit, log, clone", async (context) => {
    need(context, installed("git"), "git is not installed");
    const ran = await sh(
      user,
      `cd /tmp; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
       git init -q -b main one; cd one; echo x > file; git add file; git commit -q -m first; git log --format=%s; git clone -q . ../two; cat ../two/file`,
    );
    expect(ran).toMatchObject({ code: 0, stdout: "first\nx\n", stderr: "" });
  });

  it("java: version, compile and run", async (context) => {
    need(context, installed("java") && installed("javac"), "java is not installed");
    const ran = await sh(
      user,
      `cd /tmp; java -version 2>&1 | head -n 1; echo 'class Hello { public static void main(String[] a) { System.out.println("hello from " + System.getProperty("user.dir")); } }' > Hello.java; javac Hello.java; java Hello`,
    );
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stdout).toMatch(/version.*\nhello from \/tmp\n$/s);
  });

  it("tar and compression, with owners, links and modes", async (context) => {
    need(context, installed("tar"), "tar is not installed");
    const ran = await sh(
      user,
      "cd /tmp; mkdir -p a/b; echo x > a/b/c; ln -s c a/b/d; ln a/b/c a/b/e; chmod 600 a/b/c; tar czf a.tgz a; rm -r a; tar xzf a.tgz; cat a/b/d; stat -c %a a/b/c; tar cf - /usr/lib/os-release 2>/dev/null | tar tf -",
    );
    expect(ran).toMatchObject({ code: 0, stdout: "x\n600\nusr/lib/os-release\n" });
  });

  it("shell pipelines, process substitution, here documents, job control of a script, fifos, timeouts", async () => {
    const ran = await sh(
      user,
      "seq 1 1000 | grep 7 | sort -rn | head -n 1; diff <(echo a) <(echo a) && echo same; cat <<< here; sleep 0.05 & wait; mkfifo /tmp/p; (echo through > /tmp/p &); cat /tmp/p; timeout 0.1 sleep 5 || echo $?; ulimit -n >/dev/null; date +%Z >/dev/null; xargs -P 4 -n 1 echo < <(seq 3) | sort | tr '\\n' ' '",
    );
    expect(ran).toMatchObject({ code: 0, stdout: "997\nsame\nhere\nthrough\n124\n1 2 3 ", stderr: "" });
  });

  it("sort of a million lines", async () => {
    const ran = await sh(
      user,
      "seq 1000000 | tac | sort -n --parallel=2 -S 8M | md5sum; seq 1000000 | md5sum",
    );
    const [sorted, plain] = ran.stdout.split("\n");
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(sorted).toBe(plain);
  });

  it("what is written is discarded", async () => {
    // Below /usr the directories of the host keep their owner; the top level, /etc and the home are the payload's.
    const name = `sandbox-live-${process.pid}`;
    const ran = await sh(
      user,
      `for d in / /usr /etc /var /tmp "$HOME"; do echo x > "$d/${name}"; cat "$d/${name}"; done; mkdir /srv; rm -f /etc/passwd; test ! -e /etc/passwd && echo removed`,
    );
    expect(ran).toMatchObject({ code: 0, stdout: `${"x\n".repeat(6)}removed\n`, stderr: "" });
    for (const directory of ["/", "/usr", "/etc", "/var", "/tmp"])
      expect(existsSync(join(directory, name))).toBe(false);
    expect(existsSync("/etc/passwd")).toBe(true);
  });

  it("has no network but loopback", async () => {
    const ran = await sh(
      user,
      "cat /proc/net/dev | tail -n +3 | cut -d: -f1; (exec 3<>/dev/tcp/192.0.2.1/80) 2>&1 | grep -o unreachable | sort -u",
    );
    expect(ran.stdout).toMatch(/^ *lo\nunreachable\n$/);
  });
});

describe.each(USERS)("build, run by %s", (user) => {
  it("keeps what is written to the working directory, owned by the caller, and nothing else", async () => {
    const directory = scratch(user);
    writeFileSync(join(directory, "in"), "input\n", { mode: 0o666 });
    const ran = await tool(
      user,
      [
        "run",
        "--profile",
        "build",
        "--audit",
        join(directory, "audit.jsonl"),
        "--",
        "/bin/bash",
        "-euc",
        "pwd; cat in; echo out > out; mkdir sub; echo x > sub/file; echo lost > /usr/lost; mv sub moved",
      ],
      { cwd: directory, env: { XDG_CACHE_HOME: scratch(user) } },
    );
    expect(ran).toMatchObject({ code: 0, stdout: `${directory}\ninput\n`, stderr: "" });
    expect(readFileSync(join(directory, "out"), "utf8")).toBe("out\n");
    expect(readFileSync(join(directory, "moved", "file"), "utf8")).toBe("x\n");
    expect(existsSync("/usr/lost")).toBe(false);
    const { statSync } = await import("node:fs");
    expect(statSync(join(directory, "out")).uid).toBe(statSync(directory).uid);
  });

  it("does not show what is next to the working directory", async () => {
    const directory = scratch(user);
    const ran = await tool(
      user,
      ["run", "--profile", "build", "--audit", join(directory, "audit.jsonl"), "--", "/bin/ls", "-A", ".."],
      { cwd: directory, env: { XDG_CACHE_HOME: scratch(user) } },
    );
    expect(ran.stdout.trim().split("\n")).toEqual([directory.split("/").at(-1)]);
    expect(readdirSync(join(directory, "..")).length).toBeGreaterThan(0);
  });
});
