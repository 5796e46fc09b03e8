"use strict";
// The values under the pointer. The page is complete without this.
for (const figure of document.querySelectorAll("figure")) {
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
    tip.style.left = place + "%";
    tip.style.transform = place > 70 ? "translateX(calc(-100% - 8px))" : "translateX(8px)";
    area.append(cross, tip);
  });
}
