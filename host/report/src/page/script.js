"use strict";
// The values under the pointer. The page is complete without this.
for (const figure of document.querySelectorAll("figure:has(.area)")) {
  const area = figure.querySelector(".area");
  const data = JSON.parse(figure.querySelector("script").textContent);
  const cross = document.createElement("div");
  const tip = document.createElement("div");
  cross.className = "cross";
  tip.className = "tip";
  const hide = () => { cross.remove(); tip.remove(); };
  area.addEventListener("pointerleave", hide);
  area.addEventListener("pointermove", (event) => {
    const box = area.getBoundingClientRect();
    const minutes = data.length * (event.clientX - box.left) / box.width;
    let row = data.x.findIndex((x) => x > minutes);
    row = (row < 0 ? data.x.length : row) - 1;
    if (row < 0) { hide(); return; }
    const place = 100 * data.x[row] / data.length;
    const two = (number) => String(number).padStart(2, "0");
    const at = Math.floor(data.x[row]);
    const days = Math.floor(at / 1440);
    const time = (days ? days + "d " : "") + two(Math.floor(at % 1440 / 60)) + ":" + two(at % 60);
    tip.textContent = [time, ...data.curves.map(([name, values]) => name + " " + values[row])].join("\n");
    cross.style.left = place + "%";
    area.append(cross, tip);
    // Beside the cross, and within the chart.
    const at_px = box.width * place / 100;
    const left = at_px + 8 + tip.offsetWidth > box.width ? at_px - 8 - tip.offsetWidth : at_px + 8;
    tip.style.left = Math.max(0, left) + "px";
  });
}
