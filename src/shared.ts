/**
 * Something that several runs use, and that none of them may lose: let go of when it was closed and the last of them has ended.
 */
export class Shared {
  readonly #release: () => void;
  #users = 0;
  #closed = false;

  /** `release` is called once. */
  constructor(release: () => void) {
    this.#release = release;
  }

  /** Begin to use it; the function that is returned ends that. */
  use(): () => void {
    this.#users += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#users -= 1;
      if (this.#closed && this.#users === 0) this.#release();
    };
  }

  /** No more uses begin. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#users === 0) this.#release();
  }
}
