// Shows temperatures as colours, the same everywhere: 0 is blue, 1 yellow, 2 red.

const share = (part) => `${Math.round(100 * Math.min(1, Math.max(0, part)))}%`;

// Gives a slider the colours from its lowest to its highest temperature.
export function showTemperatureRange(slider, lowest, highest) {
  slider.classList.add("thermometer");
  slider.style.setProperty("--lowest", lowest);
  slider.style.setProperty("--highest", highest);
  return slider;
}

// Gives an element the colour of a temperature, which is a number or typed text; other text leaves the colour alone.
export function showHeat(node, temperature) {
  const degree = Number(String(temperature ?? "").replace(",", ".") || Number.NaN);
  if (Number.isNaN(degree)) return node;
  node.classList.add("heated");
  node.style.setProperty("--from-cold", share(degree));
  node.style.setProperty("--to-hot", share(degree - 1));
  return node;
}
