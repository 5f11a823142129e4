// A typed line: which command it names, and its name:value pairs. Knows nothing of the page.

const PAIR = /(^|\s)([a-z_][\w-]*):("[^"]*"|“[^”]*”|[^\s"]*)(?=\s|$)/gi;

// The command that the line has named already, the longest name first ("lesson list" before "lesson").
export function commandOf(line, commands) {
  const lower = line.toLowerCase();
  return commands
    .filter((command) => lower.startsWith(`/${command.name} `))
    .sort((one, other) => other.name.length - one.name.length)[0];
}

// The value of an option in the line as typed, or null.
export function valueOf(line, name) {
  const found = [...line.matchAll(PAIR)].find((pair) => pair[2].toLowerCase().replaceAll("-", "_") === name);
  return found ? found[3].replace(/^["“]|["”]$/g, "") : null;
}

// The line with this value of an option; null takes it out.
export function withValue(line, command, name, value) {
  const pair = value === null ? "" : `${name}:${quoted(String(value))}`;
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

export const quoted = (value) => (/\s/.test(value) ? `"${value}"` : value);
