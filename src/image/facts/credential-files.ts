/**
 * Files that are called as credentials are called, in every layer. Their content may be anything: what has the form of a secret is found by
 * content (secrets.ts); this is about names, for policies that want such names out of images.
 */
import type { ImageTree } from "../tree/apply.ts";

export interface CredentialFile {
  readonly path: string;
  readonly layer: number;
  /** A later layer deleted or replaced it. */
  readonly hidden: boolean;
}

const NAMES =
  /^(?:credentials?(?:\.(?:json|xml|ya?ml))?|passwords?\.txt|id_(?:rsa|dsa|ecdsa|ed25519)|secret_token\.rb|carrierwave\.rb|omniauth\.rb|settings\.py|database\.yml|\.?htpasswd|\.pgpass|\.netrc|\.git-credentials|\.dockercfg|kubeconfig)$/;
const ENDINGS =
  /\.(?:secret|ovpn|private_key|cscfg|rdp|mdf|sdf|bek|tpm|fve|jks|keystore|psafe3|agilekeychain|keychain|kdbx|pcap|gnucache|p12|pfx)$/;
/** Code and documentation that packages bring; their settings.py is no setting of this image. */
const OF_PACKAGES =
  /^usr\/(?:share|lib|include)\/|(?:^|\/)(?:dist-packages|site-packages|node_modules|gems)\//;

export function findCredentialFiles(image: ImageTree): readonly CredentialFile[] {
  const isOne = (path: string, size: number): boolean => {
    const name = path.slice(path.lastIndexOf("/") + 1);
    return size > 0 && (NAMES.test(name) || ENDINGS.test(name)) && !OF_PACKAGES.test(path);
  };
  return [
    ...image.tree
      .walk()
      .filter(({ path, node: { inode } }) => inode.type === "file" && isOne(path, inode.size))
      .map(({ path, node }) => ({ path, layer: node.inode.layer, hidden: false })),
    ...image.shadowed
      .filter(({ path, inode }) => inode.type === "file" && isOne(path, inode.size))
      .map(({ path, inode }) => ({ path, layer: inode.layer, hidden: true })),
  ];
}
