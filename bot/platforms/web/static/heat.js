// Temperatures as colours: the same from blue to red wherever one is shown, so that they are recognised.

const HOTTEST = 2;

// Gives `shown` the colour of a temperature, as a number or as it was typed; what is none leaves it as it is.
export function heated(shown, temperature) {
  const degree = Number(String(temperature ?? "").replace(",", ".") || Number.NaN);
  if (Number.isNaN(degree)) return shown;
  shown.classList.add("heated");
  shown.style.setProperty("--heat", `${Math.round(100 * Math.min(1, Math.max(0, degree / HOTTEST)))}%`);
  return shown;
}
