"use strict";
// What the page of a map is made with: bytes, elements, symbols and colours.
window.penultTools = window.penultTools || (function () {
  const SVG = "http" + "://www.w3.org/2000/svg";

  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out.buffer;
  }

  function make(tag, parent, attributes, text) {
    const element = document.createElement(tag);
    for (const name in attributes || {}) element.setAttribute(name, attributes[name]);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  }

  function symbol(marker, colour, hollow) {
    const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
    svg.setAttribute("viewBox", hollow ? "-1.4 -1.4 12.8 12.8" : "-.5 -.5 11 11");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", penultPainter.OUTLINES[marker]);
    path.setAttribute("fill", hollow ? "none" : colour);
    if (hollow) path.setAttribute("stroke", colour);
    if (hollow) path.setAttribute("stroke-width", "1.8");
    svg.append(path);
    return svg;
  }

  // A colour of the stored rows: that of the label, pale on the page's paper.
  function paled(colour, dark) {
    const paper = dark ? [20, 23, 27] : [255, 255, 255];
    const parts = [1, 3, 5].map((at, i) => Math.round(parseInt(colour.slice(at, at + 2), 16) * 0.45 + paper[i] * 0.55));
    return `rgb(${parts.join(",")})`;
  }

  function between(stops, share) {
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1), low = Math.floor(at), part = at - low;
    const mix = (i) => Math.round(parseInt(stops[low].slice(i, i + 2), 16) * (1 - part)
      + parseInt(stops[Math.min(low + 1, stops.length - 1)].slice(i, i + 2), 16) * part);
    return `rgb(${mix(1)},${mix(3)},${mix(5)})`;
  }

  return { bytes, make, symbol, paled, between };
})();
