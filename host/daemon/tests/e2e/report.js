// Returns the faults of a report in the window's width, as sentences.
const faults = [];
const narrow = innerWidth < 600;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const shown = (element) => element.getClientRects().length > 0;
const named = (element) => `<${element.tagName.toLowerCase()} class="${element.className}"> ` +
  element.textContent.trim().slice(0, 60);
const texts = (element) => {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.textContent.trim() || node.parentElement.closest("script, style")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width) found.push([node.parentElement, box]);
  }
  return found;
};
const overlap = (a, b) =>
  a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;

all("details").forEach((details) => { details.open = true; });

// Nothing scrolls sideways, is cut, or is outside of what holds it.
if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
for (const element of all("body *")) {
  const clips = getComputedStyle(element).overflowX !== "visible";
  if (clips && !element.closest("svg") && element.scrollWidth > element.clientWidth)
    faults.push(`cut or scrolled: ${named(element)}`);
}
for (const [element, box] of texts(document.body)) {
  const holder = element.closest("td, th, figure, .table, .decision, body").getBoundingClientRect();
  if (box.left < holder.left - 1 || box.right > holder.right + 1 || box.right > innerWidth)
    faults.push(`text out of its place: ${named(element)}`);
}
for (const text of all("svg text")) {
  const [box, view] = [text.getBBox(), text.ownerSVGElement.viewBox.baseVal];
  if (box.x < view.x || box.y < view.y || box.x + box.width > view.x + view.width ||
      box.y + box.height > view.y + view.height)
    faults.push(`text out of its picture: ${named(text)}`);
}
for (const plot of all(".plot")) {
  const edge = plot.getBoundingClientRect();
  for (const labels of [".times i", ".values i", ".area u"]) {
    const boxes = all(labels, plot).filter(shown).map((label) => label.getBoundingClientRect());
    boxes.forEach((box, index) => {
      if (boxes.slice(0, index).some((other) => overlap(box, other)))
        faults.push(`${labels} overlap in ${named(plot.closest("figure"))}`);
      if (labels === ".times i" && box.right > edge.right + 1)
        faults.push(`the last time is outside of the axis in ${named(plot.closest("figure"))}`);
    });
  }
}

// Text is readable on its background.
const light = (colour) => {
  const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => part / 255);
  const linear = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const ground = light(getComputedStyle(document.body).backgroundColor);
if ((ground < 0.2) !== matchMedia("(prefers-color-scheme: dark)").matches)
  faults.push("the background is not that of the scheme");
for (const [element] of texts(document.body)) {
  const text = light(getComputedStyle(element).color);
  const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
  if (contrast < 3) faults.push(`contrast of ${contrast.toFixed(1)}: ${named(element)}`);
}

// Charts.
for (const figure of all("figure")) {
  const title = figure.querySelector("figcaption");
  const keys = figure.querySelector(".keys");
  if (!keys) {
    if (figure.querySelector(".plot")) faults.push(`no legend in ${named(figure)}`);
    continue;
  }
  if (keys.getBoundingClientRect().top < title.getBoundingClientRect().bottom - 1)
    faults.push(`the legend is beside the title in ${named(figure)}`);
  const { curves } = JSON.parse(figure.querySelector("script").textContent);
  if (curves.every(([, values]) => values.every((value) => value === 0)) && !keys.querySelector(".level"))
    faults.push(`an axis for nothing in ${named(figure)}`);
  const key = (name) => all(".key", keys).find((key) => key.textContent === name);
  const look = (name) => {
    const style = getComputedStyle(key(name), "::before");
    return style.borderTopWidth + style.borderTopStyle;
  };
  for (const [name] of curves) if (!key(name)) faults.push(`no legend for ${name}`);
  // Even where they run over each other.
  const apart = curves.map(([name]) => name).filter((name) =>
    ["load", "served", "ready", "desired", "replicas"].includes(name));
  if (new Set(apart.map(look)).size < apart.length)
    faults.push(`${apart.join(", ")} look the same in ${named(figure)}`);
}

// Tables.
const explained = new Set(all("dt").map((term) => term.textContent));
for (const heading of all(".table th:not(:first-child)"))
  if (!heading.closest(".decision") && !explained.has(heading.textContent))
    faults.push(`no legend for the column ${heading.textContent}`);
for (const row of narrow ? all("tbody tr") : []) {
  const cells = [...row.cells];
  const last = cells.pop().getBoundingClientRect();
  const isCard = row.closest(".cards") && getComputedStyle(row).display === "grid";
  if (!isCard && cells.some((cell) => cell.getBoundingClientRect().bottom > last.top + 1))
    faults.push(`the reason is not under its row: ${named(row)}`);
}
return [...new Set(faults)];
