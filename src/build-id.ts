/**
 * Digest of the sources that this code was built from; the build puts it here and into the bundled command. Null in a source
 * tree: nothing says there which code made what, so nothing that was made is kept.
 */
export const BUILD_ID: string | null = null;
