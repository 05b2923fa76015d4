/** Tar files made byte by byte, honest or not: whatever a field should hold can be given. */

export interface Member {
  readonly name: string | Buffer;
  readonly type?: string;
  readonly body?: Buffer | string;
  readonly link?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly major?: number;
  readonly minor?: number;
  readonly mtime?: number;
  /** PAX records before it, in order. */
  readonly pax?: readonly (readonly [string, string | Buffer])[];
  /** The size field as it is written, instead of the body's length. */
  readonly size?: number | Buffer;
  /** "ustar\0" + "00" unless given: GNU's is "ustar  \0". */
  readonly magic?: string;
  /** Changes the finished header before its checksum is made. */
  readonly patch?: (header: Buffer) => void;
}

const BLOCK = 512;

export function pad(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}

export function header(one: Member, length: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number): void => {
    block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at, "latin1");
  };
  const name = Buffer.isBuffer(one.name) ? one.name : Buffer.from(one.name);
  name.copy(block, 0, 0, 100);
  octal(one.mode ?? (one.type === "5" ? 0o755 : 0o644), 100, 8);
  octal(one.uid ?? 0, 108, 8);
  octal(one.gid ?? 0, 116, 8);
  if (Buffer.isBuffer(one.size)) one.size.copy(block, 124);
  else octal(one.size ?? length, 124, 12);
  octal(one.mtime ?? 0, 136, 12);
  block.write(one.type ?? "0", 156, "latin1");
  block.write(one.link ?? "", 157, 100, "utf8");
  block.write(one.magic ?? "ustar\u000000", 257, "latin1");
  octal(one.major ?? 0, 329, 8);
  octal(one.minor ?? 0, 337, 8);
  one.patch?.(block);
  block.fill(0x20, 148, 156);
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
    "latin1",
  );
  return block;
}

export function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

export function member(one: Member): Buffer {
  const body = Buffer.from(one.body ?? "");
  const parts: Buffer[] = [];
  if (one.pax !== undefined) {
    const records = Buffer.concat(one.pax.map(([key, value]) => paxRecord(key, value)));
    parts.push(header({ name: "PaxHeaders/x", type: "x" }, records.length), pad(records));
  }
  parts.push(header(one, body.length), pad(body));
  return Buffer.concat(parts);
}

export const END = Buffer.alloc(2 * BLOCK);

export function tar(...members: readonly (Member | Buffer)[]): Buffer {
  return Buffer.concat([...members.map((one) => (Buffer.isBuffer(one) ? one : member(one))), END]);
}

export const directory = (name: string, more: Partial<Member> = {}): Member => ({ name, type: "5", ...more });
export const file = (name: string, body: string | Buffer = "", more: Partial<Member> = {}): Member => ({
  name,
  body,
  ...more,
});
export const symlink = (name: string, link: string): Member => ({ name, type: "2", link });
export const hardlink = (name: string, link: string): Member => ({ name, type: "1", link });
