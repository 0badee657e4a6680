// A canvas that is as sharp as the screen.

/** @type {WeakMap<Element, {width: number, height: number}>} */
const sizes = new WeakMap();
let observer = null;

/**
 * Prepare a canvas for painting: sized to its box, cleared, in CSS pixels.
 * @param {HTMLCanvasElement} canvas
 * @returns {{context: CanvasRenderingContext2D, width: number, height: number}|null} null while it has no size
 */
export function prepare(canvas) {
  let size = sizes.get(canvas);
  if (!size) {
    // Reading a box forces a layout, so it is read once, and then watched.
    observer ??= new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        sizes.set(target, { width: contentRect.width, height: contentRect.height });
      }
    });
    size = { width: canvas.clientWidth, height: canvas.clientHeight };
    sizes.set(canvas, size);
    observer.observe(canvas);
  }
  const { width, height } = size;
  if (width < 2 || height < 2) return null;
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const pixelWidth = Math.round(width * ratio);
  const pixelHeight = Math.round(height * ratio);
  if (canvas.width !== pixelWidth || canvas.height !== pixelHeight) {
    canvas.width = pixelWidth;
    canvas.height = pixelHeight;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
