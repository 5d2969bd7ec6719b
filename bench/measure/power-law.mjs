/**
 * The exponent e of y = c x^e, by least squares on logarithms: 1 = linear, 2 = quadratic.
 * @param {readonly { x: number, y: number }[]} points at least two, all numbers above 0
 */
export function exponentOf(points) {
  if (points.length < 2 || points.some(({ x, y }) => !(x > 0 && y > 0)))
    throw new RangeError(`${points.length} points, or one that is not above 0; expected at least two, all above 0`);
  const logs = points.map(({ x, y }) => [Math.log(x), Math.log(y)]);
  const mean = (/** @type {number} */ axis) => logs.reduce((sum, point) => sum + point[axis], 0) / logs.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const covariance = logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return covariance / logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}
