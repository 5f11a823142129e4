// Temperatures as colours, the same wherever one is shown, so that they are recognised: 0 is blue, 1 yellow, 2 red.

const share = (part) => `${Math.round(100 * Math.min(1, Math.max(0, part)))}%`;

// Makes a slider from one temperature to another show their colours.
export function thermometer(slider, lowest, highest) {
  slider.classList.add("thermometer");
  slider.style.setProperty("--lowest", lowest);
  slider.style.setProperty("--highest", highest);
  return slider;
}

// Gives `shown` the colour of a temperature, as a number or as it was typed; what is none leaves it as it is.
export function heated(shown, temperature) {
  const degree = Number(String(temperature ?? "").replace(",", ".") || Number.NaN);
  if (Number.isNaN(degree)) return shown;
  shown.classList.add("heated");
  shown.style.setProperty("--from-cold", share(degree));
  shown.style.setProperty("--to-hot", share(degree - 1));
  return shown;
}
