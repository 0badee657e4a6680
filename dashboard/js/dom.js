// Small helpers around the document. Text is only ever set as text; there is no way to pass markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element.
 * @param {string} tag with classes: "div.cell.wide"
 * @param {Record<string, any>} [props] "text" sets textContent; "on…" functions listen; the rest are attributes.
 *   false, null and undefined leave an attribute out
 * @param {...(Node|string|null|undefined|false)} children strings become text
 * @returns {HTMLElement}
 */
export function el(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  apply(element, props, children);
  return element;
}

/** The same for SVG. */
export function svg(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  apply(element, props, children);
  return element;
}

function apply(element, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "text") element.textContent = value;
    else if (key.startsWith("on") && typeof value === "function") element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child || child === ""));
}

/**
 * Set an element's text, unless it has it: an unchanged text must not cost a layout.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.__text === text) return;
  element.__text = text;
  element.textContent = text;
}

/**
 * Set an attribute, unless it has that value; null removes it.
 * @param {Element} element
 * @param {string} name
 * @param {string|null} value
 */
export function setAttr(element, name, value) {
  if (value === null) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== value) {
    element.setAttribute(name, value);
  }
}

/**
 * Make a parent's children exactly these, moving as little as possible: a row that stays keeps its focus.
 * @param {Element} parent
 * @param {Element[]} wanted
 */
export function setChildren(parent, wanted) {
  const keep = new Set(wanted);
  for (let child = parent.firstElementChild; child; ) {
    const next = child.nextElementSibling;
    if (!keep.has(child)) child.remove();
    child = next;
  }
  let at = parent.firstElementChild;
  for (const element of wanted) {
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
  }
}
