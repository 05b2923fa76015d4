/**
 * Types that the reference policy, and so Debian's, Fedora's and everybody's, gives to files by their place (file_contexts(5)). A
 * module knows places from the profile; what they are labelled on a host is the host's business, so this is convention: a
 * bind of something labelled otherwise is refused by SELinux, and whoever loads the module adds its type to the attribute.
 */

/** Read-only parts of the system. Programs have types of their own, all of them in the attribute `exec_type`. */
export const SYSTEM_TYPES = [
  "bin_t",
  "cert_t",
  "etc_t",
  "fonts_t",
  "ld_so_cache_t",
  "ld_so_t",
  "lib_t",
  "locale_t",
  "root_t",
  "shell_exec_t",
  "src_t",
  "textrel_shlib_t",
  "usr_t",
] as const;

/** What people own and share: homes, temporary files, data. */
export const SHARED_TYPES = [
  "default_t",
  "mnt_t",
  "tmp_t",
  "user_home_dir_t",
  "user_home_t",
  "user_tmp_t",
  "usr_t",
  "var_lib_t",
  "var_t",
] as const;

const HOME = ["user_home_dir_t", "user_home_t"] as const;
const TEMPORARY = ["tmp_t", "user_tmp_t"] as const;

/** Longest place first. */
const PLACES: readonly (readonly [place: string, types: readonly string[]])[] = [
  ["/var/tmp", TEMPORARY],
  ["/var/lib", ["var_lib_t"]],
  ["/media", ["mnt_t"]],
  ["/home", HOME],
  ["/root", HOME],
  ["/etc", ["cert_t", "etc_t", "net_conf_t"]],
  ["/mnt", ["mnt_t"]],
  ["/opt", ["bin_t", "lib_t", "textrel_shlib_t", "usr_t"]],
  ["/run", ["var_run_t"]],
  ["/srv", ["var_t"]],
  ["/tmp", TEMPORARY],
  ["/usr", SYSTEM_TYPES],
  ["/var", ["var_t"]],
];

/** The types of files at and below a path of the host. */
export function typesAt(path: string): readonly string[] {
  const found = PLACES.find(([place]) => path === place || path.startsWith(`${place}/`));
  return found?.[1] ?? ["default_t"];
}
