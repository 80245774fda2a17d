// Keeps the last result of a computation for as long as what it depends on stays the same.

/** `compute(...on)`, called again only when one of its arguments is another value or another object. */
export function latest(compute) {
  let before = null;
  let result;
  return (...on) => {
    if (before?.length !== on.length || before.some((one, index) => !Object.is(one, on[index]))) {
      result = compute(...on);
      before = on;
    }
    return result;
  };
}
