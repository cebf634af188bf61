(() => {
  "use strict";
  document.documentElement.classList.add("js");

  const compare = (box) => {
    const frame = box.querySelector("[data-frame]");
    const boundary = box.querySelector("[data-boundary]");
    const layers = [...frame.querySelectorAll("[data-source]")];
    const radios = [...box.querySelectorAll("input[type=radio]")];
    const show = () => {
      const chosen = radios.find((radio) => radio.checked) || radios[0];
      for (const layer of layers) layer.hidden = layer.dataset.source !== chosen.value;
      const cut = Number(boundary.value);
      frame.style.setProperty("--cut", cut + "%");
      boundary.setAttribute("aria-valuetext", chosen.dataset.word + " " + cut + " %, fused " + (100 - cut) + " %");
    };
    const follow = (event) => {
      const place = frame.getBoundingClientRect();
      boundary.value = Math.round(100 * (event.clientX - place.left) / place.width);
      show();
    };
    frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      frame.setPointerCapture(event.pointerId);
      boundary.focus({ preventScroll: true });
      follow(event);
    });
    frame.addEventListener("pointermove", (event) => {
      if (frame.hasPointerCapture(event.pointerId)) follow(event);
    });
    frame.addEventListener("dragstart", (event) => event.preventDefault());
    boundary.addEventListener("input", show);
    for (const radio of radios) radio.addEventListener("change", show);
    show();
  };

  const opacity = (range) => {
    const pair = range.closest("section");
    const show = () => {
      pair.style.setProperty("--layer", range.value / 100);
      range.setAttribute("aria-valuetext", range.value + " %");
    };
    range.addEventListener("input", show);
    show();
  };

  document.querySelectorAll("[data-compare]").forEach(compare);
  document.querySelectorAll("[data-opacity]").forEach(opacity);
})();
