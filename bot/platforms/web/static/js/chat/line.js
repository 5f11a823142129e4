// Reads and changes a typed line: its command and its name:value pairs. Does not touch the page.

const PAIR = /(^|\s)([a-z_][\w-]*):("[^"]*"|“[^“”]*”|„[^„“”]*[“”]|«[^«»]*»|[^\s"]*)(?=\s|$)/gi;

// Returns the command that the line names; the longest name wins ("lesson list" before "lesson").
export function commandOf(line, commands) {
  const lower = line.toLowerCase();
  return commands
    .filter((command) => lower.startsWith(`/${command.name} `))
    .sort((one, other) => other.name.length - one.name.length)[0];
}

// Returns the value of an option as it is typed in the line, or null.
export function valueOf(line, name) {
  const found = [...line.matchAll(PAIR)].find((pair) => pair[2].toLowerCase().replaceAll("-", "_") === name);
  return found ? found[3].replace(/^(?:["“„]|«\s*)|(?:["“”]|\s*»)$/g, "") : null;
}

// Returns the line with this value for an option; null removes the option.
export function withValue(line, command, name, value) {
  const pair = value === null ? "" : `${name}:${quote(String(value))}`;
  if (valueOf(line, name) !== null) {
    const replaced = line.replace(PAIR, (whole, before, key) => (
      key.toLowerCase().replaceAll("-", "_") === name ? (pair ? before + pair : "") : whole
    ));
    return replaced;
  }
  if (!pair) return line;
  const start = command.name.length + 2;
  return `${line.slice(0, start)}${pair} ${line.slice(start)}`;
}

export const quote = (value) => (/\s|^[“„«']/.test(value) ? `"${value}"` : value);
