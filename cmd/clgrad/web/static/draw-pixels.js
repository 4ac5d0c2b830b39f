// Pictures of numbers, on canvases.

const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

// paint gives a canvas width × height pixels, each of which colour(i) gives red, green, blue and opacity.
function paint(canvas, { width, height }, colour) {
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext('2d'), data = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) data.data.set(colour(i), 4 * i);
  context.putImageData(data, 0, 0);
}

// drawImage shows grey or coloured pixels.
export function drawImage(canvas, image) {
  const values = bytes(image.pixels), n = image.channels;
  paint(canvas, image, (i) => (n === 3 ? [...values.subarray(3 * i, 3 * i + 3), 255] : [values[i], values[i], values[i], 255]));
}

// drawNumbers shows numbers of both signs: orange is positive, blue negative, the stronger the
// larger.
export function drawNumbers(canvas, picture) {
  const style = getComputedStyle(canvas), values = bytes(picture.pixels);
  const [positive, negative] = ['--other', '--same'].map((name) => style.getPropertyValue(name).split(',').map(Number));
  paint(canvas, picture, (i) => {
    const v = (values[i] - 128) / 127;
    return [...(v < 0 ? negative : positive), Math.round(255 * Math.abs(v))];
  });
}
