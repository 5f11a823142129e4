// What stands behind the # of an address.

// The text of it. A % that was typed there need not begin a code, and then is only a %.
export const decoded = (text) => text.replace(/(?:%[0-9a-f]{2})+/gi, (code) => {
  try {
    return decodeURIComponent(code);
  } catch {
    return code;
  }
});
