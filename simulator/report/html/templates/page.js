"use strict";
// Draws the figures of the page, each into the box of its name, and lets commands be copied.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const touched = matchMedia("(pointer: coarse)").matches; // a finger drags the page, not the plot
  const toggle = (box, button) => { // a series, with its band
    const shown = button.getAttribute("aria-pressed") !== "true";
    const group = button.dataset.name;
    const traces = box.data.flatMap((trace, index) => (trace.meta === group ? [index] : []));
    button.setAttribute("aria-pressed", String(shown));
    Plotly.restyle(box, { visible: shown }, traces);
  };
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: touched ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    plotlyServerURL: "",
  };
  for (const [name, figure] of Object.entries(figures)) {
    const box = document.getElementById(`chart-${name}`);
    const layout = { dragmode: touched ? false : "zoom", ...figure.layout };
    Plotly.newPlot(box, figure.data || [], layout, config);
    for (const button of box.parentElement.querySelectorAll(".legend button")) {
      button.addEventListener("click", () => toggle(box, button));
    }
  }
  document.documentElement.dataset.drawn = String(Object.keys(figures).length);
  if (!navigator.clipboard) return; // a page from a file may not have it
  for (const box of document.querySelectorAll(".command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(box.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    box.append(button);
  }
})();
