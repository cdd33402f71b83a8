// Regions of interest as they came, GeoJSON in full pixels: names and colours of QuPath if they have them.

const DEFAULT = "#0b6e4f";

export function regionsOf(collection) {
  return collection.features.map((feature, i) => {
    const properties = feature.properties || {}, kind = properties.classification || {};
    const given = kind.color || properties.color;
    return {
      geometry: feature.geometry,
      box: bounds(feature.geometry),
      name: String(properties.name || kind.name || `region ${i + 1}`),
      colour: Array.isArray(given) && given.length >= 3 && given.every(Number.isFinite)
        ? `rgb(${given.slice(0, 3).join()})` : DEFAULT,
    };
  });
}

// The rectangle around a geometry.
function bounds(geometry) {
  const xs = [], ys = [];
  const collect = value => {
    if (typeof value[0] === "number") {
      xs.push(value[0]);
      ys.push(value[1]);
    } else value.forEach(collect);
  };
  const visit = ({ coordinates, geometries }) => (geometries ? geometries.forEach(visit) : collect(coordinates));
  visit(geometry);
  const least = values => values.reduce((a, b) => Math.min(a, b)), most = values => values.reduce((a, b) => Math.max(a, b));
  const [left, top] = [least(xs), least(ys)], [right, bottom] = [most(xs), most(ys)];
  return { x: left, y: top, width: right - left, height: bottom - top };
}

// The same with some room.
export function around({ box: { x, y, width, height } }) {
  const room = 0.1 * Math.max(width, height, 200);
  return { x: x - room, y: y - room, width: width + 2 * room, height: height + 2 * room };
}
