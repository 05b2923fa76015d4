/**
 * Every kind of mistake in a profile is found, at its place, with what would be right. The texts are what users read:
 * a change here is a change of the product.
 */
import { describe, expect, test } from "vitest";
import { problemsOf } from "./memory-files.ts";

describe("what is not JSON is refused where it stops being JSON", () => {
  test.each<readonly [text: string, problem: string]>([
    ["", "p.json:1:1 /: the file is empty; expected an object"],
    ["   ", "p.json:1:4 /: the file is empty; expected an object"],
    ['{"a":1,}', "p.json:1:8 /: a comma follows the last member; expected no trailing comma"],
    ["[1,]", "p.json:1:4 /: a comma follows the last item; expected no trailing comma"],
    ['{"a" 1}', 'p.json:1:6 /a: "1" follows a key; expected ":"'],
    ["{'a':1}", 'p.json:1:2 /: "\'" stands where a key should; expected a key in double quotes'],
    ['{"name":"x" // no\n}', 'p.json:1:13 /: comments are not JSON; use a "$comment" member'],
    ["/* c */ {}", 'p.json:1:1 /: comments are not JSON; use a "$comment" member'],
    ['{"name": nope}', "p.json:1:10 /name: nope is not a JSON value; expected a value"],
    ['{"name": tru}', "p.json:1:10 /name: tru is not a JSON value; expected a value"],
    ['{"a":01}', 'p.json:1:7 /a: "1" cannot follow the number 0; expected a decimal number as JSON has it'],
    ['{"a":+1}', 'p.json:1:6 /a: "+" is not a JSON value; expected a value'],
    ['{"a":1.}', 'p.json:1:7 /a: "." cannot follow the number 1; expected a decimal number as JSON has it'],
    ['{"a":.5}', 'p.json:1:6 /a: "." is not a JSON value; expected a value'],
    ['{"a":NaN}', "p.json:1:6 /a: NaN is not a JSON value; expected a value"],
    ['{"a":-}', 'p.json:1:6 /a: "-" is not a JSON value; expected a value'],
    [
      '{"a":"x\ny"}',
      'p.json:1:8 /a: the string has the control character "\\n"; expected an escape sequence',
    ],
    [
      '{"a":"\\x"}',
      'p.json:1:7 /a: "\\\\x" is not an escape sequence of JSON; expected one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX',
    ],
    [
      '{"a":"\\u12"}',
      'p.json:1:7 /a: "\\\\u" is not an escape sequence of JSON; expected one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX',
    ],
    ['{"a":"\\ud800"}', "p.json:1:6 /a: the string has an unpaired surrogate; expected whole characters"],
    ['{"a":"open', 'p.json:1:6 /a: the string has no end; expected a closing "'],
    ['{"a":1', 'p.json:1:7 /: the end of the file follows a member; expected "," or "}"'],
    ["{} {}", 'p.json:1:4 /: "{" follows the document; expected the end of the file'],
    ['{"a":1 "b":2}', 'p.json:1:8 /: "\\"" follows a member; expected "," or "}"'],
    [
      '{\n  "name": "x",\n  "resources": {\n    "pids": 1,\n    "pids": 2\n  }\n}',
      'p.json:5:5 /resources/pids: "pids" is given twice, first at 4:5; expected one of the two',
    ],
    ["﻿{}", "p.json:1:1 /: the file starts with a byte order mark; expected UTF-8 without one"],
  ])("%j", (text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });
});

describe("a field that does not fit is refused where it is written", () => {
  test.each<readonly [members: object, problems: readonly string[]]>([
    [
      { resources: { memroy: "1M" } },
      ['p.json:1:32 /resources/memroy: "memroy" is not known here; did you mean "memory"?'],
    ],
    [{ resource: {} }, ['p.json:1:19 /resource: "resource" is not known here; did you mean "resources"?']],
    [
      { __proto__x: 1 },
      [
        'p.json:1:19 /__proto__x: "__proto__x" is not known here; expected one of "name", "description", "extends", "namespaces", "identity", "filesystem", "capabilities", "noNewPrivileges", "seccomp", "lsm", "landlock", "resources", "network", "environment", "process", "audit", "require"',
      ],
    ],
    [
      { identity: { uid: "1000" } },
      ['p.json:1:37 /identity/uid: "1000" is a text; expected a user id from 0 to 4294967294'],
    ],
    [
      { identity: { uid: 1.5 } },
      ["p.json:1:37 /identity/uid: 1.5 has a fraction; expected a user id from 0 to 4294967294"],
    ],
    [
      { identity: { uid: -1 } },
      ["p.json:1:37 /identity/uid: -1 is out of range; expected a user id from 0 to 4294967294"],
    ],
    [
      { identity: { uid: 4294967295 } },
      ["p.json:1:37 /identity/uid: 4294967295 is out of range; expected a user id from 0 to 4294967294"],
    ],
    [
      { identity: { gid: 4294967296 } },
      ["p.json:1:37 /identity/gid: 4294967296 is out of range; expected a group id from 0 to 4294967294"],
    ],
    [
      { identity: { hostname: "a_b" } },
      [
        'p.json:1:42 /identity/hostname: "a_b" is not a host name; expected letters, digits, dashes and dots, at most 64',
      ],
    ],
    [
      { identity: { hostname: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" } },
      [
        "p.json:1:42 /identity/hostname: the host name has 65 characters; expected letters, digits, dashes and dots, at most 64",
      ],
    ],
    [
      { identity: { map: "automatic" } },
      [
        'p.json:1:37 /identity/map: "automatic" does not fit; expected "auto", "subordinate" or an object with uidMappings and gidMappings',
      ],
    ],
    [
      { identity: { map: { uidMappings: [] } } },
      ['p.json:1:37 /identity/map: "gidMappings" is missing; expected an array of mappings'],
    ],
    [
      {
        identity: {
          map: {
            uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
            gidMappings: [{ containerID: 1000, hostID: 0, size: 1 }],
          },
        },
      },
      ["p.json:1:37 /identity/map: uid 1000 is in no mapping; map it in identity.map.uidMappings"],
    ],
    [
      { namespaces: { user: "yes" } },
      ['p.json:1:40 /namespaces/user: "yes" is a text; expected true or false'],
    ],
    [
      { namespaces: { network: false } },
      [
        "p.json:1:43 /namespaces/network: no network needs the network namespace, which is off; set namespaces.network to true",
      ],
    ],
    [
      { namespaces: { mount: false } },
      [
        "p.json:1:41 /namespaces/mount: without a mount namespace there is no root of the sandbox's own; expected true",
      ],
    ],
    [
      { namespaces: { pid: false } },
      [
        "p.json:1:39 /namespaces/pid: a private /proc needs the pid namespace, which is off; set namespaces.pid to true",
      ],
    ],
    [
      { network: { mode: "bridge" } },
      ['p.json:1:37 /network/mode: "bridge" is not a choice; expected one of "none", "host"'],
    ],
    [
      { network: { mode: "hots" } },
      [
        'p.json:1:37 /network/mode: "hots" is not a choice; expected one of "none", "host"; did you mean "host"?',
      ],
    ],
    [
      { network: { mode: "host" } },
      [
        "p.json:1:37 /network/mode: the host's network cannot be had in a network namespace of its own; set namespaces.network to false",
      ],
    ],
    [{ filesystem: [] }, ["p.json:1:32 /filesystem: [] is an array; expected an object"]],
    [
      { filesystem: { root: {} } },
      [
        'p.json:1:40 /filesystem/root: "type" is missing; expected one of "system", "closure", "directory", "empty"',
      ],
    ],
    [
      { filesystem: { root: { type: "sytem" } } },
      [
        'p.json:1:48 /filesystem/root/type: "sytem" is not a type; expected one of "system", "closure", "directory", "empty"; did you mean "system"?',
      ],
    ],
    [
      { filesystem: { root: { type: "directory" } } },
      ['p.json:1:40 /filesystem/root: "path" is missing; expected an absolute path'],
    ],
    [
      { filesystem: { root: { type: "directory", path: "rootfs" } } },
      ['p.json:1:67 /filesystem/root/path: the path "rootfs" is relative; expected an absolute path'],
    ],
    [
      { filesystem: { root: { type: "system", path: "/x" } } },
      ['p.json:1:57 /filesystem/root/path: "path" is not known here; expected one of "type", "etc"'],
    ],
    [
      { filesystem: { root: { type: "system", etc: "tool" } } },
      [
        'p.json:1:63 /filesystem/root/etc: "tool" is not a choice; expected one of "minimal", "tools"; did you mean "tools"?',
      ],
    ],
    [
      { filesystem: { root: { type: "closure", etc: "tools" } } },
      ['p.json:1:58 /filesystem/root/etc: "etc" is not known here; expected only "type"'],
    ],
    [
      { identity: { allowRoot: "yes" } },
      ['p.json:1:43 /identity/allowRoot: "yes" is a text; expected true or false'],
    ],
    [
      { filesystem: { write: "ephemral" } },
      [
        'p.json:1:41 /filesystem/write: "ephemral" does not fit; expected "none", "ephemeral" or {"directory": PATH}; did you mean "ephemeral"?',
      ],
    ],
    [
      { filesystem: { write: { dir: "/x" } } },
      [
        'p.json:1:41 /filesystem/write: "directory" is missing; expected an absolute path',
        'p.json:1:42 /filesystem/write/dir: "dir" is not known here; expected only "directory"',
      ],
    ],
    [
      { filesystem: { writeSize: "256MB" } },
      [
        'p.json:1:45 /filesystem/writeSize: "256MB" does not fit; expected a size such as "256M" (K, M, G, T are powers of 1024) or a number of bytes; did you mean "256M"?',
      ],
    ],
    [
      { filesystem: { writeSize: "0" } },
      [
        'p.json:1:45 /filesystem/writeSize: "0" is not the size of a file system; expected more than 0 and less than 8192T, such as "64M"',
      ],
    ],
    [
      { filesystem: { proc: "pid" } },
      [
        'p.json:1:40 /filesystem/proc: "pid" is not a choice; expected one of "none", "pids", "full"; did you mean "pids"?',
      ],
    ],
    [
      { filesystem: { mounts: {} } },
      ["p.json:1:42 /filesystem/mounts: {} is an object; expected an array of mounts"],
    ],
    [
      { filesystem: { mounts: [1] } },
      ['p.json:1:43 /filesystem/mounts/0: 1 is a number; expected an object with "type"'],
    ],
    [
      { filesystem: { mounts: [{ type: "bind", source: "/a" }] } },
      ['p.json:1:43 /filesystem/mounts/0: "target" is missing; expected an absolute path'],
    ],
    [
      { filesystem: { mounts: [{ type: "bind", source: "a", target: "../b" }] } },
      [
        'p.json:1:67 /filesystem/mounts/0/source: the path "a" is relative; expected an absolute path',
        'p.json:1:80 /filesystem/mounts/0/target: the path "../b" is relative; expected an absolute path',
      ],
    ],
    [
      { filesystem: { mounts: [{ type: "tmpfs", target: "/a\u0000b" }] } },
      [
        'p.json:1:68 /filesystem/mounts/0/target: the path "/a\\u0000b" has a NUL character; expected a path without one',
      ],
    ],
    [
      { filesystem: { mounts: [{ type: "tmpfs", target: "/a/../b" }] } },
      [
        'p.json:1:68 /filesystem/mounts/0/target: the path "/a/../b" has ".." in it; expected a path without it',
      ],
    ],
    [
      {
        filesystem: {
          mounts: [
            { type: "tmpfs", target: "/t" },
            { type: "tmpfs", target: "/t/" },
          ],
        },
      },
      ["p.json:1:99 /filesystem/mounts/1/target: mount 0 has the target /t too; expected each target once"],
    ],
    [
      {
        filesystem: {
          mounts: [
            { type: "bind", source: "/x", target: "/t/x" },
            { type: "tmpfs", target: "/t" },
          ],
        },
      },
      ["p.json:1:114 /filesystem/mounts/1/target: it would cover mount 0 at /t/x; put the outer mount first"],
    ],
    [
      { filesystem: { mounts: [{ type: "tmpfs", target: "/" }] } },
      ["p.json:1:68 /filesystem/mounts/0/target: a mount cannot replace the root; use filesystem.root"],
    ],
    [
      { filesystem: { readOnly: ["/"] } },
      [
        'p.json:1:44 /filesystem/readOnly: the root itself is in the list; set filesystem.write to "none", and name the mounts that are to be read-only',
      ],
    ],
    [
      { filesystem: { mounts: [{ type: "bind", source: "/dev", target: "/dev" }] } },
      ["p.json:1:83 /filesystem/mounts/0/target: /dev is made by the sandbox; use filesystem.devices"],
    ],
    [
      {
        filesystem: {
          mounts: [{ type: "bind", source: "/a", target: "/a", options: ["readonly", "suid", "ro", "rw"] }],
        },
      },
      [
        'p.json:1:97 /filesystem/mounts/0/options/0: "readonly" is not an option of a bind mount; expected one of ro, rw, exec, noexec, nosuid, nodev, bind, rbind',
        'p.json:1:108 /filesystem/mounts/0/options/1: "suid" is not an option of a bind mount; did you mean "nosuid"?',
        'p.json:1:120 /filesystem/mounts/0/options/3: the option "rw" contradicts an earlier one; expected one of the two',
      ],
    ],
    [
      {
        filesystem: { mounts: [{ type: "tmpfs", target: "/a", size: "1M", options: ["size=2M", "mode=9"] }] },
      },
      [
        "p.json:1:95 /filesystem/mounts/0/options: size is given as a field and as an option; expected one of the two",
        'p.json:1:106 /filesystem/mounts/0/options/1: "mode=9" is not an option of a tmpfs mount; did you mean "mode="?',
      ],
    ],
    [
      { filesystem: { mounts: [{ type: "tmpfs", target: "/a", mode: 1777 }] } },
      [
        'p.json:1:80 /filesystem/mounts/0/mode: 1777 is a number; expected an octal mode as a text, such as "1777"',
      ],
    ],
    [
      { filesystem: { mounts: [{ type: "tmpfs", target: "/a", mode: "4755" }] } },
      [
        'p.json:1:80 /filesystem/mounts/0/mode: the mode "4755" has bits that cannot be given; expected octal, at most "1777", without set-user-ID and set-group-ID',
      ],
    ],
    [
      { filesystem: { mounts: [{ type: "overlay", target: "/a" }] } },
      [
        'p.json:1:51 /filesystem/mounts/0/type: "overlay" is not a type; expected one of "bind", "tmpfs", "file", "symlink"',
      ],
    ],
    [
      { filesystem: { devices: ["nul", "/dev/kvm"] } },
      [
        'p.json:1:44 /filesystem/devices/0: "nul" is not a device that can be given; did you mean "null"?',
        'p.json:1:50 /filesystem/devices/1: "/dev/kvm" is not a device that can be given; expected one of null, zero, full, random, urandom, tty, pts, shm, mqueue, fd; bind it with a mount if it is safe',
      ],
    ],
    [
      { filesystem: { masked: ["proc/keys"] } },
      ['p.json:1:43 /filesystem/masked/0: the path "proc/keys" is relative; expected an absolute path'],
    ],
    [
      { filesystem: { proc: "none" } },
      [
        'p.json:1:40 /filesystem/proc: the links of fd lead into /proc, which is off; leave out "fd", or set filesystem.proc to "pids"',
      ],
    ],
    [
      { capabilities: { bounding: ["CAP_NET_BIND_SERVICES"] } },
      [
        'p.json:1:47 /capabilities/bounding/0: "CAP_NET_BIND_SERVICES" is not a capability; did you mean "CAP_NET_BIND_SERVICE"?',
      ],
    ],
    [
      { capabilities: { effective: ["CAP_CHOWN"] } },
      [
        "p.json:1:47 /capabilities/effective: CAP_CHOWN is effective but not permitted; add it to capabilities.permitted, or leave it out",
      ],
    ],
    [
      { capabilities: { ambient: ["CAP_CHOWN"], permitted: ["CAP_CHOWN"], bounding: ["CAP_CHOWN"] } },
      [
        "p.json:1:45 /capabilities/ambient: CAP_CHOWN is ambient but not inheritable; add it to capabilities.inheritable, or leave it out",
      ],
    ],
    [
      { capabilities: { bounding: "all" } },
      ['p.json:1:46 /capabilities/bounding: "all" is a text; expected an array of capability names'],
    ],
    [
      { noNewPrivileges: false },
      [
        "p.json:1:37 /noNewPrivileges: Landlock needs no_new_privs, which is off; expected true, or landlock: null",
        "p.json:1:37 /noNewPrivileges: a filter needs no_new_privs, which is off; expected true, or seccomp: null",
      ],
    ],
    [
      { landlock: { net: { connect_tcp: [443] } }, seccomp: null },
      [
        'p.json:1:52 /landlock/net/connect_tcp: ports are listed, and there is no system-call filter: Landlock sees neither TCP Fast Open nor multipath TCP, and other ports can be had by both; a filter that lets everything else through will do: { "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [] }',
      ],
    ],
    [{ landlock: { net: { connect_send_udp: [53] } }, seccomp: null }, []],
    [
      { resources: { memory: "1M" } },
      ['p.json:1:41 /resources/memory: "1M" is too little for any program; expected at least "4M"'],
    ],
    [
      { resources: { memory: "256MiB" } },
      [
        'p.json:1:41 /resources/memory: "256MiB" does not fit; expected a size such as "256M" (K, M, G, T are powers of 1024) or a number of bytes; did you mean "256M"?',
      ],
    ],
    [
      { resources: { memory: "10 potatoes" } },
      [
        'p.json:1:41 /resources/memory: "10 potatoes" does not fit; expected a size such as "256M" (K, M, G, T are powers of 1024) or a number of bytes',
      ],
    ],
    [
      { resources: { memory: -1 } },
      [
        'p.json:1:41 /resources/memory: -1 is out of range; expected a size such as "256M" (K, M, G, T are powers of 1024) or a number of bytes',
      ],
    ],
    [
      { resources: { memory: 1.5 } },
      [
        'p.json:1:41 /resources/memory: 1.5 has a fraction; expected a size such as "256M" (K, M, G, T are powers of 1024) or a number of bytes',
      ],
    ],
    [
      { resources: { memory: "9999999999T" } },
      [
        'p.json:1:41 /resources/memory: "9999999999T" is more than any machine has; expected less than 8192T; null for no limit',
      ],
    ],
    [
      { lsm: { apparmorProfile: "unconfined" } },
      [
        'p.json:1:44 /lsm/apparmorProfile: "unconfined" does not fit; expected the name of a loaded AppArmor profile; for none, lsm.type is "none"',
      ],
    ],
    [
      { lsm: { selinuxLabel: "tool_t" } },
      [
        'p.json:1:41 /lsm/selinuxLabel: "tool_t" does not fit; expected a label as user:role:type or user:role:type:level',
      ],
    ],
    [
      { lsm: { type: "apparmor", selinuxLabel: "u:r:t" } },
      [
        'p.json:1:59 /lsm/selinuxLabel: it needs selinux, and lsm.type is "apparmor"; set lsm.type to "selinux", or leave it out',
      ],
    ],
    [
      { lsm: { type: "none" }, require: { lsm: "full" } },
      [
        'p.json:1:58 /require/lsm: no security module is asked for, but require.lsm is "full"; set lsm.type to "any", or require.lsm to "none"',
      ],
    ],
    [
      { resources: { swap: "1M" } },
      [
        "p.json:1:39 /resources/swap: swap is limited, but memory is not; set resources.memory, or resources.swap to null",
      ],
    ],
    [
      { resources: { cpus: 0 } },
      ["p.json:1:39 /resources/cpus: 0 is out of range; expected a number of CPUs from 0.01 to 100000"],
    ],
    [
      { resources: { cpus: "two" } },
      ['p.json:1:39 /resources/cpus: "two" is a text; expected a number of CPUs from 0.01 to 100000'],
    ],
    [
      { resources: { cpuset: "3-1" } },
      ["p.json:1:41 /resources/cpuset: the range 3-1 ends before it starts; did you mean 1-3?"],
    ],
    [
      { resources: { cpuset: "all" } },
      ['p.json:1:41 /resources/cpuset: "all" does not fit; expected a list of CPUs such as "0-1,3"'],
    ],
    [
      { resources: { pids: 0 } },
      ["p.json:1:39 /resources/pids: 0 is out of range; expected a whole number from 1 to 4194304"],
    ],
    [
      { resources: { wallTime: 0 } },
      [
        "p.json:1:43 /resources/wallTime: 0 is no time that can be kept; expected 1 millisecond to 100 years, in whole milliseconds; null for no limit",
      ],
    ],
    [
      { resources: { wallTime: "10 sec" } },
      [
        'p.json:1:43 /resources/wallTime: "10 sec" does not fit; expected a time such as "10s" (ms, s, m, h) or a number of seconds; did you mean "10s"?',
      ],
    ],
    [
      { resources: { wallTime: "0.0001s" } },
      [
        'p.json:1:43 /resources/wallTime: "0.0001s" does not fit; expected a time such as "10s" (ms, s, m, h) or a number of seconds',
      ],
    ],
    [
      { resources: { io: [{ device: "sda" }] } },
      ['p.json:1:48 /resources/io/0/device: "sda" does not fit; expected a device such as "8:0"'],
    ],
    [
      { resources: { io: [{ device: "8:0" }] } },
      [
        "p.json:1:38 /resources/io/0: no limit is given; expected at least one of readBps, writeBps, readIops, writeIops",
      ],
    ],
    [
      { resources: { rlimits: { RLIMIT_STACK: { soft: 1, hard: 1 } } } },
      ['p.json:1:43 /resources/rlimits/RLIMIT_STACK: "RLIMIT_STACK" is not a limit; did you mean "stack"?'],
    ],
    [
      { resources: { rlimits: { stack: { soft: 2, hard: 1 } } } },
      [
        "p.json:1:59 /resources/rlimits/stack/soft: the soft limit 2 is above the hard limit 1; expected at most 1",
      ],
    ],
    [
      { resources: { rlimits: { nofile: { soft: 1, hard: 1 } } } },
      [
        "p.json:1:43 /resources/rlimits/nofile: the limit nofile has a field of its own; expected resources.openFiles",
      ],
    ],
    [
      { resources: { rlimits: { stack: { soft: 1 } } } },
      [
        'p.json:1:51 /resources/rlimits/stack: "hard" is missing; expected a whole number, a size such as "8M", or "unlimited"',
      ],
    ],
    [
      { environment: { set: { "A=B": "x" } } },
      [
        'p.json:1:41 /environment/set/A=B: "A=B" is not the name of a variable; expected at least one character, none of them = or NUL',
      ],
    ],
    [{ environment: { set: { A: 1 } } }, ["p.json:1:45 /environment/set/A: 1 is a number; expected a text"]],
    [
      { environment: { set: { A: "x\u0000" } } },
      ["p.json:1:45 /environment/set/A: the value has a NUL character; expected a text without one"],
    ],
    [
      { environment: { pass: ["A=B"] } },
      [
        'p.json:1:42 /environment/pass/0: "A=B" is not the name of a variable; expected at least one character, none of them = or NUL',
      ],
    ],
    [
      { process: { workdir: "src" } },
      ['p.json:1:40 /process/workdir: the path "src" is relative; expected an absolute path'],
    ],
    [
      { process: { umask: "1777" } },
      ['p.json:1:38 /process/umask: "1777" is not a umask; expected octal "000" to "777"'],
    ],
    [
      { process: { umask: 18 } },
      ['p.json:1:38 /process/umask: 18 is a number; expected an octal mode as a text, such as "022"'],
    ],
    [
      { process: { nice: 20 } },
      ["p.json:1:37 /process/nice: 20 is out of range; expected a whole number from -20 to 19"],
    ],
    [
      { process: { timeOffsets: { monotonic: { secs: 1 } } }, namespaces: { time: false } },
      [
        "p.json:1:44 /process/timeOffsets: a clock offset needs the time namespace, which is off; set namespaces.time to true",
      ],
    ],
    [
      { audit: { redact: ["("] } },
      [
        'p.json:1:38 /audit/redact/0: "(" is not a regular expression; expected a name, or a JavaScript regular expression',
      ],
    ],
    [
      { audit: { require: false } },
      [
        'p.json:1:38 /audit/require: the log may be missing, but require.audit is "full"; set audit.require to true, or require.audit to "none"',
      ],
    ],
    [
      { require: { seccomp: "maybe" } },
      ['p.json:1:40 /require/seccomp: "maybe" is not a choice; expected one of "full", "partial", "none"'],
    ],
    [
      { require: { secomp: "full" } },
      ['p.json:1:30 /require/secomp: "secomp" is not known here; did you mean "seccomp"?'],
    ],
    [
      { seccomp: {} },
      [
        'p.json:1:29 /seccomp: "defaultAction" is missing; expected an OCI linux.seccomp object, or null for no filter',
      ],
    ],
    [
      { seccomp: { defaultAction: "SCMP_ACT_ERNO" } },
      [
        'p.json:1:46 /seccomp/defaultAction: "SCMP_ACT_ERNO" is not a choice; expected one of "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"; did you mean "SCMP_ACT_ERRNO"?',
      ],
    ],
    [
      { seccomp: { defaultAction: "SCMP_ACT_TRACE" } },
      [
        'p.json:1:46 /seccomp/defaultAction: "SCMP_ACT_TRACE" is not a choice; expected one of "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"; did you mean "SCMP_ACT_TRAP"?',
      ],
    ],
    [
      { seccomp: { defaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: 1 } },
      [
        'p.json:1:46 /seccomp/defaultAction: SCMP_ACT_ALLOW returns no errno, but one is given; expected "SCMP_ACT_ERRNO", or no errno',
      ],
    ],
    [
      { seccomp: { defaultAction: "SCMP_ACT_ERRNO", defaultErrno: "EPRM" } },
      ['p.json:1:78 /seccomp/defaultErrno: "EPRM" is not an errno; did you mean "EPERM"?'],
    ],
    [
      { seccomp: { defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ action: "SCMP_ACT_ALLOW" }] } },
      ['p.json:1:75 /seccomp/syscalls/0: the rule names no system call; expected "names" with at least one'],
    ],
    [
      {
        seccomp: {
          defaultAction: "SCMP_ACT_ERRNO",
          syscalls: [
            {
              names: ["a"],
              action: "SCMP_ACT_ALLOW",
              args: [
                { index: 6, op: "SCMP_CMP_EQ", value: 1 },
                { index: 0, op: "=", value: 1 },
                { index: 0, op: "SCMP_CMP_EQ", value: "0x1ffffffffffffffff" },
                { index: 0, op: "SCMP_CMP_EQ", value: "18446744073709551616" },
              ],
            },
          ],
        },
      },
      [
        "p.json:1:133 /seccomp/syscalls/0/args/0/index: 6 is out of range; expected a whole number from 0 to 5",
        'p.json:1:181 /seccomp/syscalls/0/args/1/op: "=" is not a choice; expected one of "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"',
        'p.json:1:234 /seccomp/syscalls/0/args/2/value: "0x1ffffffffffffffff" does not fit; expected an unsigned 64-bit number; above 9007199254740991 as a text, decimal or hexadecimal ("0x...")',
      ],
    ],
    [
      { name: "a b" },
      [
        'p.json:1:26 /name: "a b" does not fit; expected letters, digits, dots, dashes and underscores, at most 64',
      ],
    ],
    [
      {
        resources: { memory: "x", pids: -5, memroy: 1 },
        network: { mode: "x" },
        filesystem: { mounts: [{ type: "tmpfs", target: "t" }] },
      },
      [
        'p.json:1:41 /resources/memory: "x" does not fit; expected a size such as "256M" (K, M, G, T are powers of 1024) or a number of bytes',
        "p.json:1:52 /resources/pids: -5 is out of range; expected a whole number from 1 to 4194304",
        'p.json:1:55 /resources/memroy: "memroy" is not known here; did you mean "memory"?',
        'p.json:1:85 /network/mode: "x" is not a choice; expected one of "none", "host"',
        'p.json:1:139 /filesystem/mounts/0/target: the path "t" is relative; expected an absolute path',
      ],
    ],
  ])("%j", (members, problems) => {
    expect(problemsOf(JSON.stringify({ extends: "base", ...members }))).toEqual(problems);
  });
});
