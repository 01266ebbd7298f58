// In the sandboxed frame that draws diagrams: takes {source, dark}, returns {svg} or {error}. A classic script on
// purpose: the frame has no origin, so that modules could not be loaded.
(() => {
  const mermaid = /** @type {any} */ (globalThis).mermaid;
  let count = 0;

  /** @param {string} source @param {boolean} dark */
  async function draw(source, dark) {
    mermaid.initialize({
      startOnLoad: false,
      securityLevel: "strict",
      theme: dark ? "dark" : "neutral",
      themeVariables: dark ? { edgeLabelBackground: "#1a1917" } : {}, // the page's, not a lighter box (tokens.css)
      htmlLabels: false, // labels as text of the drawing: HTML within an image can't be saved as PNG
      flowchart: { htmlLabels: false },
      suppressErrorRendering: true,
      fontFamily: "system-ui, sans-serif",
    });
    const { svg } = await mermaid.render(`diagram-${(count += 1)}`, source);
    const place = document.createElement("div");
    place.innerHTML = svg;
    const root = /** @type {SVGSVGElement} */ (place.querySelector("svg"));
    for (const one of root.querySelectorAll("script, foreignObject, iframe, object, embed")) one.remove();
    for (const one of root.querySelectorAll("*")) {
      for (const { name, value } of [...one.attributes]) {
        if (/^on/i.test(name) || /javascript:/i.test(value)) one.removeAttribute(name);
      }
    }
    const { width, height } = root.viewBox.baseVal;
    root.setAttribute("width", String(Math.ceil(width)));
    root.setAttribute("height", String(Math.ceil(height)));
    root.removeAttribute("style");
    return new XMLSerializer().serializeToString(root);
  }

  addEventListener("message", async (event) => {
    if (event.source !== parent || typeof event.data?.source !== "string") return;
    try {
      parent.postMessage({ svg: await draw(event.data.source, Boolean(event.data.dark)) }, "*");
    } catch (error) {
      parent.postMessage({ error: error instanceof Error ? error.message : String(error) }, "*");
    }
  });
  parent.postMessage({ ready: true }, "*");
})();
