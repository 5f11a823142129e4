// Decodes the text after the #. A % that begins no valid code stays as it is, since somebody may have typed it.
export const decodeFragment = (text) => text.replace(/(?:%[0-9a-f]{2})+/gi, (code) => {
  try {
    return decodeURIComponent(code);
  } catch {
    return code;
  }
});
