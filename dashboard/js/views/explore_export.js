// Taking along what the Explore page shows: every reading as a file, the picture, a report.

import { downloadUrl } from "../archive.js";
import { el, setText } from "../dom.js";
import { formatSpan } from "../spans.js";
import { token } from "../theme.js";

const SCALE = 2; // a picture in a document is looked at closely
const PAD = 16;
const LINE_PX = 20;

export class ExploreExport {
  /**
   * @param {() => {seriesIds: number[], fromMs: number, toMs: number}} shown
   * @param {() => Promise<{pictures: string[], width: number, lines: {label: string, colour: string}[]}>} draw
   */
  constructor(shown, draw) {
    this.shown = shown;
    this.draw = draw;
    this.picture = el("button.button", { type: "button", text: "PNG", "data-testid": "export-png", onclick: () => void this.#savePicture() });
    this.links = [this.#link("CSV", "history", "csv"), this.#link("Parquet", "history", "parquet"), this.#link("Report", "report", "html")];
    this.problem = el("span.field-problem", { role: "alert" });
    this.element = el("div.explore-export", { role: "group", "aria-label": "Take along" }, ...this.links.slice(0, 2), this.picture, this.links[2], this.problem);
  }

  /** The address is made when it is needed: what is shown moves on. */
  #link(text, what, format) {
    const set = () => {
      const { seriesIds, fromMs, toMs } = this.shown();
      const tz = format === "parquet" ? "" : Intl.DateTimeFormat().resolvedOptions().timeZone;
      link.setAttribute("href", downloadUrl(what, { seriesIds, from: fromMs, to: toMs, format, tz }));
    };
    const link = el("a.button", { text, href: "#", download: "", "data-testid": `export-${text.toLowerCase()}`, onclick: set, onpointerdown: set, onfocus: set });
    return link;
  }

  async #savePicture() {
    this.picture.disabled = true;
    try {
      const { fromMs, toMs } = this.shown();
      const blob = await compose({ ...(await this.draw()), title: formatSpan(fromMs, toMs) });
      const address = URL.createObjectURL(blob);
      el("a", { href: address, download: `fleetwire ${formatSpan(fromMs, toMs).replaceAll(":", ".")}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser may still be reading it
      setText(this.problem, "");
    } catch {
      setText(this.problem, "The picture could not be made.");
    }
    this.picture.disabled = false;
  }
}

/**
 * All charts in one picture, with the span above and the names below: a picture travels without its page.
 * @param {{pictures: string[], width: number, lines: {label: string, colour: string}[], title: string}} parts
 * @returns {Promise<Blob>}
 */
async function compose({ pictures, width, lines, title }) {
  const images = await Promise.all(pictures.map(load));
  const height = images.reduce((sum, image) => sum + image.height, 0) + (lines.length + 1) * LINE_PX + 3 * PAD;
  const canvas = el("canvas", { width: String((width + 2 * PAD) * SCALE), height: String(height * SCALE) });
  const context = canvas.getContext("2d");
  context.scale(SCALE, SCALE);
  context.fillStyle = token("--surface");
  context.fillRect(0, 0, width + 2 * PAD, height);
  context.textBaseline = "top";
  context.font = `600 13px ${token("--font")}`;
  context.fillStyle = token("--text");
  context.fillText(title, PAD, PAD);
  let y = PAD + LINE_PX;
  for (const image of images) {
    context.drawImage(image, PAD, y, image.width, image.height);
    y += image.height;
  }
  y += PAD;
  context.font = `12px ${token("--font")}`;
  for (const { label, colour } of lines) {
    context.fillStyle = colour;
    context.fillRect(PAD, y + 6, 16, 3);
    context.fillStyle = token("--text");
    context.fillText(label, PAD + 24, y);
    y += LINE_PX;
  }
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture")))));
}

function load(address) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("no picture"));
    image.src = address;
  });
}
