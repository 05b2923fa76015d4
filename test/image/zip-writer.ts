/** Zip files made byte by byte, honest or not. */
import { deflateRawSync } from "node:zlib";

export interface Member {
  readonly name: string;
  readonly body: Buffer | string;
  readonly deflate?: boolean;
  /** The size that the headers claim. */
  readonly size?: number;
  readonly flags?: number;
  readonly method?: number;
}

/** A zip file by the book, but for what a member claims. */
export function zip(members: readonly Member[], prefix: Buffer | string = "", comment = ""): Buffer {
  const parts: Buffer[] = [Buffer.from(prefix)];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, body, deflate = false, size, flags = 0, method } of members) {
    const plain = Buffer.from(body);
    const stored = deflate ? deflateRawSync(plain) : plain;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method ?? (deflate ? 8 : 0), 4);
    common.writeUInt32LE(stored.length, 14);
    common.writeUInt32LE(size ?? plain.length, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from("PK\u0003\u0004"), common, Buffer.from(name), stored]);
    const central = Buffer.concat([Buffer.from("PK\u0001\u0002\u0014\0"), common, Buffer.alloc(14)]);
    central.writeUInt32LE(at, 42);
    directory.push(central, Buffer.from(name));
    parts.push(local);
    at += local.length;
  }
  const all = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\u0005\u0006");
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(all.length, 12);
  end.writeUInt32LE(at, 16);
  end.writeUInt16LE(Buffer.byteLength(comment), 20);
  return Buffer.concat([...parts, all, end, Buffer.from(comment)]);
}
