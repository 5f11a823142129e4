// Shows an answer whose parts are to be compared, each under its temperature: side by side if there is space.

import { element } from "../shared/dom.js";
import { showHeat } from "../shared/heat.js";
import { Markdown } from "../shared/markdown.js";

// A bold line with a word and a temperature. The word of the first such line counts, since answers may have bold lines.
const HEADING = /^\*\*([^*\n\d]+) (\d(?:\.\d+)?)\*\*$/m;

function splitParts(text) {
  const word = text.match(HEADING)?.[1].replace(/\W/g, "\\$&");
  return word ? text.split(new RegExp(`^(?=\\*\\*${word} \\d(?:\\.\\d+)?\\*\\*$)`, "m")) : [text];
}

export class Columns {
  #columns = [];

  constructor(root) {
    root.className = "compared";
    root.replaceChildren();
    this.root = root;
  }

  // While the answer is written, `growing` has a pair of text and whether it is finished for each part. The last paragraph
  // of an answer that `isWhole` is about all parts, so it is shown below them.
  show(text, growing, isWhole) {
    const parts = growing.length ? growing.map(([part]) => part) : splitParts(text);
    const end = isWhole && parts.length > 1 ? parts.at(-1).lastIndexOf("\n\n") : -1;
    const below = end < 0 ? "" : parts.at(-1).slice(end);
    if (end >= 0) parts[parts.length - 1] = parts.at(-1).slice(0, end);
    const shown = [...parts, below].filter(Boolean);
    for (const { root } of this.#columns.splice(shown.length)) root.remove();
    for (const [place, part] of shown.entries()) {
      const column = this.#columns[place] ??= this.#column();
      const degree = part === below ? undefined : part.match(HEADING)?.[2];
      column.root.classList.toggle("column", degree !== undefined);
      column.root.classList.toggle("growing", growing[place]?.[1] === false);
      if (degree !== undefined) showHeat(column.root, degree);
      column.markdown.show(part);
    }
  }

  #column() {
    const root = element("div", { class: "markdown" });
    this.root.append(root);
    return { root, markdown: new Markdown(root) };
  }
}
