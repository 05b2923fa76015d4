/** Network: none is a namespace of its own with only the loopback device, up. */
import { packed, result } from "../program/build.ts";
import { AF_INET, SIOCSIFFLAGS, SOCK_CLOEXEC, SOCK_DGRAM } from "../program/constants.ts";
import type { Draft } from "./draft.ts";

/** struct ifreq: name "lo" in 16 bytes, flags IFF_UP | IFF_RUNNING, 24 bytes of union in all. */
const LOOPBACK_UP = `6c6f${"00".repeat(14)}${packed([0x41, 2])}${"00".repeat(22)}`;

export function connectNetwork(draft: Draft): void {
  const { mode } = draft.spec.network;
  const decision = draft.decide({
    id: "network.mode",
    control: "network",
    setting: mode === "none" ? "loopback only" : "the host's network",
    pointer: "/network/mode",
    status: "full",
  });
  if (mode === "none" && !draft.spec.namespaces.network) {
    draft.problem({
      kind: "profile-contradiction",
      pointer: "/network/mode",
      message: 'network mode "none" needs a network namespace',
      hint: "set /namespaces/network to true",
    });
  }
  if (mode !== "none") return;
  const at = draft.phase("init.network", decision);
  at.call("loopback.socket", "the loopback device is configured through it", "socket", [
    AF_INET,
    SOCK_DGRAM | SOCK_CLOEXEC,
    0,
  ]);
  at.call(
    "loopback.up",
    "programs expect it to be up",
    "ioctl",
    [result("loopback.socket"), SIOCSIFFLAGS, draft.bytes(LOOPBACK_UP, 8)],
    { target: "lo" },
  );
  at.call("loopback.close", "done with it", "close", [result("loopback.socket")]);
}

export function nameHost(draft: Draft): void {
  const { hostname } = draft.spec.identity;
  if (!draft.spec.namespaces.uts) return;
  const decision = draft.decide({
    id: "identity.hostname",
    control: "identity",
    setting: hostname,
    pointer: "/identity/hostname",
    status: "full",
  });
  const at = draft.phase("init.hostname", decision);
  at.call("hostname.set", "not the host's", "sethostname", [draft.text(hostname), hostname.length], {
    target: hostname,
  });
  at.call("domainname.set", "not the host's", "setdomainname", [draft.text("(none)"), 6]);
}
