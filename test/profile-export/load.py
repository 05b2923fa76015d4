"""Loads an OCI seccomp object the way runc does, and prints the filter that libseccomp makes of it. A condition a rule, in its order; a name
that libseccomp does not know is left out, as runtimes do. Names left out go to stderr. Of a list of such objects, a filter a line, in base64."""

import base64
import json
import sys
import tempfile

import seccomp

OPERATORS = {
    "SCMP_CMP_EQ": seccomp.EQ,
    "SCMP_CMP_NE": seccomp.NE,
    "SCMP_CMP_LT": seccomp.LT,
    "SCMP_CMP_LE": seccomp.LE,
    "SCMP_CMP_GT": seccomp.GT,
    "SCMP_CMP_GE": seccomp.GE,
    "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ,
}


def action(name, number):
    if name == "SCMP_ACT_ERRNO":
        return seccomp.ERRNO(1 if number is None else number)
    return {
        "SCMP_ACT_ALLOW": seccomp.ALLOW,
        "SCMP_ACT_LOG": seccomp.LOG,
        "SCMP_ACT_TRAP": seccomp.TRAP,
        "SCMP_ACT_KILL_THREAD": seccomp.KILL,
        "SCMP_ACT_KILL_PROCESS": seccomp.KILL_PROCESS,
    }[name]


def argument(condition):
    index, operator, value = condition["index"], condition["op"], condition["value"]
    if operator == "SCMP_CMP_MASKED_EQ":
        return seccomp.Arg(index, OPERATORS[operator], value, condition["valueTwo"])
    return seccomp.Arg(index, OPERATORS[operator], value)


unknown = set()


def load(profile):
    default = action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    loaded = seccomp.SyscallFilter(default)
    for rule in profile["syscalls"]:
        if "amd64" not in (rule.get("includes") or {}).get("arches", ["amd64"]):
            continue
        conditions = rule.get("args") or []
        indices = [condition["index"] for condition in conditions]
        # Two conditions on one argument: each becomes a rule of its own (libcontainer/seccomp/seccomp_linux.go, matchCall).
        alternatives = [conditions] if len(set(indices)) == len(indices) else [[each] for each in conditions]
        for name in rule["names"]:
            number = seccomp.resolve_syscall(seccomp.Arch(), name)
            if number < 0:
                unknown.add(name)
                continue
            verdict = action(rule["action"], rule.get("errnoRet"))
            if verdict == default:
                continue
            for each in alternatives:
                loaded.add_rule_exactly(verdict, number, *[argument(condition) for condition in each])
    with tempfile.TemporaryFile() as file:
        loaded.export_bpf(file)
        file.seek(0)
        return file.read()


given = json.load(sys.stdin)
if isinstance(given, list):
    for each in given:
        print(base64.b64encode(load(each)).decode())
else:
    sys.stdout.buffer.write(load(given))
print(" ".join(sorted(unknown)), file=sys.stderr)
