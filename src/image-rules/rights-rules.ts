/** Rules about who a program of the image is, and what anybody gets who executes or writes a file of it. */
import { decidedBy, forbids, type ImageRule } from "./image-rule.ts";
import { cis, dockle, man } from "./references.ts";

export const RIGHTS_RULES: readonly ImageRule[] = [
  forbids(
    {
      id: "non-root-user",
      title: "The image names a user that is not root",
      rationale:
        "A process that is root in the container is root outside of it wherever user namespaces are off, which is the default.",
      remediation: "Give the image a numeric user other than 0: USER 65532:65532.",
      references: [cis("4.1"), dockle("CIS-DI-0001")],
    },
    ["root-user"],
    ({ subject, detail }) =>
      `the image ${subject === "no user" ? "names no user and runs as root" : `runs as ${subject}${detail}`}`,
  ),
  forbids(
    {
      id: "no-setuid-programs",
      title: "No file is set-user-id or set-group-id",
      rationale:
        "Such a program runs with the rights of its owner for whoever starts it, and has been the way to root for fifty years.",
      remediation: "Remove the bits in the layer that brings the file: chmod a-s, or leave the package out.",
      references: [cis("4.8"), dockle("CIS-DI-0008")],
    },
    ["set-user-id", "set-group-id"],
    ({ kind, subject, detail }) => `${subject} is ${kind} (${detail})`,
  ),
  decidedBy(
    "file-capabilities",
    forbids(
      {
        id: "no-file-capabilities",
        title: "No file gives capabilities to whoever executes it",
        rationale:
          "A file capability is a part of root's rights that any user gets by executing the file; few tools show it.",
        remediation: "Remove it with setcap -r, or give the capability to the container that needs it.",
        references: [man("capabilities", 7)],
      },
      ["capability"],
      ({ subject }) => `executing a file gives a capability: ${subject}`,
    ),
  ),
  forbids(
    {
      id: "no-device-nodes",
      title: "There are no device nodes",
      rationale:
        "A container gets the devices it may use from its runtime. One in the image is of use only to get at another.",
      remediation: "Leave /dev empty: remove the nodes in the layer that makes them.",
      references: [man("mknod", 1)],
    },
    ["device"],
    ({ subject, detail }) => `${subject} is a device (${detail})`,
  ),
  forbids(
    {
      id: "no-world-writable",
      title: "Nothing can be written by everybody",
      rationale:
        "What every user may write, a process that was taken over may replace: configuration, plug-ins, programs.",
      remediation: "Take the right to write from others; directories that must be shared get the sticky bit.",
      references: [],
    },
    ["world-writable"],
    ({ subject, detail }) => `everybody may write ${subject} (${detail})`,
  ),
  forbids(
    {
      id: "no-empty-passwords",
      title: "No user has an empty password",
      rationale:
        "Anybody who reaches su, login or a service that asks the password database becomes that user.",
      remediation: "Lock the password: passwd -l, or an * in the second field.",
      references: [man("passwd", 5), dockle("DKL-LI-0001")],
    },
    ["empty-password"],
    ({ subject }) => `the password of ${subject} is empty`,
  ),
  forbids(
    {
      id: "unique-ids",
      title: "No two users or groups share an id",
      rationale: "Users that share an id own each other's files, and logs cannot tell them apart.",
      remediation: "Give each its own id, or remove the one that is not needed.",
      references: [dockle("DKL-LI-0002")],
    },
    ["shared-id"],
    ({ subject, detail }) => `${subject} is shared by ${detail}`,
  ),
];
