"use strict";
// What draws the points: pixel by pixel, which is quick for many rows whatever the machine.
window.penultPainter = window.penultPainter || (function () {
  const OUTLINES = { circle: "M5 0a5 5 0 1 0 .01 0z", triangle: "M5 0L10 9.5H0z", square: "M.7 .7h8.6v8.6H.7z" };
  const NAMES = Object.keys(OUTLINES);

  function rgb(text) {
    if (text[0] === "#") return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
    return text.match(/[\d.]+/g).slice(0, 3).map(Number);
  }

  function coprime(start, n) {
    const divisor = (a, b) => b ? divisor(b, a % b) : a;
    while (divisor(start, n) !== 1) start++;
    return start;
  }

  // How much of each pixel the outlines cover, 0 to 255; then the same of hollow ones.
  function masksOf(radius, ratio) {
    const side = Math.ceil(radius * 2) + 2, sheet = document.createElement("canvas");
    sheet.width = sheet.height = side;
    const ink = sheet.getContext("2d", { willReadFrequently: true });
    const masks = [false, true].flatMap((hollow) => NAMES.map((name) => {
      const outline = new Path2D(OUTLINES[name]), inner = Math.max(1 - 1.5 * ratio / radius, 0.45);
      ink.setTransform(1, 0, 0, 1, 0, 0);
      ink.clearRect(0, 0, side, side);
      ink.translate(side / 2, side / 2);
      ink.scale(radius / 5, radius / 5);
      ink.translate(-5, -5);
      ink.fill(outline);
      if (hollow) {
        const middle = name === "triangle" ? 6.2 : 5;
        ink.globalCompositeOperation = "destination-out";
        ink.translate(5, middle);
        ink.scale(inner, inner);
        ink.translate(-5, -middle);
        ink.fill(outline);
        ink.globalCompositeOperation = "source-over";
      }
      return ink.getImageData(0, 0, side, side).data.filter((_, k) => k % 4 === 3);
    }));
    return { radius, side, masks };
  }

  // `places` are x and y of each row, `slot` says which of the colours and markers a row has. A marker may be `hollow`
  // and have a `size` of its own, one of those that `draw` is given.
  class Painter {
    constructor(canvas, places, slot, markers, hollow, size) {
      this.canvas = canvas;
      this.pen = canvas.getContext("2d", { alpha: false });
      const shapes = markers.map((name, at) => NAMES.indexOf(name) + (hollow && hollow[at] ? NAMES.length : 0));
      Object.assign(this, { places, slot, shapes, size: size || markers.map(() => 0), stamps: [] });
      this.order = new Uint32Array(slot.length);
      this.faded = this.sorted = 0;
    }

    // Which rows are drawn, and in which order: `rank` is 0 to 3 or, for what was searched for, 4; -1 is not drawn. Rows
    // are taken in strides, as if shuffled, so that no label covers another.
    sort(rank, colours) {
      const n = this.slot.length, stride = n > 7 ? coprime(Math.floor(n * 0.618), n) : 1;
      this.paint = colours.map(rgb);
      this.sorted = 0;
      for (const wanted of [0, 1, 2, 3, 4]) {
        if (wanted === 4) this.faded = this.sorted;
        for (let k = 0, i = 0; k < n; k++, i = (i + stride) % n) if (rank(i) === wanted) this.order[this.sorted++] = i;
      }
    }

    // `view` has scale, left and top in CSS pixels, and how many device pixels each is.
    draw(view, radii, alpha, fadedAlpha, paper) {
      const { canvas, pen } = this;
      if (!canvas.width || !canvas.height) return;
      radii.forEach((radius, at) => {
        if (!this.stamps[at] || Math.abs(this.stamps[at].radius - radius * view.ratio) > 0.05)
          this.stamps[at] = masksOf(radius * view.ratio, view.ratio);
      });
      if (!this.image || this.image.width !== canvas.width || this.image.height !== canvas.height)
        this.image = pen.createImageData(canvas.width, canvas.height);
      const [red, green, blue] = rgb(paper);
      new Uint32Array(this.image.data.buffer).fill(((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0);
      this.stamp(view, 0, this.faded, fadedAlpha);
      this.stamp(view, this.faded, this.sorted, alpha);
      pen.putImageData(this.image, 0, 0);
    }

    stamp({ scale, left, top, ratio }, first, last, alpha) {
      const { order, places, slot, paint, shapes, size, stamps } = this;
      const pixels = this.image.data, width = this.image.width, height = this.image.height;
      const zoom = scale * ratio, dx = left * ratio, dy = top * ratio;
      for (let k = first; k < last; k++) {
        const i = order[k], { side, masks } = stamps[size[slot[i]]];
        const x = Math.round(places[2 * i] * zoom + dx - side / 2), y = Math.round(places[2 * i + 1] * zoom + dy - side / 2);
        if (x <= -side || y <= -side || x >= width || y >= height) continue;
        const mask = masks[shapes[slot[i]]], [red, green, blue] = paint[slot[i]];
        const right = Math.min(side, width - x), bottom = Math.min(side, height - y);
        for (let row = Math.max(0, -y); row < bottom; row++)
          for (let column = Math.max(0, -x); column < right; column++) {
            const cover = mask[row * side + column];
            if (cover === 0) continue;
            const share = cover * alpha / 255, at = ((y + row) * width + x + column) * 4;
            pixels[at] += (red - pixels[at]) * share;
            pixels[at + 1] += (green - pixels[at + 1]) * share;
            pixels[at + 2] += (blue - pixels[at + 2]) * share;
          }
      }
    }

    ring({ scale, left, top, ratio }, i, radius, ink, width) {
      const { pen, places } = this;
      pen.beginPath();
      pen.arc((places[2 * i] * scale + left) * ratio, (places[2 * i + 1] * scale + top) * ratio, radius * ratio, 0, 7);
      pen.strokeStyle = ink;
      pen.lineWidth = width * ratio;
      pen.stroke();
    }
  }
  Painter.OUTLINES = OUTLINES;
  return Painter;
})();
