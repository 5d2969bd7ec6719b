import type { AddedToken } from './tables.js';

interface Node {
  children: Map<number, Node>;
  /** Set where a token ends. */
  token?: AddedToken;
}

/** Finds added tokens in text: at each place the longest one that starts there (leftmost-longest). */
export class AddedTokens {
  readonly #root: Node = { children: new Map() };
  /** 1 for the UTF-16 units some token starts with; nearly every place in a text is ruled out by this alone. */
  readonly #starts = new Uint8Array(0x10000);

  constructor(tokens: readonly AddedToken[]) {
    for (const token of tokens) {
      let node = this.#root;
      for (let i = 0; i < token.content.length; i++) {
        const unit = token.content.charCodeAt(i);
        const child: Node = node.children.get(unit) ?? { children: new Map() };
        node.children.set(unit, child);
        node = child;
      }
      node.token = token;
      this.#starts[token.content.charCodeAt(0)] = 1;
    }
  }

  /** The longest token whose text starts at `at`, where `unit` is. */
  longestAt(text: string, at: number, unit: number): AddedToken | undefined {
    if (this.#starts[unit] === 0) return undefined;
    let longest: AddedToken | undefined;
    let node: Node | undefined = this.#root;
    for (let i = at; i < text.length; i++) {
      node = node.children.get(text.charCodeAt(i));
      if (!node) break;
      if (node.token) longest = node.token;
    }
    return longest;
  }
}
