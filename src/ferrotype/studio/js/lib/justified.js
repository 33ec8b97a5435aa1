// Pictures in rows that fill the width, section by section. Everything is known from the ratios alone, so that
// the height of 25,000 pictures, and with it the scrollbar, is true before the first of them is loaded.

// Narrower or wider pictures are shown as if they were so, and cropped.
const NARROWEST = 0.4;
const WIDEST = 3.2;
// The last row of a section is stretched as long as its pictures do not get higher than that many times the others.
const STRETCH = 1.25;

/**
 * `ratios`: width / height of every picture; `counts`: how many each section has.
 * Pixels: `width` to fill, `target` height of a row, `gap` between pictures, `head` above and `foot` below a section.
 */
export function justify(ratios, counts, { width, target, gap, head, foot }) {
  const pictures = ratios.length;
  const left = new Float32Array(pictures);
  const wide = new Float32Array(pictures);
  const row = new Uint32Array(pictures);
  const rowTop = [];
  const rowHigh = [];
  const rowFirst = [];
  const sectionTop = new Float64Array(counts.length);
  const sectionHigh = new Float64Array(counts.length);
  const sectionFirst = new Uint32Array(counts.length + 1);

  const place = (first, end, high, fill) => {
    let x = 0;
    for (let i = first; i < end; i++) {
      const from = Math.round(x);
      x += clamp(ratios[i]) * high;
      // The last one ends exactly at the edge: rounding never leaves a seam.
      const to = fill && i === end - 1 ? width : Math.round(x);
      left[i] = from;
      wide[i] = Math.max(1, to - from);
      row[i] = rowTop.length;
      x += gap;
    }
  };

  let y = 0;
  let first = 0;
  for (let section = 0; section < counts.length; section++) {
    sectionTop[section] = y;
    sectionFirst[section] = first;
    y += head;
    const end = first + counts[section];
    for (let i = first; i < end; ) {
      let sum = 0;
      let next = i;
      while (next < end && sum * target + (next - i - 1) * gap < width) sum += clamp(ratios[next++]);
      // One fewer where that comes nearer to the height that is wanted.
      if (next - i > 1) {
        const less = sum - clamp(ratios[next - 1]);
        const lower = (width - (next - i - 1) * gap) / sum;
        const higher = (width - (next - i - 2) * gap) / less;
        if (sum * target + (next - i - 1) * gap >= width && higher - target < target - lower) {
          sum = less;
          next--;
        }
      }
      const full = (width - (next - i - 1) * gap) / sum;
      const fill = next < end || full <= target * STRETCH;
      const high = Math.round(fill ? full : Math.min(target, full));
      place(i, next, fill ? full : high, fill);
      rowTop.push(y);
      rowHigh.push(high);
      rowFirst.push(i);
      y += high + gap;
      i = next;
    }
    y += foot - (counts[section] ? gap : 0);
    sectionHigh[section] = y - foot - sectionTop[section];
    first = end;
  }
  sectionFirst[counts.length] = first;
  rowFirst.push(pictures);
  return {
    pictures,
    height: Math.max(0, y),
    left,
    wide,
    row,
    rowTop: Float64Array.from(rowTop),
    rowHigh: Float32Array.from(rowHigh),
    rowFirst: Uint32Array.from(rowFirst),
    sectionTop,
    sectionHigh,
    sectionFirst,
  };
}

/** How high rows should be in so much room. */
export function rowHeight(width) {
  if (width < 480) return Math.max(120, Math.round(width / 2.6));
  if (width < 1000) return 190;
  if (width < 1800) return 230;
  return 270;
}

/** The last place in ascending `values` that is not above `value`; 0 at least. */
export function lastAtMost(values, value, end = values.length) {
  let low = 0;
  let high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** [first, end) of the pictures whose rows touch the pixels from `top` to `bottom`. */
export function between(layout, top, bottom) {
  const rows = layout.rowTop.length;
  if (!rows || bottom < 0) return [0, 0];
  let from = lastAtMost(layout.rowTop, top);
  if (layout.rowTop[from] + layout.rowHigh[from] < top) from++;
  const to = lastAtMost(layout.rowTop, bottom) + 1;
  return from >= to ? [0, 0] : [layout.rowFirst[from], layout.rowFirst[to]];
}

/** The picture of the row above or below that stands nearest to one; itself at either end. */
export function neighbour(layout, index, rows) {
  const to = layout.row[index] + rows;
  if (to < 0 || to >= layout.rowTop.length) return index;
  const middle = layout.left[index] + layout.wide[index] / 2;
  let best = layout.rowFirst[to];
  let distance = Infinity;
  for (let i = best; i < layout.rowFirst[to + 1]; i++) {
    const away = Math.abs(layout.left[i] + layout.wide[i] / 2 - middle);
    if (away < distance) [best, distance] = [i, away];
  }
  return best;
}

function clamp(ratio) {
  return ratio > WIDEST ? WIDEST : ratio >= NARROWEST ? ratio : ratio > 0 ? NARROWEST : 1;
}
