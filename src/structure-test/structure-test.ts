/** Structure tests as data: the parts of schema 2.0.0 of container-structure-test that files and configuration of an image decide. Types only. */
import type { Place } from "../gate/rule.ts";

export interface ExistenceTest {
  readonly name: string;
  readonly path: string;
  readonly shouldExist: boolean;
  /** As `ls -l` or Go's os.FileMode writes them: "-rwxr-xr-x"; null: any. */
  readonly permissions: string | null;
  readonly uid: number | null;
  readonly gid: number | null;
  readonly isExecutableBy: "owner" | "group" | "other" | "any" | null;
  readonly place: Place;
}

/** A regular expression and how it was written. */
export interface Pattern {
  readonly source: string;
  readonly pattern: RegExp;
}

export interface ContentTest {
  readonly name: string;
  readonly path: string;
  readonly expected: readonly Pattern[];
  readonly excluded: readonly Pattern[];
  readonly place: Place;
}

/** One thing that the configuration must or must not say. */
export type MetadataTest = { readonly place: Place } & (
  | { readonly about: "env" | "label"; readonly key: string; readonly value: string | Pattern }
  | { readonly about: "no-env"; readonly key: string }
  | { readonly about: "entrypoint" | "cmd"; readonly words: readonly string[] }
  | { readonly about: "workdir" | "user"; readonly value: string }
  | { readonly about: "port" | "no-port" | "volume" | "no-volume"; readonly value: string }
);

export interface StructureTests {
  readonly existence: readonly ExistenceTest[];
  readonly content: readonly ContentTest[];
  readonly metadata: readonly MetadataTest[];
}

/** A test that an image does not pass. */
export interface StructureFailure {
  readonly part: "files" | "contents" | "metadata";
  /** The test's name, and which of its conditions; stays when lines move. */
  readonly object: string;
  readonly message: string;
  readonly place: Place;
}
