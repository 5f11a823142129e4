// Times that the bot's texts name as <t:seconds:f>, in the reader's time zone.

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
// Returns a time in seconds since the epoch as people read it.
export const localTime = (seconds) => format.format(seconds * 1000);

// Returns a text with its times as people read them, for places where it is no Markdown.
export const withLocalTimes = (text) => text.replace(/<t:(\d{1,11}):f>/g, (mark, seconds) => localTime(seconds));

// The same for Markdown, as an extension of its parser.
export const timeExtension = {
  name: "time",
  level: "inline",
  start: (source) => source.match(/<t:\d/)?.index,
  tokenizer(source) {
    const [raw, seconds] = source.match(/^<t:(\d{1,11}):f>/) ?? [];
    return raw && { type: "time", raw, seconds };
  },
  renderer: ({ seconds }) => `<time datetime="${new Date(seconds * 1000).toISOString()}">${localTime(seconds)}</time>`,
};
